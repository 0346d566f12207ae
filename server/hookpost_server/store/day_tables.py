"""The tables of past days: which there are, and the steps by which one leaves.

`DROP` of a partition waits for every reader of the parent and stalls every writer behind it. `DETACH … CONCURRENTLY`
waits for readers too, but nobody waits behind it; given up, it leaves a partition that new statements do not see and
that `FINALIZE` detaches once the last reader is gone. What is to happen to a table is noted in its comment, which
lives and dies with it.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from datetime import date, datetime

import asyncpg

from .partitions import name_of

DROP_TIMEOUT = 600.0  # seconds; the files of a big table take their time, and nobody waits for them


class Link(enum.Enum):
    """How a day's table hangs on its parent."""

    ATTACHED = "attached"
    PENDING = "pending"  # a detach was given up halfway
    DETACHED = "detached"


class Note(enum.Enum):
    """What retention has done with a table, or is about to do; its comment."""

    NONE = ""
    DROPPING = "hookpost: retention drops this day"
    STRIPPED_BUT_PENDING = "hookpost: retention has removed the bodies, but for deliveries pending then"
    STRIPPED = "hookpost: retention has removed the bodies"


_NOTES = {note.value: note for note in Note}


@dataclass(frozen=True, slots=True)
class DayTable:
    """One day of events, deliveries or attempts."""

    parent: str
    day: date
    link: Link
    note: Note

    @property
    def name(self) -> str:
        return name_of(self.parent, self.day)


Day = dict[str, DayTable]  # by parent


class DayTables:
    """Looks at the tables of days, and moves them, on a connection of the caller's."""

    ALL = """
        select c.relname as name, i.inhdetachpending as pending, obj_description(c.oid, 'pg_class') as note
        from pg_class c left join pg_inherits i on i.inhrelid = c.oid
        where c.relkind = 'r' and c.relname ~ '^(events|deliveries|attempts)_[0-9]{8}$'
          and c.relnamespace = (select relnamespace from pg_class where oid = 'events'::regclass)
        order by c.relname
    """

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def all(self) -> dict[date, Day]:
        """Oldest first."""
        days: dict[date, Day] = {}
        for name, pending, note in await self._connection.fetch(self.ALL):
            parent, digits = re.fullmatch(r"([a-z]+)_([0-9]{8})", name).groups()  # type: ignore[union-attr]
            day = datetime.strptime(digits, "%Y%m%d").date()
            link = Link.DETACHED if pending is None else Link.PENDING if pending else Link.ATTACHED
            days.setdefault(day, {})[parent] = DayTable(parent, day, link, _NOTES.get(note, Note.NONE))
        return dict(sorted(days.items()))

    async def detach(self, table: DayTable) -> None:
        """Takes a table from its parent, or finishes doing so. Raises LockNotAvailableError while there are readers."""
        how = {Link.ATTACHED: "concurrently", Link.PENDING: "finalize"}.get(table.link)
        if how is not None:
            await self._connection.execute(f"alter table {table.parent} detach partition {table.name} {how}")

    async def note(self, table: DayTable, note: Note) -> None:
        await self._connection.execute(f"comment on table {table.name} is '{note.value}'")

    async def drop(self, table: DayTable) -> int:
        """Returns the bytes that it took."""
        size: int = await self._connection.fetchval("select pg_total_relation_size($1::text::regclass)", table.name)
        await self._connection.execute(f"drop table {table.name}", timeout=DROP_TIMEOUT)
        return size
