"""Whether the database answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

INTERVAL = 2.0  # seconds between looks


class Pulse:
    """Looks until cancelled, and tells when it changes."""

    def __init__(self, healthy: Callable[[], Awaitable[bool]], changed: Callable[[bool], Awaitable[None]]) -> None:
        self._healthy = healthy
        self._changed = changed
        self.up = True

    async def run(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            if (healthy := await self._healthy()) != self.up:
                self.up = healthy
                await self._changed(healthy)
