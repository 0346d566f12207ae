"""Watching deliveries: the change feed read at short intervals, for as long as somebody listens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator

from ..domain import errors
from ..domain.delivery import Delivery
from ..store.changes import PAGE, ChangeFeed, Place
from ..store.delivery_log import Filter

LOOK = 0.25  # seconds between looks, while there is nothing more to read
LOOKS = 2  # at once, of all watchers of this process: who has much to catch up with must not take all connections
HEARTBEAT = 15.0  # seconds of silence after which the position is told all the same


class Watches:
    """Streams of changes; each watcher has its own place and holds no more than a page.

    The reader sets the pace. How far one may fall behind is bounded by what the database still has.
    """

    def __init__(self, feed: ChangeFeed, *, heartbeat: float = HEARTBEAT, page: int = PAGE) -> None:
        self._feed = feed
        self._heartbeat = heartbeat
        self._page = page
        self._looks = asyncio.Semaphore(LOOKS)
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Ends all watches with ShuttingDown."""
        self._stopping.set()

    async def changes(
        self, tenant_id: str, place: Place | None, filter: Filter
    ) -> AsyncGenerator[tuple[Delivery | None, Place]]:
        """Each change that meets the filter's conditions, with the place after it; without a delivery: a heartbeat.

        Raises TokenExpired when it can't go on without a gap, ShuttingDown, DatabaseUnavailable.
        """
        now = await self._feed.position()
        if place is None:
            place = Place(now)
        elif place.position < (oldest := await self._feed.oldest()):
            raise errors.TokenExpired("some of what happened since then has been removed", str(oldest))
        elif max(place.position, place.end) > now:  # the database was put back; its numbers come a second time
            raise errors.TokenExpired("the token is ahead of the database", str(now))
        yield None, place  # so that a watcher can resume from its very beginning
        told = time.monotonic()
        while not self._stopping.is_set():
            async with self._looks:
                step = await self._feed.since(tenant_id, place, filter, page=self._page)
            place = step.place
            # Traffic that does not match is silence too: its watcher's token must not grow old.
            if not step.told and time.monotonic() - told >= self._heartbeat:
                yield None, place
                told = time.monotonic()
            for change in step.told:
                yield change
                told = time.monotonic()
            if step.more:
                continue
            try:
                async with asyncio.timeout(LOOK):
                    await self._stopping.wait()
            except TimeoutError:
                pass
        raise errors.ShuttingDown
