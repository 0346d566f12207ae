"""The sink's verdicts, against the official `standardwebhooks` package and the specification's own vectors."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime

import pytest
import standardwebhooks
from hypothesis import given
from hypothesis import strategies as st

from hookpost_server.cli.verdict import DEFAULT_HEADER, Verdict, Verdicts, verify

KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
VECTORS = [  # secret, id, timestamp, body, signature; from the Standard Webhooks reference libraries
    (
        KEY,
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    ),
    (
        "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
        "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
        1649367553,
        b'{"email":"test@example.com","username":"test_user"}',
        "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
    ),
]
NOW = int(datetime.now(UTC).timestamp())
BODY = b'{"event":"User.Created"}'


def signed(key: str = KEY, body: bytes = BODY, timestamp: int = NOW) -> dict[str, str]:
    """As an independent sender signs: the hex by hand, v1 by the official package."""
    v1 = standardwebhooks.Webhook(key).sign("evt_1", datetime.fromtimestamp(timestamp, UTC), body.decode())
    return {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(timestamp),
        "webhook-signature": v1,
        DEFAULT_HEADER: hmac.new(key.encode(), body, hashlib.sha256).hexdigest(),
    }


@pytest.mark.parametrize(("key", "message_id", "timestamp", "body", "signature"), VECTORS)
def test_vectors(key: str, message_id: str, timestamp: int, body: bytes, signature: str) -> None:
    headers = {"webhook-id": message_id, "webhook-timestamp": str(timestamp), "webhook-signature": signature}
    assert verify(headers, body, [key], now=timestamp + 1).standard is Verdict.RIGHT
    assert verify(headers, body + b" ", [key], now=timestamp + 1).standard is Verdict.WRONG


def test_right() -> None:
    verdicts = verify(signed(), BODY, [KEY], now=NOW + 0.2)
    assert verdicts.right
    assert str(verdicts) == "hex ok · v1 ok (0.2 s old)"


def test_any_key_and_any_entry_may_fit() -> None:
    other = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
    headers = signed()
    headers["webhook-signature"] = f"v2,abc {signed(other)['webhook-signature']} {headers['webhook-signature']}"
    assert verify(headers, BODY, ["another key of mine", KEY], now=NOW).right


@pytest.mark.parametrize(("age", "verdict"), [(300, "ok"), (301, "out of time"), (-300, "ok"), (-301, "out of time")])
def test_tolerance(age: int, verdict: str) -> None:
    assert verify(signed(), BODY, [KEY], now=NOW + age).standard == verdict


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({DEFAULT_HEADER: ""}, Verdicts(Verdict.MISSING, Verdict.RIGHT, 0)),
        ({DEFAULT_HEADER: signed()[DEFAULT_HEADER].upper()}, Verdicts(Verdict.WRONG, Verdict.RIGHT, 0)),
        ({"webhook-signature": ""}, Verdicts(Verdict.RIGHT, Verdict.MISSING, 0)),
        ({"webhook-signature": "v1,"}, Verdicts(Verdict.RIGHT, Verdict.MALFORMED, 0)),
        ({"webhook-signature": "nonsense"}, Verdicts(Verdict.RIGHT, Verdict.MALFORMED, 0)),
        ({"webhook-signature": "v1,é\udcff"}, Verdicts(Verdict.RIGHT, Verdict.WRONG, 0)),
        ({"webhook-id": "evt_2"}, Verdicts(Verdict.RIGHT, Verdict.WRONG, 0)),
        ({"webhook-timestamp": "soon"}, Verdicts(Verdict.RIGHT, Verdict.MALFORMED, None)),
        ({"webhook-timestamp": str(NOW + 1)}, Verdicts(Verdict.RIGHT, Verdict.WRONG, -1)),
    ],
)
def test_what_is_wrong_is_said(change: dict[str, str], expected: Verdicts) -> None:
    assert verify(signed() | change, BODY, [KEY], now=NOW) == expected


def test_without_a_key_nothing_is_claimed() -> None:
    verdicts = verify(signed(), BODY, [], now=NOW)
    assert str(verdicts) == "not checked: no key"
    assert not verdicts.right


def test_a_key_brought_along_is_taken_as_text() -> None:
    key = "a key of sixteen!"
    v1 = standardwebhooks.Webhook(key.encode()).sign("evt_1", datetime.fromtimestamp(NOW, UTC), BODY.decode())
    headers = signed() | {
        "webhook-signature": v1,
        DEFAULT_HEADER: hmac.new(key.encode(), BODY, hashlib.sha256).hexdigest(),
    }
    assert verify(headers, BODY, [key], now=NOW).right


@given(body=st.dictionaries(st.text(), st.text()).map(lambda value: json.dumps(value, ensure_ascii=False).encode()))
def test_agrees_with_the_official_package(body: bytes) -> None:
    now = int(datetime.now(UTC).timestamp())  # that package looks at the clock
    headers = signed(body=body, timestamp=now)
    standardwebhooks.Webhook(KEY).verify(body, headers)
    assert verify(headers, body, [KEY], now=now).right
