"""What is sealed opens with its key, for its place, unaltered; and with nothing else."""

from __future__ import annotations

import base64
import traceback
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookpost_server.domain import sealing
from hookpost_server.domain.errors import SealBroken
from hookpost_server.domain.sealing import HEADERS, SECRET, SHORTEST, KeyRing, MasterKey, new_key

ONE, OTHER = bytes(range(32)), bytes(range(1, 33))
RING = KeyRing([MasterKey(ONE)])
WEBHOOK = UUID(int=7)
PLACE = ("tenant", WEBHOOK, SECRET)


@given(st.binary(max_size=2000))
def test_it_opens_again_and_is_never_the_same(plain: bytes) -> None:
    first, second = RING.seal(plain, *PLACE), RING.seal(plain, *PLACE)
    assert first != second
    assert len(first) == SHORTEST + len(plain)
    assert RING.open(first, *PLACE) == RING.open(second, *PLACE) == plain


@pytest.mark.parametrize(
    "place",
    [
        ("other", WEBHOOK, SECRET),
        ("tenant", UUID(int=8), SECRET),
        ("tenant", WEBHOOK, HEADERS),
        ("tenan", WEBHOOK, SECRET),
    ],
)
def test_it_opens_nowhere_else(place: tuple[str, UUID, str]) -> None:
    with pytest.raises(SealBroken, match="copied from elsewhere"):
        RING.open(RING.seal(b"a secret", *PLACE), *place)


def test_each_byte_counts() -> None:
    sealed = RING.seal(b"a secret", *PLACE)
    for position in range(len(sealed)):
        altered = bytearray(sealed)
        altered[position] ^= 1
        with pytest.raises(SealBroken):
            RING.open(bytes(altered), *PLACE)
    for length in range(len(sealed)):
        with pytest.raises(SealBroken):
            RING.open(sealed[:length], *PLACE)


def test_what_was_never_sealed_does_not_pass() -> None:
    for plain in (b"", b"whsec_AAAA", b'{"a": "b"}', bytes(64)):
        with pytest.raises(SealBroken, match="not sealed"):
            RING.open(plain, *PLACE)


def test_the_first_key_seals_and_all_open() -> None:
    both = KeyRing([MasterKey(OTHER), MasterKey(ONE)])
    sealed = RING.seal(b"by one", *PLACE)
    assert both.open(sealed, *PLACE) == b"by one"
    renewed = both.seal(b"by other", *PLACE)
    assert renewed.startswith(both.prefix)
    with pytest.raises(SealBroken, match=f"sealed with master key {MasterKey(OTHER)}, which this server does not have"):
        RING.open(renewed, *PLACE)


@pytest.mark.parametrize(
    "text",
    [ONE.hex(), ONE.hex().upper(), base64.b64encode(ONE).decode(), base64.urlsafe_b64encode(ONE).decode().rstrip("=")],
)
def test_spellings_of_a_key(text: str) -> None:
    assert MasterKey.parse(text) == MasterKey(ONE)


def test_a_ring_as_text() -> None:
    ring = KeyRing.parse(f" {OTHER.hex()},\n{base64.b64encode(ONE).decode()}\n")
    assert ring.keys == (MasterKey(OTHER), MasterKey(ONE))
    assert KeyRing.parse(ring.reveal()).keys == ring.keys
    assert len(KeyRing.parse(new_key()).keys) == 1


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "is 0 bytes"),
        ("CANARY", "as base64 or hex"),
        ("CANARYCANARY", "is 9 bytes"),
        (ONE.hex()[:-2], "as base64 or hex"),
        (ONE.hex() + "00", "as base64 or hex"),
        ("CANARY ü", "as base64 or hex"),
        (base64.b64encode(ONE[:31]).decode(), "is 31 bytes"),
        (base64.b64encode(ONE + b"x").decode(), "is 33 bytes"),
    ],
)
def test_no_keys(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match="must be 32 bytes") as caught:
        KeyRing.parse(text)
    assert fault in str(caught.value)
    assert "CANARY" not in "".join(traceback.format_exception(caught.value)[-1:])


def test_a_key_shows_as_its_id() -> None:
    key = MasterKey(ONE)
    assert repr(ONE)[2:-1] not in repr(key)
    assert str(key) == key.id.hex() != ONE.hex()[:16]
    assert key.id == sealing.MasterKey(ONE).id != MasterKey(OTHER).id
