"""Events and what may be said about them at the door: names, keys, times."""

from __future__ import annotations

import functools
import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

MAX_TYPE = 128
TYPE = re.compile(r"[A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)*")
TENANT = re.compile(r"[A-Za-z0-9._-]{1,64}")
PRINTABLE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
MAX_IDEMPOTENCY_KEY = 255
MAX_BATCH = 1000
DEFAULT_TENANT = "default"
OPERATIONAL = "hookpost"  # the first word of the types of Hookpost's own events, which nobody else may emit


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A fact that happened once, as stored."""

    id: UUID
    tenant_id: str
    type: str
    payload: bytes  # a JSON object, the producer's own bytes; empty once retention has removed it
    occur_time: datetime
    idempotency_key: str | None = None
    fingerprint: bytes = b""  # with a key: what "the same content" means for it
    traceparent: str | None = None  # the trace that it was emitted in, if that is known

    @property
    def payload_removed(self) -> bool:
        return not self.payload


def fingerprint(event_type: str, payload: bytes, occur_time: datetime | None) -> bytes:
    """What "the same content" means for an idempotency key: type, payload bytes, and the time if one was given."""
    given = "" if occur_time is None else occur_time.isoformat()
    digest = hashlib.sha256(f"{event_type}\0{given}\0".encode())
    digest.update(payload)
    return digest.digest()


def check_type(name: str) -> str | None:
    """What is wrong with the name of an event type; None if nothing is."""
    if len(name) > MAX_TYPE or not TYPE.fullmatch(name):
        return f"must be 1 to {MAX_TYPE} characters: words of [A-Za-z0-9_] joined by full stops"
    return None


def is_operational(name: str) -> bool:
    """Whether a type is one of Hookpost's own."""
    return name.split(".", 1)[0] == OPERATIONAL


@functools.lru_cache(maxsize=1000)  # each emit asks, and the types are few
def check_emitted_type(name: str) -> str | None:
    """What is wrong with the type of a caller's event; None if nothing is."""
    if is_operational(name):
        return f'must not begin with "{OPERATIONAL}.", which is kept for Hookpost\'s own events'
    return check_type(name)


@functools.lru_cache(maxsize=1000)
def check_tenant(tenant_id: str) -> str | None:
    """What is wrong with a tenant id; None if nothing is."""
    return None if TENANT.fullmatch(tenant_id) else "must be 1 to 64 characters of [A-Za-z0-9._-]"


def check_idempotency_key(key: str) -> str | None:
    """What is wrong with an idempotency key; None if nothing is."""
    if len(key) > MAX_IDEMPOTENCY_KEY or not PRINTABLE.fullmatch(key):
        return f"must be 1 to {MAX_IDEMPOTENCY_KEY} printable ASCII characters, no space at either end"
    return None


def patterns(event_type: str) -> list[str]:
    """Every subscription that matches a type: `A.B.C` → `A.B.C`, `A.B.*`, `A.*`, `*`.

    `*` stands for all that producers emit: Hookpost's own events come only to those who name them.
    """
    words = event_type.split(".")
    everything = [] if is_operational(event_type) else ["*"]
    return [event_type, *(".".join(words[:n]) + ".*" for n in range(len(words) - 1, 0, -1)), *everything]


def iso_milliseconds(moment: datetime) -> str:
    """`2026-08-21T10:00:00.000Z`."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat(timespec="milliseconds")[:-6] + "Z"  # instead of +00:00
