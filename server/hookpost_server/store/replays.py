"""Deliveries that are tried again: one, or many at a bounded rate.

Putting a delivery back takes it out of the health figures of the minute in which it had ended, and out of the streak if
it was part of it: it has not ended any more. When it ends again it counts there and then, so the figures stay equal to
the log.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import asyncpg

from ..domain import errors, ids
from ..domain.audit import Action
from ..domain.delivery import Delivery, State, Trigger
from ..domain.event import OPERATIONAL, iso_milliseconds
from . import audit
from .bodies import keep_payloads
from .database import Database
from .delivery_log import Filter, delivery_from_row, matching
from .missed import Missed

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
# The streak has what failed since the last success. A failure and a success that were recorded by one statement have
# the same time: such a failure is taken for one before the success.
_ADJUST_STREAKS = """
    streaks_held as materialized (
        select * from webhook_streaks
        where (webhook_id, tenant_id) in (select webhook_id, tenant_id from {source} where state = 3)
        order by webhook_id, tenant_id for update
    ), streaks_adjusted as (
        update webhook_streaks s set failures = greatest(0, s.failures {sign} c.failures)
        from (
            select h.webhook_id, h.tenant_id, count(*) as failures
            from streaks_held h join {source} e on e.webhook_id = h.webhook_id and e.tenant_id = h.tenant_id
            where e.state = 3 and e.finish_time > coalesce(h.last_success_time, '-infinity') group by 1, 2) c
        where s.webhook_id = c.webhook_id and s.tenant_id = c.tenant_id
    )
