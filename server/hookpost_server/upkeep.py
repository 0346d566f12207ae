"""The chores of every node: partitions ahead of time, statistics of fresh ones, the clock, keys, retention."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg
import structlog

from .domain import errors
from .store.database import Database
from .store.partitions import Partitions
from .store.retention import Retention
from .store.revisions import Revisions

INTERVAL = 30.0  # seconds between statistics and clock; partitions and keys are looked at each tenth time
CLOCK_TOLERANCE = 1.0  # seconds
RETENTION_INTERVAL = 3600.0  # seconds
RETENTION_SOON = 300.0  # seconds, when something was left to do

T = TypeVar("T")

log = structlog.get_logger()


class Upkeep:
    """Does the chores until cancelled; a failed one is tried again the next time."""

    def __init__(self, database: Database, partitions: Partitions, retention: Retention, revisions: Revisions) -> None:
        self._database = database
        self._partitions = partitions
        self._retention = retention
        self._revisions = revisions

    async def once(self) -> None:
        """What must be done before the first event is accepted."""
        if made := await self._partitions.make():
            log.info("partitions.made", names=made)
        await self._check_clock()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as chores:
            chores.create_task(self._quick(), name="quick chores")
            chores.create_task(self._slow(), name="retention")

    async def _slow(self) -> None:
        while True:
            settled = await self._chore("retention", self._retention.keep)
            await asyncio.sleep(RETENTION_INTERVAL if settled else RETENTION_SOON)

    async def _quick(self) -> None:
        turn = 0
        while True:
            await asyncio.sleep(INTERVAL)
            turn += 1
            await self._chore("clock", self._check_clock)
            await self._chore("statistics", self._partitions.analyze_fresh)
            if turn % 10 == 0:
                await self._chore("partitions", self._partitions.make)
                await self._chore("keys", self._revisions.forget_keys)

    async def _check_clock(self) -> None:
        if abs(offset := await self._database.set_clock()) > CLOCK_TOLERANCE:
            log.warning("clock.off", seconds=round(offset, 3))

    async def _chore(self, name: str, chore: Callable[[], Awaitable[T]]) -> T | None:
        try:
            return await chore()
        except (errors.DatabaseUnavailable, asyncpg.PostgresError) as error:
            log.warning("upkeep.failed", chore=name, error=str(error))
            return None
