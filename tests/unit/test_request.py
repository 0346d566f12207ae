"""The request of an attempt, whole: what is signed is what is sent, and Hookpost's own headers can't be displaced."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from hookpost_server.domain import headers as header_rules
from hookpost_server.domain import signing
from hookpost_server.domain.envelope import Format
from hookpost_server.domain.request import Composer, Request
from hookpost_server.domain.secret import Secret
from hookpost_server.domain.signing import SigningKey
from hookpost_server.domain.webhook import Settings

from .samples import CANARY, DELIVERY_ID, EVENT_ID, OCCURRED, WEBHOOK_ID, WEBHOOK_TEXT, event

SECRET = signing.new_secret()
OLD_SECRET = "brought-along-0123456789"
COMPOSER = Composer("Hookpost/0.1.0", "hookpost-signature-sha-256")


def key(secret: str) -> SigningKey:
    return SigningKey(id=EVENT_ID, secret=Secret(secret), create_time=OCCURRED, expire_time=None)


def compose(
    payload: bytes = b'{"id":1.0}',
    *,
    secrets: tuple[str, ...] = (SECRET,),
    timestamp: int = 1_787_306_400,
    composer: Composer = COMPOSER,
    **settings: Any,
) -> Request:
    return composer.compose(
        event(payload),
        WEBHOOK_ID,
        Settings(url="https://example.com/hooks", **settings),
        [key(secret) for secret in secrets],
        delivery_id=DELIVERY_ID,
        attempt=3,
        timestamp=timestamp,
    )


def test_all_of_it() -> None:
    body = b'{"event":"User.Created","createdAt":"2026-08-21T10:00:00.987Z","id":1.0,"hookId":"%b"}' % (
        WEBHOOK_TEXT.encode()
    )
    made = compose(timeout=7.5)
    assert (made.url, made.body, made.timeout) == ("https://example.com/hooks", body, 7.5)
    found = dict(made.headers)
    assert len(found) == len(made.headers)
    assert found.pop("webhook-signature").startswith("v1,")
    assert found == {
        "content-type": "application/json",
        "user-agent": "Hookpost/0.1.0",
        "hookpost-signature-sha-256": hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest(),
        "webhook-id": "evt_01h455vb4pex5rqk8000000001",
        "webhook-timestamp": "1787306400",
        "hookpost-event": "User.Created",
        "hookpost-delivery": "dlv_01h455vb4pex5rqk8000000002",
        "hookpost-attempt": "3",
        "accept-encoding": "identity",
    }


def test_the_settings_repr_and_the_requests_show_no_header_value() -> None:
    made = compose(headers={"Authorization": f"Bearer {CANARY}"}, secrets=(CANARY,))
    assert CANARY in dict(made.headers)["Authorization"]
    assert CANARY not in f"{made!r} {made}"


@pytest.mark.parametrize("form", list(Format), ids=lambda form: form.name)
@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b'{"b":1.0,"a":1e2}', id="numbers and order"),
        pytest.param(b'{"a":"\\u00e4\\/"}\n', id="escapes and line feed"),
        pytest.param('{"ä":"😀"}'.encode(), id="beyond ASCII"),
    ],
)
@pytest.mark.case("E6")
def test_the_official_verifier_accepts_every_format(form: Format, payload: bytes) -> None:
    made = compose(payload, payload_format=form, timestamp=int(time.time()))
    Webhook(SECRET).verify(made.body, dict(made.headers))
    assert payload.strip()[1:-1] in made.body


def test_a_rotation_with_overlap_signs_with_both_keys_and_hex_with_the_new_one() -> None:
    made = compose(secrets=(SECRET, OLD_SECRET), timestamp=int(time.time()))
    found = dict(made.headers)
    new, old = found["webhook-signature"].split(" ")
    for verifier, own, others in (
        (Webhook(SECRET), new, old),
        (Webhook(OLD_SECRET.encode()), old, new),
    ):
        verifier.verify(made.body, found)
        verifier.verify(made.body, found | {"webhook-signature": own})
        with pytest.raises(WebhookVerificationError):
            verifier.verify(made.body, found | {"webhook-signature": others})
    expected = hmac.new(SECRET.encode(), made.body, hashlib.sha256).hexdigest()
    assert found["hookpost-signature-sha-256"] == expected


def test_every_attempt_has_its_own_timestamp_and_one_id() -> None:
    first, second = (dict(compose(timestamp=moment).headers) for moment in (1_787_306_400, 1_787_306_405))
    assert first["webhook-id"] == second["webhook-id"]
    assert first["hookpost-signature-sha-256"] == second["hookpost-signature-sha-256"]
    assert (first["webhook-timestamp"], second["webhook-timestamp"]) == ("1787306400", "1787306405")
    assert first["webhook-signature"] != second["webhook-signature"]


def test_the_hex_signature_goes_by_the_name_that_is_set() -> None:
    found = dict(compose(composer=Composer("x", "logto-signature-sha-256")).headers)
    assert len(found["logto-signature-sha-256"]) == 64
    assert "hookpost-signature-sha-256" not in found


@pytest.mark.parametrize(
    ("custom", "wire"),
    [
        pytest.param(
            {"CONTENT-Type": "application/x-own"},
            {"CONTENT-Type": "application/x-own", "user-agent": "Hookpost/0.1.0"},
            id="content type",
        ),
        pytest.param({"User-Agent": "me"}, {"content-type": "application/json", "User-Agent": "me"}, id="user agent"),
        pytest.param(
            {"X-Team": "a b"},
            {"content-type": "application/json", "user-agent": "Hookpost/0.1.0", "X-Team": "a b"},
            id="another",
        ),
    ],
)
def test_custom_headers(custom: Mapping[str, str], wire: Mapping[str, str]) -> None:
    found = dict(compose(headers=custom).headers)
    own = {
        *("hookpost-signature-sha-256", "webhook-id", "webhook-timestamp", "webhook-signature"),
        *("hookpost-event", "hookpost-delivery", "hookpost-attempt", "accept-encoding"),
    }
    assert {name: value for name, value in found.items() if name not in own} == wire
    assert own <= set(found)


def test_cloudevents_have_a_content_type_of_their_own() -> None:
    found = dict(compose(payload_format=Format.CLOUDEVENTS).headers)
    assert found["content-type"] == "application/cloudevents+json"


@pytest.mark.parametrize(
    "name",
    [
        "Webhook-Id",
        "WEBHOOK-SIGNATURE",
        "hookpost-signature-sha-256",
        "Host",
        "Content-Length",
        "Transfer-Encoding",
        "",
        "X y",
        "X:",
        "X\r\nEvil",
        "accept-encoding",
    ],
)
@pytest.mark.case("E4")
def test_stored_headers_that_must_not_be_sent_stop_the_request(name: str) -> None:
    with pytest.raises(ValueError, match="stored headers") as caught:
        compose(headers={name: CANARY})
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("value", ["a\r\nEvil: 1", "a\n", "a\0", "a\x7f", "\u2028", "\ud800", "a "], ids=ascii)
@pytest.mark.case("E1")
def test_stored_values_that_must_not_be_sent_stop_the_request(value: str) -> None:
    with pytest.raises(ValueError, match="stored headers") as caught:
        compose(headers={"Authorization": CANARY + value})
    assert CANARY not in str(caught.value)


def test_nothing_goes_unsigned() -> None:
    with pytest.raises(ValueError, match="no signing key"):
        compose(secrets=())


@pytest.mark.parametrize(
    "name", ["webhook-id", "hookpost-event", "content-type", "user-agent", "content-length", "host", "accept-encoding"]
)
def test_the_hex_signature_can_not_go_by_a_name_that_is_taken(name: str) -> None:
    assert not header_rules.may_sign(name)


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=4))
def test_whatever_is_stored_the_wire_is_clean(custom: Mapping[str, str]) -> None:
    try:
        made = compose(headers=custom)
    except ValueError:
        return
    names = [name.lower() for name, _ in made.headers]
    assert len(set(names)) == len(names)
    for name, value in made.headers:
        assert name and (name + value).isascii() and (name + value).isprintable()
