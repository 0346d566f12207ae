"""Synchronous webhooks: an emit that waits until each delivery has concluded its first attempt."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import UUID

from ..domain.delivery import Attempt, Delivery, Record, State
from ..store.delivery_log import DeliveryLog, Filter

LOOK = 0.5  # seconds between looks for what another node does
MOST = 1000  # deliveries waited for
FIRST, LAST = UUID(int=0), UUID(int=2**128 - 1)


class FirstAttempts:
    """Waits for outcomes; this process's own wake it, others' are found by looking.

    A waiter holds no slot of the engine and no connection, and its end changes nothing about the deliveries.
    """

    def __init__(self, deliveries: DeliveryLog) -> None:
        self._deliveries = deliveries
        self._waiting: dict[UUID, list[asyncio.Event]] = {}
        self._stopping = False

    def stop(self) -> None:
        """At shutdown: ends all waits, and those to come, with what is known."""
        self._stopping = True
        for waiters in self._waiting.values():
            for waiter in waiters:
                waiter.set()

    def recorded(self, records: Sequence[Record]) -> None:
        """Outcomes that were written."""
        for record in records:
            for waiter in self._waiting.get(record.claim.event.id, ()):
                waiter.set()

    async def of(self, tenant_id: str, event_id: UUID, timeout: float) -> list[tuple[Delivery, Attempt | None]]:
        """The event's deliveries with their first attempts, as soon as all have one; as they are after `timeout`.

        Or at `stop`, if that comes first.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        woken = asyncio.Event()
        self._waiting.setdefault(event_id, []).append(woken)
        filter = Filter(since=FIRST, before=LAST, event_id=event_id)
        try:
            while True:
                found, _ = await self._deliveries.list(tenant_id, filter, limit=MOST)
                open_ones = [d for d in found if d.state is State.PENDING and not d.attempt_count]
                remaining = deadline - loop.time()
                if not open_ones or remaining <= 0 or self._stopping:
                    attempts = await self._deliveries.first_attempts(tenant_id, [d.id for d in found])
                    return [(delivery, attempts.get(delivery.id)) for delivery in found]
                try:
                    async with asyncio.timeout(min(LOOK, remaining)):
                        await woken.wait()
                except TimeoutError:
                    pass
                woken.clear()
        finally:
            self._waiting[event_id].remove(woken)
            if not self._waiting[event_id]:
                del self._waiting[event_id]
