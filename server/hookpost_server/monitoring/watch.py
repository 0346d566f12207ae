"""What has to be looked at from time to time, because a scrape must not wait: the backlog and the event loop's lag."""

from __future__ import annotations

import asyncio

import asyncpg
import structlog

from ..domain import errors
from ..store.backlog import Backlog, Behind
from .metrics import Metrics

BACKLOG_INTERVAL = 10.0  # seconds between looks at the backlog
LAG_INTERVAL = 0.25  # seconds

log = structlog.get_logger()


class Watch:
    """Measures until cancelled."""

    def __init__(self, metrics: Metrics, backlog: Backlog) -> None:
        self._metrics = metrics
        self._backlog = backlog
        self.behind: Behind | None = None  # None until it could be read

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._measure_lag())
            group.create_task(self._read_backlog())

    async def _measure_lag(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_INTERVAL
            await asyncio.sleep(LAG_INTERVAL)
            self._metrics.lagged(max(0.0, loop.time() - due))

    async def _read_backlog(self) -> None:
        while True:
            try:
                self.behind = await self._backlog.read()
            except (errors.DatabaseUnavailable, asyncpg.PostgresError) as error:
                self.behind = None
                log.warning("backlog.unknown", error=str(error))
            await asyncio.sleep(BACKLOG_INTERVAL)
