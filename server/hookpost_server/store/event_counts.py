"""How many events a webhook would have got."""

from __future__ import annotations

from dataclasses import dataclass

from ..domain import ids
from ..domain.event import OPERATIONAL
from .database import Database
from .health import DAY
from .missed import Missed

MOST = 20_000  # events looked at, the newest ones


@dataclass(frozen=True, slots=True)
class EventCount:
    """Of the events of a window."""

    matching: int
    all: int  # that were looked at
    complete: bool  # else there were more than MOST, and older ones were left out


class EventCounts:
    """Counts events by type, without a table of its own: a bounded look at the newest."""

    def __init__(self, database: Database) -> None:
        self._database = database

    COUNT = f"""
        select count(*) filter (where type = any($3::text[]) or exists (
                select from unnest($4::text[]) p
                where starts_with(type, p) and (p <> '' or not starts_with(type, '{OPERATIONAL}.')))) as matching,
            count(*) as all
        from (select type from events where tenant_id = $1 and id >= $2 order by id desc limit $5) newest
    """  # noqa: S608

    async def matching(self, tenant_id: str, wanted: Missed, window: float = DAY) -> EventCount:
        """What would have matched in the last `window` seconds."""
        since = ids.first_of(self._database.now() - window)
        async with self._database.by_range() as connection:
            row = await connection.fetchrow(self.COUNT, tenant_id, since, wanted.exact, wanted.prefixes, MOST)
        return EventCount(row["matching"], row["all"], row["all"] < MOST)
