"""The queue: claim, record, release. Its rows are the log's entries, which `delivery_log.py` reads."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from ..domain.delivery import Claim, Record, Trigger
from ..domain.event import Event
from ..domain.health import BOUNDS
from .database import Database
from .delivery_log import DeliveryLog

TURNS = 50  # webhooks that one claim looks at
Cursor = tuple[str, UUID]
START: Cursor = ("", UUID(int=0))


class Deliveries(DeliveryLog):
    """The queue's verbs, on the rows that are the log's entries too."""

    def __init__(self, database: Database, *, lease: float) -> None:
        super().__init__(database)
        self._lease = lease  # seconds

    # Fair turns: a loose index scan steps from webhook to webhook with waiting work, from a cursor on, and takes a few
    # due rows of each. One with a million due rows costs the others one step. Rows of a deleted webhook come with
    # version 0; those of a disabled one wait.
    CLAIM = """
        with recursive turn(tenant_id, webhook_id, number) as (
            (select tenant_id, webhook_id, 1 from deliveries
             where state = 1 and (tenant_id, webhook_id) > ($1, $2::uuid)
             order by tenant_id, webhook_id limit 1)
            union all
            select next.tenant_id, next.webhook_id, turn.number + 1
            from turn cross join lateral (
                select d.tenant_id, d.webhook_id from deliveries d
                where d.state = 1 and (d.tenant_id, d.webhook_id) > (turn.tenant_id, turn.webhook_id)
                order by d.tenant_id, d.webhook_id limit 1) next
            where turn.number < $3
        ), served as (
            select turn.tenant_id, turn.webhook_id, coalesce(w.version, 0) as version
            from turn left join webhooks w on w.id = turn.webhook_id and w.tenant_id = turn.tenant_id
            where coalesce(w.state, 1) = 1 and turn.webhook_id <> all($4::uuid[])
        ), due as materialized (
            select row.id, row.tenant_id, served.version
            from served cross join lateral (
                select d.id, d.tenant_id from deliveries d
                where d.state = 1 and d.tenant_id = served.tenant_id and d.webhook_id = served.webhook_id
                  and d.due_at <= now()
                order by d.due_at limit $5 for update skip locked) row
            limit $6
        ), claimed as (
            update deliveries d set due_at = now() + $7, claim_count = d.claim_count + 1, claimed = true
            from due where d.id = due.id and d.tenant_id = due.tenant_id
            returning d.id, d.tenant_id, d.webhook_id, d.event_id, d.attempt_count, d.claim_count, d.trigger,
                due.version
        )
        select turn.tenant_id, turn.webhook_id, turn.number, c.id, c.event_id, c.attempt_count, c.claim_count,
            c.trigger, c.version, e.type, e.payload, e.occur_time, e.traceparent
        from turn
        left join claimed c on c.webhook_id = turn.webhook_id and c.tenant_id = turn.tenant_id
        left join events e on e.id = c.event_id and e.tenant_id = c.tenant_id
    """

    async def claim(
        self, cursor: Cursor, *, room: int, room_each: int, full: Sequence[UUID] = ()
    ) -> tuple[list[Claim], Cursor]:
        """Takes over up to `room` due deliveries, up to `room_each` of a webhook, none of those that are `full`.

        Returns them and where the next claim goes on; START means that the round is complete.
        """
        deadline = time.monotonic() + self._lease
        async with self._database.by_key() as connection:
            rows = await connection.fetch(
                self.CLAIM, *cursor, TURNS, full, room_each, room, timedelta(seconds=self._lease)
            )
        claims = []
        turns: dict[int, Cursor] = {}
        for row in rows:
            turns[row["number"]] = (row["tenant_id"], row["webhook_id"])
            # A delivery put back while its day was leaving has no event until retention gives the day back.
            if row["id"] is not None and row["payload"] is not None:
                claims.append(_claim_from_row(row, deadline))
        following = turns[TURNS] if len(turns) == TURNS and len(claims) < room else START
        if len(claims) >= room and turns:
            last = claims[-1]
            following = (last.tenant_id, last.webhook_id)
        return claims, following

    # Fenced: a row that was claimed again since, or has ended, takes no outcome; then no attempt is written either. An
    # outcome uses up its claim: if the reply to the commit is lost and the batch comes again, it adds nothing twice.
    # The attempt's number comes from the row, so that numbers have neither gaps nor repeats.
    _BUCKETS = ", ".join(
        f"count(*) filter (where width_bucket(latency, $17::int[]) = {bucket})::int"
        for bucket in range(len(BOUNDS) + 1)
    )
    _MERGED = """array(
                    select coalesce(a, 0) + coalesce(b, 0)
                    from unnest(h.latencies, excluded.latencies) with ordinality as u(a, b, n) order by n)"""
    RECORD = f"""
        with input as (
            select * from unnest($1::uuid[], $2::text[], $3::int[], $4::smallint[], $5::interval[], $6::smallint[],
                                 $7::smallint[], $8::timestamptz[], $9::int[], $10::text[], $11::text[], $12::bytea[],
                                 $13::bytea[], $14::boolean[], $15::int[], $16::int[], $18::int[])
                as i(id, tenant_id, claim_count, state, delay, result, status, start_time, latency, url, error,
                     response_headers, response_body, truncated, webhook_version, position, composer_id)
        ), recorded as (
            update deliveries d set state = i.state, claim_count = d.claim_count + 1, claimed = false,
                attempt_count = d.attempt_count + 1,
                due_at = case when i.state = 1 then now() + i.delay else d.due_at end,
                finish_time = case when i.state = 1 then null else now() end,
                last_result = i.result, last_status = i.status
            from input i
            where d.id = any($1) and d.id = i.id and d.tenant_id = i.tenant_id and d.claim_count = i.claim_count
              and d.state + 0 = 1
            returning d.id, d.tenant_id, d.webhook_id, d.attempt_count as number, d.trigger, d.state, i.start_time,
                i.latency, i.result, i.status, i.truncated, i.url, i.error, i.response_headers, i.response_body,
                i.webhook_version, i.position, i.composer_id
        ), logged as (
            insert into attempts (tenant_id, delivery_id, number, trigger, start_time, latency, result, status,
                truncated, url, error, response_headers, response_body, webhook_version, composer_id)
            select tenant_id, id, number, trigger, start_time, latency, result, status, truncated, url, error,
                response_headers, response_body, webhook_version, composer_id
            from recorded
        ), counted as (
            select tenant_id, webhook_id, count(*) filter (where state = 2)::int as succeeded,
                count(*) filter (where state = 3)::int as failed, count(*)::int as attempts,
                sum(latency)::bigint as latency_sum,
                array[{_BUCKETS}] as latencies
            from recorded group by tenant_id, webhook_id
        ), by_minute as (
            insert into health_minutes as h (tenant_id, webhook_id, minute, succeeded, failed, attempts, latency_sum,
                latencies)
            select tenant_id, webhook_id, date_trunc('minute', now()), succeeded, failed, attempts, latency_sum,
                latencies
            from counted order by tenant_id, webhook_id
            on conflict (tenant_id, webhook_id, minute) do update set succeeded = h.succeeded + excluded.succeeded,
                failed = h.failed + excluded.failed, attempts = h.attempts + excluded.attempts,
                latency_sum = h.latency_sum + excluded.latency_sum, latencies = {_MERGED}
        ), by_hour as (
            insert into health_hours as h (tenant_id, webhook_id, hour, succeeded, failed, attempts, latency_sum,
                latencies)
            select tenant_id, webhook_id, date_trunc('hour', now()), succeeded, failed, attempts, latency_sum,
                latencies
            from counted order by tenant_id, webhook_id
            on conflict (tenant_id, webhook_id, hour) do update set succeeded = h.succeeded + excluded.succeeded,
                failed = h.failed + excluded.failed, attempts = h.attempts + excluded.attempts,
                latency_sum = h.latency_sum + excluded.latency_sum, latencies = {_MERGED}
        ), ended as (
            select tenant_id, webhook_id, state, position,
                max(position) filter (where state = 2) over (partition by tenant_id, webhook_id) as last_success
            from recorded where state in (2, 3)
        ), streaks as (
            insert into webhook_streaks as s (tenant_id, webhook_id, failures, last_success_time, last_failure_time)
            select tenant_id, webhook_id,
                count(*) filter (where state = 3 and (last_success is null or position > last_success)),
                case when bool_or(state = 2) then now() end, case when bool_or(state = 3) then now() end
            from ended group by tenant_id, webhook_id order by webhook_id, tenant_id
            on conflict (webhook_id, tenant_id) do update set
                failures = excluded.failures
                    + case when excluded.last_success_time is null then s.failures else 0 end,
                last_success_time = coalesce(excluded.last_success_time, s.last_success_time),
                last_failure_time = coalesce(excluded.last_failure_time, s.last_failure_time)
        )
        select id from recorded
    """  # noqa: S608

    async def record(self, records: Sequence[Record]) -> set[UUID]:
        """Writes outcomes, attempts and health counters; returns the deliveries that took theirs.

        The others were claimed by somebody else since: their outcomes change nothing.
        """
        positions = {record.claim.id: position for position, record in enumerate(records)}  # the order they ended in
        records = sorted(records, key=lambda record: record.claim.id)
        async with self._database.by_ids() as connection:
            rows = await connection.fetch(
                self.RECORD,
                [r.claim.id for r in records],
                [r.claim.tenant_id for r in records],
                [r.claim.claim_count for r in records],
                [int(r.conclusion.state) for r in records],
                [None if r.conclusion.delay is None else timedelta(seconds=r.conclusion.delay) for r in records],
                [int(r.outcome.result) for r in records],
                [r.outcome.status for r in records],
                [r.start_time for r in records],
                [int(r.latency * 1_000_000) for r in records],
                [r.url for r in records],
                [r.outcome.error for r in records],
                [json.dumps(r.outcome.headers).encode() for r in records],
                [r.outcome.body for r in records],
                [r.outcome.truncated for r in records],
                [r.webhook_version for r in records],
                [positions[r.claim.id] for r in records],
                [int(bound * 1_000_000) for bound in BOUNDS],
                [r.composer_id for r in records],
            )
        return {row["id"] for row in rows}

    RELEASE = """
        update deliveries d set due_at = now()
        from unnest($1::uuid[], $2::text[], $3::int[]) as i(id, tenant_id, claim_count)
        where d.id = any($1) and d.id = i.id and d.tenant_id = i.tenant_id and d.claim_count = i.claim_count
              and d.state + 0 = 1
    """

    async def release(self, claims: Sequence[Claim]) -> None:
        """Gives claims back before their time: due at once, for anyone."""
        claims = sorted(claims, key=lambda claim: claim.id)
        async with self._database.by_ids() as connection:
            await connection.execute(
                self.RELEASE, [c.id for c in claims], [c.tenant_id for c in claims], [c.claim_count for c in claims]
            )

    CANCEL = """
        with cancelled as (
            update deliveries d set state = 4, finish_time = now()
            from unnest($1::uuid[], $2::text[]) as i(id, tenant_id)
            where d.id = any($1) and d.id = i.id and d.tenant_id = i.tenant_id and d.state + 0 = 1
            returning d.tenant_id, d.id
        )
        insert into other_changes (tenant_id, delivery_id) select tenant_id, id from cancelled
    """

    async def cancel(self, claims: Sequence[Claim]) -> None:
        """Ends deliveries whose webhook is gone."""
        claims = sorted(claims, key=lambda claim: claim.id)
        async with self._database.by_ids() as connection:
            await connection.execute(self.CANCEL, [c.id for c in claims], [c.tenant_id for c in claims])


def _claim_from_row(row: Mapping[str, Any], deadline: float) -> Claim:
    event = Event(
        id=row["event_id"],
        tenant_id=row["tenant_id"],
        type=row["type"],
        payload=row["payload"],
        occur_time=row["occur_time"],
        traceparent=row["traceparent"],
    )
    return Claim(
        id=row["id"],
        tenant_id=row["tenant_id"],
        webhook_id=row["webhook_id"],
        webhook_version=row["version"],
        attempt=row["attempt_count"] + 1,
        claim_count=row["claim_count"],
        trigger=Trigger(row["trigger"]),
        event=event,
        deadline=deadline,
    )
