"""The queue: claim, record, release. Its rows are the log's entries, which `delivery_log.py` reads."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from .. import failpoints
from ..domain.delivery import Claim, Record, State, Trigger
from ..domain.event import Event
from ..domain.health import BOUNDS
from . import cursor as turns
from .columns import json_of, sparse
from .cursor import Cursor, Wanted
from .database import Database
from .delivery_log import DeliveryLog


class Deliveries(DeliveryLog):
    """The queue's verbs, on the rows that are the log's entries too."""

    def __init__(self, database: Database, *, lease: float) -> None:
        super().__init__(database)
        self._lease = lease  # seconds

    # Fair turns: a loose index scan steps from webhook to webhook with waiting work, from the cursor on, and counts
    # what is due of each until there is enough. One with a million due rows costs the others one step, and so does one
    # with a thousand webhooks: once it has its share, the scan goes on at the next tenant, and comes back to where it
    # left. Rows of a deleted webhook come with version 0; those of a disabled one wait, those of one that its breaker
    # holds too, unless it was changed since.
    CLAIM = """
        with recursive turn(tenant_id, webhook_id, number, version, due, of_tenant, total, full_tenant, left_early) as (
            select $1::text collate "C", $2::uuid, 0, 0, 0, 0, 0, false, false
            union all
            select first.tenant_id, next.webhook_id, turn.number + 1, coalesce(w.version, 0), found.due,
                before.of_tenant + found.due, turn.total + found.due, allowed.full_tenant,
                allowed.full_tenant or before.of_tenant + found.due >= $6
            from turn
            cross join lateral (
                select d.tenant_id, d.webhook_id from deliveries d
                where d.state = 1 and (d.tenant_id, d.webhook_id) > (turn.tenant_id,
                    case when turn.left_early then 'ffffffff-ffff-ffff-ffff-ffffffffffff' else turn.webhook_id end)
                order by d.tenant_id, d.webhook_id limit 1) first
            left join lateral (
                select rest.webhook_id from unnest($7::text[], $8::uuid[]) as r(tenant_id, webhook_id)
                cross join lateral (
                    select d.webhook_id from deliveries d
                    where d.state = 1 and d.tenant_id = r.tenant_id and d.webhook_id > r.webhook_id
                    order by d.tenant_id, d.webhook_id limit 1) rest
                where r.tenant_id = first.tenant_id and r.tenant_id <> turn.tenant_id limit 1) resumed on true
            cross join lateral (select coalesce(resumed.webhook_id, first.webhook_id) as webhook_id) next
            left join webhooks w on w.id = next.webhook_id and w.tenant_id = first.tenant_id
            cross join lateral (
                select case when first.tenant_id = turn.tenant_id then turn.of_tenant else 0 end as of_tenant) before
            left join unnest($11::uuid[], $12::int[], $13::int[]) as held(webhook_id, version, room)
                on held.webhook_id = next.webhook_id and held.version >= w.version
            cross join lateral (
                select first.tenant_id = any($10::text[]) as full_tenant, least($4 - turn.total, $6 - before.of_tenant,
                    case when coalesce(w.state, 1) <> 1 or next.webhook_id = any($9::uuid[]) then 0
                         else coalesce(held.room, $5) end) as room) allowed
            cross join lateral (
                select count(*)::int as due from (
                    select from deliveries d
                    where d.state = 1 and d.tenant_id = first.tenant_id and d.webhook_id = next.webhook_id
                      and d.due_at <= now() and not allowed.full_tenant
                    order by d.due_at limit allowed.room) counted) found
            where turn.number < $3 and turn.total < $4
        ), due as materialized (
            select row.id, row.tenant_id, turn.version
            from turn cross join lateral (
                select d.id, d.tenant_id from deliveries d
                where d.state = 1 and d.tenant_id = turn.tenant_id and d.webhook_id = turn.webhook_id
                  and d.due_at <= now()
                order by d.due_at limit turn.due for update skip locked) row
            where turn.due > 0
        ), claimed as (
            update deliveries d set due_at = now() + $14, claim_count = d.claim_count + 1, claimed = true
            from due where d.id = due.id and d.tenant_id = due.tenant_id
            returning d.id, d.tenant_id, d.webhook_id, d.event_id, d.attempt_count, d.claim_count, d.trigger,
                due.version
        )
        select turn.tenant_id, turn.webhook_id, turn.number, turn.total, turn.full_tenant, turn.left_early, c.id,
            c.event_id, c.attempt_count, c.claim_count, c.trigger, c.version, e.type, e.payload,
            e.occur_time, e.traceparent
        from turn
        left join claimed c on c.webhook_id = turn.webhook_id and c.tenant_id = turn.tenant_id
        left join events e on e.id = c.event_id and e.tenant_id = c.tenant_id
        where turn.number > 0
    """

    async def claim(self, cursor: Cursor, wanted: Wanted) -> tuple[list[Claim], Cursor]:
        """Takes over due deliveries, as many as are wanted; returns also where the next claim goes on."""
        deadline = time.monotonic() + self._lease
        async with self._database.by_key() as connection:
            rows = await connection.fetch(
                self.CLAIM,
                cursor.tenant_id,
                cursor.webhook_id,
                turns.TURNS,
                wanted.room,
                wanted.room_each,
                wanted.room + 1 if wanted.room_tenant is None else wanted.room_tenant,
                *(list(cursor.rest), list(cursor.rest.values())),
                *(wanted.full, wanted.full_tenants, list(wanted.held)),
                [version for version, _ in wanted.held.values()],
                [room for _, room in wanted.held.values()],
                timedelta(seconds=self._lease),
            )
        # A delivery put back while its day was leaving has no event until retention gives the day back.
        claims = [
            _claim_from_row(row, deadline) for row in rows if row["id"] is not None and row["payload"] is not None
        ]
        if claims:
            failpoints.hit("claim.committed")
        return claims, cursor.following(rows, wanted.room)

    # Fenced: a row that was claimed again since, or has ended, takes no outcome; then no attempt is written either. An
    # outcome uses up its claim: if the reply to the commit is lost and the batch comes again, it adds nothing twice.
    # The attempt's number comes from the row, so that numbers have neither gaps nor repeats. There is no retry at a
    # webhook that is gone: the look-up waits for a delete under way, and a delete for a look-up that came first. Here
    # and below the ids come sorted; the first and the last of them spare the tables of other days, which a lasting plan
    # cannot tell from a list. `changed_in` is given, because its default would be computed for each row.
    _BUCKETS = ", ".join(
        f"count(*) filter (where width_bucket(latency, $17::int[]) = {bucket})::int"
        for bucket in range(len(BOUNDS) + 1)
    )
    _MERGED = """array(
                    select coalesce(a, 0) + coalesce(b, 0)
                    from unnest(h.latencies, excluded.latencies) with ordinality as u(a, b, n) order by n)"""
    _WITHIN = "d.id between ($1::uuid[])[1] and ($1::uuid[])[cardinality($1::uuid[])]"
    RECORD = f"""
        with input as (
            select * from unnest($1::uuid[], $2::text[], $3::int[], $4::smallint[], $5::interval[], $6::smallint[],
                                 $7::smallint[], $8::timestamptz[], $9::int[], $10::text[], $11::text[], $12::bytea[],
                                 $13::bytea[], $14::boolean[], $15::int[], $16::int[], $18::int[], $19::uuid[])
                as i(id, tenant_id, claim_count, state, delay, result, status, start_time, latency, url, error,
                     response_headers, response_body, truncated, webhook_version, position, composer_id, webhook_id)
        ), recorded as (
            update deliveries d set state = next.state, claim_count = d.claim_count + 1, claimed = false,
                attempt_count = d.attempt_count + 1,
                due_at = case when next.state = 1 then now() + i.delay else d.due_at end,
                finish_time = case when next.state = 1 then null else now() end,
                last_result = i.result, last_status = i.status
            from input i cross join lateral (
                select case when i.state <> 1 then i.state else coalesce((
                    select 1 from webhooks w where w.id = i.webhook_id and w.tenant_id = i.tenant_id for key share), 4)
                end::smallint as state offset 0) next
            where d.id = any($1) and {_WITHIN} and d.id = i.id and d.tenant_id = i.tenant_id
              and d.claim_count = i.claim_count and d.state + 0 = 1
            returning d.id, d.tenant_id, d.webhook_id, d.attempt_count as number, d.trigger, d.state, i.start_time,
                i.latency, i.result, i.status, i.truncated, i.url, i.error, i.response_headers, i.response_body,
                i.webhook_version, i.position, i.composer_id
        ), logged as (
            insert into attempts (tenant_id, delivery_id, number, trigger, start_time, latency, result, status,
                truncated, url, error, response_headers, response_body, webhook_version, composer_id, changed_in)
            select tenant_id, id, number, trigger, start_time, latency, result, status, coalesce(truncated, false), url,
                coalesce(error, ''), response_headers, response_body, webhook_version, composer_id,
                (select pg_current_xact_id()::text::bigint)
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
        ), placed as (
            select tenant_id, webhook_id, state, state <> 2 and position > coalesce(
                max(position) filter (where state = 2) over (partition by tenant_id, webhook_id), -1) as failing
            from recorded
        ), streaks as (
            insert into webhook_streaks as s (tenant_id, webhook_id, failures, last_success_time, last_failure_time,
                failing_since)
            select tenant_id, webhook_id, count(*) filter (where state = 3 and failing),
                case when bool_or(state = 2) then now() end, case when bool_or(state = 3) then now() end,
                case when bool_or(failing) then now() end
            from placed group by tenant_id, webhook_id order by webhook_id, tenant_id
            on conflict (webhook_id, tenant_id) do update set
                failures = excluded.failures
                    + case when excluded.last_success_time is null then s.failures else 0 end,
                last_success_time = coalesce(excluded.last_success_time, s.last_success_time),
                last_failure_time = coalesce(excluded.last_failure_time, s.last_failure_time),
                failing_since = case when excluded.last_success_time is null
                    then coalesce(s.failing_since, excluded.failing_since) else excluded.failing_since end
        )
        select id, state from recorded
    """  # noqa: S608

    async def record(self, records: Sequence[Record]) -> dict[UUID, State]:
        """Writes outcomes, attempts and health counters; returns the deliveries that took theirs, and where they stand.

        The others were claimed by somebody else since: their outcomes change nothing. Those of deleted webhooks stand
        at CANCELLED instead of PENDING.
        """
        # Their positions tell in which order they ended. An id may be there twice, once with an older claim.
        positions = sorted(range(len(records)), key=lambda position: records[position].claim.id)
        records = [records[position] for position in positions]
        async with self._database.by_ids() as connection:
            rows = await connection.fetch(
                self.RECORD,
                [r.claim.id for r in records],
                [r.claim.tenant_id for r in records],
                [r.claim.claim_count for r in records],
                [int(r.conclusion.state) for r in records],
                sparse([None if (d := r.conclusion.delay) is None else timedelta(seconds=d) for r in records]),
                [int(r.outcome.result) for r in records],
                [r.outcome.status for r in records],
                [r.start_time for r in records],
                [int(r.latency * 1_000_000) for r in records],
                [r.url for r in records],
                sparse([r.outcome.error or None for r in records]),
                [json_of(r.outcome.headers) for r in records],
                [r.outcome.body for r in records],
                sparse([r.outcome.truncated or None for r in records]),
                [r.webhook_version for r in records],
                positions,
                [int(bound * 1_000_000) for bound in BOUNDS],
                [r.composer_id for r in records],
                [r.claim.webhook_id for r in records],
            )
            failpoints.hit("record.uncommitted")
        failpoints.hit("record.committed")
        return {row["id"]: State(row["state"]) for row in rows}

    RELEASE = f"""
        update deliveries d set due_at = now()
        from unnest($1::uuid[], $2::text[], $3::int[]) as i(id, tenant_id, claim_count)
        where d.id = any($1) and {_WITHIN} and d.id = i.id and d.tenant_id = i.tenant_id
              and d.claim_count = i.claim_count and d.state + 0 = 1
    """  # noqa: S608

    async def release(self, claims: Sequence[Claim]) -> None:
        """Gives claims back before their time: due at once, for anyone."""
        claims = sorted(claims, key=lambda claim: claim.id)
        async with self._database.by_ids() as connection:
            await connection.execute(
                self.RELEASE, [c.id for c in claims], [c.tenant_id for c in claims], [c.claim_count for c in claims]
            )

    CANCEL = f"""
        with cancelled as (
            update deliveries d set state = 4, finish_time = now()
            from unnest($1::uuid[], $2::text[], $3::int[]) as i(id, tenant_id, claim_count)
            where d.id = any($1) and {_WITHIN} and d.id = i.id and d.tenant_id = i.tenant_id
              and d.claim_count = i.claim_count and d.state + 0 = 1
            returning d.tenant_id, d.id
        )
        insert into other_changes (tenant_id, delivery_id) select tenant_id, id from cancelled
    """  # noqa: S608

    async def cancel(self, claims: Sequence[Claim]) -> None:
        """Ends deliveries whose webhook is gone. What somebody else has claimed since is theirs to end."""
        claims = sorted(claims, key=lambda claim: claim.id)
        async with self._database.by_ids() as connection:
            await connection.execute(
                self.CANCEL, [c.id for c in claims], [c.tenant_id for c in claims], [c.claim_count for c in claims]
            )


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
