"""To how many webhooks events went, and how that stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from .database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class FanOut:
    """An event's deliveries."""

    delivered: int = 0
    failed: int = 0
    retrying: int = 0  # pending after at least one attempt
    waiting: int = 0  # pending without one
    cancelled: int = 0

    @property
    def all(self) -> int:
        return self.delivered + self.failed + self.retrying + self.waiting + self.cancelled


class FanOuts:
    """Counts deliveries by event; an event's lie side by side."""

    def __init__(self, database: Database) -> None:
        self._database = database

    COUNT = """
        select e.id, count(*) filter (where d.state = 2)::int as delivered,
            count(*) filter (where d.state = 3)::int as failed,
            count(*) filter (where d.state = 1 and d.attempt_count > 0)::int as retrying,
            count(*) filter (where d.state = 1 and d.attempt_count = 0)::int as waiting,
            count(*) filter (where d.state = 4)::int as cancelled
        from unnest($2::uuid[]) as e(id)
        cross join lateral (
            select state, attempt_count from deliveries
            where tenant_id = $1 and event_id = e.id
              and id >= (left(e.id::text, 24) || '000000000000')::uuid
              and id <= (left(e.id::text, 24) || 'ffffffffffff')::uuid) d
        group by e.id
    """

    async def of(self, tenant_id: str, event_ids: Sequence[UUID]) -> dict[UUID, FanOut]:
        """One for each event, of those without deliveries too."""
        async with self._database.by_key() as connection:
            rows = await connection.fetch(self.COUNT, tenant_id, event_ids)
        found = {row["id"]: FanOut(**{name: count for name, count in row.items() if name != "id"}) for row in rows}
        return {event_id: found.get(event_id, FanOut()) for event_id in event_ids}
