"""A TCP proxy in front of PostgreSQL that fails on purpose."""

from __future__ import annotations

import asyncio
import contextlib
from urllib.parse import parse_qs, urlencode, urlsplit


class Proxy:
    """Stands between a pool and the server. `url` is the database's, by way of here."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self._host = query.pop("host", None) or parts.hostname or "127.0.0.1"
        self._port = int(query.pop("port", None) or parts.port or 5432)
        self._parts, self._query = parts, query
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._listening = 0
        self.swallow = b""  # the answer to a message with these bytes is lost, and the connection with it
        self.lost = 0  # such answers

    @property
    def url(self) -> str:
        account = self._parts.netloc.rpartition("@")[0]
        netloc = f"{account}@127.0.0.1:{self._listening}" if account else f"127.0.0.1:{self._listening}"
        query = urlencode(self._query | {"sslmode": "disable"})
        return self._parts._replace(netloc=netloc, query=query).geturl()

    async def open(self) -> None:
        """Accepts connections; after `close` again, at the same place."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._listening)
        self._listening = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Drops all connections and refuses new ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        await self.cut()

    async def cut(self) -> None:
        """Drops all connections."""
        for writer in list(self._writers):
            writer.transport.abort()
        await asyncio.gather(*self._serving)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(serving)
        serving.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._host.startswith("/"):
            there = await asyncio.open_unix_connection(f"{self._host}/.s.PGSQL.{self._port}")
        else:
            there = await asyncio.open_connection(self._host, self._port)
        server_reader, server_writer = there
        self._writers |= {writer, server_writer}
        lose = asyncio.Event()

        async def outward() -> None:
            while data := await reader.read(65536):
                if self.swallow and self.swallow in data:
                    lose.set()
                server_writer.write(data)
                await server_writer.drain()

        async def inward() -> None:
            while data := await server_reader.read(65536):
                if lose.is_set():
                    self.swallow = b""
                    self.lost += 1
                    return
                writer.write(data)
                await writer.drain()

        tasks = [asyncio.create_task(outward()), asyncio.create_task(inward())]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await task
        for each in (writer, server_writer):
            each.transport.abort()
            self._writers.discard(each)
