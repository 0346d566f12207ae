"""How far behind the queue is."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from .database import Database

WEBHOOKS = 1000  # looked at
EACH = 1000  # due deliveries counted of one webhook
MOST = 20_000  # counted in all


@dataclass(frozen=True, slots=True)
class Behind:
    """Deliveries that are due and that nobody has claimed, those of inactive webhooks left out."""

    due: int  # at most MOST, of one webhook at most EACH
    oldest: float  # seconds since the first of them was due; 0 when there is none


class Backlog:
    """Reads the backlog by the claim's index: a step for each webhook with waiting work, and no more than MOST rows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    READ = """
        with recursive turn(tenant_id, webhook_id, due_at, number) as (
            (select tenant_id, webhook_id, due_at, 1 from deliveries
             where state = 1 order by tenant_id, webhook_id, due_at limit 1)
            union all
            select next.tenant_id, next.webhook_id, next.due_at, turn.number + 1
            from turn cross join lateral (
                select d.tenant_id, d.webhook_id, d.due_at from deliveries d
                where d.state = 1 and (d.tenant_id, d.webhook_id) > (turn.tenant_id, turn.webhook_id)
                order by d.tenant_id, d.webhook_id, d.due_at limit 1) next
            where turn.number < $1
        ), late as materialized (
            select turn.* from turn left join webhooks w on w.id = turn.webhook_id and w.tenant_id = turn.tenant_id
            where turn.due_at <= now() and coalesce(w.state, 1) = 1 and turn.webhook_id <> all($4::uuid[])
        ), due as (
            select 1 from late cross join lateral (
                select from deliveries d
                where d.state = 1 and d.tenant_id = late.tenant_id and d.webhook_id = late.webhook_id
                  and d.due_at <= now()
                order by d.due_at limit $2) row
            limit $3
        )
        select (select count(*) from due)::int as due,
            coalesce((select extract(epoch from now() - min(due_at)) from late), 0)::float8 as oldest
    """

    async def read(self, leave_out: Collection[UUID] = ()) -> Behind:
        """Of all webhooks but those to leave out. Raises DatabaseUnavailable."""
        async with self._database.by_key() as connection:
            row = await connection.fetchrow(self.READ, WEBHOOKS, EACH, MOST, list(leave_out))
        return Behind(row["due"], row["oldest"])

    OF_WEBHOOK = """
        select count(*)::int from (
            select from deliveries where tenant_id = $1 and webhook_id = $2 and state = 1 limit $3) waiting
    """

    async def of_webhook(self, tenant_id: str, webhook_id: UUID) -> int:
        """Deliveries of a webhook that wait for an attempt, due or not; at most MOST."""
        async with self._database.by_key() as connection:
            waiting: int = await connection.fetchval(self.OF_WEBHOOK, tenant_id, webhook_id, MOST)
        return waiting
