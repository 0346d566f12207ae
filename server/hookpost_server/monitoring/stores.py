"""The queue's two ends with a stopwatch: whatever stands between a store and its caller need not know of metrics."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ..domain.delivery import Claim
from ..domain.event import Event
from ..store.cursor import Cursor, Wanted
from ..store.database import Database
from ..store.deliveries import Deliveries
from ..store.events import Accepted, Emitted, Events, Room
from .metrics import Metrics


class MeteredEvents(Events):
    """Tells of each statement that stored events."""

    def __init__(self, database: Database, *, lease: float, metrics: Metrics) -> None:
        super().__init__(database, lease=lease)
        self._metrics = metrics

    async def emit(self, events: Sequence[Event], room: Room) -> Accepted:
        began = time.monotonic()
        return self._told(await super().emit(events, room), began)

    async def emit_atomically(self, events: Sequence[Event], room: Room) -> Accepted:
        began = time.monotonic()
        return self._told(await super().emit_atomically(events, room), began)

    def _told(self, accepted: Accepted, began: float) -> Accepted:
        stored = [result.duplicate for result in accepted.results if isinstance(result, Emitted)]
        duplicates = sum(stored)
        self._metrics.committed(len(stored) - duplicates, duplicates, time.monotonic() - began)
        return accepted


class MeteredDeliveries(Deliveries):
    """Tells of each look at the queue."""

    def __init__(self, database: Database, *, lease: float, metrics: Metrics) -> None:
        super().__init__(database, lease=lease)
        self._metrics = metrics

    async def claim(self, cursor: Cursor, wanted: Wanted) -> tuple[list[Claim], Cursor]:
        began = time.monotonic()
        claims, following = await super().claim(cursor, wanted)
        self._metrics.claimed(len(claims), time.monotonic() - began)
        return claims, following
