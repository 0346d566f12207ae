"""Plans that were made while a partition was empty must not read all of it once it is full.

An emptied or vacuumed table is planned as a sequential scan, and a prepared statement keeps its plan. So every
statement of the hot paths is prepared and run on empty partitions, which are then filled; what each of them reads
after that is counted by PostgreSQL itself.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import pytest

from hookpost_server.domain import errors, ids
from hookpost_server.domain.delivery import Claim, State, Trigger
from hookpost_server.store.changes import ChangeFeed, Place
from hookpost_server.store.cursor import START, Wanted
from hookpost_server.store.database import Database
from hookpost_server.store.deliveries import Deliveries
from hookpost_server.store.delivery_log import Filter
from hookpost_server.store.events import Events, Room
from hookpost_server.store.partitions import TABLES, Partitions
from hookpost_server.store.replays import Replays
from hookpost_server.store.webhooks import Webhooks
from tests.keys import RING

from . import making
from .conftest import LEASE, OpenDatabase
from .making import TENANT

ROWS = 200_000
ROWS_OF_A_WEBHOOK = ROWS // 200
LAST = UUID(int=2**128 - 1)
ENOUGH = 8  # executions after which a prepared statement has its lasting plan

# 200 webhooks; each event has one delivery, claimed long ago and not due for long. Ids as the server makes them, up to
# 4096 in a millisecond.
FILL = """
    with made as (
        select n, (lpad(to_hex(start.ms + n / 4096), 12, '0') || '7' || lpad(to_hex(n % 4096), 3, '0') || '8000'
                   || lpad(to_hex(n), 12, '0'))::uuid as event_id
        from generate_series(1, $2) n,
            (select ('x' || left(replace($1::uuid::text, '-', ''), 12))::bit(48)::bigint as ms) start
    ), stored as (
        insert into events (tenant_id, id, type, payload, occur_time)
        select 'default', event_id, 'User.Created', '{}', now() from made
    ), queued as (
        insert into deliveries (tenant_id, id, event_id, webhook_id, type, due_at, claim_count, attempt_count)
        select 'default', (left(event_id::text, 24) || lpad(to_hex(n + 1000000), 12, '0'))::uuid, event_id,
            ('00000000-0000-7000-8000-' || lpad(to_hex(n % 200), 12, '0'))::uuid, 'User.Created',
            now() + interval '1 h', 1, 1
        from made
    )
    insert into attempts (tenant_id, delivery_id, start_time, latency, number, trigger, result, truncated, url, error,
        response_headers, response_body)
    select 'default', (left(event_id::text, 24) || lpad(to_hex(n + 1000000), 12, '0'))::uuid, now(), 1, 1, 1, 2, false,
        '', '', '[]', ''
    from made
"""

SUMMARIZE = """
    select brin_summarize_new_values(i.indexrelid) from pg_index i join pg_class c on c.oid = i.indexrelid
    join pg_am a on a.oid = c.relam where a.amname = 'brin' and c.relkind = 'i'
"""

READ = """
    select coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0)::bigint from pg_stat_user_tables
    where relname ~ '^(events|deliveries|attempts)_[0-9]{8}$'
