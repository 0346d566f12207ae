"""Day partitions of events, deliveries and attempts, made ahead of time.

`CREATE TABLE … PARTITION OF` waits for every reader and stalls every writer behind it; a table made apart and then
attached does not. Several nodes may do this at once: an advisory lock lets one work, the others find it done.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, date, datetime, timedelta

import asyncpg

from ..domain import errors, ids
from .database import Database

TABLES = ("events", "deliveries", "attempts")
DAYS_BEHIND, DAYS_AHEAD = 1, 2
FIRST_ROWS = 1000  # inserted rows after which a partition's statistics are worth taking
LOCK_SECONDS = 30.0  # to wait for another node that is at it
_LOCK = 7_305_150_011  # advisory lock of this chore


def name_of(table: str, day: date) -> str:
    """The partition's own name: one of TABLES and digits, safe in a statement."""
    return f"{table}_{day:%Y%m%d}"


async def attach(connection: asyncpg.Connection, table: str, day: date) -> None:
    """Makes a table that has the columns and keys of its parent the parent's partition."""
    low, high = ids.of_day(day)
    await connection.execute(
        f"alter table {table} attach partition {name_of(table, day)} for values from ('{low}') to ('{high}')"
    )


class Partitions:
    """Makes partitions and keeps the planner informed about them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def make(self) -> list[str]:
        """Makes what is missing from yesterday to the day after tomorrow; returns the names made."""
        today = datetime.fromtimestamp(self._database.now(), UTC).date()
        made = []
        async with self._database.session() as connection:  # whose end gives the lock back
            await self._lock(connection)
            for offset in range(-DAYS_BEHIND, DAYS_AHEAD + 1):
                for table in TABLES:
                    if name := await self._make_one(connection, table, today + timedelta(days=offset)):
                        made.append(name)
        return made

    @staticmethod
    async def _lock(connection: asyncpg.Connection) -> None:
        give_up = time.monotonic() + LOCK_SECONDS
        while not await connection.fetchval("select pg_try_advisory_lock($1)", _LOCK):
            if time.monotonic() > give_up:
                raise errors.DatabaseUnavailable(f"another node has been making partitions for {LOCK_SECONDS:g} s")
            await asyncio.sleep(0.05)

    @staticmethod
    async def _make_one(connection: asyncpg.Connection, table: str, day: date) -> str | None:
        name = name_of(table, day)
        if await connection.fetchval("select to_regclass($1) is not null", name):
            return None
        async with connection.transaction():
            await connection.execute(f"create table {name} (like {table} including all)")
            await attach(connection, table, day)
        return name

    UNKNOWN = """
        select relname from pg_stat_user_tables
        where relname ~ '^(events|deliveries|attempts)_[0-9]{8}$'
          and last_analyze is null and last_autoanalyze is null and n_tup_ins >= $1
    """

    async def analyze_fresh(self) -> list[str]:
        """Takes statistics of partitions that have got their first rows and were never looked at."""
        async with self._database.connection() as connection:
            names = [row["relname"] for row in await connection.fetch(self.UNKNOWN, FIRST_ROWS)]
            for name in names:
                await connection.execute(f"analyze {name}")
        return names
