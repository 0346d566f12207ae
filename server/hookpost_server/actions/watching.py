"""Watching deliveries: the change feed read at short intervals, for as long as somebody listens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from ..domain import errors
from ..domain.delivery import Delivery
from ..store.changes import ChangeFeed

LOOK = 0.25  # seconds between looks
HEARTBEAT = 15.0  # seconds of silence after which the position is told all the same
MOST = 5_000  # changes in one look; who is further behind than that is told so


class Watches:
    """Streams of changes; each watcher has its own position and holds nothing else."""

    def __init__(self, feed: ChangeFeed) -> None:
        self._feed = feed
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Ends all watches with ShuttingDown."""
        self._stopping.set()

    async def changes(self, tenant_id: str, position: int | None) -> AsyncIterator[tuple[list[Delivery], int]]:
        """What changed, in steps, each with the position after it; an empty step is a heartbeat.

        Raises TokenExpired when it can't go on without a gap, ShuttingDown, DatabaseUnavailable.
        """
        if position is None:
            position = await self._feed.position()
        elif position < (oldest := await self._feed.oldest()):
            raise errors.TokenExpired("what happened since then has been removed by retention", str(oldest))
        yield [], position  # so that a watcher can resume from its very beginning
        told = time.monotonic()
        while not self._stopping.is_set():
            step = await self._feed.since(tenant_id, position, most=MOST)
            if step.overflow:
                raise errors.TokenExpired(f"more than {MOST:,} deliveries changed since", str(step.position))
            position = step.position
            if step.deliveries or time.monotonic() - told >= HEARTBEAT:
                told = time.monotonic()
                yield step.deliveries, position
            try:
                async with asyncio.timeout(LOOK):
                    await self._stopping.wait()
            except TimeoutError:
                pass
        raise errors.ShuttingDown
