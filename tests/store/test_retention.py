"""Days that go: only those that nobody needs, by one node at a time, through every crash, and in nobody's way."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import date
from typing import Any

import asyncpg
import pytest
import structlog

from hookpost_server.domain import errors
from hookpost_server.domain.delivery import State
from hookpost_server.domain.retention import DAY, FOREVER, Lifetime, Lifetimes
from hookpost_server.store import database as database_module
from hookpost_server.store import retention as module
from hookpost_server.store.changes import ChangeFeed
from hookpost_server.store.database import Database
from hookpost_server.store.day_tables import DayTables, Link, Note
from hookpost_server.store.deliveries import Deliveries
from hookpost_server.store.events import Emitted, Events, Room
from hookpost_server.store.health import HealthFigures
from hookpost_server.store.partitions import TABLES, Partitions
from hookpost_server.store.replays import Replays
from hookpost_server.store.retention import Retention
from hookpost_server.store.webhooks import Webhooks
from tests.keys import RING

from . import making, past
from .conftest import LEASE, OpenDatabase
from .making import TENANT

WEEK = Lifetimes(Lifetime(7 * DAY))


class House:
    """A database of the test's own, with the stores on it and a connection beside the pool."""

    def __init__(self, database: Database, sql: asyncpg.Connection) -> None:
        self.database = database
        self.sql = sql
        self.events = Events(database, lease=LEASE)
        self.deliveries = Deliveries(database, lease=LEASE)
        self.webhooks = Webhooks(database, RING)

    def day(self, ago: int) -> date:
        return past.day_of(self.database, ago)

    async def fill(self, ago: int, *, end: bool = True) -> tuple[Any, Any]:
        """A day with an event and its delivery, attempted and ended unless told otherwise."""
        await past.make_day(self.sql, self.day(ago))
        event = past.event(self.day(ago))
        await making.queue(self.events, event)
        claim = await making.claim_one(self.deliveries)
        if end:
            await self.deliveries.record([making.record(claim)])
        return event, claim

    async def tables(self) -> dict[date, dict[str, Link]]:
        """Days before yesterday."""
        found = await DayTables(self.sql).all()
        return {
            day: {table.parent: table.link for table in tables.values()}
            for day, tables in found.items()
            if day < self.day(1)
        }


