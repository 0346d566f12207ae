"""Custom headers: what may be named, what may be said, and nothing that steers the connection."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookpost_server.domain import headers

from .samples import CANARY

SIGNATURE = "logto-signature-sha-256"


def faults(given: Mapping[str, str]) -> dict[str, str]:
    return {fault.field: fault.description for fault in headers.check(given, "webhook.headers", SIGNATURE)}


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({}, id="none"),
        pytest.param({"Authorization": "Bearer a.b-c_d"}, id="authorization"),
        pytest.param({"content-type": "text/plain", "User-Agent": "me"}, id="the two that can be overridden"),
        pytest.param({"X-Empty": ""}, id="empty value"),
        pytest.param({"X-Space": "a  b"}, id="spaces within"),
        pytest.param({"!#$%&'*+-.^_`|~09azAZ": "!~"}, id="every kind of character"),
        pytest.param({"n" * 64: "v" * 1024}, id="longest"),
        pytest.param({f"X-{n}": "v" for n in range(20)}, id="20 entries"),
        pytest.param({f"{n:04}": "v" * 1020 for n in range(8)}, id="8 KiB in all"),
        pytest.param({"x-webhook-id": "1", "my-hookpost": "1", "hosts": "1", "tee": "1"}, id="like denied names"),
    ],
)
def test_accepted(given: Mapping[str, str]) -> None:
    assert faults(given) == {}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("", id="empty"),
        pytest.param("X y", id="space"),
        pytest.param("X:", id="colon"),
        pytest.param(" X", id="leading space"),
        pytest.param("n" * 65, id="65 characters"),
        pytest.param("X-é", id="beyond ASCII"),
        pytest.param("Ⅹ-team", id="compatibility character"),
        pytest.param("X-\u212a", id="Kelvin sign"),
        pytest.param("X\r\nEvil", id="CR LF"),
        pytest.param("X\n", id="line feed at the end"),
        pytest.param("X\0", id="NUL"),
        pytest.param("X\x7f", id="DEL"),
        pytest.param("X\ud800", id="lone surrogate"),
        pytest.param('X"', id="quote"),
        pytest.param("(X)", id="brackets"),
        pytest.param("X/Y", id="slash"),
    ],
)
@pytest.mark.case("E2")
def test_names_that_are_none(name: str) -> None:
    found = faults({name: CANARY})
    assert list(found.values()) == ["name must be 1 to 64 characters: letters, digits and !#$%&'*+-.^_`|~"]
    (path,) = found
    assert path == (f'webhook.headers["{name[:64]}"]' if name.isprintable() else "webhook.headers[…]")


# E3, E4 and those that look like a client's address.
DENIED = ["Host", "Content-Length", "Transfer-Encoding", "Connection", "Expect", "Content-Encoding", "TE", "Trailer"]
DENIED += ["Keep-Alive", "Upgrade", "Cookie", "Set-Cookie", "Accept-Encoding", "Via", "Forwarded", "Date"]
DENIED += ["X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "X-Client-IP", "True-Client-IP"]
DENIED += ["Traceparent", "Tracestate", "CF-Connecting-IP", "Proxy-Authorization", "Proxy-Connection", "Sec-Fetch-Site"]
DENIED += ["Webhook-Id", "Webhook-Timestamp", "Webhook-Signature", "Webhook-Anything"]
DENIED += ["Hookpost-Event", "Hookpost-Delivery", "Hookpost-Attempt", "Hookpost-Test", "Hookpost-Anything"]
DENIED += ["Hookpost-Signature-SHA-256", "Logto-Signature-SHA-256"]


@pytest.mark.parametrize("name", DENIED)
@pytest.mark.case("E3", "E4")
def test_names_that_are_not_for_callers(name: str) -> None:
    for spelling in (name, name.lower(), name.upper(), name.swapcase()):
        path = f'webhook.headers["{spelling}"]'
        assert faults({spelling: "v"}) == {path: "this header is Hookpost's own or the connection's; it can't be set"}


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("v" * 1025, id="1025 characters"),
        pytest.param("a\r\nEvil: 1", id="CR LF"),
        pytest.param("a\rb", id="CR"),
        pytest.param("a\nb", id="LF"),
        pytest.param("a\n", id="LF at the end"),
        pytest.param("a\0b", id="NUL"),
        pytest.param("a\tb", id="tab"),
        pytest.param("a\x7fb", id="DEL"),
        pytest.param("a\x85b", id="NEL"),
        pytest.param("a\u2028b", id="U+2028"),
        pytest.param("a\ud800b", id="lone surrogate"),
        pytest.param("é", id="beyond ASCII"),
        pytest.param(" a", id="leading space"),
        pytest.param("a ", id="trailing space"),
        pytest.param(" ", id="a space"),
    ],
)
@pytest.mark.case("E1")
def test_values_that_can_not_be_sent(value: str) -> None:
    assert faults({"X-Team": value}) == {
        'webhook.headers["X-Team"]': "value must be at most 1024 printable ASCII characters, no space at either end"
    }
    assert CANARY not in "".join(faults({"X-Team": CANARY + value + CANARY, CANARY[:9]: value}).values())


def test_the_same_name_twice() -> None:
    assert faults({"X-Team": "a", "x-team": "b"}) == {
        'webhook.headers["x-team"]': "the name occurs twice; names are compared without case"
    }


def test_how_many_and_how_much() -> None:
    assert faults({f"X-{n}": "v" for n in range(21)}) == {"webhook.headers": "must have at most 20 entries, has 21"}
    assert faults({f"{n:04}": "v" * 1020 for n in range(7)} | {"last": "v" * 1021}) == {
        "webhook.headers": "must be at most 8 KiB in all"
    }


def test_all_faults_at_once() -> None:
    assert list(faults({"Host": "a", "X y": "b", "X-Ok": "c", "X-Bad": "d\n"})) == [
        'webhook.headers["Host"]',
        'webhook.headers["X y"]',
        'webhook.headers["X-Bad"]',
    ]


@given(st.dictionaries(st.text(max_size=10) | st.sampled_from(DENIED), st.text(max_size=10), max_size=3))
def test_what_is_accepted_can_not_break_the_request(given: Mapping[str, str]) -> None:
    if headers.check(given, "f", SIGNATURE):
        return
    for name, value in given.items():
        assert re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name)
        assert value == value.strip() and re.fullmatch(r"[ -~]*", value)
        assert name not in DENIED


@given(st.dictionaries(st.text(max_size=10), st.text(min_size=8).map(lambda text: text + CANARY), max_size=3))
def test_no_fault_quotes_a_value(given: Mapping[str, str]) -> None:
    for fault in headers.check(given, "f", SIGNATURE):
        assert CANARY not in fault.field + fault.description


@pytest.mark.parametrize("name", [SIGNATURE, "hookpost-signature-sha-256", "x-hub-signature-256", "webhook-hex"])
def test_names_for_the_hex_signature(name: str) -> None:
    assert headers.may_sign(name)


@pytest.mark.parametrize(
    "name", ["webhook-signature", "hookpost-attempt", "content-type", "host", "transfer-encoding", "accept-encoding"]
)
def test_names_that_the_hex_signature_can_not_have(name: str) -> None:
    assert not headers.may_sign(name)
