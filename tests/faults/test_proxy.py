"""The proxy does to a connection what it says."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from .proxy import READY_FOR_QUERY, Proxy

Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[], Awaitable[Pair]]


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    """In front of a server that repeats what it hears, and says that it is ready when it heard a C."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1000):
                writer.write(data)
                if b"C" in data:
                    await writer.drain()
                    writer.write(READY_FOR_QUERY + b"I")
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    proxy = Proxy(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    await proxy.open()
    yield proxy
    await proxy.close()
    server.close()


@pytest.fixture
async def connect(proxy: Proxy) -> AsyncIterator[Connect]:
    """Makes connections by way of the proxy."""
    made: list[Pair] = []

    async def one() -> Pair:
        made.append(await asyncio.open_connection("127.0.0.1", int(proxy.url.rpartition(":")[2])))
        return made[-1]

    yield one
    for _, writer in made:
        writer.transport.abort()


async def said(pair: Pair, data: bytes) -> bytes:
    pair[1].write(data)
    async with asyncio.timeout(10):
        return await pair[0].readexactly(len(data))


async def silent(reader: asyncio.StreamReader) -> bool:
    """Whether nothing comes, not even an end."""
    try:
        async with asyncio.timeout(0.1):
            await reader.read(1)
    except TimeoutError:
        return True
    return False


async def gone(reader: asyncio.StreamReader) -> bytes:
    """What still came before the end, which was a reset."""
    came = bytearray()
    with pytest.raises(ConnectionResetError):
        async with asyncio.timeout(10):
            while data := await reader.read(100):
                came += data
    return bytes(came)


async def test_it_forwards_and_ends_in_order(proxy: Proxy, connect: Connect) -> None:
    pair = await connect()
    assert await said(pair, b"hello") == b"hello"
    pair[1].write_eof()
    assert await pair[0].read() == b""


async def test_stall_and_flow(proxy: Proxy, connect: Connect) -> None:
    pair = await connect()
    proxy.stall()
    pair[1].write(b"hello")
    assert await silent(pair[0])
    proxy.flow()
    assert await pair[0].readexactly(5) == b"hello"


async def test_half_open(proxy: Proxy, connect: Connect) -> None:
    pair = await connect()
    assert await said(pair, b"hello") == b"hello"
    proxy.half_open = True
    pair[1].write(b"hello")
    assert await silent(pair[0])


async def test_resets(proxy: Proxy, connect: Connect) -> None:
    pair = await connect()
    await said(pair, b"hello")
    await proxy.cut()
    assert await gone(pair[0]) == b""
    proxy.resets = True
    reader, _ = await connect()
    assert await gone(reader) == b""
    assert proxy.accepted == 2


async def test_cut_after(proxy: Proxy, connect: Connect) -> None:
    proxy.cut_after = 7
    pair = await connect()
    assert await said(pair, b"hello") == b"hello"
    pair[1].write(b"world")
    await gone(pair[0])


async def test_a_swallowed_answer_is_complete_at_the_server(proxy: Proxy, connect: Connect) -> None:
    proxy.swallow = b"C"
    pair = await connect()
    assert await said(pair, b"B") == b"B"
    pair[1].write(b"C")
    assert await gone(pair[0]) == b""
    assert (proxy.lost, proxy.swallow) == (1, b"")


async def test_swallow_after(proxy: Proxy, connect: Connect) -> None:
    proxy.swallow, proxy.swallow_after = b"C", b"record"
    pair = await connect()
    assert await said(pair, b"C") == b"C"
    await pair[0].readexactly(len(READY_FOR_QUERY) + 1)
    assert await said(pair, b"record") == b"record"
    pair[1].write(b"C")
    assert await gone(pair[0]) == b""


async def test_a_dropped_message_does_not_arrive(proxy: Proxy, connect: Connect) -> None:
    proxy.drop = b"C"
    pair = await connect()
    pair[1].write(b"C")
    assert await gone(pair[0]) == b""
    assert proxy.lost == 1
