"""A receiver of webhooks: answers by a script, checks signatures, remembers what came. For the sink, demo and tests."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Self

from aiohttp import web
from multidict import CIMultiDictProxy

from hookpost_server.cli.script import ALWAYS_OK, Script, Step
from hookpost_server.cli.verdict import DEFAULT_HEADER, Verdict, Verdicts, verify

MAX_BODY = 4 << 20
SLOW = 5.0  # seconds
_CLOSE_NOW = struct.pack("ii", 1, 0)  # SO_LINGER on, for 0 s: close() sends RST


@dataclass(frozen=True, slots=True)
class Received:
    """One request, and what was answered."""

    time: float  # seconds since 1970
    method: str
    path: str
    headers: CIMultiDictProxy[str]
    body: bytes
    answered: Step
    verdicts: Verdicts

    @property
    def event_id(self) -> str:
        return self.headers.get("webhook-id", "")

    @property
    def event_type(self) -> str:
        return self.headers.get("hookpost-event", "")

    @property
    def delivery_id(self) -> str:
        return self.headers.get("hookpost-delivery", "")

    @property
    def attempt(self) -> str:
        return self.headers.get("hookpost-attempt", "")


class Receiver:
    """Listens while it is entered. Memory is bounded: of many requests the newest are kept, `count` counts all."""

    def __init__(
        self,
        *,
        script_for: Callable[[CIMultiDictProxy[str]], Script] = lambda headers: ALWAYS_OK,
        keys: Sequence[str] = (),
        find_keys: Callable[[], Awaitable[Sequence[str]]] | None = None,
        header: str = DEFAULT_HEADER,
        on_received: Callable[[Received], None] = lambda received: None,
        keep: int = 10_000,
        keep_bytes: int = 64 << 20,
    ) -> None:
        self.keys = keys
        self.received: deque[Received] = deque()
        self.count = 0
        self._script_for = script_for
        self._find_keys = find_keys
        self._header = header
        self._on_received = on_received
        self._keep, self._keep_bytes, self._bytes = keep, keep_bytes, 0
        self._attempts: OrderedDict[str, int] = OrderedDict()
        self._closing = asyncio.Event()
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_route("*", "/{path:.*}", self._handle)
        # The raw body is what is signed, so nothing may be unpacked on its way in. Handlers end with their
        # connection: one that hangs must not outlive the sender's patience.
        self._runner = web.AppRunner(
            app, access_log=None, auto_decompress=False, handler_cancellation=True, shutdown_timeout=1
        )

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listens and answers the port, which the system chooses for 0. Raises OSError."""
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port).start()
        except OSError:
            await self._runner.cleanup()
            raise
        return int(self._runner.addresses[0][1])

    async def close(self) -> None:
        self._closing.set()
        await self._runner.cleanup()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        received = Received(
            time=time.time(),
            method=request.method,
            path=request.raw_path,
            headers=request.headers,
            body=body,
            answered=self._next_step(request.headers),
            verdicts=await self._verify(request.headers, body),
        )
        self._remember(received)
        self._on_received(received)
        return await self._answer(request, received.answered)

    def _next_step(self, headers: CIMultiDictProxy[str]) -> Step:
        """Scripts play from their start for each delivery; senders without such a header share one."""
        delivery = headers.get("hookpost-delivery", "") or headers.get("webhook-id", "")
        attempt = self._attempts.pop(delivery, 0)
        self._attempts[delivery] = attempt + 1
        if len(self._attempts) > 100_000:
            self._attempts.popitem(last=False)
        return self._script_for(headers).step(attempt)

    async def _verify(self, headers: CIMultiDictProxy[str], body: bytes) -> Verdicts:
        verdicts = verify(headers, body, self.keys, now=time.time(), header=self._header)
        unknown_key = {verdicts.hex, verdicts.standard} & {Verdict.WRONG, Verdict.NO_KEY}
        if unknown_key and self._find_keys:
            self.keys = await self._find_keys()  # a new webhook, or a rotated key
            verdicts = verify(headers, body, self.keys, now=time.time(), header=self._header)
        return verdicts

    def _remember(self, received: Received) -> None:
        self.count += 1
        self.received.append(received)
        self._bytes += len(received.body)
        while len(self.received) > self._keep or self._bytes > self._keep_bytes:
            self._bytes -= len(self.received.popleft().body)

    async def _answer(self, request: web.Request, step: Step) -> web.StreamResponse:
        match step:
            case int():
                bodiless = step in (204, 205, 304)
                return web.Response(status=step, text=None if bodiless else f"the sink answers {step}\n")
            case "slow":
                await self._wait(SLOW)
                return web.Response(text="the sink answers 200, slowly\n")
            case "redirect":
                return web.Response(status=302, headers={"location": "/elsewhere"})
            case "hang":
                await self._wait(3600)
        if request.transport is not None:
            connection = request.transport.get_extra_info("socket")
            if step == "reset" and connection is not None:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _CLOSE_NOW)
            request.transport.abort()
        return web.Response()  # nobody gets it

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), seconds)