"""


def _adjusted(source: str, sign: str) -> str:
    figures = [_ADJUST.format(unit=unit, source=source, sign=sign) for unit in ("minute", "hour")]
    return ", ".join([*figures, _ADJUST_STREAKS.format(source=source, sign=sign)])


# Reaches the deliveries of an earlier replay by their keys.
_OF_REPLAY = "d.id = any(array(select delivery_id from replay_items where replay_id = $10 and tenant_id = $1)) and"


def _chosen_from(way_in: str) -> str:
    return f"""
        from deliveries d left join events e on e.id = d.event_id and e.tenant_id = d.tenant_id
        where {way_in} d.tenant_id = $1 and d.id >= $2 and d.id < $3 and d.state <> 1 and {matching(4)}
          and exists (select from webhooks w where w.id = d.webhook_id and w.tenant_id = d.tenant_id)
        order by d.id limit $11
    """


# How many, and the newest event without payload.
_COUNTED = "select count(*), max(event_id::text) filter (where removed)"


def _counted(way_in: str = "") -> str:
    return f"{_COUNTED} from (select d.event_id, e.payload is null as removed {_chosen_from(way_in)}) chosen"


def _replayed(way_in: str = "") -> str:
    return f"""
        with chosen as materialized (
            select d.id, d.tenant_id, d.webhook_id, d.state, d.finish_time, d.event_id, e.payload is null as removed
            {_chosen_from(way_in)} for update of d
        ), numbered as materialized (
            select *, row_number() over (order by id) as number from chosen
        ), replayed as (
            update deliveries d set state = 1, finish_time = null, trigger = {int(Trigger.REPLAY)},
                due_at = now() + (n.number - 1) * $12::interval, claim_count = d.claim_count + 1, claimed = false
            from numbered n where d.id = n.id and d.tenant_id = n.tenant_id
            returning d.tenant_id, d.id, d.claim_count
        ), itemised as (
            insert into replay_items (tenant_id, replay_id, delivery_id, claim_count, state, finish_time)
            select r.tenant_id, $13, r.id, r.claim_count, n.state, n.finish_time
            from replayed r join numbered n using (id)
        ), changed as (
            insert into other_changes (tenant_id, delivery_id) select tenant_id, id from replayed
        ), {_adjusted("chosen", "-")}
        {_COUNTED} from chosen
    """  # noqa: S608


class Replays:
    """Verbs that put deliveries back in the queue."""

    def __init__(self, database: Database, *, most: int = MOST) -> None:
        self._database = database
        self._most = most

    LOCK = "select * from deliveries where id = $1 and tenant_id = $2 for update"
    PAYLOAD = "select payload is not null from events where id = $1 and tenant_id = $2"
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
        """Due at once, whatever its end was.

        Raises NotFound, for the webhook too, DeliveryNotEnded and PayloadRemoved.
        """
        async with self._database.by_key() as connection:
            await keep_payloads(connection)
            row = await connection.fetchrow(self.LOCK, delivery_id, tenant_id)
            if row is None:
                raise errors.NotFound("delivery", ids.text(ids.DELIVERY, delivery_id))
            if row["state"] == State.PENDING:
                raise errors.DeliveryNotEnded(ids.text(ids.DELIVERY, delivery_id))
            if not await connection.fetchval(self.WEBHOOK, row["webhook_id"], tenant_id):
                raise errors.NotFound("webhook", ids.text(ids.WEBHOOK, row["webhook_id"]))
            if not await connection.fetchval(self.PAYLOAD, row["event_id"], tenant_id):
                raise errors.PayloadRemoved(ids.text(ids.EVENT, row["event_id"]))
            await audit.note(connection, tenant_id, Action.DELIVERY_REDELIVERED, ids.text(ids.DELIVERY, delivery_id))
            return delivery_from_row(await connection.fetchrow(self.REDELIVER, delivery_id, tenant_id))

    COUNT = _counted()
    COUNT_AGAIN = _counted(_OF_REPLAY)
    REPLAY = _replayed()
    REPLAY_AGAIN = _replayed(_OF_REPLAY)

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
    COUNT_MISSED = f"{_COUNTED} from (select e.id as event_id, e.payload is null as removed {_MISSED}) missed"
    REPLAY_MISSED = f"""
        with missed as materialized (
            select e.id, e.tenant_id, e.type, e.id as event_id, e.payload is null as removed {_MISSED}
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
        {_COUNTED} from missed
    """  # noqa: S608

    async def count(self, tenant_id: str, filter: Filter, missed: Missed | None) -> int:
        """How many deliveries a replay would put back or make. Raises LimitExceeded above the most, PayloadRemoved."""
        async with self._database.by_key() as connection:
            count = self.COUNT if filter.replay_id is None else self.COUNT_AGAIN
            counted = [await connection.fetchrow(count, *_chosen(tenant_id, filter), self._most + 1)]
            if missed is not None:
                counted.append(
                    await connection.fetchrow(self.COUNT_MISSED, *_missed(tenant_id, filter, missed), self._most + 1)
                )
        return self._checked(counted)

    async def replay(
        self, tenant_id: str, filter: Filter, missed: Missed | None, *, interval: float
    ) -> tuple[UUID, int]:
        """Puts back what matches, one due each `interval` seconds. Returns the replay's id and their number.

        Raises LimitExceeded above the most, and PayloadRemoved if one can't be sent; then nothing is changed.
        """
        replay_id = ids.new(self._database.now())
        step = timedelta(seconds=interval)
        async with self._database.by_key() as connection:
            await keep_payloads(connection)
            replay = self.REPLAY if filter.replay_id is None else self.REPLAY_AGAIN
            counted = [await connection.fetchrow(replay, *_chosen(tenant_id, filter), self._most + 1, step, replay_id)]
            if missed is not None:
                already = counted[0][0]
                counted.append(
                    await connection.fetchrow(
                        self.REPLAY_MISSED,
                        *_missed(tenant_id, filter, missed),
                        self._most + 1,
                        already,
                        step,
                        replay_id,
                    )
                )
            total = self._checked(counted)
            if total:
                name = ids.text(ids.REPLAY, replay_id)
                await audit.note(connection, tenant_id, Action.REPLAY_STARTED, name, deliveries=total)
            return replay_id, total

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
            if stopped:
                name = ids.text(ids.REPLAY, replay_id)
                await audit.note(connection, tenant_id, Action.REPLAY_STOPPED, name, deliveries=stopped)
        return stopped

    def _checked(self, counted: Sequence[tuple[int, str | None]]) -> int:
        total = sum(count for count, _ in counted)
        if total > self._most:
            raise errors.LimitExceeded(f"more than {self._most:,} deliveries match; choose a shorter time range")
        if newest := max((event_id for _, event_id in counted if event_id), default=None):
            event_id = UUID(newest)
            since = iso_milliseconds(ids.time_of(event_id) + timedelta(milliseconds=1))
            raise errors.PayloadRemoved(ids.text(ids.EVENT, event_id), f"; choose a start_time of {since} or later")
        return total

    async def _exists(self, connection: asyncpg.Connection, tenant_id: str, replay_id: UUID) -> bool:
        return await connection.fetchval(self.ITEMS, replay_id, tenant_id) is not None


def _chosen(tenant_id: str, filter: Filter) -> tuple[object, ...]:
    since, before = filter.since, filter.before
    if filter.event_id is not None:
        low, high = ids.deliveries_of(filter.event_id)
        since, before = max(since, low), min(before, ids.after(high))
    return (tenant_id, since, before, *filter.conditions)


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
