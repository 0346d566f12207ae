"""What the tests of the store and of the engine make: settings, events, outcomes; and a way to wait for something."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg

from hookpost_server.domain import event as events
from hookpost_server.domain import ids
from hookpost_server.domain.delivery import Claim, Outcome, Record, answered, conclude
from hookpost_server.domain.event import Event
from hookpost_server.domain.retry import RetryPolicy, Schedule
from hookpost_server.domain.secret import Secret
from hookpost_server.domain.webhook import Settings, Webhook
from hookpost_server.store.cursor import START, Cursor, Wanted
from hookpost_server.store.deliveries import Deliveries
from hookpost_server.store.events import Accepted, Events, Room
from hookpost_server.store.webhooks import Webhooks
from tests.keys import RING

PATIENCE = 20.0  # seconds until a test gives up on what it waits for
SECRET = "whsec_CANARYCANARYMDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI="
KEY = Secret(SECRET)
NO_RETRIES = RetryPolicy(Schedule.NONE, ())
TENANT = "default"


def sealed(text: bytes, webhook_id: UUID, what: str, tenant_id: str = TENANT) -> bytes:
    """As it lies in the database."""
    return RING.seal(text, tenant_id, webhook_id, what)


def retries(*delays: float) -> RetryPolicy:
    """A policy with exactly these delays."""
    return RetryPolicy(Schedule.CUSTOM, delays, jitter=0.0)


def settings(**given: Any) -> Settings:
    return Settings(**{"name": "orders", "url": "https://example.com/hooks", "event_types": ("*",)} | given)


def event(kind: str = "User.Created", **given: Any) -> Event:
    """A new event; with a key, its fingerprint is that of type and payload."""
    now = time.time()
    made: dict[str, Any] = {
        "id": ids.new(now),
        "tenant_id": TENANT,
        "type": kind,
        "payload": b'{"n": 1.0}',
        "occur_time": datetime.fromtimestamp(now, UTC),
    }
    made |= given
    if made.get("idempotency_key") is not None:
        made["fingerprint"] = events.fingerprint(made["type"], made["payload"], None)
    return Event(**made)


async def webhook(webhooks: Webhooks, tenant_id: str = TENANT, **given: Any) -> Webhook:
    return await webhooks.create(tenant_id, settings(**given), KEY)


async def queue(store: Events, *emitted: Event) -> Accepted:
    """Emits, and leaves all deliveries in the queue."""
    return await store.emit(emitted, Room(0))


async def claim_all(deliveries: Deliveries, *, room: int = 1000, room_each: int = 1000) -> list[Claim]:
    """Everything that is due."""
    cursor: Cursor = START
    found: list[Claim] = []
    while True:
        claims, cursor = await deliveries.claim(cursor, Wanted(room=room, room_each=room_each))
        found += claims
        if cursor.round_complete and not claims:
            return found


async def claim_one(deliveries: Deliveries) -> Claim:
    (claim,) = await claim_all(deliveries)
    return claim


def record(
    claim: Claim, outcome: Outcome | int = 200, policy: RetryPolicy = NO_RETRIES, *, latency: float = 0.25
) -> Record:
    """The record of an outcome, or of an answer with that status."""
    if isinstance(outcome, int):
        outcome = answered(outcome, headers=(("x-a", "b"),), body=b"ok\0")
    conclusion = conclude(claim.attempt, policy, outcome, 0.0)
    return Record(claim, outcome, conclusion, "https://example.com/hooks", datetime.now(UTC), latency)


def ids_of(found: Sequence[Any]) -> list[UUID]:
    return [item.id for item in found]


async def until(condition: Callable[[], Awaitable[Any] | Any], what: str = "") -> Any:
    """Asks until the answer is true, and returns it; fails after PATIENCE."""
    give_up = time.monotonic() + PATIENCE
    while True:
        found = condition()
        if isinstance(found, Awaitable):
            found = await found
        if found:
            return found
        assert time.monotonic() < give_up, f"waited in vain for {what or condition}"
        await asyncio.sleep(0.005)


async def blocked(sql: asyncpg.Connection, count: int) -> None:
    """Waits until that many statements wait for a lock. `sql` must not be in a transaction: it would see one moment."""

    async def waiting() -> bool:
        number: int = await sql.fetchval(
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        )
        return number >= count

    await until(waiting, f"{count} statements that wait for a lock")


async def drop_connections(sql: asyncpg.Connection) -> None:
    """Ends all other sessions of the database, and returns when they have ended."""
    ended = await sql.fetch(
        """
        select pg_terminate_backend(pid, 10000) as done from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'
        """
    )
    assert ended
    assert all(row["done"] for row in ended)


async def dump(url: str) -> bytes:
    """Every value of every table of a database."""
    connection = await asyncpg.connect(url)
    try:
        tables = await connection.fetch(
            "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')"
        )
        rows = [row for table in tables for row in await connection.fetch(f"select * from {table[0]}")]
    finally:
        await connection.close()
    return b"\n".join(v if isinstance(v, bytes) else str(v).encode() for row in rows for v in row.values())
