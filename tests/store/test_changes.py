"""The change feed's horizon: a position is refused exactly when something told after it may have been removed."""

from __future__ import annotations

from uuid import UUID

import asyncpg
import pytest

from hookpost_server.domain import errors, ids
from hookpost_server.domain.event import Event
from hookpost_server.store.changes import ChangeFeed
from hookpost_server.store.database import Database
from hookpost_server.store.deliveries import Deliveries
from hookpost_server.store.events import Events
from hookpost_server.store.webhooks import Webhooks

from . import making
from .making import TENANT

DAY = 86_400.0  # seconds


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
    return {each.event_id for each in (await feed.since(TENANT, position, most=100)).deliveries}


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
        await feed.since(TENANT, newest, most=100)
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
