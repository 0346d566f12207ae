"""Deliveries that are tried again: one, or many at a bounded rate.

Putting a delivery back takes it out of the health figures of the minute in which it had ended: it has not ended any
more. When it ends again it counts there and then, so the figures stay equal to the log.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import asyncpg

from ..domain import errors, ids
from ..domain.delivery import Delivery, State, Trigger
from ..domain.event import OPERATIONAL
from .database import Database
from .delivery_log import Filter, delivery_from_row

MOST = 50_000  # deliveries of one replay

# Takes the deliveries of `{source}` (tenant_id, webhook_id, state, finish_time) out of the figures, or puts them in.
_ADJUST = """
    {unit}s_adjusted as (
        update health_{unit}s h set succeeded = h.succeeded {sign} c.succeeded, failed = h.failed {sign} c.failed
        from (
            select tenant_id, webhook_id, date_trunc('{unit}', finish_time) as at,
                count(*) filter (where state = 2)::int as succeeded, count(*) filter (where state = 3)::int as failed
            from {source} where state in (2, 3) group by 1, 2, 3 order by 1, 2, 3) c
        where h.tenant_id = c.tenant_id and h.webhook_id = c.webhook_id and h.{unit} = c.at
    )
"""


def _adjusted(source: str, sign: str) -> str:
    return ", ".join(_ADJUST.format(unit=unit, source=source, sign=sign) for unit in ("minute", "hour"))


@dataclass(frozen=True, slots=True)
class Missed:
    """The events that a webhook should have got: `exact` types and `prefixes` ("User." of "User.*"; "" of "*").

    As in `domain/event.patterns`, "" is not a prefix of Hookpost's own types.
    """

    exact: Sequence[str]
    prefixes: Sequence[str]


class Replays:
    """Verbs that put deliveries back in the queue."""

    def __init__(self, database: Database, *, most: int = MOST) -> None:
        self._database = database
        self._most = most

    LOCK = "select * from deliveries where id = $1 and tenant_id = $2 for update"
    WEBHOOK = "select 1 from webhooks where id = $1 and tenant_id = $2"
    REDELIVER = f"""
        with ended as (
            select tenant_id, webhook_id, state, finish_time from deliveries where id = $1 and tenant_id = $2
        ), changed as (
            insert into other_changes (tenant_id, delivery_id) values ($2, $1)
        ), {_adjusted("ended", "-")}
        update deliveries d set state = 1, finish_time = null, due_at = now(), trigger = {int(Trigger.REDELIVERY)},
            claim_count = d.claim_count + 1
        where d.id = $1 and d.tenant_id = $2 returning *
    """  # noqa: S608

    async def redeliver(self, tenant_id: str, delivery_id: UUID) -> Delivery:
        """Due at once, whatever its end was. Raises NotFound, for the webhook too, and DeliveryNotEnded."""
        async with self._database.by_key() as connection:
            row = await connection.fetchrow(self.LOCK, delivery_id, tenant_id)
            if row is None:
                raise errors.NotFound("delivery", ids.text(ids.DELIVERY, delivery_id))
            if row["state"] == State.PENDING:
                raise errors.DeliveryNotEnded(ids.text(ids.DELIVERY, delivery_id))
            if not await connection.fetchval(self.WEBHOOK, row["webhook_id"], tenant_id):
                raise errors.NotFound("webhook", ids.text(ids.WEBHOOK, row["webhook_id"]))
            return delivery_from_row(await connection.fetchrow(self.REDELIVER, delivery_id, tenant_id))

    _CHOSEN = """
        from deliveries d
        where d.tenant_id = $1 and d.id >= $2 and d.id < $3 and d.state <> 1 and d.state = any($4::smallint[])
          and ($5 = '' or d.type = $5)
          and ($6::smallint[] = '{}' or d.last_status / 100 = any($6::smallint[]))
          and ($7::smallint[] = '{}' or d.last_result = any($7::smallint[]))
          and ($8::uuid is null or d.webhook_id = $8) and ($9::uuid is null or d.event_id = $9)
          and exists (select from webhooks w where w.id = d.webhook_id and w.tenant_id = d.tenant_id)
        order by d.id limit $10
    """
    COUNT = f"select count(*) from (select 1 {_CHOSEN}) chosen"  # noqa: S608
    REPLAY = f"""
        with chosen as materialized (
            select d.id, d.tenant_id, d.webhook_id, d.state, d.finish_time {_CHOSEN} for update of d
        ), numbered as materialized (
            select *, row_number() over (order by id) as number from chosen
        ), replayed as (
            update deliveries d set state = 1, finish_time = null, trigger = {int(Trigger.REPLAY)},
                due_at = now() + (n.number - 1) * $11::interval, claim_count = d.claim_count + 1
            from numbered n where d.id = n.id and d.tenant_id = n.tenant_id
            returning d.tenant_id, d.id, d.claim_count
        ), itemised as (
            insert into replay_items (tenant_id, replay_id, delivery_id, claim_count, state, finish_time)
            select r.tenant_id, $12, r.id, r.claim_count, n.state, n.finish_time
            from replayed r join numbered n using (id)
        ), changed as (
            insert into other_changes (tenant_id, delivery_id) select tenant_id, id from replayed
        ), {_adjusted("chosen", "-")}
        select count(*) from replayed
    """  # noqa: S608

    _MISSED = f"""
        from events e
        where e.tenant_id = $1 and e.id >= $2 and e.id < $3 and ($4 = '' or e.type = $4)
          and (e.type = any($5::text[]) or exists (
              select from unnest($6::text[]) p
              where starts_with(e.type, p) and (p <> '' or not starts_with(e.type, '{OPERATIONAL}.'))))
          and not exists (select from deliveries d where d.tenant_id = e.tenant_id and d.id =
              (left(e.id::text, 24) || left(md5(e.id::text || $7::uuid::text), 12))::uuid)
        order by e.id limit $8
    """  # noqa: S608
    COUNT_MISSED = f"select count(*) from (select 1 {_MISSED}) missed"  # noqa: S608
    REPLAY_MISSED = f"""
        with missed as materialized (
            select e.id, e.tenant_id, e.type {_MISSED}
        ), queued as (
            insert into deliveries (tenant_id, id, event_id, webhook_id, type, due_at, trigger)
            select tenant_id, (left(id::text, 24) || left(md5(id::text || $7::uuid::text), 12))::uuid, id, $7, type,
                now() + ($9 + row_number() over (order by id) - 1) * $10::interval, {int(Trigger.REPLAY)}
            from missed on conflict do nothing returning tenant_id, id
        ), itemised as (
            insert into replay_items (tenant_id, replay_id, delivery_id, claim_count)
            select tenant_id, $11, id, 0 from queued
        ), changed as (
            insert into other_changes (tenant_id, delivery_id) select tenant_id, id from queued
        )
        select count(*) from queued
    """  # noqa: S608

    async def count(self, tenant_id: str, filter: Filter, missed: Missed | None) -> int:
        """How many deliveries a replay would put back or make. Raises LimitExceeded above the most."""
        async with self._database.by_key() as connection:
            total: int = await connection.fetchval(self.COUNT, *_chosen(tenant_id, filter), self._most + 1)
            if missed is not None:
                total += await connection.fetchval(
                    self.COUNT_MISSED, *_missed(tenant_id, filter, missed), self._most + 1
                )
        return self._within_limit(total)

    async def replay(
        self, tenant_id: str, filter: Filter, missed: Missed | None, *, interval: float
    ) -> tuple[UUID, int]:
        """Puts back what matches, one due each `interval` seconds. Returns the replay's id and their number.

        Raises LimitExceeded above the most; then nothing is changed.
        """
        replay_id = ids.new(self._database.now())
        step = timedelta(seconds=interval)
        async with self._database.by_key() as connection:
            total: int = await connection.fetchval(
                self.REPLAY, *_chosen(tenant_id, filter), self._most + 1, step, replay_id
            )
            if missed is not None:
                total += await connection.fetchval(
                    self.REPLAY_MISSED, *_missed(tenant_id, filter, missed), self._most + 1, total, step, replay_id
                )
            return replay_id, self._within_limit(total)

    ITEMS = "select 1 from replay_items where replay_id = $1 and tenant_id = $2 limit 1"
    STOP = f"""
        with waiting as materialized (
            select d.id, d.tenant_id, d.webhook_id, i.state, i.finish_time
            from replay_items i join deliveries d on d.id = i.delivery_id and d.tenant_id = i.tenant_id
            where i.replay_id = $1 and i.tenant_id = $2 and d.state = 1 and d.claim_count = i.claim_count
            order by d.id for update of d
        ), stopped as (
            update deliveries d set state = coalesce(w.state, {int(State.CANCELLED)}),
                finish_time = coalesce(w.finish_time, now()), claim_count = d.claim_count + 1
            from waiting w where d.id = w.id and d.tenant_id = w.tenant_id
            returning d.tenant_id, d.id
        ), changed as (
            insert into other_changes (tenant_id, delivery_id) select tenant_id, id from stopped
        ), {_adjusted("waiting", "+")}
        select count(*) from stopped
    """  # noqa: S608

    async def stop(self, tenant_id: str, replay_id: UUID) -> int:
        """Takes back what was not claimed yet; returns how many. Raises NotFound."""
        async with self._database.by_key() as connection:
            stopped: int = await connection.fetchval(self.STOP, replay_id, tenant_id)
            if not stopped and not await self._exists(connection, tenant_id, replay_id):
                raise errors.NotFound("replay", ids.text(ids.REPLAY, replay_id))
        return stopped

    def _within_limit(self, total: int) -> int:
        if total > self._most:
            raise errors.LimitExceeded(f"more than {self._most:,} deliveries match; choose a shorter time range")
        return total

    async def _exists(self, connection: asyncpg.Connection, tenant_id: str, replay_id: UUID) -> bool:
        return await connection.fetchval(self.ITEMS, replay_id, tenant_id) is not None


def _chosen(tenant_id: str, filter: Filter) -> tuple[object, ...]:
    since, before = filter.since, filter.before
    if filter.event_id is not None:
        low, high = ids.deliveries_of(filter.event_id)
        since, before = max(since, low), min(before, ids.after(high))
    return (
        tenant_id,
        since,
        before,
        [int(state) for state in filter.states],
        filter.event_type,
        list(filter.status_classes),
        [int(result) for result in filter.results],
        filter.webhook_id,
        filter.event_id,
    )


def _missed(tenant_id: str, filter: Filter, missed: Missed) -> tuple[object, ...]:
    return (
        tenant_id,
        filter.since,
        filter.before,
        filter.event_type,
        missed.exact,
        missed.prefixes,
        filter.webhook_id,
    )
