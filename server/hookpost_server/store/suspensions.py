"""Webhooks that the server stops: told by the receiver, or because they have only failed for too long."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from ..domain.suspension import FAILING_PARTS, PARTS, Suspension, failing_reason
from .database import Database
from .delivery_log import attempt_from_row
from .events import Events

MOST = 100  # webhooks suspended in one go; the others' turn comes with the next


class Suspensions:
    """Verbs that suspend. Suspension and event are one transaction: exactly one event, whichever node is first."""

    def __init__(self, database: Database, events: Events) -> None:
        self._database = database
        self._events = events

    SUSPEND = """
        update webhooks w set state = 3, state_reason = $3, version = version + 1, update_time = now()
        from (select $4::interval as after) given
        left join webhook_streaks s on s.webhook_id = $1 and s.tenant_id = $2
        where w.id = $1 and w.tenant_id = $2 and w.state = 1
          and (after is null or s.failing_since <= now() - after)
        returning w.name, w.update_time as time, s.failing_since
    """
    LAST_FAILURE = """
        select a.* from (
            select id, tenant_id from deliveries where tenant_id = $2 and webhook_id = $1 and state = 3
            order by id desc limit 20) d
        join attempts a on a.delivery_id = d.id and a.tenant_id = d.tenant_id
        order by a.start_time desc limit 1
    """

    async def suspend(self, tenant_id: str, webhook_id: UUID, reason: str, *, failing_for: float | None = None) -> bool:
        """Stops a webhook and queues the event about it; returns whether it was active until now.

        `failing_for`: only if it has still only failed for so many seconds.
        """
        after = None if failing_for is None else timedelta(seconds=failing_for)
        async with self._database.by_key() as connection:
            row = await connection.fetchrow(self.SUSPEND, webhook_id, tenant_id, reason, after)
            if row is None:
                return False
            last = await connection.fetchrow(self.LAST_FAILURE, webhook_id, tenant_id)
            suspension = Suspension(
                tenant_id=tenant_id,
                webhook_id=webhook_id,
                webhook_name=row["name"],
                reason=reason,
                time=row["time"],
                failing_since=row["failing_since"],
                last_failure=None if last is None else attempt_from_row(last),
            )
            await self._events.add(connection, suspension.event())
        return True

    # Attempts must have failed all along: in 4 of the 5 parts of that time. A webhook that failed twice, at either
    # end of it, is not suspended.
    FAILING = f"""
        select s.tenant_id, s.webhook_id from webhook_streaks s
        join webhooks w on w.id = s.webhook_id and w.tenant_id = s.tenant_id and w.state = 1
        where s.failing_since <= now() - $1::interval and {FAILING_PARTS} <= (
            select count(distinct floor(
                extract(epoch from now() - h.hour) / extract(epoch from $1::interval) * {PARTS}))
            from health_hours h
            where h.tenant_id = s.tenant_id and h.webhook_id = s.webhook_id and h.attempts > 0
              and h.hour > now() - $1::interval)
        order by s.failing_since limit $2
    """  # noqa: S608

    async def suspend_failing(self, after: float) -> list[UUID]:
        """Suspends the webhooks of which every attempt has failed for `after` seconds; returns which."""
        async with self._database.by_key() as connection:
            failing = await connection.fetch(self.FAILING, timedelta(seconds=after), MOST)
        reason = failing_reason(after)
        return [
            row["webhook_id"]
            for row in failing
            if await self.suspend(row["tenant_id"], row["webhook_id"], reason, failing_for=after)
        ]
