"""Signing keys and the signatures that go with every request.

Two schemes on each request:
- `hookpost-signature-sha-256` (its name is a setting): lower-case hex of HMAC-SHA256 over the body's exact bytes,
  keyed with the newest key's text as UTF-8. What receivers written for Logto check.
- Standard Webhooks 1.0 (`webhook-id`, `webhook-timestamp`, `webhook-signature`): base64 of HMAC-SHA256 over
  `id.timestamp.body`, as a list `v1,…` with one entry for each key in force.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from .secret import Secret

PREFIX = "whsec_"
SECRET_BYTES = 32
MAX_OVERLAP = 7 * 24 * 3600.0  # seconds
MAX_KEYS = 20  # in force at once: each is 47 bytes more of one header, and receivers take some 4 KiB


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A key in force."""

    id: UUID
    secret: Secret
    create_time: datetime
    expire_time: datetime | None


def new_secret() -> str:
    """`whsec_` and base64 of 32 random bytes."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def check_secret(secret: str) -> str | None:
    """What is wrong with a key that a caller brings along; None if nothing is. Never quotes the key."""
    if not re.fullmatch(r"[\x21-\x7e]{16,128}", secret):
        return "must be 16 to 128 printable ASCII characters without spaces"
    if secret.startswith(PREFIX):
        try:
            length = len(_decoded(secret))
        except binascii.Error:
            return f'must be base64 after "{PREFIX}"'
        if not 24 <= length <= 64:
            return f'must encode 24 to 64 bytes after "{PREFIX}" (Standard Webhooks 1.0)'
    return None


def _decoded(secret: str) -> bytes:
    encoded = secret.removeprefix(PREFIX)
    return base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)


def standard_key(secret: str) -> bytes:
    """The bytes that Standard Webhooks signs with: what `whsec_` encodes, else the text itself."""
    return _decoded(secret) if secret.startswith(PREFIX) else secret.encode()


def hex_signature(secret: str, body: bytes) -> str:
    """Lower-case hex HMAC-SHA256 of the body, keyed with the secret's text."""
    return hmac.digest(secret.encode(), body, "sha256").hex()


def standard_signature(keys: Sequence[bytes], message_id: str, timestamp: int, body: bytes) -> str:
    """The value of `webhook-signature`: one `v1,…` for each key, newest first."""
    content = b"%b.%d.%b" % (message_id.encode(), timestamp, body)
    return " ".join(
        "v1," + binascii.b2a_base64(hmac.digest(key, content, "sha256"), newline=False).decode() for key in keys
    )
