"""Bodies that go before their entries: never a pending delivery's payload, and nothing is sent without one."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from datetime import datetime

import asyncpg
import pytest
import structlog

from hookpost_server.domain import errors, ids
from hookpost_server.domain.delivery import Claim, State
from hookpost_server.domain.event import Event
from hookpost_server.domain.retention import HOUR, Lifetime, Lifetimes
from hookpost_server.store import bodies as module
from hookpost_server.store.database import Database
from hookpost_server.store.day_tables import DayTables, Note
from hookpost_server.store.deliveries import Deliveries
from hookpost_server.store.delivery_log import Filter
from hookpost_server.store.events import Events
from hookpost_server.store.missed import Missed
from hookpost_server.store.replays import Replays
from hookpost_server.store.retention import Retention
from hookpost_server.store.webhooks import Webhooks

from . import making, past
from .making import TENANT
from .test_planner import FILL

HOURS = Lifetimes(Lifetime(7 * 24 * HOUR), Lifetime(HOUR))
AGO = 3  # days


@pytest.fixture
async def old(database: Database, sql: asyncpg.Connection) -> AsyncIterator[list[Event]]:
    """Seven events of a day."""
    day = past.day_of(database, AGO)
    await past.make_day(sql, day)
    yield [past.event(day) for _ in range(7)]
    for table in (await DayTables(sql).all())[day].values():
        await sql.execute(f"drop table {table.name}")


async def claims_of(events: Events, deliveries: Deliveries, emitted: list[Event]) -> list[Claim]:
    """The deliveries of the events to the one webhook there is, in their order."""
    await making.queue(events, *emitted)
    return sorted(await making.claim_all(deliveries), key=lambda claim: claim.event.id)


async def with_payload(events: Events, of: list[Event]) -> list[bool]:
    return [not (await events.get(TENANT, event.id)).payload_removed for event in of]


async def noted(database: Database, sql: asyncpg.Connection) -> Note:
    return (await DayTables(sql).all())[past.day_of(database, AGO)]["events"].note


async def test_all_but_those_of_pending_deliveries(
    database: Database,
    sql: asyncpg.Connection,
    webhooks: Webhooks,
    events: Events,
    deliveries: Deliveries,
    old: list[Event],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "BATCH", 2)
    await making.webhook(webhooks)
    claims = await claims_of(events, deliveries, old)
    young = making.event()
    (young_claim,) = await claims_of(events, deliveries, [young])
    # The second is being retried, the fifth has not been attempted.
    ended = [claim for number, claim in enumerate(claims) if number not in (1, 4)]
    await deliveries.record([making.record(claim) for claim in [*ended, young_claim]])
    await deliveries.record([making.record(claims[1], 500, making.retries(0, 0))])
    retention = Retention(database, HOURS)
    with structlog.testing.capture_logs() as logs:
        assert await retention.keep()
    assert [{**line, "seconds": 0} for line in logs] == [
        {
            "event": "retention.stripped",
            "log_level": "info",
            "day": str(past.day_of(database, AGO)),
            "payloads": 5,
            "answers": 6,
            "kept": 2,
            "seconds": 0,
        }
    ]
    assert await with_payload(events, [*old, young]) == [False, True, False, False, True, False, False, True]
    assert await noted(database, sql) is Note.STRIPPED_BUT_PENDING
    # What is left of an entry: all but headers and body.
    (attempt,) = (await deliveries.get(TENANT, claims[0].id)).attempts
    assert (attempt.removed, attempt.headers, attempt.body, attempt.status) == (True, (), b"", 200)
    (attempt,) = (await deliveries.get(TENANT, young_claim.id)).attempts
    assert (attempt.removed, attempt.headers, attempt.body) == (False, (("x-a", "b"),), b"ok\0")
    (first, *_), _ = await events.list(
        TENANT, since=ids.first_of(0), before=ids.of_day(past.day_of(database, AGO))[1], event_type="", limit=9
    )
    assert (first.id, first.payload, first.payload_removed) == (old[-1].id, b"", True)

    # While some are pending the day is left alone; then the rest goes, and the day is done with.
    (again,) = await making.claim_all(deliveries)
    assert (again.id, again.event.payload) == (claims[1].id, old[1].payload)
    await deliveries.record([making.record(again)])
    assert await retention.keep()
    assert [each.removed for each in (await deliveries.get(TENANT, again.id)).attempts] == [True, False]
    await deliveries.record([making.record(claims[4])])
    with structlog.testing.capture_logs() as logs:
        assert await retention.keep()
        assert await retention.keep()
    assert [(line["payloads"], line["answers"], line["kept"]) for line in logs] == [(2, 2, 0)]
    assert await with_payload(events, [*old, young]) == [False] * 7 + [True]
    assert await noted(database, sql) is Note.STRIPPED


async def test_by_default_they_stay_with_their_entries(
    database: Database, events: Events, webhooks: Webhooks, deliveries: Deliveries, old: list[Event]
) -> None:
    await making.webhook(webhooks)
    await deliveries.record([making.record(claim) for claim in await claims_of(events, deliveries, old)])
    assert await Retention(database, Lifetimes(Lifetime(7 * 24 * HOUR))).keep()
    assert await with_payload(events, old) == [True] * 7


async def test_an_event_without_payload_is_not_sent_again(
    database: Database, events: Events, webhooks: Webhooks, deliveries: Deliveries, old: list[Event]
) -> None:
    webhook = await making.webhook(webhooks)
    claims = await claims_of(events, deliveries, old)
    young = making.event()
    claims += await claims_of(events, deliveries, [young])
    await deliveries.record([making.record(claim, 404) for claim in claims])
    assert await Retention(database, HOURS).keep()
    replays = Replays(database)
    with pytest.raises(errors.PayloadRemoved, match="can't be sent again") as caught:
        await replays.redeliver(TENANT, claims[0].id)
    assert caught.value.metadata == {"event_id": ids.text(ids.EVENT, old[0].id)}

    everything = Filter(
        since=ids.first_of(0), before=ids.first_of(2e9 * 2), webhook_id=webhook.id, states=[State.FAILED]
    )
    later = await making.webhook(webhooks)
    missed = Missed(exact=[], prefixes=[""])
    of_later = Filter(since=everything.since, before=everything.before, webhook_id=later.id, states=[State.FAILED])
    for filter, wider in ((everything, None), (of_later, missed)):
        for call in (replays.count(TENANT, filter, wider), replays.replay(TENANT, filter, wider, interval=1)):
            with pytest.raises(errors.PayloadRemoved, match=r"; choose a start_time of .* or later") as caught:
                await call
            assert caught.value.metadata == {"event_id": ids.text(ids.EVENT, old[-1].id)}
    assert await making.claim_all(deliveries) == []

    # What the message advises works.
    advice = datetime.fromisoformat(caught.value.message.split()[-3])

    def younger(filter: Filter) -> Filter:
        return dataclasses.replace(filter, since=ids.first_of(advice.timestamp()))

    assert await replays.count(TENANT, younger(everything), None) == 1
    assert (await replays.replay(TENANT, younger(everything), None, interval=1))[1] == 1
    assert (await replays.replay(TENANT, younger(of_later), missed, interval=1))[1] == 1
    assert {claim.event.payload for claim in await making.claim_all(deliveries)} == {young.payload}


async def test_a_redelivery_under_way_keeps_its_payload(
    database: Database,
    sql: asyncpg.Connection,
    other_sql: asyncpg.Connection,
    events: Events,
    webhooks: Webhooks,
    deliveries: Deliveries,
    old: list[Event],
) -> None:
    """Its transaction has seen the payload and is not committed yet."""
    await making.webhook(webhooks)
    claims = await claims_of(events, deliveries, old)
    await deliveries.record([making.record(claim) for claim in claims])
    async with other_sql.transaction():
        await module.keep_payloads(other_sql)
        await other_sql.execute("update deliveries set state = 1, finish_time = null where id = $1", claims[3].id)
        removing = asyncio.create_task(Retention(database, HOURS).keep())
        await making.blocked(sql, 1)
    assert await removing
    assert await with_payload(events, old) == [False, False, False, True, False, False, False]


async def test_a_redelivery_waits_for_the_batch_under_way(
    database: Database,
    sql: asyncpg.Connection,
    other_sql: asyncpg.Connection,
    events: Events,
    webhooks: Webhooks,
    deliveries: Deliveries,
    old: list[Event],
) -> None:
    webhook = await making.webhook(webhooks)
    claims = await claims_of(events, deliveries, old)
    await deliveries.record([making.record(claim, 404) for claim in claims])
    failed = Filter(since=ids.first_of(0), before=ids.first_of(4e9), webhook_id=webhook.id, states=[State.FAILED])
    async with other_sql.transaction():
        await other_sql.execute("select pg_advisory_xact_lock($1)", module._PAYLOADS)
        await other_sql.execute("update events set payload = null")
        putting_back = [
            asyncio.create_task(Replays(database).redeliver(TENANT, claims[0].id)),
            asyncio.create_task(Replays(database).replay(TENANT, failed, None, interval=1)),
        ]
        await making.blocked(sql, 2)
    for each in putting_back:
        with pytest.raises(errors.PayloadRemoved):
            await each
    assert await making.claim_all(deliveries) == []


async def test_a_crash_in_the_midst_is_made_good(
    database: Database,
    sql: asyncpg.Connection,
    events: Events,
    webhooks: Webhooks,
    deliveries: Deliveries,
    old: list[Event],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await making.webhook(webhooks)
    await deliveries.record([making.record(claim) for claim in await claims_of(events, deliveries, old)])
    monkeypatch.setattr(module, "BATCH", 3)

    def crash(day: object) -> str:
        raise KeyError

    with monkeypatch.context() as patch, pytest.raises(KeyError):
        patch.setattr(module, "_strip_attempts", crash)
        await Retention(database, HOURS).keep()
    assert await with_payload(events, old) == [False] * 7
    assert await noted(database, sql) is Note.NONE
    assert await Retention(database, HOURS).keep()
    assert await noted(database, sql) is Note.STRIPPED
    assert await sql.fetchval("select count(*) from attempts where response_body is not null") == 0


async def test_a_backlog_is_not_passed_over_again_and_again(
    database: Database, sql: asyncpg.Connection, old: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A day of pending deliveries costs what a day of ended ones does: its rows are read a few times at most."""
    monkeypatch.setattr(module, "BATCH", 100)
    rows = 2000
    await sql.execute(FILL, old[0].id, rows)
    day = (await DayTables(sql).all())[past.day_of(database, AGO)]
    assert await module.remove_bodies(sql, day) == module.Removed(payloads=0, answers=rows, kept=rows)
    await sql.execute("select pg_stat_force_next_flush()")
    read = "select sum(idx_tup_read)::int from pg_stat_user_indexes where relname = $1"
    assert await sql.fetchval(read, day["deliveries"].name) < 5 * rows
    await sql.execute("update deliveries set state = 2, finish_time = now()")
    assert await module.remove_bodies(sql, day) == module.Removed(payloads=rows, answers=0, kept=0)
