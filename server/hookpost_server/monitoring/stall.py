"""Whether deliveries have stalled: something has been due for a while, and nothing is being sent.

What waits for a slow receiver, a rate limit or a breaker is no stall: then attempts are under way, or end every few
seconds, or the webhook is held back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from uuid import UUID

import asyncpg
import structlog

from ..domain import errors
from ..store.backlog import Backlog

STALLED_AFTER = 12.0  # seconds: more than the 10 s between two attempts at the lowest rate limit
INTERVAL = 2.0  # seconds between looks; the database is asked only while nothing is sent

log = structlog.get_logger()


class Stall:
    """Watches until cancelled."""

    def __init__(self, backlog: Backlog, in_flight: Callable[[], int], held: Callable[[], Collection[UUID]]) -> None:
        """`held`: webhooks that are held back here on purpose."""
        self._backlog = backlog
        self._in_flight = in_flight
        self._held = held
        self._active = time.monotonic()
        self._logged = False  # the log's last word is that they have stalled
        self.seconds: float | None = None  # for which the oldest has been due; None while deliveries flow

    def recorded(self) -> None:
        """An attempt has ended."""
        self._active = time.monotonic()
        self.seconds = None

    async def run(self) -> None:
        while True:
            await self._look()
            await asyncio.sleep(INTERVAL)

    async def _look(self) -> None:
        if self._in_flight():
            self.recorded()
        active = self._active
        if time.monotonic() - active >= STALLED_AFTER:
            try:
                oldest = (await self._backlog.read(self._held())).oldest
            except (errors.DatabaseUnavailable, asyncpg.PostgresError):
                return  # the pages say so themselves
            if self._active == active:  # else an attempt has ended meanwhile
                self.seconds = oldest if oldest >= STALLED_AFTER else None
        self._tell()

    def _tell(self) -> None:
        if self.seconds is not None and not self._logged:
            log.warning("deliveries.stalled", oldest=self.seconds)
        elif self.seconds is None and self._logged:
            log.warning("deliveries.flow")
        self._logged = self.seconds is not None
