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
from .delivery_log import delivery_from_row


@dataclass(frozen=True, slots=True)
class Changes:
    """Deliveries that changed, as they are now, and the position after them."""

    deliveries: list[Delivery]
    position: int
    overflow: bool  # there were more than asked for; `deliveries` is then empty


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
        while low < high:
            middle = (low + high) // 2
            if await connection.fetchval(self.TOLD_SINCE, before, middle):
                low = middle + 1
            else:
                high = middle
        await connection.execute(self.FORGET, low)
        return low

    CHANGED = """
        select d.id from events e
        join lateral (
            select id, event_id from deliveries d
            where d.tenant_id = $1 and d.id >= (left(e.id::text, 24) || '000000000000')::uuid
              and d.id <= (left(e.id::text, 24) || 'ffffffffffff')::uuid and d.event_id = e.id) d on true
        where e.changed_in >= $2 and e.changed_in < $3 and e.tenant_id = $1
        union
        select delivery_id from attempts where changed_in >= $2 and changed_in < $3 and tenant_id = $1
        union
        select delivery_id from other_changes where changed_in >= $2 and changed_in < $3 and tenant_id = $1
        limit $4
    """
    NOW = "select * from deliveries where id = any($1::uuid[]) and tenant_id = $2 order by id"

    async def since(self, tenant_id: str, position: int, *, most: int) -> Changes:
        """What changed from a position on, at most `most` deliveries. Raises TokenExpired when some of it was removed."""
        async with self._database.transaction() as connection:
            following: int = await connection.fetchval(self.POSITION)
            if following <= position:
                return Changes([], position, overflow=False)
            # A BRIN index is used by a bitmap scan only; a scan of a whole partition must not be an option.
            await connection.execute("set local enable_seqscan = off")
            changed: list[UUID] = [
                row["id"] for row in await connection.fetch(self.CHANGED, tenant_id, position, following, most + 1)
            ]
            if len(changed) > most:
                return Changes([], following, overflow=True)
            rows = await connection.fetch(self.NOW, changed, tenant_id) if changed else []
            # Looked at last: whatever was removed before the rows were read is in it.
            if position < (oldest := await connection.fetchval(self.OLDEST)):
                raise errors.TokenExpired("some of what happened since then has been removed", str(oldest))
        return Changes([delivery_from_row(row) for row in rows], following, overflow=False)
