"""A receiver that has the bare connection in its hand, so that it can do what no HTTP server would."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

PATIENCE = 20.0  # seconds until a test gives up on what it waits for


@dataclass(frozen=True)
class Received:
    """One request, as its bytes came."""

    line: str
    headers: tuple[tuple[str, str], ...]  # as written
    body: bytes
    connection: int  # from 1

    def header(self, name: str) -> str | None:
        return next((value for given, value in self.headers if given.lower() == name), None)


@dataclass
class Exchange:
    """A request and the connection that waits for its answer."""

    request: Received
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        """Ends the connection by RST."""
        linger = struct.pack("ii", 1, 0)
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()

    async def left(self) -> None:
        """Until the other side has gone."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65536):
                pass


Answer = Callable[[Exchange], Awaitable[object]]  # the connection is kept if it returns "keep"


def answering(status: int = 200, body: bytes = b"ok", headers: str = "", *, keep: bool = True) -> Answer:
    """An ordinary answer."""

    async def answer(exchange: Exchange) -> object:
        head = f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\n{headers}\r\n"
        await exchange.send(head.encode() + body)
        return "keep" if keep else None

    return answer


def saying(*parts: bytes) -> Answer:
    """These bytes, and the end."""

    async def answer(exchange: Exchange) -> object:
        for part in parts:
            await exchange.send(part)
        return None

    return answer


@dataclass
class Receiver:
    """Answers each request as `answer` says, which may be changed at any time."""

    answer: Answer = field(default_factory=answering)
    tls: ssl.SSLContext | None = None
    host: str = "127.0.0.1"
    requests: list[Received] = field(default_factory=list)
    connections: int = 0
    received: int = 0  # bytes, after TLS
    closed: int = 0  # connections that ended
    at_once: int = 0  # requests whose answer is not finished
    most_at_once: int = 0
    port: int = 0

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}/hook"

    async def until(self, true: Callable[[Receiver], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not true(self):
                self._changed.clear()
                await self._changed.wait()

    async def got(self, count: int) -> list[Received]:
        """The first `count` requests, once they are here."""
        await self.until(lambda receiver: len(receiver.requests) >= count)
        return self.requests[:count]

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[Receiver]:
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        server = await asyncio.start_server(self._accept, self.host, self.port, ssl=self.tls)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.create_task(self._converse(reader, writer, self.connections))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        self._changed.set()
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
                while request := await self._read(reader, number):
                    if await self._answer(Exchange(request, reader, writer)) != "keep":
                        break
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError, TimeoutError):
                await writer.wait_closed()
        finally:
            writer.transport.abort()
            self.closed += 1
            self._changed.set()

    async def _answer(self, exchange: Exchange) -> object:
        self.requests.append(exchange.request)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self._changed.set()
        try:
            return await self.answer(exchange)
        finally:
            self.at_once -= 1
            self._changed.set()

    async def _read(self, reader: asyncio.StreamReader, number: int) -> Received:
        head = await reader.readuntil(b"\r\n\r\n")
        self.received += len(head)
        line, *rest = head[:-4].decode("latin-1").split("\r\n")
        headers = tuple((name, value) for name, _, value in (one.partition(": ") for one in rest))
        length = next((int(value) for name, value in headers if name.lower() == "content-length"), 0)
        body = await reader.readexactly(length)
        self.received += length
        return Received(line, headers, body, number)


@contextlib.asynccontextmanager
async def receiving(answer: Answer | None = None, **given: object) -> AsyncIterator[Receiver]:
    """A receiver on a free port of this machine."""
    receiver = Receiver(**given)  # type: ignore[arg-type]
    if answer is not None:
        receiver.answer = answer
    async with receiver.open():
        yield receiver
