"""Removing bodies before their entries: payloads of events, and what receivers answered.

Batches of rows in the order of their keys, each a transaction of its own. Nothing is locked but those rows, and no
statement runs long, so it goes on beside the traffic of a full day's table. What it frees is space inside that table,
until the day goes; big bodies lie in files of their own, which vacuum cuts off.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import asyncpg

from .database import planned
from .day_tables import Day

BATCH = 1000  # rows
_PAYLOADS = 7_305_150_013  # advisory lock: shared by who puts deliveries back in the queue
_NIL = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Removed:
    """What became of a day's bodies."""

    payloads: int
    answers: int
    kept: int  # payloads of pending deliveries


async def keep_payloads(connection: asyncpg.Connection) -> None:
    """Until the transaction ends, payloads that are there stay. For who is about to make deliveries pending."""
    await connection.execute("select pg_advisory_xact_lock_shared($1)", _PAYLOADS)


async def remove_bodies(connection: asyncpg.Connection, day: Day) -> Removed:
    """Removes all bodies of a day, but for payloads of pending deliveries."""
    payloads = kept = answers = 0
    event_id: UUID | None = _NIL
    while event_id is not None:
        async with planned(connection):
            # A statement of its own, so that the next one sees what the lock was waited for.
            await connection.execute("select pg_advisory_xact_lock($1)", _PAYLOADS)
            found, removed, event_id = await connection.fetchrow(_strip_events(day), event_id, BATCH)
        payloads += removed
        kept += found - removed
    delivery_id: UUID | None = _NIL
    number = 0
    while delivery_id is not None:
        async with planned(connection):
            row = await connection.fetchrow(_strip_attempts(day), delivery_id, number, BATCH)
        removed, delivery_id, number = row
        answers += removed
    return Removed(payloads, answers, kept)


# The names of tables are ours. `state + 0`: by the index of pending deliveries, each batch would pass over all of them.
def _strip_events(day: Day) -> str:
    return f"""
        with walked as materialized (
            select id, tenant_id, payload is not null as full from {day["events"].name}
            where id > $1 order by id limit $2
        ), pending as materialized (
            select event_id from {day["deliveries"].name}
            where id >= (select (left(min(id::text), 24) || '000000000000')::uuid from walked)
              and id <= (select (left(max(id::text), 24) || 'ffffffffffff')::uuid from walked) and state + 0 = 1
        ), stripped as (
            update {day["events"].name} e set payload = null from walked w
            where w.full and e.id = w.id and e.tenant_id = w.tenant_id and e.id not in (select event_id from pending)
            returning 1
        )
        select count(*) filter (where walked.full)::int, (select count(*) from stripped)::int,
            max(id::text)::uuid from walked
    """  # noqa: S608


def _strip_attempts(day: Day) -> str:
    return f"""
        with walked as materialized (
            select delivery_id, number, tenant_id, response_body is not null as full from {day["attempts"].name}
            where (delivery_id, number) > ($1, $2) order by delivery_id, number limit $3
        ), stripped as (
            update {day["attempts"].name} a set response_headers = null, response_body = null from walked w
            where w.full and a.delivery_id = w.delivery_id and a.number = w.number and a.tenant_id = w.tenant_id
            returning 1
        ), reached as (
            select delivery_id, number from walked order by delivery_id desc, number desc limit 1
        )
        select (select count(*) from stripped)::int, reached.delivery_id, reached.number
        from (values (1)) one left join reached on true
    """  # noqa: S608
