"""Connections that wait for the next request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from hookpost_server.delivery import idle
from hookpost_server.delivery.egress import KEEP_IDLE
from hookpost_server.delivery.idle import Idle
from hookpost_server.delivery.native_connection import READ_SIZE, Connection
from hookpost_server.delivery.sender import MAX_LIFE

from .wire import Receiver, receiving

BUFFER = memoryview(bytearray(READ_SIZE))
ORIGIN = (False, "127.0.0.1", 80)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


@pytest.fixture
async def kept() -> AsyncIterator[Idle]:
    kept = Idle()
    yield kept
    kept.close()


async def connected(receiver: Receiver, kept: Idle, origin: tuple[bool, str, int] = ORIGIN) -> Connection:
    _, connection = await asyncio.get_running_loop().create_connection(
        lambda: Connection(origin, BUFFER, kept.ended), receiver.host, receiver.port
    )
    return connection


async def test_the_newest_is_used_first(receiver: Receiver, kept: Idle) -> None:
    first, second = await connected(receiver, kept), await connected(receiver, kept)
    other = await connected(receiver, kept, (True, "127.0.0.1", 80))
    for connection in (first, other, second):
        kept.put(connection)
    assert [kept.take(ORIGIN) for _ in range(3)] == [second, first, None]
    assert kept.take(other.origin) is other


@pytest.mark.parametrize(("idle_for", "age"), [(KEEP_IDLE + 1, 0.0), (0.0, MAX_LIFE + 1)])
async def test_the_old_are_closed_instead_of_used(receiver: Receiver, kept: Idle, idle_for: float, age: float) -> None:
    connection = await connected(receiver, kept)
    kept.put(connection)
    connection.left -= idle_for
    connection.born -= age
    assert kept.take(ORIGIN) is None
    await receiver.until(lambda r: r.closed == 1)


async def test_the_old_are_closed_without_being_asked_for(
    receiver: Receiver, kept: Idle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idle, "KEEP_IDLE", 0.01)
    for _ in range(3):
        kept.put(await connected(receiver, kept))
    await receiver.until(lambda r: r.closed == 3)
    assert kept.take(ORIGIN) is None


async def test_no_more_than_may_be_open(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idle, "MAX_IDLE", 2)
    kept = Idle()
    connections = [await connected(receiver, kept, (False, "h", port)) for port in range(3)]
    for connection in connections:
        kept.put(connection)
    await receiver.until(lambda r: r.closed == 1)
    assert [kept.take(connection.origin) for connection in connections] == [None, *connections[1:]]
    for connection in connections:
        connection.close()


async def test_one_that_its_receiver_closes_is_forgotten(receiver: Receiver, kept: Idle) -> None:
    ended = asyncio.Event()

    def on_end(connection: Connection) -> None:
        kept.ended(connection)
        ended.set()

    async def drop(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(drop, "127.0.0.1")
    async with server:
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: Connection(ORIGIN, BUFFER, on_end), *server.sockets[0].getsockname()
        )
        kept.put(connection)
        await asyncio.wait_for(ended.wait(), 20)
    assert kept.take(ORIGIN) is None
