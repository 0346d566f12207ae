"""A real HTTP server that stands for somebody's application: it notes what comes and answers as it is told."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web


@dataclass(frozen=True)
class Received:
    """One request as it came."""

    path: str
    headers: dict[str, str]  # names in lower case
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def event_id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def delivery_id(self) -> str:
        return self.headers["hookpost-delivery"]

    @property
    def attempt(self) -> int:
        return int(self.headers["hookpost-attempt"])


class Receiver:
    """Answers 200, or what `decide` says, or the next of `answers`: (status, body). While `hold()` lasts they wait."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[Received] = []
        self.answers: deque[tuple[int, str]] = deque()
        self.decide: Callable[[Received], tuple[int, str]] = lambda request: (200, "ok")
        self.waiting = 0  # requests that wait for their answer
        self._open = asyncio.Event()
        self._open.set()
        self._changed = asyncio.Condition()

    def hold(self) -> None:
        self._open.clear()

    def release(self) -> None:
        self._open.set()

    async def until(self, true: Any) -> None:
        """Until `true(self)`; looks again at every request."""
        async with asyncio.timeout(30), self._changed:
            await self._changed.wait_for(lambda: true(self))

    async def received(self, count: int) -> list[Received]:
        """The first `count` requests, once they are here."""
        await self.until(lambda receiver: len(receiver.requests) >= count)
        return self.requests[:count]

    async def _handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        received = Received(request.path, headers, body)
        self.requests.append(received)
        self.waiting += 1
        async with self._changed:
            self._changed.notify_all()
        try:
            await self._open.wait()
        finally:
            self.waiting -= 1
        status, text = self.answers.popleft() if self.answers else self.decide(received)
        return web.Response(status=status, text=text)


@contextlib.asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver on a free port of this machine."""
    receiver = Receiver()
    application = web.Application(client_max_size=2**22)
    application.router.add_post("/{path:.*}", receiver._handle)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield receiver
    finally:
        receiver.release()
        await runner.cleanup()
