"""Secrets at rest: AES-256-GCM with keys that only the operator has, the master keys.

    1 byte   version, 1
    8 bytes  id of the master key, made of it by a hash
    12 bytes nonce, random: a key is good for 2^32 secrets, then it is time for another
    rest     ciphertext and tag

What belongs to the secret but is not in it (tenant, webhook, column) is authenticated with it: copied to another
webhook, or into another column, it does not open.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from . import ids
from .errors import SealBroken

KEY_BYTES = 32
HEADERS, SECRET, DIGEST = "headers", "signing key", "request digest"  # what is sealed, named in what is authenticated
_VERSION = b"\x01"
_ID_BYTES, _NONCE_BYTES = 8, 12
_HEAD = len(_VERSION) + _ID_BYTES
SHORTEST = _HEAD + _NONCE_BYTES + 16  # bytes of what is sealed: an empty text
_HEX = re.compile(r"[0-9A-Fa-f]{64}")


@dataclass(frozen=True, slots=True)
class MasterKey:
    """One key of the ring. The key itself never shows in a repr."""

    secret: bytes = field(repr=False)
    id: bytes = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", hashlib.sha256(b"hookpost master key " + self.secret).digest()[:_ID_BYTES])

    @classmethod
    def parse(cls, text: str) -> MasterKey:
        """32 bytes as hex or base64 (either alphabet). Raises ValueError, which never quotes the text."""
        try:
            if _HEX.fullmatch(text):
                secret = bytes.fromhex(text)
            else:
                secret = base64.b64decode(
                    text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4), validate=True
                )
        except (binascii.Error, ValueError):
            raise ValueError("must be 32 bytes as base64 or hex") from None
        if len(secret) != KEY_BYTES:
            raise ValueError(f"must be 32 bytes as base64 or hex, is {len(secret)} bytes")
        return cls(secret)

    def __str__(self) -> str:
        """The id, by which people tell keys apart."""
        return self.id.hex()


def new_key() -> str:
    """A new master key, base64."""
    return base64.b64encode(os.urandom(KEY_BYTES)).decode()


class KeyRing:
    """Seals with its first key, opens with all of them."""

    def __init__(self, keys: Sequence[MasterKey]) -> None:
        """At least one."""
        self.keys = tuple(keys)
        self._ciphers = {key.id: AESGCM(key.secret) for key in keys}
        self.prefix = _VERSION + keys[0].id  # what everything begins with that the first key has sealed

    @classmethod
    def parse(cls, text: str) -> KeyRing:
        """Keys separated by commas or white space. Raises ValueError, which says which one is wrong."""
        keys = []
        for number, part in enumerate(re.split(r"[\s,]+", text.strip()), start=1):
            try:
                keys.append(MasterKey.parse(part))
            except ValueError as error:
                raise ValueError(f"key {number} {error}") from None
        return cls(keys)

    def reveal(self) -> str:
        """The keys as text, for `parse` in another process."""
        return ",".join(base64.b64encode(key.secret).decode() for key in self.keys)

    def seal(self, plain: bytes, tenant_id: str, webhook_id: UUID, what: str) -> bytes:
        """`what` is one of HEADERS, SECRET and DIGEST."""
        nonce = os.urandom(_NONCE_BYTES)
        context = _context(tenant_id, webhook_id, what)
        return self.prefix + nonce + self._ciphers[self.keys[0].id].encrypt(nonce, plain, self.prefix + context)

    def open(self, sealed: bytes, tenant_id: str, webhook_id: UUID, what: str) -> bytes:
        """What was sealed. Raises SealBroken."""
        head, nonce = sealed[:_HEAD], sealed[_HEAD : _HEAD + _NONCE_BYTES]
        if head[:1] != _VERSION or len(nonce) < _NONCE_BYTES:
            raise SealBroken("not sealed")
        cipher = self._ciphers.get(head[1:])
        if cipher is None:
            raise SealBroken(f"sealed with master key {head[1:].hex()}, which this server does not have")
        try:
            return cipher.decrypt(nonce, sealed[_HEAD + _NONCE_BYTES :], head + _context(tenant_id, webhook_id, what))
        except InvalidTag:
            raise SealBroken("altered, or copied from elsewhere") from None


def _context(tenant_id: str, webhook_id: UUID, what: str) -> bytes:
    return f"|{tenant_id}|{ids.text(ids.WEBHOOK, webhook_id)}|{what}".encode()