@pytest.fixture
async def house(
    database_url: str, open_database: OpenDatabase, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[House]:
    monkeypatch.setattr(database_module, "LOCK_TIMEOUT", 0.5)
    database = await open_database(url=database_url)
    await Partitions(database).make()
    sql = await asyncpg.connect(database_url)
    yield House(database, sql)
    await sql.close()


WHOLE = dict.fromkeys(TABLES, Link.ATTACHED)


async def test_old_days_go_with_all_that_is_in_them(house: House) -> None:
    await making.webhook(house.webhooks)
    old, old_claim = await house.fill(9)
    await house.fill(8)
    young, young_claim = await house.fill(7)
    assert await Retention(house.database, WEEK).keep()
    assert await house.tables() == {house.day(7): WHOLE}
    with pytest.raises(errors.NotFound):
        await house.events.get(TENANT, old.id)
    with pytest.raises(errors.NotFound):
        await house.deliveries.get(TENANT, old_claim.id)
    with pytest.raises(errors.NotFound):
        await Replays(house.database).redeliver(TENANT, old_claim.id)
    assert (await house.events.get(TENANT, young.id)).payload == young.payload
    assert len((await house.deliveries.get(TENANT, young_claim.id)).attempts) == 1
    assert await house.sql.fetchval("select count(*) from pg_locks where locktype = 'advisory'") == 0


async def test_health_figures_stay_as_they_are(house: House) -> None:
    """They are counted when an attempt ends, whatever becomes of its entry."""
    webhook = await making.webhook(house.webhooks)
    await house.fill(9)
    await house.fill(8)
    figures = HealthFigures(house.database)
    before = [(await figures.of(TENANT, [webhook.id], days * DAY))[webhook.id] for days in (1, 7)]
    assert [(each.requests, each.succeeded) for each in before] == [(2, 2), (2, 2)]
    assert await Retention(house.database, WEEK).keep()
    assert await house.tables() == {}
    assert [(await figures.of(TENANT, [webhook.id], days * DAY))[webhook.id] for days in (1, 7)] == before


async def test_for_ever(house: House) -> None:
    await making.webhook(house.webhooks)
    await house.fill(3000)
    assert await Retention(house.database, Lifetimes(FOREVER)).keep()
    assert await house.tables() == {house.day(3000): WHOLE}


async def test_a_day_stays_until_its_last_delivery_has_ended(house: House) -> None:
    webhook = await making.webhook(house.webhooks)
    _, claim = await house.fill(9, end=False)
    await house.fill(8)
    retention = Retention(house.database, WEEK)
    with structlog.testing.capture_logs() as logs:
        assert await retention.keep()
        assert await retention.keep()
    assert await house.tables() == {house.day(9): WHOLE}
    assert [{**line, "bytes": 1, "seconds": 1} for line in logs] == [
        {
            "event": "retention.held",
            "log_level": "warning",
            "day": str(house.day(9)),
            "reason": "deliveries are pending",
            "deliveries": 1,
            "webhooks": [str(webhook.id)],
            "bytes": 1,
            "seconds": 1,
        },
        {
            "event": "retention.dropped",
            "log_level": "info",
            "day": str(house.day(8)),
            "bytes": 1,
            "seconds": 1,
        },
    ]
    await house.deliveries.record([making.record(claim, 404)])
    assert await retention.keep()
    assert await house.tables() == {}


async def test_a_held_day_is_not_touched(house: House, database_url: str) -> None:
    """A reader of it would be in the way otherwise."""
    await making.webhook(house.webhooks)
    await house.fill(9, end=False)
    reader = await asyncpg.connect(database_url)
    async with reader.transaction(isolation="repeatable_read"):
        assert await reader.fetchval("select count(*) from events") == 1
        assert await Retention(house.database, WEEK).keep()
    await reader.close()
    assert await house.tables() == {house.day(9): WHOLE}


async def test_no_watch_is_resumed_from_before_what_was_dropped(house: House) -> None:
    feed = ChangeFeed(house.database)
    await making.webhook(house.webhooks)
    before = await feed.position()
    await house.fill(9)
    after = await feed.position()
    assert await feed.oldest() <= before
    assert await Retention(house.database, WEEK).keep()
    assert before < await feed.oldest() <= after


async def test_a_day_outlasts_the_longest_retry_policy(house: House) -> None:
    await making.webhook(house.webhooks)
    long = await making.webhook(house.webhooks, event_types=("Role.*",), retry_policy=making.retries(*[DAY] * 7))
    await house.fill(9)
    await house.fill(8)
    retention = Retention(house.database, WEEK)
    with structlog.testing.capture_logs() as logs:
        assert await retention.keep()
    assert await house.tables() == {house.day(8): WHOLE}
    held = [line for line in logs if line["event"] == "retention.held"]
    assert [(line["day"], line["reason"]) for line in held] == [
        (str(house.day(8)), "a retry policy in use lasts that long")
    ]
    await house.webhooks.delete(TENANT, long.id, "")
    assert await retention.keep()
    assert await house.tables() == {}


async def test_tables_that_others_detached_are_theirs(house: House) -> None:
    """Somebody's archive. What is left of such a day goes."""
    await making.webhook(house.webhooks)
    await house.fill(9)
    await house.fill(8)
    for table in TABLES:
        await house.sql.execute(f"alter table {table} detach partition {table}_{house.day(9):%Y%m%d}")
    await house.sql.execute(f"alter table events detach partition events_{house.day(8):%Y%m%d}")
    with structlog.testing.capture_logs() as logs:
        assert await Retention(house.database, WEEK).keep()
        assert await Retention(house.database, WEEK).keep()
    assert [(line["event"], line["day"]) for line in logs] == [("retention.dropped", str(house.day(8)))]
    assert await house.tables() == {
        house.day(9): dict.fromkeys(TABLES, Link.DETACHED),
        house.day(8): {"events": Link.DETACHED},
    }


async def test_several_nodes_at_once(house: House, database_url: str, open_database: OpenDatabase) -> None:
    await making.webhook(house.webhooks)
    for ago in (8, 9, 10):
        await house.fill(ago)
    nodes = [await open_database(2, database_url) for _ in range(3)]
    with structlog.testing.capture_logs() as logs:
        assert await asyncio.gather(*(Retention(node, WEEK).keep() for node in nodes for _ in range(2))) == [True] * 6
    assert await house.tables() == {}
    assert [line["day"] for line in logs] == [str(house.day(ago)) for ago in (10, 9, 8)]
    assert await house.sql.fetchval("select count(*) from pg_locks where locktype = 'advisory'") == 0


class Crash(BaseException):
    """The process dies here."""


async def test_a_crash_at_any_step_is_made_good(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before each step and after it: notes, detaches, drops. Once begun, a day goes even if it should now be kept."""
    await making.webhook(house.webhooks)
    calls = itertools.count()
    at = -1

    def fragile(step: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def run(*args: Any) -> Any:
            if next(calls) == at:
                raise Crash
            answer = await step(*args)
            if next(calls) == at:
                raise Crash
            return answer

        return run

    for name in ("note", "detach", "drop"):
        monkeypatch.setattr(DayTables, name, fragile(getattr(DayTables, name)))
    left = []
    for at in itertools.count():
        calls = itertools.count()
        event, claim = await house.fill(9)
        try:
            await Retention(house.database, WEEK).keep()
        except Crash:
            left.append((await house.tables()).get(house.day(9), {}))
        else:
            break
        crashed, at = at, -1
        if crashed < 6:  # amid the notes, which are one transaction: nothing has happened
            assert left[-1] == WHOLE
            assert (await house.deliveries.get(TENANT, claim.id)).state is State.SUCCEEDED
            assert await Retention(house.database, Lifetimes(FOREVER)).keep()
            assert (await house.tables())[house.day(9)] == WHOLE
            assert await Retention(house.database, WEEK).keep()
        else:
            if left[-1] != WHOLE:
                with pytest.raises(errors.NotFound):
                    await house.events.get(TENANT, event.id)
            assert await Retention(house.database, Lifetimes(FOREVER)).keep()
        assert house.day(9) not in await house.tables()
    assert len(left) == 18
    assert {len(each) for each in left} == {0, 1, 2, 3}


async def test_a_long_reader_delays_the_drop_and_nobody_else(
    house: House, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plain `DROP` or `DETACH` would wait for the reader, and every emit would wait behind it."""
    await making.webhook(house.webhooks)
    old, _ = await house.fill(9)
    tomorrows = f"events_{house.day(-1):%Y%m%d}"
    await house.sql.execute(f"drop table {tomorrows}")
    reader = await asyncpg.connect(database_url)
    reading = reader.transaction(isolation="repeatable_read")
    await reading.start()
    for table in TABLES:
        assert await reader.fetchval(f"select count(*) from {table}") == 1
    retention = Retention(house.database, WEEK)
    for expected in ("concurrently", "finalize"):
        trying = asyncio.create_task(retention.keep())
        emitted = 0
        while not trying.done():
            accepted = await house.events.emit([making.event()], Room(0))
            assert isinstance(accepted.results[0], Emitted)
            claims = await making.claim_all(house.deliveries)
            assert len(await house.deliveries.record([making.record(claim) for claim in claims])) == 1
            emitted += not trying.done()
        assert emitted >= 5, f"emits waited behind DETACH … {expected}"
        assert not await trying
        assert (await house.tables())[house.day(9)] == WHOLE | {"events": Link.PENDING}
    assert await Partitions(house.database).make() == [tomorrows]  # new days can be made meanwhile
    assert await reader.fetchval("select payload from events where id = $1", old.id) == old.payload
    await reading.rollback()
    await reader.close()
    assert await retention.keep()
    assert await house.tables() == {}


@pytest.mark.parametrize("crash", [False, True])
async def test_a_redelivery_at_the_last_moment_keeps_the_day(
    house: House, monkeypatch: pytest.MonkeyPatch, crash: bool
) -> None:
    """It is seen once the events are detached; then they come back, with or without a crash between."""
    await making.webhook(house.webhooks)
    event, claim = await house.fill(9)
    with monkeypatch.context() as patch:
        detach = DayTables.detach

        async def after_a_redelivery(self: DayTables, table: Any) -> None:
            if table.parent == "events":
                await Replays(house.database).redeliver(TENANT, claim.id)
            await detach(self, table)
            assert await making.claim_all(house.deliveries, room=1) == []  # not without its payload
            with pytest.raises(errors.DeliveryNotEnded):
                await Replays(house.database).redeliver(TENANT, claim.id)
            if crash:
                raise Crash

        patch.setattr(DayTables, "detach", after_a_redelivery)
        with pytest.raises(Crash) if crash else contextlib.nullcontext():
            assert await Retention(house.database, WEEK).keep()
    if crash:
        assert (await house.tables())[house.day(9)] == WHOLE | {"events": Link.DETACHED}
        assert await Retention(house.database, Lifetimes(FOREVER)).keep()
    assert await house.tables() == {house.day(9): WHOLE}
    assert {table.note for table in (await DayTables(house.sql).all())[house.day(9)].values()} == {Note.NONE}
    await house.sql.execute("update deliveries set due_at = now()")
    again = await making.claim_one(house.deliveries)
    assert (again.id, again.event.payload, again.attempt) == (claim.id, event.payload, 2)
    await house.deliveries.record([making.record(again)])
    assert await Retention(house.database, WEEK).keep()
    assert await house.tables() == {}


async def test_without_its_event_a_delivery_is_not_put_back(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash can leave a day's deliveries without its events for a while."""
    await making.webhook(house.webhooks)
    _, claim = await house.fill(9)

    async def crash(*args: Any) -> None:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(module.Retention, "_is_pending", crash)
        patch.setattr(module, "attach", crash)
        tables = DayTables(house.sql)
        for table in (await tables.all())[house.day(9)].values():
            await tables.note(table, Note.DROPPING)
        with pytest.raises(Crash):
            await Retention(house.database, WEEK).keep()
    assert (await house.tables())[house.day(9)] == WHOLE | {"events": Link.DETACHED}
    with pytest.raises(errors.PayloadRemoved):
        await Replays(house.database).redeliver(TENANT, claim.id)
    assert (await house.deliveries.get(TENANT, claim.id)).state is State.SUCCEEDED
    assert await Retention(house.database, WEEK).keep()
    assert await house.tables() == {}
