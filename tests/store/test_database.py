"""What becomes of PostgreSQL's errors, and of a pool whose server goes away and comes back."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

import asyncpg
import pytest

from hookpost_server.domain import errors
from hookpost_server.store import database as module
from hookpost_server.store.database import BY_KEY, Database, translated
from tests.faults.proxy import Proxy

from . import making
from .conftest import OpenDatabase


async def answers(database: Database) -> bool:
    async with database.connection() as connection:
        return bool(await connection.fetchval("select true"))


async def test_ended_sessions_are_an_outage_that_passes(database: Database, sql: asyncpg.Connection) -> None:
    entered = asyncio.Event()

    async def work() -> None:
        async with database.connection() as connection:
            entered.set()
            await connection.execute("select pg_sleep(60)")

    working = asyncio.create_task(work())
    await entered.wait()
    await making.until(lambda: running(sql, "%pg_sleep(60)%"))
    await making.drop_connections(sql)
    with pytest.raises(errors.DatabaseUnavailable, match="did not answer"):
        await working
    await making.until(database.healthy)
    assert await answers(database)


async def running(sql: asyncpg.Connection, query: str) -> Any:
    return await sql.fetchval(
        "select count(*) from pg_stat_activity where state = 'active' and query like $1 and pid <> pg_backend_pid()",
        query,
    )


async def test_lost_and_refused_connections(
    shared_database_url: str, open_database: OpenDatabase, proxy: Proxy
) -> None:
    database = await open_database(url=proxy.url)
    assert await answers(database)
    await proxy.close()
    for _ in range(3):
        with pytest.raises(errors.DatabaseUnavailable):
            await answers(database)
        assert not await database.healthy()
        with pytest.raises(errors.DatabaseUnavailable):
            await database.set_clock()
    await proxy.open()
    assert await answers(database)


async def test_a_lost_reply_to_a_commit(open_database: OpenDatabase, proxy: Proxy, sql: asyncpg.Connection) -> None:
    database = await open_database(url=proxy.url)
    proxy.swallow = b"COMMIT;"
    with pytest.raises(errors.DatabaseUnavailable):
        async with database.transaction() as connection:
            await connection.execute("insert into subscriptions values ('t', '*', gen_random_uuid())")
    assert proxy.lost == 1
    assert await sql.fetchval("select count(*) from subscriptions") == 1  # it was committed all the same
    assert await answers(database)


async def test_a_pool_with_no_connection_left_says_so(
    open_database: OpenDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ACQUIRE_TIMEOUT", 0.05)
    database = await open_database(1)
    async with database.connection():
        with pytest.raises(errors.DatabaseUnavailable, match="TimeoutError"):
            await answers(database)
    assert await answers(database)


async def test_a_lock_is_not_waited_for_for_ever(database: Database, sql: asyncpg.Connection) -> None:
    async with sql.transaction():
        await sql.execute("lock table health_hours in access exclusive mode")
        with pytest.raises(errors.DatabaseUnavailable, match="LockNotAvailable"):
            async with database.transaction() as connection:
                await connection.execute("set local lock_timeout = '20ms'")
                await connection.fetch("select from health_hours")
    async with database.connection() as connection:
        assert await connection.fetchval("show lock_timeout") == f"{module.LOCK_TIMEOUT:g}s"
        assert await connection.fetchval("show statement_timeout") == "35s"
        assert await connection.fetchval("show idle_in_transaction_session_timeout") == "1min"


@pytest.mark.parametrize(
    ("statement", "passing"),
    [
        ("select pg_cancel_backend(pg_backend_pid())", True),
        ("begin; set transaction read only; delete from webhooks", True),
        ("do $$ begin raise exception using errcode = '40P01'; end $$", True),  # deadlock
        ("do $$ begin raise exception using errcode = '40001'; end $$", True),  # serialization
        ("do $$ begin raise exception using errcode = '53100'; end $$", True),  # disk full
        ("do $$ begin raise exception using errcode = '53300'; end $$", True),  # too many connections
        ("do $$ begin raise exception using errcode = '57P03'; end $$", True),  # cannot connect now
        ("select * from no_such_table", False),
        ("select 1/0", False),
        ("insert into webhooks (id) values (null)", False),
    ],
)
async def test_what_passes_by_itself_and_what_is_a_bug(database: Database, statement: str, passing: bool) -> None:
    expected: type[Exception] = errors.DatabaseUnavailable if passing else asyncpg.PostgresError
    with pytest.raises(expected):
        async with database.connection() as connection:
            await connection.execute(statement)
    assert await answers(database)


def test_what_is_not_the_databases_stays() -> None:
    for error in (ValueError("x"), KeyError("x"), errors.ShuttingDown()):
        with pytest.raises(type(error)), translated():
            raise error
    for error in (ConnectionRefusedError(), TimeoutError(), OSError()):
        with pytest.raises(errors.DatabaseUnavailable), translated():
            raise error


async def test_a_statement_prepared_before_a_migration(database: Database, sql: asyncpg.Connection) -> None:
    """`select *` has other columns now: an outage of one moment, not a bug."""
    async with database.connection() as connection:
        await sql.execute("create table moving (a int)")
        try:
            await connection.fetch("select * from moving")
            await sql.execute("alter table moving add column b int")
            with pytest.raises(errors.DatabaseUnavailable), translated():
                async with connection.transaction():
                    await connection.fetch("select * from moving")
            assert await connection.fetch("select * from moving") == []
        finally:
            await sql.execute("drop table moving")


async def test_by_key_holds_for_its_transaction_only(open_database: OpenDatabase) -> None:
    database = await open_database(1)
    assert "enable_seqscan" in BY_KEY
    async with database.by_key() as connection:
        assert await connection.fetchval("show enable_seqscan") == "off"
    async with database.connection() as connection:
        assert await connection.fetchval("show enable_seqscan") == "on"


async def test_the_clock_is_the_databases(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    there = time.time
    monkeypatch.setattr(module.time, "time", lambda: there() - 3600)
    offset = await database.set_clock()
    assert 3500 < offset < 3700
    assert abs(database.now() - there()) < 60
    monkeypatch.undo()
    assert abs(await database.set_clock()) < 60


async def test_a_step_of_the_hosts_clock_changes_nothing(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    before, there = database.now(), time.time
    monkeypatch.setattr(module.time, "time", lambda: there() + 3600)
    assert 0 <= database.now() - before < 60


async def test_calls_leave_connections_to_the_engine(open_database: OpenDatabase) -> None:
    """As many calls as will have a connection, more wait, and the engine still gets one at once."""
    database = await open_database(module.POOL)
    edge = database.for_edge()
    open_, entered = asyncio.Event(), asyncio.Semaphore(0)

    async def call() -> None:
        async with edge.connection():
            entered.release()
            await open_.wait()

    async with asyncio.TaskGroup() as group:
        for _ in range(50):
            group.create_task(call())
        for _ in range(module.EDGE_SHARE):
            await entered.acquire()
        assert await asyncio.gather(*(answers(database) for _ in range(module.POOL - module.EDGE_SHARE)))
        assert entered.locked()
        open_.set()
    assert edge.now() - database.now() < 1
    await database.set_clock()
    assert abs(edge.now() - database.now()) < 1


async def test_a_call_that_gets_no_turn_is_told(open_database: OpenDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ACQUIRE_TIMEOUT", 0.05)
    edge = (await open_database(module.POOL)).for_edge()
    async with contextlib.AsyncExitStack() as held:
        for _ in range(module.EDGE_SHARE):
            await held.enter_async_context(edge.connection())
        with pytest.raises(errors.DatabaseUnavailable):
            await answers(edge)
    assert await answers(edge)
