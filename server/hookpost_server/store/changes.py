"""The change feed: what became of deliveries, in the order of transactions, on whichever node.

Events and attempts are appended and carry their transaction's number; so do the changes that neither tells of. All
numbers below the oldest transaction still open are settled: whoever has read up to there misses nothing by going on
from there. No trigger, no NOTIFY, nothing to lose. What is removed is noted in `change_horizon`.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import asyncpg

from ..domain import errors
from ..domain.delivery import Delivery
from .database import BY_KEY, Database
from .delivery_log import Filter, delivery_from_row, matching

PAGE = 1_000  # deliveries read at once
SPAN = 1_000  # transactions looked at in one step


@dataclass(frozen=True, slots=True)
class Place:
    """What a watcher has been told: all before `position`, and up to `end` the changes of deliveries up to `after`."""

    position: int
    end: int = 0  # 0: not amid a step
    after: UUID = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Changes:
    """Deliveries that changed, as they are now, each with the place after it; and the place after all of them."""

    told: list[tuple[Delivery, Place]]
    place: Place
    more: bool  # there may be more already


class ChangeFeed:
    """Reads changes of a tenant's deliveries."""

    def __init__(self, database: Database) -> None:
        self._database = database

    POSITION = "select pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
    OLDEST = "select coalesce(max(oldest), 0) from change_horizon"

    async def position(self) -> int:
        """Where a watcher that wants only what is new begins."""
        async with self._database.connection() as connection:
            position: int = await connection.fetchval(self.POSITION)
        return position

    async def oldest(self) -> int:
        """The oldest position from which nothing is missing; 0 while nothing was ever removed."""
        async with self._database.connection() as connection:
            oldest: int = await connection.fetchval(self.OLDEST)
        return oldest

    FORGET_OTHER = """
        with forgotten as (delete from other_changes where delivery_id < $1 returning changed_in)
        select coalesce(max(changed_in) + 1, 0) from forgotten
    """
    NEXT = "select pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
    TOLD_SINCE = """
        select exists (select from events where id < $1 and changed_in >= $2)
            or exists (select from attempts where delivery_id < $1 and changed_in >= $2)
    """
    FORGET = """
        insert into change_horizon (oldest) values ($1)
        on conflict (single) do update set oldest = greatest(change_horizon.oldest, excluded.oldest)
    """

    async def forget(self, connection: asyncpg.Connection, before: UUID) -> int:
        """Notes that events and deliveries with ids below `before` are about to be removed; returns the new `oldest`.

        To be called in the transaction that removes them, once nobody can write to them any more, or in one that
        commits earlier. It removes their `other_changes` itself.
        """
        low: int = max(await connection.fetchval(self.OLDEST), await connection.fetchval(self.FORGET_OTHER, before))
        high: int = await connection.fetchval(self.NEXT)
        # A BRIN index knows no maximum, but tells at almost no cost whether there is anything from a position on.
        await connection.execute(f"{BY_KEY} set local enable_indexscan = off")
        await connection.execute("set local plan_cache_mode = force_custom_plan")
        while low < high:
            middle = (low + high) // 2
            if await connection.fetchval(self.TOLD_SINCE, before, middle):
                low = middle + 1
            else:
                high = middle
        await connection.execute(self.FORGET, low)
        return low

    # `offset 0` leaves but one way to read each table: a plan made while a partition was empty might choose another,
    # and read all of the tenant's rows for ever. A delivery that changed twice is told once, as it is now.
    CHANGED = f"""
        with changed as materialized (
            select d.id
            from (select id, tenant_id from events where changed_in >= $2 and changed_in < $3 offset 0) e
            cross join lateral (
                select id, event_id, tenant_id from deliveries
                where id >= (left(e.id::text, 24) || '000000000000')::uuid
                  and id <= (left(e.id::text, 24) || 'ffffffffffff')::uuid offset 0) d
            where e.tenant_id = $1 and d.event_id = e.id and d.tenant_id = $1
            union
            select delivery_id
            from (select delivery_id, tenant_id from attempts where changed_in >= $2 and changed_in < $3 offset 0) a
            where tenant_id = $1
            union
            select delivery_id from other_changes where changed_in >= $2 and changed_in < $3 and tenant_id = $1
        )
        select d.* from (select id from changed where id > $4 order by id) c
        cross join lateral (select * from deliveries where id = c.id and tenant_id = $1 limit 1) d
        where {matching(5)}
        order by c.id limit $12
    """  # noqa: S608

    async def since(
        self, tenant_id: str, place: Place, filter: Filter, *, page: int = PAGE, span: int = SPAN
    ) -> Changes:
        """What changed from a place on and meets the filter's conditions, at most a page of it.

        Raises TokenExpired when some of what changed since then was removed.
        """
        async with self._database.by_key() as connection:
            settled: int = await connection.fetchval(self.POSITION)
            end = min(place.end or settled, settled, place.position + span)
            if end <= place.position:
                return Changes([], place, more=False)
            rows = await connection.fetch(
                self.CHANGED, tenant_id, place.position, end, place.after, *filter.conditions, page
            )
            # Looked at last: whatever was removed before the rows were read is in it.
            if place.position < (oldest := await connection.fetchval(self.OLDEST)):
                raise errors.TokenExpired("some of what happened since then has been removed", str(oldest))
        told = [(found, Place(place.position, end, found.id)) for found in map(delivery_from_row, rows)]
        following = told[-1][1] if len(told) == page else Place(end)
        return Changes(told, following, more=following.position < settled)
