"""The outbox: what is committed is emitted, once; what is not is not; what is refused holds nobody up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

import hookpost.outbox.asyncpg
import hookpost.outbox.sqlalchemy
from hookpost import AsyncClient, Event, HookpostError
from hookpost.outbox import SCHEMA, Relay, Source
from hookpost.v1 import event_service_pb2
from tests.rpc.serving import Server, config, eventually, serving

Write = Callable[..., Awaitable[None]]


@dataclass
class Shop:
    """An application with an outbox: `write` adds an event in a transaction and commits it, or does not."""

    source: Source
    write: Write
    rows: Callable[[], Awaitable[list[Any]]]


@contextlib.asynccontextmanager
async def by_asyncpg(url: str) -> AsyncIterator[Shop]:
    async with asyncpg.create_pool(url, min_size=1, max_size=4) as pool:
        await pool.execute(SCHEMA)

        async def write(*events: Event, commit: bool = True) -> None:
            async with pool.acquire() as connection:
                transaction = connection.transaction()
                await transaction.start()
                for event in events:
                    await hookpost.outbox.asyncpg.add(connection, event)
                await (transaction.commit() if commit else transaction.rollback())

        async def rows() -> list[Any]:
            return [tuple(row) for row in await pool.fetch("select id, error from hookpost_outbox order by number")]

        yield Shop(hookpost.outbox.asyncpg.Source(pool), write, rows)


@contextlib.asynccontextmanager
async def by_sqlalchemy(url: str) -> AsyncIterator[Shop]:
    connection = await asyncpg.connect(url)
    engine = create_async_engine("postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(url))
    own = sa.MetaData()
    hookpost.outbox.sqlalchemy.table(own)
    async with engine.begin() as begun:
        await begun.run_sync(own.create_all)

    async def write(*events: Event, commit: bool = True) -> None:
        async with engine.connect() as session:
            for event in events:
                await session.execute(hookpost.outbox.sqlalchemy.insert(event))
            await (session.commit() if commit else session.rollback())

    async def rows() -> list[Any]:
        return [tuple(row) for row in await connection.fetch("select id, error from hookpost_outbox order by number")]

    try:
        yield Shop(hookpost.outbox.sqlalchemy.Source(engine), write, rows)
    finally:
        await engine.dispose()
        await connection.close()


@pytest.fixture(params=[by_asyncpg, by_sqlalchemy])
async def shop(request: pytest.FixtureRequest, empty_database_url: str) -> AsyncIterator[Shop]:
    async with request.param(empty_database_url) as shop:
        yield shop


@pytest.fixture
async def server(database_url: str) -> AsyncIterator[Server]:
    async with serving(config(database_url)) as server:
        yield server


@pytest.fixture
async def client(server: Server) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(str(server.address)) as client:
        yield client


async def emitted(client: AsyncClient) -> list[str]:
    answer = await client.services.events.ListEvents(event_service_pb2.ListEventsRequest())
    return sorted(event.json for event in answer.events)


def event(n: int, **fields: Any) -> Event:
    return Event(**{"type": "User.Created", "payload": {"n": n}} | fields)


async def test_what_is_committed_is_emitted_and_nothing_else(shop: Shop, client: AsyncClient) -> None:
    await shop.write(event(1), event(2))
    await shop.write(event(3), commit=False)
    assert await Relay(shop.source, client).drain() == 2
    assert await emitted(client) == ['{"n":1}', '{"n":2}']
    assert await shop.rows() == []


async def test_an_event_whose_row_outlived_it_is_not_emitted_again(shop: Shop, client: AsyncClient) -> None:
    """As after a crash between the server's answer and the commit of the deletion."""
    await shop.write(event(1))
    with pytest.raises(KeyboardInterrupt):
        async with shop.source.take(10) as batch:
            (entry,) = batch.entries
            await client.emit(entry.type, entry.payload, idempotency_key=str(entry.id), occur_time=entry.occur_time)
            raise KeyboardInterrupt
    assert len(await shop.rows()) == 1
    assert await Relay(shop.source, client).drain() == 1
    assert await emitted(client) == ['{"n":1}']


