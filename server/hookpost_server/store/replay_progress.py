"""How far a replay has come."""

from __future__ import annotations

from uuid import UUID

from ..domain import errors, ids
from ..domain.delivery import State
from .database import Database


class ReplayProgress:
    """Reads it from the replay's list and the log."""

    def __init__(self, database: Database) -> None:
        self._database = database

    COUNTS = """
        select d.state, count(*)::int as count
        from (select delivery_id from replay_items where replay_id = $1 and tenant_id = $2 order by delivery_id) i
        cross join lateral (select state from deliveries where id = i.delivery_id and tenant_id = $2 limit 1) d
        group by d.state
    """

    async def of(self, tenant_id: str, replay_id: UUID) -> dict[State, int]:
        """How many of its deliveries are in which state; those that retention dropped are left out. Raises NotFound."""
        async with self._database.by_key() as connection:
            rows = await connection.fetch(self.COUNTS, replay_id, tenant_id)
        if not rows:
            raise errors.NotFound("replay", ids.text(ids.REPLAY, replay_id))
        return {State(row["state"]): row["count"] for row in rows}
