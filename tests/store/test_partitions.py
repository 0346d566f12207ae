"""Day partitions: made ahead, made twice, made by several, and made without stopping anybody."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from hookpost_server.domain import errors, ids
from hookpost_server.store import database
from hookpost_server.store import partitions as module
from hookpost_server.store.database import Database
from hookpost_server.store.events import Emitted, Events, Room
from hookpost_server.store.partitions import TABLES, Partitions

from . import making
from .conftest import LEASE, OpenDatabase


@pytest.fixture
async def fresh(database_url: str, open_database: OpenDatabase) -> Database:
    """A database of the test's own, without partitions."""
    return await open_database(url=database_url)


@pytest.fixture
async def fresh_sql(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


def days(database: Database) -> list[str]:
    today = datetime.fromtimestamp(database.now(), UTC).date()
    return [f"{today + timedelta(days=n):%Y%m%d}" for n in (-1, 0, 1, 2)]


async def attached(sql: asyncpg.Connection) -> dict[str, list[str]]:
    rows = await sql.fetch(
        """
        select p.relname as parent, c.relname as child from pg_inherits i
        join pg_class p on p.oid = i.inhparent join pg_class c on c.oid = i.inhrelid
        where p.relkind = 'p' order by 1, 2
        """
    )
    found: dict[str, list[str]] = {table: [] for table in TABLES}
    for row in rows:
        found[row["parent"]].append(row["child"].removeprefix(row["parent"] + "_"))
    return found


async def test_from_yesterday_to_the_day_after_tomorrow(fresh: Database, fresh_sql: asyncpg.Connection) -> None:
    made = await Partitions(fresh).make()
    wanted = days(fresh)
    assert sorted(made) == sorted(f"{table}_{day}" for table in TABLES for day in wanted)
    assert await attached(fresh_sql) == dict.fromkeys(TABLES, wanted)
    assert await Partitions(fresh).make() == []
    assert await attached(fresh_sql) == dict.fromkeys(TABLES, wanted)
    # Like their parents: keys, indexes, checks, defaults.
    for table in TABLES:
        of_parent, of_child = [
            await fresh_sql.fetchval(
                """
                select array_agg(indisprimary || pg_get_expr(indpred, indrelid) || (
                    select array_agg(attname order by attnum)::text from pg_attribute where attrelid = indexrelid)
                    order by indkey::text, indisprimary)
                from pg_index where indrelid = $1::text::regclass
                """,
                name,
            )
            for name in (table, f"{table}_{wanted[0]}")
        ]
        assert of_parent == of_child


async def test_bounds_are_days_without_gaps(fresh: Database, fresh_sql: asyncpg.Connection) -> None:
    await Partitions(fresh).make()
    midnight = datetime.fromtimestamp(fresh.now(), UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    store = Events(fresh, lease=LEASE)
    expected = {}
    for hours, seconds in ((-24, 0), (-24, 0.001), (0, -0.001), (0, 0), (24, -0.001), (24, 0), (72, -0.001)):
        moment = midnight + timedelta(hours=hours, seconds=seconds)
        event = making.event(id=ids.first_of(moment.timestamp() + 0.0001))
        await store.emit([event], Room(0))
        expected[event.id] = f"events_{moment:%Y%m%d}"
    rows = await fresh_sql.fetch("select id, tableoid::regclass::text as partition from events")
    assert {row["id"]: row["partition"] for row in rows} == expected
    with pytest.raises(asyncpg.PostgresError, match="no partition"):
        await store.emit([making.event(id=ids.first_of((midnight + timedelta(hours=73)).timestamp()))], Room(0))


async def test_several_nodes_make_each_once(
    database_url: str, open_database: OpenDatabase, fresh_sql: asyncpg.Connection
) -> None:
    nodes = [await open_database(2, database_url) for _ in range(4)]
    made = await asyncio.gather(*(Partitions(node).make() for node in nodes for _ in range(2)))
    names = [name for one in made for name in one]
    assert len(names) == len(set(names)) == 12
    assert await attached(fresh_sql) == {table: days(nodes[0]) for table in TABLES}
    assert await fresh_sql.fetchval("select count(*) from pg_locks where locktype = 'advisory'") == 0


async def test_what_is_missing_is_added(fresh: Database, fresh_sql: asyncpg.Connection) -> None:
    await Partitions(fresh).make()
    gone = f"attempts_{days(fresh)[3]}"
    await fresh_sql.execute(f"drop table {gone}")
    assert await Partitions(fresh).make() == [gone]


async def test_a_failure_in_the_midst_leaves_nothing_half_made(
    database_url: str, open_database: OpenDatabase, fresh_sql: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock that is not to be had is an outage that passes, and the next time all is made."""
    monkeypatch.setattr(database, "LOCK_TIMEOUT", 0.2)
    fresh = await open_database(url=database_url)
    partitions = Partitions(fresh)
    async with fresh_sql.transaction():
        await fresh_sql.execute("lock table deliveries in share update exclusive mode")
        with pytest.raises(errors.DatabaseUnavailable, match="LockNotAvailable"):
            await partitions.make()
    assert await fresh_sql.fetchval("select count(*) from pg_locks where locktype = 'advisory'") == 0
    orphans = await fresh_sql.fetch("select relname from pg_class where relname ~ '_[0-9]{8}$' and not relispartition")
    assert orphans == []
    made = await partitions.make()
    assert f"deliveries_{days(fresh)[0]}" in made
    assert await attached(fresh_sql) == {table: days(fresh) for table in TABLES}


async def test_another_nodes_work_is_not_waited_for_for_ever(
    fresh: Database, fresh_sql: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOCK_SECONDS", 0.1)
    await fresh_sql.execute(f"select pg_advisory_lock({module._LOCK})")
    with pytest.raises(errors.DatabaseUnavailable, match="another node"):
        await Partitions(fresh).make()
    assert await fresh_sql.fetchval("select count(*) from pg_locks where locktype = 'advisory'") == 1


async def test_an_open_reader_stops_neither_the_making_nor_the_emits(
    fresh: Database, fresh_sql: asyncpg.Connection
) -> None:
    """`PARTITION OF` would wait for the reader, and every emit would wait behind it."""
    await Partitions(fresh).make()
    tomorrow = days(fresh)[2]
    for table in TABLES:
        await fresh_sql.execute(f"drop table {table}_{tomorrow}")
    store = Events(fresh, lease=LEASE)
    async with fresh_sql.transaction(isolation="repeatable_read"):
        for table in TABLES:
            await fresh_sql.fetch(f"select * from {table}")
        making_them = asyncio.create_task(Partitions(fresh).make())
        while not making_them.done():
            assert isinstance((await store.emit([making.event()], Room(0))).results[0], Emitted)
        assert sorted(await making_them) == sorted(f"{table}_{tomorrow}" for table in TABLES)
        assert isinstance((await store.emit([making.event()], Room(0))).results[0], Emitted)


async def test_fresh_partitions_are_analyzed_after_their_first_rows(
    fresh: Database, fresh_sql: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_ROWS", 50)
    partitions = Partitions(fresh)
    await partitions.make()
    for table in TABLES:
        for day in days(fresh):
            await fresh_sql.execute(f"alter table {table}_{day} set (autovacuum_enabled = false)")
    today = f"events_{days(fresh)[1]}"

    async def insert(count: int) -> None:
        await fresh_sql.execute(
            f"""
            insert into {today} (tenant_id, id, type, payload, occur_time)
            select 'default', (left($1::uuid::text, 24) || lpad(to_hex($2 + n), 12, '0'))::uuid, 'A', '', now()
            from generate_series(1, $3) n
            """,
            ids.new(fresh.now()),
            0,
            count,
        )
        await fresh_sql.execute("select pg_stat_force_next_flush()")
        await fresh_sql.execute("select 1")

    await insert(49)
    assert await partitions.analyze_fresh() == []
    await insert(1)
    assert await partitions.analyze_fresh() == [today]
    assert await fresh_sql.fetchval("select reltuples from pg_class where relname = $1", today) == 50
    assert await partitions.analyze_fresh() == []
    assert re.fullmatch(r"events_\d{8}", today)
