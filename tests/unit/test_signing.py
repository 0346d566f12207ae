"""Signatures, against the official verifier, the specification's vectors and HMAC by hand."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from hookpost_server.domain import signing
from hookpost_server.domain.secret import Secret
from hookpost_server.domain.signing import SigningKey

from .samples import CANARY, EVENT_ID, OCCURRED

# Any body that decodes: the official verifier takes text.
BODIES = st.text(st.characters(exclude_categories=("Cs",)), max_size=200).map(str.encode)
RAW_KEYS = st.text([chr(code) for code in range(0x21, 0x7F)], min_size=16, max_size=128)
MESSAGE = "evt_01h455vb4pex5vsknk084sn02q"


def headers(message_id: str, timestamp: int, signature: str) -> dict[str, str]:
    return {"webhook-id": message_id, "webhook-timestamp": str(timestamp), "webhook-signature": signature}


def official(secret: str) -> Webhook:
    """The official verifier. It takes texts as base64, so keys without the prefix come as bytes."""
    return Webhook(secret if secret.startswith("whsec_") else secret.encode())


def sign(secret: str, timestamp: int, body: bytes, message_id: str = MESSAGE) -> str:
    return signing.standard_signature([signing.standard_key(secret)], message_id, timestamp, body)


@pytest.mark.parametrize(
    ("secret", "message_id", "timestamp", "body", "signature"),
    [
        pytest.param(
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1614265330,
            b'{"test": 2432232314}',
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            id="most libraries",
        ),
        pytest.param(
            "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
            "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
            1649367553,
            b'{"email":"test@example.com","username":"test_user"}',
            "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
            id="rust library",
        ),
    ],
)
def test_the_vectors_of_the_specification(
    secret: str, message_id: str, timestamp: int, body: bytes, signature: str
) -> None:
    assert sign(secret, timestamp, body, message_id) == signature


@given(BODIES, st.just(signing.new_secret()) | RAW_KEYS.filter(lambda key: not key.startswith("whsec_")))
def test_the_official_verifier_accepts(body: bytes, secret: str) -> None:
    now = int(time.time())
    official(secret).verify(body, headers(MESSAGE, now, sign(secret, now, body)), json_parse=False)


def test_every_single_byte_counts() -> None:
    secret, body, now = signing.new_secret(), b'{"event":"User.Created","id":1.0}\n', int(time.time())
    signature = sign(secret, now, body)
    verifier = Webhook(secret)
    changed: list[tuple[bytes, str, int, str]] = []
    for at in range(len(body)):
        changed += [
            (body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :], MESSAGE, now, signature),
            (body[:at] + body[at + 1 :], MESSAGE, now, signature),
            (body[:at] + b" " + body[at:], MESSAGE, now, signature),
        ]
    for at in range(len(MESSAGE)):
        changed.append((body, MESSAGE[:at] + chr(ord(MESSAGE[at]) ^ 1) + MESSAGE[at + 1 :], now, signature))
    changed += [(body, MESSAGE, now + shift, signature) for shift in (-60, -1, 1, 60)]
    for at in range(len("v1,"), len(signature) - 2):
        other = "B" if signature[at] == "A" else "A"
        changed.append((body, MESSAGE, now, signature[:at] + other + signature[at + 1 :]))
    verifier.verify(body, headers(MESSAGE, now, signature))
    for data, message_id, timestamp, given_signature in changed:
        with pytest.raises(WebhookVerificationError, match="No matching signature"):
            verifier.verify(data, headers(message_id, timestamp, given_signature))


def test_another_key_does_not_verify() -> None:
    now = int(time.time())
    with pytest.raises(WebhookVerificationError, match="No matching signature"):
        Webhook(signing.new_secret()).verify(b"{}", headers(MESSAGE, now, sign(signing.new_secret(), now, b"{}")))


def test_while_keys_overlap_each_verifies_by_its_own() -> None:
    secrets = [signing.new_secret(), "an-old-key-without-prefix", signing.new_secret().rstrip("=")]
    now = int(time.time())
    joined = signing.standard_signature([signing.standard_key(secret) for secret in secrets], MESSAGE, now, b"{}")
    parts = joined.split(" ")
    assert len(parts) == 3
    assert all(part.startswith("v1,") and part.count(",") == 1 for part in parts)
    for secret, part in zip(secrets, parts, strict=True):
        official(secret).verify(b"{}", headers(MESSAGE, now, joined))
        official(secret).verify(b"{}", headers(MESSAGE, now, part))
        with pytest.raises(WebhookVerificationError):
            official(secret).verify(b"{}", headers(MESSAGE, now, " ".join(each for each in parts if each != part)))


@pytest.mark.parametrize("size", [24, 25, 26, 32, 64])
def test_padding_of_a_key_does_not_matter(size: int) -> None:
    key = bytes(range(200, 200 + size)) if size < 50 else bytes(size)
    padded = "whsec_" + base64.b64encode(key).decode()
    assert signing.standard_key(padded) == signing.standard_key(padded.rstrip("=")) == key
    assert signing.check_secret(padded) is None
    assert signing.check_secret(padded.rstrip("=")) is None


def test_a_key_without_the_prefix_signs_as_its_text() -> None:
    assert signing.standard_key("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw") == b"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_hex_signature_as_logto_makes_it() -> None:
    # RFC 4231, test case 2: key "Jefe".
    assert (
        signing.hex_signature("Jefe", b"what do ya want for nothing?")
        == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    )


@given(RAW_KEYS | st.just(signing.new_secret()), st.binary(max_size=200))
def test_hex_signature_is_keyed_with_the_text_prefix_and_all(secret: str, body: bytes) -> None:
    assert signing.hex_signature(secret, body) == hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def test_new_keys_are_32_random_bytes() -> None:
    made = {signing.new_secret() for _ in range(100)}
    assert len(made) == 100
    for secret in made:
        assert secret.startswith("whsec_")
        assert len(base64.b64decode(secret[6:], validate=True)) == 32
        assert signing.check_secret(secret) is None


@pytest.mark.parametrize(
    ("secret", "fault"),
    [
        pytest.param("x" * 16, None, id="16 characters"),
        pytest.param("x" * 128, None, id="128 characters"),
        pytest.param("!~" * 10, None, id="ends of the printable range"),
        pytest.param("WHSEC_not base64".replace(" ", "-"), None, id="upper case is no prefix"),
        pytest.param("whsec_" + base64.b64encode(bytes(24)).decode(), None, id="24 bytes"),
        pytest.param("whsec_" + base64.b64encode(bytes(64)).decode(), None, id="64 bytes"),
        pytest.param("", "16 to 128", id="empty"),
        pytest.param("x" * 15, "16 to 128", id="15 characters"),
        pytest.param("x" * 129, "16 to 128", id="129 characters"),
        pytest.param("x" * 16 + " ", "without spaces", id="space"),
        pytest.param("x" * 16 + "\n", "printable ASCII", id="line feed"),
        pytest.param("x" * 16 + "\x7f", "printable ASCII", id="DEL"),
        pytest.param("x" * 16 + "é", "printable ASCII", id="beyond ASCII"),
        pytest.param("whsec_" + base64.b64encode(bytes(23)).decode(), "24 to 64 bytes", id="23 bytes"),
        pytest.param("whsec_" + base64.b64encode(bytes(65)).decode(), "24 to 64 bytes", id="65 bytes"),
        pytest.param("whsec_" + "x" * 41, 'base64 after "whsec_"', id="length that base64 can't have"),
        pytest.param("whsec_" + "-_" * 20, 'base64 after "whsec_"', id="base64url"),
        pytest.param("whsec_" + "A=" * 20, 'base64 after "whsec_"', id="padding in the middle"),
        pytest.param("whsec_" + "A" * 40 + "!", 'base64 after "whsec_"', id="not base64"),
    ],
)
def test_keys_that_callers_bring_along(secret: str, fault: str | None) -> None:
    found = signing.check_secret(secret)
    assert found is None if fault is None else fault in (found or "nothing is wrong")


@given(st.text(max_size=140) | RAW_KEYS | RAW_KEYS.map(lambda key: "whsec_" + key[:122]))
def test_what_is_accepted_can_sign(secret: str) -> None:
    if signing.check_secret(secret) is None:
        now = int(time.time())
        official(secret).verify(b"{}", headers(MESSAGE, now, sign(secret, now, b"{}")))


@pytest.mark.parametrize("secret", [CANARY + " ", CANARY * 9, "whsec_" + CANARY, CANARY + "\n"])
def test_a_refusal_never_quotes_the_key(secret: str) -> None:
    fault = signing.check_secret(secret)
    assert fault is not None
    assert CANARY not in fault


def test_a_key_never_shows() -> None:
    key = SigningKey(id=EVENT_ID, secret=Secret(CANARY), create_time=OCCURRED, expire_time=None)
    assert CANARY not in repr(key)
    assert CANARY not in f"{key} {[key]}"
