"""The chores of every node: partitions, statistics, the clock, keys, what failed for too long, retention."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar
from uuid import UUID

import asyncpg
import structlog

from .domain import errors, ids
from .domain.suspension import failing_reason
from .store.database import Database
from .store.expiry import Expiry
from .store.partitions import Partitions
from .store.retention import Retention
from .store.revisions import Revisions
from .store.suspensions import Suspensions

INTERVAL = 30.0  # seconds between the chores; partitions and keys are looked at each tenth time
CLOCK_TOLERANCE = 1.0  # seconds
RETENTION_INTERVAL = 3600.0  # seconds
RETENTION_SOON = 300.0  # seconds, when something was left to do

T = TypeVar("T")

log = structlog.get_logger()


class Upkeep:
    """Does the chores until cancelled; a failed one is tried again the next time."""

    def __init__(
        self,
        database: Database,
        partitions: Partitions,
        retention: Retention,
        revisions: Revisions,
        suspensions: Suspensions,
        expiry: Expiry,
        suspend_after: float,
        held: Callable[[], Iterable[UUID]],
    ) -> None:
        """`suspend_after`: seconds; 0: never. `held` answers with the webhooks that this node's breakers hold."""
        self._database = database
        self._partitions = partitions
        self._retention = retention
        self._revisions = revisions
        self._suspensions = suspensions
        self._expiry = expiry
        self._suspend_after = suspend_after
        self._held = held

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
            await self._chore("suspensions", self._suspend_failing)
            await self._chore("expiry", self._expire_held)
            if turn % 10 == 0:
                await self._chore("partitions", self._partitions.make)
                await self._chore("keys", self._revisions.forget_keys)

    async def _check_clock(self) -> None:
        if abs(offset := await self._database.set_clock()) > CLOCK_TOLERANCE:
            log.warning("clock.off", seconds=round(offset, 3))

    async def _suspend_failing(self) -> None:
        for webhook_id in await self._suspensions.suspend_failing(self._suspend_after) if self._suspend_after else ():
            reason = failing_reason(self._suspend_after)
            log.warning("webhook.suspended", webhook_id=ids.text(ids.WEBHOOK, webhook_id), reason=reason)

    async def _expire_held(self) -> None:
        if count := await self._expiry.expire(list(self._held())):
            log.warning("deliveries.expired", deliveries=count)

    async def _chore(self, name: str, chore: Callable[[], Awaitable[T]]) -> T | None:
        try:
            return await chore()
        except (errors.DatabaseUnavailable, asyncpg.PostgresError) as error:
            log.warning("upkeep.failed", chore=name, error=str(error))
            return None
