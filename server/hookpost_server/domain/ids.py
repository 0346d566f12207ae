"""Identities: UUIDv7 inside, TypeID text outside (`whk_`, `evt_`, `dlv_`, `key_`, `rpl_` and 26 characters).

The text form follows the TypeID specification 0.3: lower-case Crockford base32 of the UUID's 128 bits. Both forms
sort by creation time. UUIDs are those of RFC 9562 §5.7, with 12 bits of sub-millisecond time in `rand_a`.
"""

from __future__ import annotations

import hashlib
import random
import re
from datetime import UTC, date, datetime
from uuid import UUID

WEBHOOK = "whk"
EVENT = "evt"
DELIVERY = "dlv"
KEY = "key"
REPLAY = "rpl"

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]  # two characters for ten bits
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}
_SUFFIX = re.compile(r"[0-7][0-9a-hjkmnp-tv-z]{25}")


_TICKS = 4096  # to a millisecond, what `rand_a` can tell
_last_tick = 0


def new(seconds: float) -> UUID:
    """A UUIDv7 for a moment, given as unix seconds. Within a process each is greater than the one before."""
    global _last_tick
    _last_tick = tick = max(int(seconds * 1000 * _TICKS), _last_tick + 1)
    milliseconds, rest = divmod(tick, _TICKS)
    return UUID(int=milliseconds << 80 | 7 << 76 | rest << 64 | 2 << 62 | random.getrandbits(62))


def first_of(seconds: float) -> UUID:
    """The smallest id of a moment (to the millisecond): the bound of a time range."""
    milliseconds = round(seconds * 1_000_000) // 1000  # int(seconds * 1000) would now and then be one too few
    return UUID(int=max(0, milliseconds) << 80)


def of_day(day: date) -> tuple[UUID, UUID]:
    """The smallest id of a day of UTC, and of the day after."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()
    return first_of(start), first_of(start + 86400)


def seconds_of(identity: UUID) -> float:
    """The moment that an id carries, unix seconds to the millisecond."""
    return milliseconds_of(identity) / 1000


def milliseconds_of(identity: UUID) -> int:
    """The same moment in unix milliseconds."""
    return identity.int >> 80


def time_of(identity: UUID) -> datetime:
    """The moment that an id carries."""
    return datetime.fromtimestamp(seconds_of(identity), UTC)


def delivery(event: UUID, webhook: UUID) -> UUID:
    """The id of the one delivery of an event to a webhook.

    The event's first 80 bits, then 48 bits of a hash of both. So the primary key itself forbids a second entry, and
    an event's deliveries lie side by side. `store/events.py` builds the same in SQL.
    """
    digest = hashlib.md5(f"{event}{webhook}".encode(), usedforsecurity=False).digest()
    return UUID(bytes=event.bytes[:10] + digest[:6])


def deliveries_of(event: UUID) -> tuple[UUID, UUID]:
    """First and last possible id of an event's deliveries."""
    head = event.bytes[:10]
    return UUID(bytes=head + bytes(6)), UUID(bytes=head + b"\xff" * 6)


def after(identity: UUID) -> UUID:
    """The next possible id; the last one stays."""
    return UUID(int=min(identity.int + 1, 2**128 - 1))


def text(prefix: str, identity: UUID) -> str:
    """`evt_01h455vb4pex5vsknk084sn02q`."""
    # Several for each event: unrolled, and from a table that stays in the processor's cache.
    bits, p = identity.int, _PAIRS
    return (
        f"{prefix}_{p[bits >> 120]}{p[bits >> 110 & 1023]}{p[bits >> 100 & 1023]}{p[bits >> 90 & 1023]}"
        f"{p[bits >> 80 & 1023]}{p[bits >> 70 & 1023]}{p[bits >> 60 & 1023]}{p[bits >> 50 & 1023]}"
        f"{p[bits >> 40 & 1023]}{p[bits >> 30 & 1023]}{p[bits >> 20 & 1023]}{p[bits >> 10 & 1023]}{p[bits & 1023]}"
    )


def parse(prefix: str, value: str) -> UUID:
    """The UUID in a TypeID. Raises ValueError with a sentence for people."""
    head, underscore, suffix = value.rpartition("_")
    if head != prefix or not underscore or not _SUFFIX.fullmatch(suffix):
        raise ValueError(f'must be "{prefix}_" and 26 characters, as answered by this server')
    bits = 0
    for character in suffix:
        bits = bits << 5 | _VALUES[character]
    return UUID(int=bits)
