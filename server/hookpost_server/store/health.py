"""Health figures, from the counters that the recorder keeps: whole hours, and minutes at the window's ragged edges."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from ..domain import ids
from ..domain.health import BOUNDS, Health, Point
from .database import Database

_FIGURES = (
    "succeeded",
    "failed",
    "attempts",
    "latencies",
    "consecutive_failures",
    "last_success_time",
    "last_failure_time",
)
DAY = 24 * 3600.0  # seconds


class HealthFigures:
    """Reads health. A window ends now and begins at a whole minute."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # The window (now - $3, now]: minutes up to its first whole hour, hours up to now. Exact to the minute.
    _LATENCIES = ", ".join(f"coalesce(sum(latencies[{bucket + 1}]), 0)::bigint" for bucket in range(len(BOUNDS) + 1))
    OF = f"""
        with bounds as (
            select date_trunc('minute', now() - $3::interval) + interval '1 minute' as first_minute
        ), edge as (
            select first_minute,
                date_trunc('hour', first_minute + interval '59 minutes 59 seconds') as first_hour from bounds
        ), counted as (
            select m.webhook_id, m.succeeded, m.failed, m.attempts, m.latencies
            from edge, health_minutes m
            where m.tenant_id = $1 and m.webhook_id = any($2::uuid[])
              and m.minute >= first_minute and m.minute < first_hour
            union all
            select h.webhook_id, h.succeeded, h.failed, h.attempts, h.latencies
            from edge, health_hours h
            where h.tenant_id = $1 and h.webhook_id = any($2::uuid[]) and h.hour >= first_hour
        )
        , summed as (
            select webhook_id, sum(succeeded)::bigint as succeeded, sum(failed)::bigint as failed,
                sum(attempts)::bigint as attempts, array[{_LATENCIES}] as latencies
            from counted group by webhook_id
        )
        select w.webhook_id, (
                select id from deliveries d
                where d.tenant_id = $1 and d.webhook_id = w.webhook_id and d.state = 1 order by id limit 1
            ) as oldest_pending,
            coalesce(succeeded, 0) as succeeded, coalesce(failed, 0) as failed,
            coalesce(attempts, 0) as attempts, coalesce(latencies, '{{}}') as latencies,
            coalesce(failures, 0) as consecutive_failures, last_success_time, last_failure_time
        from unnest($2::uuid[]) as w(webhook_id)
        left join summed using (webhook_id)
        left join webhook_streaks s on s.webhook_id = w.webhook_id and s.tenant_id = $1
    """  # noqa: S608

    async def of(self, tenant_id: str, webhook_ids: Sequence[UUID], window: float = DAY) -> dict[UUID, Health]:
        """One entry for each webhook asked for, with zeros where nothing happened."""
        async with self._database.by_key() as connection:
            rows = await connection.fetch(self.OF, tenant_id, webhook_ids, timedelta(seconds=window))
        found: dict[UUID, Health] = {}
        for row in rows:
            oldest = row["oldest_pending"]
            found[row["webhook_id"]] = Health(
                window=window,
                oldest_pending_time=None if oldest is None else ids.time_of(oldest),
                **{name: row[name] for name in _FIGURES},
            )
        return found

    SERIES_BY_MINUTE = """
        select bucket as start, coalesce(m.succeeded, 0) as succeeded, coalesce(m.failed, 0) as failed,
            coalesce(m.attempts, 0) as attempts
        from generate_series(date_trunc('minute', now() - $3::interval) + interval '1 minute',
                             date_trunc('minute', now()), interval '1 minute') bucket
        left join health_minutes m on m.tenant_id = $1 and m.webhook_id = $2 and m.minute = bucket
        order by bucket
    """
    SERIES_BY_HOUR = """
        select bucket as start, coalesce(h.succeeded, 0) as succeeded, coalesce(h.failed, 0) as failed,
            coalesce(h.attempts, 0) as attempts
        from generate_series(date_trunc('hour', now() - $3::interval) + interval '1 hour',
                             date_trunc('hour', now()), interval '1 hour') bucket
        left join health_hours h on h.tenant_id = $1 and h.webhook_id = $2 and h.hour = bucket
        order by bucket
    """

    async def series(self, tenant_id: str, webhook_id: UUID, window: float, *, by_hour: bool) -> list[Point]:
        """Buckets of the window, oldest first, empty ones too; the last one is not over yet."""
        query = self.SERIES_BY_HOUR if by_hour else self.SERIES_BY_MINUTE
        async with self._database.by_key() as connection:
            rows = await connection.fetch(query, tenant_id, webhook_id, timedelta(seconds=window))
        return [Point(**dict(row)) for row in rows]

    # Gaps are filled here: a join with the hours could be planned, while there are few rows, to read all of a tenant's.
    HOURS_OF_MANY = """
        select webhook_id, hour, succeeded, failed, attempts from health_hours
        where tenant_id = $1 and webhook_id = any($2::uuid[]) and hour >= $3
    """

    async def series_of_many(
        self, tenant_id: str, webhook_ids: Sequence[UUID], window: float = DAY
    ) -> dict[UUID, list[Point]]:
        """As `series` by the hour, for each webhook asked for."""
        this_hour = datetime.fromtimestamp(self._database.now(), UTC).replace(minute=0, second=0, microsecond=0)
        hours = [this_hour - timedelta(hours=back) for back in reversed(range(round(window / 3600)))]
        async with self._database.by_key() as connection:
            rows = await connection.fetch(self.HOURS_OF_MANY, tenant_id, webhook_ids, hours[0])
        counted = {(row["webhook_id"], row["hour"]): row for row in rows}

        def point(webhook_id: UUID, hour: datetime) -> Point:
            row = counted.get((webhook_id, hour))
            if row is None:
                return Point(start=hour, succeeded=0, failed=0, attempts=0)
            return Point(start=hour, succeeded=row["succeeded"], failed=row["failed"], attempts=row["attempts"])

        return {webhook_id: [point(webhook_id, hour) for hour in hours] for webhook_id in webhook_ids}
