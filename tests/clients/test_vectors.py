"""Python's receiver, the server's own signing and the official verifier, by the vectors of all languages."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from decimal import Decimal
from email.message import Message
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from hookpost_receiver import Event, InvalidWebhook, Reason, verify
from hookpost_server.domain import signing

from .vectors import cases


def check(case: dict[str, Any]) -> Event:
    options = {name: case[name] for name in ("scheme", "tolerance", "header", "now", "max_size") if name in case}
    return verify(base64.b64decode(case["body_base64"]), case["headers"], case["keys"], **options)


def told(event: Event) -> dict[str, Any]:
    """An event as the vectors write it."""
    return {
        "id": event.id,
        "type": event.type,
        "data": event.data,
        "timestamp": event.timestamp and event.timestamp.timestamp(),
        "occur_time": event.occur_time and event.occur_time.timestamp(),
        "attempt": event.attempt,
        "delivery_id": event.delivery_id,
    }


@pytest.mark.parametrize("case", cases("verification"), ids=lambda case: case["name"])
def test_verification(case: dict[str, Any]) -> None:
    if wanted := case["expect"].get("event"):
        event = check(case)
        assert told(event) == wanted
        assert event.body == base64.b64decode(case["body_base64"])
    else:
        with pytest.raises(InvalidWebhook) as refused:
            check(case)
        assert refused.value.reason == case["expect"]["reason"]
        assert not any(key in str(refused.value) for key in case["keys"] if key)


@pytest.mark.parametrize("case", cases("signing"), ids=lambda case: f"{case['key'][:8]}-{case['body'][:8]!r}")
def test_signing(case: dict[str, Any]) -> None:
    body, key = case["body"].encode(), case["key"]
    keys = [signing.standard_key(key)]
    assert signing.standard_signature(keys, case["id"], case["timestamp"], body) == case["standard"]
    assert signing.hex_signature(key, body) == case["hex"]


def test_the_official_verifier_agrees() -> None:
    """Where it can: with one key and the standard scheme, at a time of its own."""
    now = int(datetime.now(UTC).timestamp())
    for case in cases("signing"):
        keys = [signing.standard_key(case["key"])]
        body = case["body"].encode()
        signature = signing.standard_signature(keys, case["id"], now, body)
        headers = {"webhook-id": case["id"], "webhook-timestamp": str(now), "webhook-signature": signature}
        official = Webhook(case["key"] if case["key"].startswith("whsec_") else case["key"].encode())
        official.verify(body.decode(), headers, json_parse=False)


@pytest.mark.parametrize(
    "body",
    [{"event": "A"}, [], None, 7, json.loads('{"a": 1}').items()],
    ids=["dict", "list", "none", "number", "view"],
)
def test_what_is_not_bytes_was_parsed(body: Any) -> None:
    with pytest.raises(InvalidWebhook) as refused:
        verify(body, {}, "key")
    assert refused.value.reason is Reason.BODY_PARSED
    assert "before verification" in refused.value.message


def test_a_body_nested_deeply_is_refused_like_any_other() -> None:
    body = b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    headers = {"hookpost-signature-sha-256": signing.hex_signature("a key", body)}
    with pytest.raises(InvalidWebhook) as refused:
        verify(body, headers, "a key", scheme="hex")
    assert refused.value.reason is Reason.MALFORMED


def test_every_reason_has_a_vector() -> None:
    assert {case["expect"].get("reason") for case in cases("verification")} - {None} == {str(each) for each in Reason}


@pytest.mark.parametrize("scheme", ["standard", "hex"])
def test_an_integer_that_python_reads_from_no_text_is_no_reason_to_refuse(scheme: str) -> None:
    digits = "1" * 5000
    event = check(_signed(f'{{"n":{digits}}}', "a key") | {"scheme": scheme})
    assert event.data == {"n": Decimal(digits)}


def test_a_key_of_nothing_is_no_key() -> None:
    """Whoever knows that would sign with it."""
    case = _signed("{}", "whsec_")
    with pytest.raises(InvalidWebhook) as refused:
        check(case)
    assert refused.value.reason is Reason.NO_KEY


@pytest.mark.parametrize("keys", [None, (), [None], b"a key", [b"a key"]])
def test_what_is_no_text_is_no_key(keys: Any) -> None:
    """None is what a variable that is not set gives."""
    with pytest.raises(InvalidWebhook) as refused:
        verify(b"{}", {}, keys)
    assert refused.value.reason is Reason.NO_KEY


def _signed(body: str, key: str) -> dict[str, Any]:
    """A case that is to be taken, were it not for its body or its key."""
    case, raw = cases("verification")[0], body.encode()
    secrets = [base64.b64decode(key.removeprefix("whsec_")) if key.startswith("whsec_") else key.encode()]
    signature = signing.standard_signature(secrets, case["headers"]["webhook-id"], case["now"], raw)
    signatures = {"webhook-signature": signature, case["header"]: signing.hex_signature(key, raw)}
    return case | {
        "body_base64": base64.b64encode(raw).decode(),
        "headers": case["headers"] | signatures,
        "keys": [key],
    }


def test_headers_may_come_as_pairs_lists_bytes_or_a_message() -> None:
    case = cases("verification")[0]
    body = base64.b64decode(case["body_base64"])
    message = Message()  # what http.server has
    for name, value in case["headers"].items():
        message[name] = value
    for headers in (
        list(case["headers"].items()),
        {name: [value] for name, value in case["headers"].items()},
        {name: value.encode() for name, value in case["headers"].items()},
        [(name.encode(), value.encode()) for name, value in case["headers"].items()],
        message,
    ):
        assert verify(body, headers, case["keys"], now=case["now"]).type == "PostSignIn"
