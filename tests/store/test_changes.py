"""The change feed: read in pages and steps without a gap, and refused exactly when something may have been removed."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import asyncpg
import pytest

from hookpost_server.domain import errors, ids
from hookpost_server.domain.event import Event
from hookpost_server.store.changes import ChangeFeed, Place
from hookpost_server.store.database import Database
from hookpost_server.store.deliveries import Deliveries
from hookpost_server.store.delivery_log import Filter
from hookpost_server.store.events import Events
from hookpost_server.store.webhooks import Webhooks

from . import making
from .making import TENANT

DAY = 86_400.0  # seconds
ALL = Filter(since=UUID(int=0), before=UUID(int=2**128 - 1))


@pytest.fixture
def feed(database: Database) -> ChangeFeed:
    return ChangeFeed(database)


@pytest.fixture
async def old(webhooks: Webhooks, events: Events, database: Database) -> Event:
    """An event of yesterday with one delivery."""
    await making.webhook(webhooks)
    event = making.event(id=ids.first_of(database.now() - DAY))
    await making.queue(events, event)
    return event


async def last_change(sql: asyncpg.Connection, table: str) -> int:
    number: int = await sql.fetchval(f"select max(changed_in) from {table}")
    return number


async def forget(feed: ChangeFeed, database: Database, before: UUID) -> int:
    """As retention does it: noted and removed in one transaction."""
    async with database.transaction() as connection:
        oldest = await feed.forget(connection, before)
        for table, key in (("attempts", "delivery_id"), ("deliveries", "id"), ("events", "id")):
            await connection.execute(f"delete from {table} where {key} < $1", before)
    assert oldest == await feed.oldest()
    return oldest


async def told(feed: ChangeFeed, position: int) -> set[UUID]:
    return {each.event_id for each, _ in (await feed.since(TENANT, Place(position), ALL)).told}


async def test_nothing_was_removed(feed: ChangeFeed, webhooks: Webhooks, events: Events, database: Database) -> None:
    """A position from before the first event of a fresh database is a good one."""
    await making.webhook(webhooks)
    position = await feed.position()
    event = making.event()
    await making.queue(events, event)
    assert await feed.oldest() <= position
    assert await told(feed, position) == {event.id}
    assert await forget(feed, database, ids.first_of(database.now() - DAY)) == 0
    assert await told(feed, position) == {event.id}


@pytest.mark.parametrize("last", ["events", "attempts", "other_changes"])
async def test_both_sides(
    feed: ChangeFeed,
    database: Database,
    webhooks: Webhooks,
    events: Events,
    deliveries: Deliveries,
    old: Event,
    sql: asyncpg.Connection,
    last: str,
) -> None:
    """The last change of what is removed decides, however late it came; younger deliveries' changes do not."""
    claims = await making.claim_all(deliveries)
    if last == "attempts":
        await deliveries.record([making.record(each) for each in claims])
    elif last == "other_changes":
        await deliveries.cancel(claims)
    newest = await last_change(sql, last)
    young = making.event()
    await making.queue(events, young)
    await deliveries.cancel(await making.claim_all(deliveries))
    assert await told(feed, newest) == {old.id, young.id}

    assert await forget(feed, database, ids.first_of(database.now() - DAY / 2)) == newest + 1
    with pytest.raises(errors.TokenExpired) as refused:
        await feed.since(TENANT, Place(newest), ALL)
    assert refused.value.metadata == {"oldest": str(newest + 1)}
    assert await told(feed, newest + 1) == {young.id}
    assert await sql.fetchval("select count(*) from other_changes") == 1


async def test_the_horizon_only_goes_on(feed: ChangeFeed, database: Database, old: Event) -> None:
    before = ids.first_of(database.now() - DAY / 2)
    oldest = await forget(feed, database, before)
    assert oldest > 0
    assert await forget(feed, database, before) == oldest


async def test_a_removal_that_was_not_committed(feed: ChangeFeed, database: Database, old: Event) -> None:
    with pytest.raises(ZeroDivisionError):
        async with database.transaction() as connection:
            await feed.forget(connection, ids.first_of(database.now() - DAY / 2))
            raise ZeroDivisionError
    assert await feed.oldest() == 0


@pytest.fixture
async def traffic(webhooks: Webhooks, events: Events, deliveries: Deliveries, feed: ChangeFeed) -> tuple[int, Event]:
    """A position; after it an event with five deliveries, then seven with one; every other one is cancelled."""
    for n in range(5):
        await making.webhook(webhooks, event_types=("*",) if n == 3 else ("User.*",))
    position = await feed.position()
    first = making.event()
    await making.queue(events, first)
    for _ in range(7):
        await making.queue(events, making.event("Role.Created"))
    await deliveries.cancel((await making.claim_all(deliveries))[::2])
    return position, first


@pytest.mark.parametrize("page", [1, 2, 3, 5, 11, 12, 13])
@pytest.mark.parametrize("span", [1, 2, 1000])
async def test_pages_and_steps(
    feed: ChangeFeed, deliveries: Deliveries, traffic: tuple[int, Event], page: int, span: int
) -> None:
    """All is told whatever the cuts; in one step each once; a page never holds more than it may."""
    place, seen = Place(traffic[0]), []
    more = True
    while more:
        step = await feed.since(TENANT, place, ALL, page=page, span=span)
        assert len(step.told) <= page
        assert not step.told or step.told[-1][1] == step.place or step.place == Place(step.told[-1][1].end)
        seen += [each for each, _ in step.told]
        assert len(seen) <= 24, "no end"
        place, more = step.place, step.more
    everything, _ = await deliveries.list(TENANT, ALL, limit=100)
    assert {each.id: each for each in seen} == {each.id: each for each in everything}
    assert len(everything) == 12
    assert span != 1000 or len(seen) == 12


async def test_on_from_each_place(feed: ChangeFeed, traffic: tuple[int, Event]) -> None:
    """Each change carries a place from which exactly the rest of its step is told."""
    step = await feed.since(TENANT, Place(traffic[0]), ALL)
    for number, (_, place) in enumerate(step.told, 1):
        rest = await feed.since(TENANT, place, ALL)
        assert [each for each, _ in rest.told] == [each for each, _ in step.told[number:]]
        assert rest.place == step.place


async def test_what_does_not_match_takes_no_room(feed: ChangeFeed, traffic: tuple[int, Event]) -> None:
    step = await feed.since(TENANT, Place(traffic[0]), replace(ALL, event_id=traffic[1].id), page=6)
    assert [each.event_id for each, _ in step.told] == [traffic[1].id] * 5
    assert not step.more
