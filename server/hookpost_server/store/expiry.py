"""Deliveries that a breaker has held back for too long."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from ..domain.delivery import MOST_HELD
from .database import Database

STEP = 1000  # deliveries given up by one statement


class Expiry:
    """The verb that gives up."""

    def __init__(self, database: Database) -> None:
        self._database = database

    EXPIRE = """
        with expiring as materialized (
            select row.id, row.tenant_id
            from webhooks w cross join lateral (
                select d.id, d.tenant_id from deliveries d
                where d.tenant_id = w.tenant_id and d.webhook_id = w.id and d.state = 1
                  and d.due_at <= now() - greatest($2::interval, make_interval(
                      secs => (select coalesce(sum(delay), 0) from unnest(w.retry_delays) delay)))
                order by d.due_at limit $3 for update skip locked) row
            where w.id = any($1::uuid[]) and w.state = 1 limit $3
        ), expired as (
            update deliveries d set state = 3, finish_time = now()
            from expiring where d.id = expiring.id and d.tenant_id = expiring.tenant_id
            returning d.tenant_id, d.id, d.webhook_id
        ), changed as (
            insert into other_changes (tenant_id, delivery_id) select tenant_id, id from expired
        ), counted as (
            select tenant_id, webhook_id, count(*)::int as failed from expired group by tenant_id, webhook_id
        ), by_minute as (
            insert into health_minutes as h (tenant_id, webhook_id, minute, succeeded, failed, attempts, latency_sum)
            select tenant_id, webhook_id, date_trunc('minute', now()), 0, failed, 0, 0
            from counted order by tenant_id, webhook_id
            on conflict (tenant_id, webhook_id, minute) do update set failed = h.failed + excluded.failed
        ), by_hour as (
            insert into health_hours as h (tenant_id, webhook_id, hour, succeeded, failed, attempts, latency_sum)
            select tenant_id, webhook_id, date_trunc('hour', now()), 0, failed, 0, 0
            from counted order by tenant_id, webhook_id
            on conflict (tenant_id, webhook_id, hour) do update set failed = h.failed + excluded.failed
        ), streaks as (
            insert into webhook_streaks as s (tenant_id, webhook_id, failures, last_failure_time)
            select tenant_id, webhook_id, failed, now() from counted order by webhook_id, tenant_id
            on conflict (webhook_id, tenant_id) do update set failures = s.failures + excluded.failures,
                last_failure_time = excluded.last_failure_time
        )
        select count(*) from expired
    """

    async def expire(self, webhook_ids: Sequence[UUID]) -> int:
        """Fails what has been due for too long at webhooks that are held back; returns how many."""
        total = 0
        while webhook_ids:
            async with self._database.by_key() as connection:
                step = await connection.fetchval(self.EXPIRE, webhook_ids, timedelta(seconds=MOST_HELD), STEP)
            total += step
            if step < STEP:
                break
        return total
