"""The listener for operators: `/metrics`, `/healthz` (the process runs), `/readyz` (it serves, its database answers).

It asks for no key: nothing here is secret, and no id, tenant, URL or event type is in it.
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.aiohttp import make_aiohttp_handler


class Listener:
    """Answers between `start` and `stop`."""

    def __init__(self, registry: CollectorRegistry, ready: Callable[[], bool]) -> None:
        self._ready = ready
        application = web.Application(client_max_size=1024)
        application.router.add_get("/metrics", make_aiohttp_handler(registry))
        application.router.add_get("/healthz", self._live)
        application.router.add_get("/readyz", self._readiness)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)

    async def start(self, host: str, port: int) -> int:
        """Listens; returns the real port. Raises OSError when the address can't be had."""
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        chosen: int = self._runner.addresses[0][1]
        return chosen

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _live(self, request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readiness(self, request: web.Request) -> web.Response:
        if self._ready():
            return web.Response(text="ready\n")
        return web.Response(status=503, text="not ready: stopping, or the database does not answer\n")
