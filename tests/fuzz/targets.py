"""What is fuzzed: text and bytes that strangers send, and the code that must make sense of them or refuse.

A new target is a line in TARGETS: its name, what to feed it, and a function that raises for anything but the refusal
that it is meant to give. Targets that need a running server are in test_wire.py.
"""

from __future__ import annotations

import contextlib
import json
import math
import string
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import click
from hypothesis import strategies as st

from hookpost.v1 import delivery_service_pb2, event_type_service_pb2
from hookpost_server import values
from hookpost_server.cli import inputs
from hookpost_server.cli.duration import parse_moment
from hookpost_server.cli.failures import Failure
from hookpost_server.cli.webhook_settings import retry_policy
from hookpost_server.config import Config, ConfigError
from hookpost_server.domain import errors, event, headers, ids, payload, retry, trace
from hookpost_server.domain.duration import format_duration, parse_duration
from hookpost_server.domain.url import UrlRules
from hookpost_server.rpc import paging

NOW = datetime(2026, 8, 21, tzinfo=UTC)


@dataclass(frozen=True)
class Target:
    """`run` takes one value of `inputs`; whatever it raises is a finding."""

    name: str
    inputs: st.SearchStrategy[Any]
    run: Callable[[Any], None]


def url(text: str) -> None:
    for rules in (UrlRules(), UrlRules(allow_http=True)):
        try:
            normal = rules.check(text)
        except ValueError:
            continue
        assert rules.check(normal) == normal
        assert normal.isascii()


def custom_headers(given: dict[str, str]) -> None:
    if headers.check(given, "headers", "x-signature"):
        return
    for name, value in given.items():
        f"{name}: {value}".encode("ascii")
        assert not {"\r", "\n", "\0", ":"} & set(name)
        assert not {"\r", "\n", "\0"} & set(value)


def json_payload(data: bytes) -> None:
    try:
        payload.check(data)
    except payload.PayloadError:
        return
    data.decode()


def page_token(token: str) -> None:
    for request, read in (
        (delivery_service_pb2.ListDeliveriesRequest(page_token=token), paging.id_position),
        (event_type_service_pb2.ListEventTypesRequest(page_token=token), paging.name_position),
    ):
        try:
            read(request)
        except errors.InvalidFields:
            continue


def bound_page_token(last: bytes) -> None:
    """Behind the right binding, anything."""
    for request, read in (
        (delivery_service_pb2.ListDeliveriesRequest(), paging.id_position),
        (event_type_service_pb2.ListEventTypesRequest(), paging.name_position),
    ):
        request.page_token = paging.token(request, last)
        try:
            read(request)
        except errors.InvalidFields:
            continue


def retry_after(text: str) -> None:
    seconds = retry.parse_retry_after(text, NOW.timestamp())
    assert seconds is None or (math.isfinite(seconds) and seconds >= 0)


def traceparent(text: str) -> None:
    parsed = trace.parse(text)
    assert parsed is None or trace.parse(parsed) == parsed


def identity(text: str) -> None:
    for prefix in (ids.WEBHOOK, ids.EVENT, ids.DELIVERY):
        try:
            assert ids.text(prefix, ids.parse(prefix, text)) == text
        except (ValueError, errors.HookpostError):
            continue


def names(text: str) -> None:
    for check in (event.check_type, event.check_emitted_type, event.check_tenant, event.check_idempotency_key):
        check(text)


def duration(text: str) -> None:
    try:
        parsed = parse_duration(text)
    except ValueError:
        pass
    else:
        assert abs(parse_duration(format_duration(parsed)) - parsed).total_seconds() <= 0.001
    with contextlib.suppress(ValueError, OverflowError):
        parse_moment(text, NOW)


def options(text: str) -> None:
    for read in (
        lambda: inputs.pairs((text,), "=", "name=value"),
        lambda: retry_policy(text),
        lambda: inputs.read_text(text.lstrip("@-"), "payload"),
    ):
        try:
            read()
        except (Failure, click.ClickException):
            continue


def settings(given: dict[str, str]) -> None:
    try:
        config = Config.from_env(given)
    except ConfigError:
        return
    assert Config.from_env(config.environment()) == config


_SECRETS = st.text(string.ascii_letters + string.digits + "%25:/@?#[].\\ \t\r\n-_\0é１①。", max_size=60)
_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_DATES = st.builds(
    lambda day, month, year, clock, zone: f"Fri, {day:02} {month} {year} {clock} {zone}",
    st.integers(0, 99),
    st.sampled_from(["Jan", "Dec", "Foo"]),
    st.integers(0, 99999),
    st.sampled_from(["00:00:00", "23:59:60", "99:99:99"]),
    st.sampled_from(["GMT", "-0000", "+9999", "-2359", ""]),
)

TARGETS = [
    Target("url", st.text(max_size=80) | _SECRETS.map(lambda rest: "http://" + rest), url),
    Target("headers", st.dictionaries(st.text(max_size=70), st.text(max_size=20), max_size=4), custom_headers),
    Target(
        "json",
        st.binary(max_size=200)
        | _JSON.map(lambda value: json.dumps({"a": value}).encode())
        | st.tuples(st.sampled_from([b'{"a":', b"[", b'{"\\ud800":', b"{"]), st.integers(1, 5000)).map(
            lambda part: part[0] * part[1]
        ),
        json_payload,
    ),
    Target("page-token", st.text(max_size=60), page_token),
    Target("bound-page-token", st.binary(max_size=40), bound_page_token),
    Target("retry-after", st.text(max_size=45) | st.text("0123456789.-+eE ", max_size=45) | _DATES, retry_after),
    Target("traceparent", st.text(max_size=60) | st.text("0123456789abcdef-", max_size=60), traceparent),
    Target("id", st.text(max_size=40) | st.text(string.ascii_letters, max_size=26).map(lambda t: "evt_" + t), identity),
    Target("names", st.text(max_size=140), names),
    Target("duration", st.text(max_size=45) | st.text("0123456789.smhd", max_size=45), duration),
    Target("options", st.text(max_size=60) | st.text("0123456789.smhd,= ", max_size=60), options),
    Target(
        "settings",
        st.dictionaries(
            st.sampled_from([variable for variable, _, _ in Config().table()]),
            st.text(st.characters(exclude_characters="\0"), max_size=20) | st.text("0123456789.:/,[]-", max_size=20),
            max_size=3,
        ),
        settings,
    ),
    Target("address", st.text(max_size=30) | st.text("0123456789.:[]", max_size=30), lambda text: _address(text)),
]


def _address(text: str) -> None:
    try:
        parsed = values.Address.parse(text)
    except ValueError:
        return
    assert values.Address.parse(str(parsed)) == parsed
