"""From options to the messages of the API."""

from __future__ import annotations

from typing import Any

import pytest

from hookpost.v1.webhook_pb2 import RETRY_SCHEDULE_NONE, RETRY_SCHEDULE_STANDARD_WEBHOOKS, RetryPolicy
from hookpost_server.cli.failures import ExitCode, Failure
from hookpost_server.cli.inputs import pairs, read_text
from hookpost_server.cli.webhook_settings import build, given, retry_policy, retry_text

NOTHING: dict[str, Any] = {
    "name": None,
    "url": None,
    "event": (),
    "header": (),
    "label": (),
    "format_": None,
    "timeout": None,
    "retry": None,
    "max_in_flight": None,
    "rate_limit": None,
}


def test_only_what_is_given_goes_into_the_mask() -> None:
    assert given(NOTHING) == []
    assert given(NOTHING | {"rate_limit": 0.0, "header": ("a: b",), "name": ""}) == ["name", "headers", "rate_limit"]


def test_build() -> None:
    webhook = build(NOTHING | {"header": ("X-A: b: c", "y:"), "label": ("team=a=b",), "format_": "raw"})
    assert dict(webhook.headers) == {"X-A": "b: c", "y": ""}
    assert dict(webhook.labels) == {"team": "a=b"}
    assert webhook.payload_format == 4
    assert not webhook.HasField("timeout")
    assert not webhook.HasField("retry_policy")


def test_retry_policies() -> None:
    assert retry_policy("none").schedule == RETRY_SCHEDULE_NONE
    assert retry_policy("standard-webhooks").schedule == RETRY_SCHEDULE_STANDARD_WEBHOOKS
    assert retry_text(retry_policy("1s, 200ms,3m")) == "after 1s, 200ms, 3m (±20%)"
    assert retry_text(RetryPolicy(schedule=RETRY_SCHEDULE_NONE)) == "none"
    with pytest.raises(Failure, match="--retry") as caught:
        retry_policy("sometimes")
    assert caught.value.code is ExitCode.USAGE


@pytest.mark.parametrize("values", [("novalue",), (": x",), ("a: 1", "a: 2")])
def test_pairs_that_make_no_sense(values: tuple[str, ...]) -> None:
    with pytest.raises(Failure) as caught:
        pairs(values, ":", "Name: value")
    assert caught.value.code is ExitCode.USAGE


def test_payload_sources(tmp_path: Any) -> None:
    file = tmp_path / "payload.json"
    file.write_bytes(b' {"a": 1}\r\n')
    assert read_text(f"@{file}", "payload") == ' {"a": 1}\r\n', "byte for byte"
    assert read_text('{"ü": 1}', "payload") == '{"ü": 1}'


@pytest.mark.parametrize(
    ("content", "fault"), [(b"\xff{}", "not UTF-8"), (b" " * ((1 << 20) + 1), "longer than 1 MiB")]
)
def test_payloads_that_are_no_text(tmp_path: Any, content: bytes, fault: str) -> None:
    file = tmp_path / "payload.json"
    file.write_bytes(content)
    with pytest.raises(Failure, match=fault):
        read_text(f"@{file}", "payload")
    with pytest.raises(Failure, match="can't read the payload"):
        read_text(f"@{tmp_path}/none", "payload")
