"""API keys: their text, what they allow, and whether one still works.

The text is `hpk_`, the 26 characters of the key's id, `_`, and 43 of base64url: 256 random bits. It is shown once; only
its SHA-256 is kept. A slow hash would protect nothing here, and each call would pay for it.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from . import event, ids
from .errors import Violation
from .webhook import check_text

ALL_TENANTS = "*"
MAX_NAME = 256
PREFIX = "hpk_"
_TEXT = re.compile(rf"{PREFIX}([0-7][0-9a-hjkmnp-tv-z]{{25}})_[A-Za-z0-9_-]{{43}}")
_DUMMY = bytes(32)  # what an unknown key is compared with, so that it takes as long as a known one


class Scope(enum.IntEnum):
    """What a key may do; numbers as in the proto and in SQL."""

    EVENTS_EMIT = 1
    READ = 2
    WEBHOOKS_WRITE = 3
    SECRETS_REVEAL = 4
    DELIVERIES_RETRY = 5
    ADMIN = 6  # all of these, and API keys


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls: a key that was let in."""

    id: UUID
    name: str
    scopes: frozenset[Scope]
    tenant_id: str | None  # None: every tenant

    def may(self, scope: Scope) -> bool:
        return scope in self.scopes or Scope.ADMIN in self.scopes


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key as stored. Its digest never shows in a repr."""

    id: UUID
    tenant_id: str  # or ALL_TENANTS
    name: str
    scopes: tuple[Scope, ...]
    digest: bytes = field(repr=False)
    create_time: datetime
    expire_time: datetime | None
    revoke_time: datetime | None
    last_use_time: datetime | None

    def works(self, now: float) -> bool:
        """Whether it lets anybody in at a moment, in unix seconds."""
        return self.revoke_time is None and (self.expire_time is None or now < self.expire_time.timestamp())

    @property
    def principal(self) -> Principal:
        tenant_id = None if self.tenant_id == ALL_TENANTS else self.tenant_id
        return Principal(self.id, self.name, frozenset(self.scopes), tenant_id)


def new_text(key_id: UUID) -> str:
    """The secret text of a new key."""
    return f"{PREFIX}{stem(key_id)}_{secrets.token_urlsafe(32)}"


def stem(key_id: UUID) -> str:
    """The part of a key's text that names it."""
    return ids.text(ids.KEY, key_id).removeprefix(f"{ids.KEY}_")


def stem_of(text: str) -> str:
    """Where that part is, whatever the text."""
    return text[len(PREFIX) : len(PREFIX) + 26]


def id_of(text: str) -> UUID | None:
    """The id of the key that a text may be of; None if it is no key's text."""
    found = _TEXT.fullmatch(text)
    return ids.parse(ids.KEY, f"{ids.KEY}_{found[1]}") if found else None


def digest(text: str) -> bytes:
    """What is stored of a key's text."""
    return hashlib.sha256(text.encode()).digest()


def opens(text: str, key: ApiKey | None, now: float) -> bool:
    """Whether a text is that of a key, and the key works. Takes as long when there is no such key."""
    same = hmac.compare_digest(digest(text), key.digest if key else _DUMMY)
    return same and key is not None and key.works(now)


def check(
    name: str, tenant_id: str, scopes: Collection[Scope], expire_time: datetime | None, now: float
) -> list[Violation]:
    """What is wrong with a key that is to be made; paths are those of the proto."""
    faults = {
        "name": check_text(name, MAX_NAME, required=True),
        "tenant_id": None if tenant_id == ALL_TENANTS else event.check_tenant(tenant_id),
        "scopes": None if scopes else "is required: at least one",
        "expire_time": "must be in the future" if expire_time and expire_time.timestamp() <= now else None,
    }
    return [Violation(f"api_key.{name}", fault) for name, fault in faults.items() if fault]
