"""A TCP proxy that fails on purpose, in front of PostgreSQL or of a receiver."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from urllib.parse import parse_qs, urlencode, urlsplit

READY_FOR_QUERY = b"Z\0\0\0\x05"  # PostgreSQL is through with a message, its commit included; one more byte follows
RESET_AT_CLOSE = struct.pack("ii", 1, 0)


class Proxy:
    """Stands between a client and the server at `target`. `url` is the same place, by way of here.

    Its faults are attributes, changed at any time.
    """

    def __init__(self, target: str) -> None:
        self._listening = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.accepted = 0  # connections so far
        self.latency = 0.0  # seconds that everything is held up, each way
        self.resets = False  # connections are accepted and reset
        self.half_open = False  # connections end on the server's side, and the client is not told
        self.cut_after: int | None = None  # bytes of the server's that a connection lives for
        self.swallow = b""  # the answer to a message with these bytes is lost, and the connection with it
        self.swallow_after = b""  # only if the message before it had these
        self.drop = b""  # such a message itself is lost, and the connection with it
        self.lost = 0  # answers and messages swallowed and dropped; one each time
        self.aim(target)

    def aim(self, target: str) -> None:
        """From now on connections go there. A URL; PostgreSQL's may name a socket's directory as `host`."""
        parts = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.scheme == "postgresql":
            self._host = query.pop("host", None) or parts.hostname or "127.0.0.1"
            self._port = int(query.pop("port", None) or parts.port or 5432)
            query["sslmode"] = "disable"
        else:
            self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._parts, self._query = parts, query

    @property
    def url(self) -> str:
        account = self._parts.netloc.rpartition("@")[0]
        netloc = f"{account}@127.0.0.1:{self._listening}" if account else f"127.0.0.1:{self._listening}"
        return self._parts._replace(netloc=netloc, query=urlencode(self._query)).geturl()

    async def open(self) -> None:
        """Accepts connections; after `close` again, at the same place."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._listening)
        self._listening = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Drops all connections and refuses new ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.flow()
        await self.cut()

    async def cut(self) -> None:
        """Resets all connections."""
        for writer in list(self._writers):
            _reset(writer)
        await asyncio.gather(*self._serving)

    def stall(self) -> None:
        """Connections stay and nothing is forwarded, in neither direction."""
        self._flowing.clear()

    def flow(self) -> None:
        """Forwards again, what was held up first."""
        self._flowing.set()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        serving = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(serving)
        serving.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            if not self.resets:
                with contextlib.suppress(OSError):  # either side may go at any time
                    await self._connect(reader, writer)
        finally:
            _reset(writer)
            self._writers.discard(writer)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._host.startswith("/"):
            there = await asyncio.open_unix_connection(f"{self._host}/.s.PGSQL.{self._port}")
        else:
            there = await asyncio.open_connection(self._host, self._port)
        server_reader, server_writer = there
        self._writers.add(server_writer)
        swallowing = asyncio.Event()
        tasks = [
            asyncio.create_task(self._outward(reader, server_writer, swallowing)),
            asyncio.create_task(self._inward(server_reader, writer, swallowing)),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if all(not task.exception() and task.result() for task in done):
                await _end(server_writer)
                await _end(writer)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            _reset(server_writer)
            self._writers.discard(server_writer)
        if self.half_open:
            with contextlib.suppress(OSError):
                while await reader.read(65536):
                    pass

    async def _outward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, swallowing: asyncio.Event
    ) -> bool:
        """True when the connection ended in order, by the client."""
        before = b""
        while data := await reader.read(65536):
            if self.drop and self.drop in data:
                self.drop = b""
                self.lost += 1
                return False
            if self.swallow and self.swallow in data and self.swallow_after in before:
                self.swallow = b""
                swallowing.set()
            if not await self._forward(data, writer):
                return False
            before = data
        return True

    async def _inward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, swallowing: asyncio.Event
    ) -> bool:
        """True when the connection ended in order, by the server."""
        forwarded = 0
        while data := await reader.read(65536):
            if swallowing.is_set():
                if data[-6:-1] == READY_FOR_QUERY:
                    self.lost += 1
                    return False
                continue
            if self.cut_after is not None and forwarded + len(data) > self.cut_after:
                await self._forward(data[: self.cut_after - forwarded], writer)
                return False
            if not await self._forward(data, writer):
                return False
            forwarded += len(data)
        return True

    async def _forward(self, data: bytes, writer: asyncio.StreamWriter) -> bool:
        """False when the connection is to end instead."""
        await self._flowing.wait()
        if self.latency:
            await asyncio.sleep(self.latency)
        if self.half_open:
            return False
        writer.write(data)
        await writer.drain()
        return True


async def _end(writer: asyncio.StreamWriter) -> None:
    """Ends a connection in order, after everything that was written."""
    writer.close()
    await writer.wait_closed()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Ends a connection by RST."""
    if not writer.transport.is_closing():
        made: socket.socket = writer.get_extra_info("socket")
        if made.family != socket.AF_UNIX:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
    writer.transport.abort()