async def test_what_is_refused_for_good_stays_and_holds_nobody_up(shop: Shop, client: AsyncClient) -> None:
    await shop.write(event(1), event(2, type="No.Such.Type"), event(3, payload='{"event": "kept"}'), event(4))
    await Relay(shop.source, client).drain()
    assert await emitted(client) == ['{"n":1}', '{"n":4}']
    (_, unknown), (_, taken) = await shop.rows()
    assert "No.Such.Type" in unknown
    assert "event" in taken
    assert await Relay(shop.source, client).drain() == 0


async def test_a_row_that_something_else_wrote_holds_nobody_up(
    shop: Shop, client: AsyncClient, empty_database_url: str
) -> None:
    connection = await asyncpg.connect(empty_database_url)
    for payload in (b"\xff", b"[", b""):
        await connection.execute(_ROW, payload)
    await connection.close()
    await shop.write(event(1))
    await Relay(shop.source, client).drain()
    assert await emitted(client) == ['{"n":1}']
    assert all(error for _, error in await shop.rows())


_ROW = """
    insert into hookpost_outbox (id, type, tenant_id, payload, occur_time)
    values (gen_random_uuid(), 'User.Created', '', $1, now())
"""


async def test_two_relays_share_an_outbox(shop: Shop, client: AsyncClient) -> None:
    await shop.write(*(event(n) for n in range(60)))
    moved = await asyncio.gather(*(Relay(shop.source, client, batch=7).drain() for _ in range(2)))
    assert sum(moved) == 60
    assert len(set(await emitted(client))) == 50  # a page
    assert await shop.rows() == []


async def test_a_server_that_is_away_is_waited_for(shop: Shop, database_url: str) -> None:
    await shop.write(event(1))
    async with serving(config(database_url)) as first:
        address = first.address
    async with AsyncClient(str(address)) as client:
        with pytest.raises(HookpostError):
            async with shop.source.take(1) as batch:
                await client.emit(batch.entries[0].type, {}, timeout=0.2)
        running = asyncio.create_task(Relay(shop.source, client, interval=0.01).run())
        async with serving(config(database_url, grpc_address=address)):

            async def empty() -> bool | None:
                return not await shop.rows() or None

            assert await eventually(empty)
            await shop.write(event(2))
            assert await eventually(empty)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_a_database_that_ends_a_session_is_waited_for(
    shop: Shop, client: AsyncClient, empty_database_url: str
) -> None:
    """As when it restarts: in the middle of a statement."""
    connection = await asyncpg.connect(empty_database_url)
    running = asyncio.create_task(Relay(shop.source, client, interval=0.01).run())
    async with connection.transaction():
        await connection.execute("lock table hookpost_outbox in access exclusive mode")

        async def ended() -> bool | None:
            return bool(await connection.fetchval(_END)) or None

        assert await eventually(ended)
    await connection.close()
    await shop.write(event(1))

    async def empty() -> bool | None:
        assert not running.done(), repr(running)
        return not await shop.rows() or None

    assert await eventually(empty)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


_END = """
    select count(pg_terminate_backend(pid)) from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock'
"""


@pytest.mark.parametrize("error", [asyncpg.CannotConnectNowError, asyncpg.TooManyConnectionsError])
async def test_a_database_that_takes_no_connections_is_waited_for(error: type[Exception]) -> None:
    async def refuse() -> None:
        raise error("not now")

    source = hookpost.outbox.sqlalchemy.Source(create_async_engine("postgresql+asyncpg://", async_creator=refuse))
    assert issubclass(error, hookpost.outbox.asyncpg.Source.transient)
    with pytest.raises(source.transient):
        async with source.take(1):
            pass


async def test_what_could_never_be_emitted_is_refused_at_once(shop: Shop) -> None:
    with pytest.raises(ValueError, match="JSON"):
        await shop.write(event(1, payload={"n": float("inf")}))
    assert await shop.rows() == []
