"""Deleting rows that have had their time and lie in no day's table, a bounded batch at a time."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import asyncpg

from ..domain import ids
from ..domain.retention import HEALTH, KEYS, REPLAYS, Lifetimes
from .changes import ChangeFeed
from .database import planned

BATCH = 5000  # rows
WEBHOOKS = 50  # looked at for one batch of health rows
_NIL = UUID(int=0)

# A loose index scan over the webhooks, and the first rows of each.
_HEALTH = """
    with recursive turn(tenant_id, webhook_id, number) as (
        (select tenant_id, webhook_id, 1 from health_{unit}s
         where (tenant_id, webhook_id) > ($1, $2::uuid) order by tenant_id, webhook_id limit 1)
        union all
        select next.tenant_id, next.webhook_id, turn.number + 1
        from turn cross join lateral (
            select h.tenant_id, h.webhook_id from health_{unit}s h
            where (h.tenant_id, h.webhook_id) > (turn.tenant_id, turn.webhook_id)
            order by h.tenant_id, h.webhook_id limit 1) next
        where turn.number < $4
    ), old as materialized (
        select row.* from turn cross join lateral (
            select h.tenant_id, h.webhook_id, h.{unit} from health_{unit}s h
            where h.tenant_id = turn.tenant_id and h.webhook_id = turn.webhook_id and h.{unit} < $3
            order by h.{unit} limit $5) row
    ), gone as (
        delete from health_{unit}s h using old
        where h.tenant_id = old.tenant_id and h.webhook_id = old.webhook_id and h.{unit} = old.{unit}
    )
    select (select count(*) from old)::int as removed, tenant_id, webhook_id, number
    from turn order by number desc limit 1
"""


class Sweep:
    """Deletes, on a connection of the caller's."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def all(self, now: float, lifetimes: Lifetimes) -> dict[str, int]:
        """Everything that is too old; returns how many rows of which table."""
        hours = lifetimes.hours
        return {
            "idempotency_keys": await self._keys(ids.first_of(now - KEYS)),
            "replay_items": await self._batches(self.REPLAY_ITEMS, ids.first_of(now - REPLAYS)),
            "other_changes": await self._changes(),
            "webhook_revisions": await self._revisions(),
            "health_minutes": await self._health(self.MINUTES, now - HEALTH),
            "health_hours": 0 if hours is None else await self._health(self.HOURS, now - hours),
            "audit_log": 0 if (audit := lifetimes.audit.seconds) is None else await self._audit(now - audit),
        }

    # From a cursor on, so that it does not pass over what the batches before have left to vacuum.
    KEYS = """
        with old as materialized (
            select key, tenant_id, event_id from idempotency_keys
            where event_id > $1 and event_id < $2 order by event_id limit $3
        ), gone as (
            delete from idempotency_keys k using old where k.key = old.key and k.tenant_id = old.tenant_id
        )
        select count(*)::int, max(event_id::text)::uuid from old
    """

    async def _keys(self, before: UUID) -> int:
        total = 0
        place: UUID | None = _NIL
        while place is not None:
            async with planned(self._connection):
                count, place = await self._connection.fetchrow(self.KEYS, place, before, BATCH)
            total += count
        return total

    REPLAY_ITEMS = """
        with old as materialized (
            select replay_id, delivery_id, tenant_id from replay_items
            where replay_id < $1 order by replay_id, delivery_id limit $2
        ), gone as (
            delete from replay_items i using old
            where i.replay_id = old.replay_id and i.delivery_id = old.delivery_id and i.tenant_id = old.tenant_id
        )
        select count(*)::int from old
    """
    OTHER_CHANGES = """
        with gone as (
            delete from other_changes where ctid = any(array(
                select ctid from other_changes where changed_in < $1 order by changed_in limit $2)) returning 1
        )
        select count(*)::int from gone
    """

    async def _changes(self) -> int:
        """Those before the oldest position from which a watch can be resumed."""
        async with planned(self._connection):
            oldest = await self._connection.fetchval(ChangeFeed.OLDEST)
        return 0 if oldest is None else await self._batches(self.OTHER_CHANGES, oldest)

    AUDIT_LOG = """
        with gone as (
            delete from audit_log where (id, tenant_id) in (
                select id, tenant_id from audit_log where time < $1 order by id limit $2) returning 1
        )
        select count(*)::int from gone
    """

    async def _audit(self, before: float) -> int:
        total, count = 0, BATCH
        while count == BATCH:
            async with planned(self._connection, "set local hookpost.retention = 'on'"):  # else it can't be deleted
                count = await self._connection.fetchval(self.AUDIT_LOG, datetime.fromtimestamp(before, UTC), BATCH)
            total += count
        return total

    # Of deleted webhooks, once no delivery is left whose requests they show.
    REVISIONS = """
        with old as materialized (
            select r.webhook_id, r.version, r.tenant_id from webhook_revisions r
            where not exists (select from webhooks w where w.id = r.webhook_id and w.tenant_id = r.tenant_id)
              and not exists (select from deliveries d where d.webhook_id = r.webhook_id and d.state = 1)
              and not exists (select from deliveries d where d.webhook_id = r.webhook_id and d.state <> 1)
            order by r.webhook_id, r.version, r.tenant_id limit $1
        ), gone as (
            delete from webhook_revisions r using old
            where r.webhook_id = old.webhook_id and r.version = old.version and r.tenant_id = old.tenant_id
        )
        select count(*)::int from old
    """

    async def _revisions(self) -> int:
        return await self._batches(self.REVISIONS)

    async def _batches(self, statement: str, *before: UUID | int) -> int:
        total, count = 0, BATCH
        while count == BATCH:
            async with planned(self._connection):
                count = await self._connection.fetchval(statement, *before, BATCH)
            total += count
        return total

    MINUTES = _HEALTH.format(unit="minute")
    HOURS = _HEALTH.format(unit="hour")

    async def _health(self, statement: str, before: float) -> int:
        total = 0
        place = ("", _NIL)
        while True:
            async with planned(self._connection):
                row = await self._connection.fetchrow(
                    statement, *place, datetime.fromtimestamp(before, UTC), WEBHOOKS, BATCH // WEBHOOKS
                )
            if row is None:
                return total
            total += row["removed"]
            if not row["removed"]:  # else the same webhooks may have more
                place = (row["tenant_id"], row["webhook_id"])
