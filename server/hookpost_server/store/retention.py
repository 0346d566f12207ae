"""Letting go of what is old: whole days of the log, bodies before that, and what else has had its time.

One node at a time, under an advisory lock. Every step may be the last before a crash: what was begun is noted on the
tables themselves, and whoever comes next finishes it, whatever the settings say by then.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta

import asyncpg
import structlog

from ..domain import ids
from ..domain.retention import Lifetimes
from ..domain.retry import RetryPolicy
from .bodies import remove_bodies
from .changes import ChangeFeed
from .database import Database, planned
from .day_tables import Day, DayTables, Link, Note
from .partitions import TABLES, attach
from .sweep import Sweep

COUNTED = 10_000  # pending deliveries of a day, at most, that are counted for the log
_LOCK = 7_305_150_012  # advisory lock of this chore

log = structlog.get_logger()


class Retention:
    """Drops days that nobody needs any more, and what else is too old."""

    def __init__(self, database: Database, lifetimes: Lifetimes) -> None:
        self._database = database
        self._lifetimes = lifetimes
        self._told: set[tuple[date, str]] = set()

    async def keep(self) -> bool:
        """Does all that is due, unless another node is at it. False: something waits for a lock; come again soon."""
        async with self._database.connection() as connection:
            if not await connection.fetchval("select pg_try_advisory_lock($1)", _LOCK):
                return True
            try:
                settled = True
                for chore in (self._drop_days, self._sweep, self._remove_bodies):
                    settled = await self._did(chore, connection) and settled
                return settled
            finally:
                await connection.execute("select pg_advisory_unlock($1)", _LOCK)

    @staticmethod
    async def _did(chore: Callable[[asyncpg.Connection], Awaitable[None]], connection: asyncpg.Connection) -> bool:
        try:
            await chore(connection)
        except asyncpg.LockNotAvailableError:
            log.info("retention.postponed", chore=chore.__name__.lstrip("_"))
            return False
        return True

    POLICIES = "select distinct retry_delays, retry_jitter from webhooks"

    async def _drop_days(self, connection: asyncpg.Connection) -> None:
        now = self._database.now()
        policies = [RetryPolicy(delays=row[0], jitter=row[1]) for row in await connection.fetch(self.POLICIES)]
        wanted, allowed = self._lifetimes.last_to_drop(now, ()), self._lifetimes.last_to_drop(now, policies)
        tables = DayTables(connection)
        for day, found in (await tables.all()).items():
            if not any(table.note is Note.DROPPING for table in found.values()):
                if wanted is None or allowed is None or day > wanted:
                    continue
                if all(table.link is Link.DETACHED for table in found.values()):  # somebody's archive
                    continue
                if day > allowed:
                    self._hold(day, "a retry policy in use lasts that long")
                    continue
                if await self._is_pending(connection, day, found):
                    continue
                async with connection.transaction():
                    for table in found.values():
                        if table.link is not Link.DETACHED:
                            await tables.note(table, Note.DROPPING)
                    await self._forget(connection, day)
                found = (await tables.all())[day]
            await self._drop(connection, day, found)

    async def _drop(self, connection: asyncpg.Connection, day: date, found: Day) -> None:
        """Events leave first: without its event, a delivery can't be put back in the queue."""
        start = time.monotonic()
        tables = DayTables(connection)
        leaving = {parent: table for parent, table in found.items() if table.note is Note.DROPPING}
        if "events" in leaving:
            await tables.detach(leaving["events"])
        # The detach has waited for everybody who saw the events: a redelivery of the last moment is seen here.
        if await self._is_pending(connection, day, found):
            async with connection.transaction():
                if "events" in leaving:
                    await attach(connection, "events", day)
                for table in leaving.values():
                    await tables.note(table, Note.NONE)
            return
        async with connection.transaction():
            await self._forget(connection, day)  # what was attempted since
        for table in leaving.values():
            if table.parent != "events":
                await tables.detach(table)
        size = sum([await tables.drop(table) for table in leaving.values()])
        log.info("retention.dropped", day=str(day), bytes=size, seconds=round(time.monotonic() - start, 3))

    async def _forget(self, connection: asyncpg.Connection, day: date) -> None:
        """No watch can be resumed from before the changes that go with the day."""
        end = datetime.combine(day + timedelta(days=1), datetime.min.time(), UTC)
        await ChangeFeed(self._database).forget(connection, ids.first_of(end.timestamp()))

    async def _is_pending(self, connection: asyncpg.Connection, day: date, found: Day) -> bool:
        """Whether a delivery of the day has not ended; then says so, once."""
        if "deliveries" not in found:
            return False
        async with planned(connection):
            webhooks = await connection.fetch(
                f"""
                select webhook_id, count(*)::int as count from (
                    select webhook_id from {found["deliveries"].name} where state = 1 limit {COUNTED}) pending
                group by webhook_id order by 2 desc
                """  # noqa: S608
            )
        if webhooks:
            pending = sum(row["count"] for row in webhooks)
            some = [str(row["webhook_id"]) for row in webhooks[:5]]
            self._hold(day, "deliveries are pending", deliveries=pending, webhooks=some)
        return bool(webhooks)

    def _hold(self, day: date, reason: str, **fields: object) -> None:
        if (day, reason) not in self._told:
            self._told.add((day, reason))
            log.warning("retention.held", day=str(day), reason=reason, **fields)

    async def _sweep(self, connection: asyncpg.Connection) -> None:
        start = time.monotonic()
        removed = await Sweep(connection).all(self._database.now(), self._lifetimes)
        if any(removed.values()):
            log.info("retention.swept", **removed, seconds=round(time.monotonic() - start, 3))

    async def _remove_bodies(self, connection: asyncpg.Connection) -> None:
        last = self._lifetimes.last_to_strip(self._database.now())
        tables = DayTables(connection)
        for day, found in (await tables.all()).items():
            if last is None or day > last:
                return
            if any(parent not in found or found[parent].link is not Link.ATTACHED for parent in TABLES):
                continue
            note = found["events"].note
            if note in (Note.DROPPING, Note.STRIPPED):
                continue
            if note is Note.STRIPPED_BUT_PENDING and await self._is_pending(connection, day, found):
                continue
            start = time.monotonic()
            removed = await remove_bodies(connection, found)
            await tables.note(found["events"], Note.STRIPPED_BUT_PENDING if removed.kept else Note.STRIPPED)
            if removed.payloads or removed.answers:
                seconds = round(time.monotonic() - start, 3)
                log.info("retention.stripped", day=str(day), **dataclasses.asdict(removed), seconds=seconds)
