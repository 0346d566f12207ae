"""Watching deliveries: the change feed read at short intervals, for as long as somebody listens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

from ..domain import errors
from ..domain.delivery import Delivery
from ..store.changes import ChangeFeed

LOOK = 0.25  # seconds between looks
HEARTBEAT = 15.0  # seconds of silence after which the position is told all the same
MOST = 5_000  # changes in one look; who is further behind than that is told so


class Watches:
    """Streams of changes; each watcher has its own position and holds nothing else."""

    def __init__(self, feed: ChangeFeed, *, heartbeat: float = HEARTBEAT, most: int = MOST) -> None:
        self._feed = feed
        self._heartbeat = heartbeat
        self._most = most
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Ends all watches with ShuttingDown."""
        self._stopping.set()

    async def changes(
        self, tenant_id: str, position: int | None, matches: Callable[[Delivery], bool] = lambda delivery: True
    ) -> AsyncIterator[tuple[list[Delivery], int]]:
        """What changed and matches, in steps, each with the position after it; an empty step is a heartbeat.

        Raises TokenExpired when it can't go on without a gap, ShuttingDown, DatabaseUnavailable.
        """
        now = await self._feed.position()
        if position is None:
            position = now
        elif position < (oldest := await self._feed.oldest()):
            raise errors.TokenExpired("some of what happened since then has been removed", str(oldest))
        elif position > now:  # the database was put back to an earlier state; its numbers come a second time
            raise errors.TokenExpired("the token is ahead of the database", str(now))
        yield [], position  # so that a watcher can resume from its very beginning
        told = time.monotonic()
        while not self._stopping.is_set():
            step = await self._feed.since(tenant_id, position, most=self._most)
            if step.overflow:
                raise errors.TokenExpired(f"more than {self._most:,} deliveries changed since", str(step.position))
            position = step.position
            found = [delivery for delivery in step.deliveries if matches(delivery)]
            # Traffic that does not match is silence too: its watcher's token must not grow old.
            if found or time.monotonic() - told >= self._heartbeat:
                told = time.monotonic()
                yield found, position
            try:
                async with asyncio.timeout(LOOK):
                    await self._stopping.wait()
            except TimeoutError:
                pass
        raise errors.ShuttingDown