"""


@pytest.fixture
async def alone(database_url: str, open_database: OpenDatabase) -> Database:
    """A pool of one connection, so that each statement is prepared once; its partitions are empty and vacuumed."""
    database = await open_database(1, database_url)
    await Partitions(database).make()
    async with database.connection() as connection:
        names = [
            row["name"]
            for row in await connection.fetch("select relname as name from pg_class where relname ~ '_[0-9]{8}$'")
            if row["name"].startswith(TABLES)
        ]
        assert len(names) == 12
        for name in names:
            await connection.execute(f"alter table {name} set (autovacuum_enabled = false)")
            await connection.execute(f"vacuum {name}")
    return database


@pytest.fixture
async def watcher(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


class UndoneError(Exception):
    """Ends a transaction without a trace."""


async def rows_read(database: Database, watcher: asyncpg.Connection) -> int:
    """Rows that have been read so far, those of the wrong index and of sequential scans included."""
    async with database.connection() as connection:
        await connection.execute("select pg_stat_force_next_flush()")
        await connection.execute("select 1")
    # The watcher's own scans (it fills the tables) must not turn up later, as if they were another's.
    await watcher.execute("select pg_stat_force_next_flush()")
    await watcher.execute("select 1")
    number: int = await watcher.fetchval(READ)
    return number


async def test_plans_of_empty_partitions_serve_full_ones(alone: Database, watcher: asyncpg.Connection) -> None:
    webhooks, events = Webhooks(alone, RING), Events(alone, lease=LEASE)
    deliveries, feed, replays = Deliveries(alone, lease=LEASE), ChangeFeed(alone), Replays(alone)
    made = await making.webhook(webhooks)
    await making.webhook(webhooks, event_types=("Role.*",))
    known = making.event(idempotency_key="k")
    base = ids.first_of(alone.now())
    chosen: list[Claim] = []

    def claims(count: int) -> list[Claim]:
        return chosen[:count] or [
            Claim(UUID(int=base.int + n), TENANT, made.id, 1, 1, 1, Trigger.SCHEDULED, known, 0.0) for n in range(count)
        ]

    async def emit() -> object:
        return await events.emit([making.event() for _ in range(20)], Room(5))

    async def repeat() -> object:
        again = making.event(idempotency_key="k", occur_time=datetime.now(UTC))
        return await events.emit([again], Room(5))

    async def claim() -> object:
        return await deliveries.claim(START, Wanted(room=200, room_each=4))

    async def record() -> object:
        return await deliveries.record([making.record(each) for each in claims(200)])

    async def release() -> object:
        return await deliveries.release(claims(200))

    async def cancel() -> object:
        return await deliveries.cancel(claims(1))

    async def get() -> None:
        with contextlib.suppress(errors.NotFound):
            await deliveries.get(TENANT, claims(1)[0].id)

    async def get_event() -> None:
        with contextlib.suppress(errors.NotFound):
            await events.get(TENANT, claims(1)[0].event.id)

    async def list_events() -> object:
        return await events.list(TENANT, since=base, before=LAST, event_type="", limit=5)

    async def list_of_tenant() -> object:
        return await deliveries.list(TENANT, Filter(base, LAST), limit=5)

    async def list_of_webhook() -> object:
        return await deliveries.list(TENANT, Filter(base, LAST, webhook_id=made.id), limit=5)

    async def list_failed() -> object:
        return await deliveries.list(TENANT, Filter(base, LAST, webhook_id=made.id, states=[State.FAILED]), limit=5)

    async def list_of_event() -> object:
        return await deliveries.list(TENANT, Filter(base, LAST, event_id=known.id), limit=5)

    async def delete() -> object:
        doomed = await making.webhook(webhooks, event_types=("Nothing.*",))
        return await webhooks.delete(TENANT, doomed.id)

    async def list_of_replay() -> object:
        return await deliveries.list(TENANT, Filter(base, LAST, replay_id=known.id), limit=5)

    async def count_of_replay() -> object:
        return await replays.count(TENANT, Filter(base, LAST, replay_id=known.id), None)

    async def list_changes() -> object:
        position = await feed.position()
        await emit()
        return await feed.since(TENANT, Place(position), Filter(base, LAST))

    async def forget() -> object:
        with contextlib.suppress(UndoneError):
            async with alone.transaction() as connection:
                await feed.forget(connection, LAST)
                raise UndoneError

    acts: list[Callable[[], Awaitable[object]]] = [
        repeat, claim, record, release, cancel, get, get_event, list_events, list_of_tenant, list_of_webhook,
        list_failed, list_of_event, list_of_replay, count_of_replay, delete, list_changes, forget, emit,
    ]  # fmt: skip
    await events.emit([known], Room(5))
    async with alone.connection() as connection:
        await connection.execute("delete from deliveries; delete from events")
    for name in await watcher.fetch("select relname from pg_class where relname ~ '_[0-9]{8}$'"):
        await watcher.execute(f"vacuum {name['relname']}")
    for act in acts[:-1]:
        for _ in range(ENOUGH):
            await act()
    for _ in range(ENOUGH):
        await emit()

    await watcher.execute(FILL, base, ROWS)
    await watcher.execute(SUMMARIZE)
    rows = await watcher.fetch(
        "select id, webhook_id from deliveries where attempt_count = 1 order by md5(id::text) limit 200"
    )
    chosen += [Claim(r["id"], TENANT, r["webhook_id"], 1, 1, 1, Trigger.SCHEDULED, known, 0.0) for r in rows]
    costs = {}
    for act in acts:
        before = await rows_read(alone, watcher)
        await act()
        costs[act.__name__] = await rows_read(alone, watcher) - before
    assert await watcher.fetchval("select count(*) from deliveries") >= ROWS
    # By another index than that made for them these would read as much as by a scan.
    for act in (list_changes, forget, list_of_replay, count_of_replay):
        before = await rows_read(alone, watcher)
        await act()
        assert await rows_read(alone, watcher) - before < ROWS / 10, act.__name__
    # The rows were really there to be found, so that nothing was cheap for having nothing to do.
    assert await watcher.fetchval("select count(*) from deliveries where state = 2") == 200
    # `forget` halves its way through ranges of pages: what it reads of them depends on the transactions' numbers.
    assert costs.pop("forget") < ROWS / 10
    assert {name: cost for name, cost in costs.items() if cost > ROWS_OF_A_WEBHOOK} == {}
    await watcher.execute("truncate events, deliveries, attempts")  # else the search for secrets takes as long again


PLANNED = "select sum(generic_plans)::int as once, sum(custom_plans)::int as anew from pg_prepared_statements where"


async def test_emit_and_record_are_planned_once(alone: Database) -> None:
    events, deliveries = Events(alone, lease=LEASE), Deliveries(alone, lease=LEASE)
    await making.webhook(Webhooks(alone, RING))
    for number in range(ENOUGH):
        accepted = await events.emit([making.event() for _ in range(1 + 5 * number)], Room(1000))
        await deliveries.record([making.record(claim) for claim in accepted.claims])
    async with alone.connection() as connection:
        for statement in (Events.EMIT, Deliveries.RECORD):
            row = await connection.fetchrow(f"{PLANNED} statement = $1", statement)
            assert (row["once"], row["anew"]) == (ENOUGH, 0)


LOOKED_INTO = """
    select relname, coalesce(idx_scan, 0) + seq_scan as scans from pg_stat_user_tables where relname ~ '^deliveries_'
"""


async def test_outcomes_spare_the_tables_of_other_days(alone: Database, watcher: asyncpg.Connection) -> None:
    events, deliveries = Events(alone, lease=LEASE), Deliveries(alone, lease=LEASE)
    await making.webhook(Webhooks(alone, RING))

    async def looked_into() -> dict[str, int]:
        await rows_read(alone, watcher)
        return dict(await watcher.fetch(LOOKED_INTO))

    claims = list((await events.emit([making.event() for _ in range(20)], Room(20))).claims)
    acts: list[Callable[[], Awaitable[object]]] = [
        lambda: deliveries.release(claims),
        lambda: deliveries.record([making.record(claim) for claim in reversed(claims[:10])]),
        lambda: deliveries.cancel(claims[10:]),
    ]
    for act in acts:
        before = await looked_into()
        await act()
        after = await looked_into()
        changed = [name for name in after if after[name] != before[name]]
        assert changed == [f"deliveries_{ids.time_of(claims[0].id):%Y%m%d}"]
    assert await watcher.fetchval("select count(*) from deliveries where state in (2, 4)") == 20
