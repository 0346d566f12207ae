"""Events whose commit was not answered: they may be stored, their deliveries leased to a process that never got them.

Without this they would wait until the lease ends. Nobody else can hold them: their claim is the first, and whoever
claims them later counts one more.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from uuid import UUID

import structlog

from ..domain import errors
from ..domain.event import Event
from .database import Database

LOOKS = (1.0, 10.0)  # seconds after the failure; a commit may still be under way at the first
MAX_NOTED = 20_000  # events; of more, the oldest wait for their lease's end
INTERVAL = 0.5  # seconds between looks at what is due, and between tries while the database is away

log = structlog.get_logger()


class Unanswered:
    """Gives such deliveries back, due at once."""

    def __init__(self, database: Database, *, lease: float, released: Callable[[], None]) -> None:
        """`released` is told when some were found."""
        self._database = database
        self._lease = lease
        self._released = released
        self._noted: deque[_Noted] = deque()
        self._arrived = asyncio.Event()

    def note(self, events: Sequence[Event]) -> None:
        """These events' statement failed in a way that tells nothing about its commit."""
        now = time.monotonic()
        self._noted += [_Noted(event.id, event.tenant_id, now) for event in events]
        while len(self._noted) > MAX_NOTED:
            self._noted.popleft()
        self._arrived.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._noted:
                await asyncio.sleep(INTERVAL)
                await self._look()

    async def _look(self) -> None:
        now = time.monotonic()
        due = [each for each in self._noted if now - each.since >= LOOKS[each.looks]]
        if not due:
            return
        try:
            if found := await self.release([(each.event_id, each.tenant_id) for each in due]):
                log.info("emit.unanswered", released=found)
                self._released()
        except errors.DatabaseUnavailable:
            pass  # looked at again
        else:
            for each in due:
                each.looks += 1
        over = self._lease + LOOKS[-1]
        self._noted = deque(each for each in self._noted if each.looks < len(LOOKS) and now - each.since < over)

    RELEASE = """
        update deliveries d set due_at = now()
        from unnest($1::uuid[], $2::text[]) as i(event_id, tenant_id)
        where d.id >= (left(i.event_id::text, 24) || '000000000000')::uuid
          and d.id <= (left(i.event_id::text, 24) || 'ffffffffffff')::uuid
          and d.event_id = i.event_id and d.tenant_id = i.tenant_id
          and d.claim_count = 1 and d.due_at > now() and d.state + 0 = 1
    """

    async def release(self, events: Sequence[tuple[UUID, str]]) -> int:
        """Makes due what nobody has claimed since of these events' (id and tenant) deliveries; returns how many."""
        events = sorted(events)
        async with self._database.by_range() as connection:
            done: str = await connection.execute(self.RELEASE, [e for e, _ in events], [t for _, t in events])
        return int(done.removeprefix("UPDATE "))


class _Noted:
    __slots__ = ("event_id", "looks", "since", "tenant_id")

    def __init__(self, event_id: UUID, tenant_id: str, since: float) -> None:
        self.event_id = event_id
        self.tenant_id = tenant_id
        self.since = since
        self.looks = 0
