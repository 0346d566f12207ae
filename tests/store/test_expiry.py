"""Deliveries that a breaker has held back for too long are given up, and counted like any that failed."""

from __future__ import annotations

from uuid import UUID

import asyncpg

from hookpost_server.domain.delivery import State
from hookpost_server.domain.event import Event
from hookpost_server.store.database import Database
from hookpost_server.store.deliveries import Deliveries
from hookpost_server.store.events import Events
from hookpost_server.store.expiry import STEP, Expiry
from hookpost_server.store.health import HealthFigures
from hookpost_server.store.webhooks import Webhooks

from . import making
from .making import TENANT, retries

HOUR = 3600.0
AGE = """
    update deliveries set due_at = now() - make_interval(secs => $3)
    where webhook_id = $1 and event_id = any($2::uuid[])
"""


async def due_for(sql: asyncpg.Connection, webhook_id: UUID, hours: float, *emitted: Event) -> None:
    await sql.execute(AGE, webhook_id, [event.id for event in emitted], hours * HOUR)


async def test_what_has_been_due_for_a_day(
    webhooks: Webhooks, events: Events, deliveries: Deliveries, database: Database, sql: asyncpg.Connection
) -> None:
    held, free = [(await making.webhook(webhooks, retry_policy=retries(5.0, 30.0))).id for _ in range(2)]
    old, young = making.event(), making.event()
    await making.queue(events, old, young)
    for webhook_id in (held, free):
        await due_for(sql, webhook_id, 25, old)
        await due_for(sql, webhook_id, 23, young)
    assert await Expiry(database).expire([held]) == 1
    rows = await sql.fetch("select * from deliveries where state = 3")
    assert [(row["webhook_id"], row["event_id"], row["attempt_count"]) for row in rows] == [(held, old.id, 0)]
    found = await deliveries.get(TENANT, rows[0]["id"])
    assert (found.state, found.expired) == (State.FAILED, True)
    figures = await HealthFigures(database).of(TENANT, [held, free])
    assert (figures[held].failed, figures[held].attempts, figures[held].consecutive_failures) == (1, 0, 1)
    assert figures[free].failed == 0
    assert await sql.fetchval("select count(*) from other_changes") == 1
    assert await Expiry(database).expire([]) == 0


async def test_a_long_retry_policy_is_waited_for(
    webhooks: Webhooks, events: Events, database: Database, sql: asyncpg.Connection
) -> None:
    made = (await making.webhook(webhooks, retry_policy=retries(24 * HOUR, 24 * HOUR))).id
    event = making.event()
    await making.queue(events, event)
    await due_for(sql, made, 47, event)
    assert await Expiry(database).expire([made]) == 0
    await due_for(sql, made, 49, event)
    assert await Expiry(database).expire([made]) == 1


async def test_more_than_one_step_and_a_late_outcome(
    webhooks: Webhooks, events: Events, deliveries: Deliveries, database: Database, sql: asyncpg.Connection
) -> None:
    made = (await making.webhook(webhooks)).id
    emitted = [making.event() for _ in range(STEP + 10)]
    await making.queue(events, *emitted)
    claims = await making.claim_all(deliveries, room=5, room_each=5)
    await due_for(sql, made, 25, *emitted)
    assert await Expiry(database).expire([made]) == STEP + 10
    assert await deliveries.record([making.record(claims[0])]) == {}


async def test_one_that_failed_by_its_attempts_has_not_expired(
    webhooks: Webhooks, events: Events, deliveries: Deliveries
) -> None:
    await making.webhook(webhooks)
    await making.queue(events, making.event())
    claim = await making.claim_one(deliveries)
    await deliveries.record([making.record(claim, 404)])
    assert not (await deliveries.get(TENANT, claim.id)).expired
