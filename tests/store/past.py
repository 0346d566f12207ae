"""Days of the past: their tables, and events that are of them."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from hookpost_server.domain import ids
from hookpost_server.domain.event import Event
from hookpost_server.store.database import Database
from hookpost_server.store.partitions import TABLES, attach, name_of

from . import making

_numbers = itertools.count()


def day_of(database: Database, ago: int) -> date:
    """The day of UTC that many days ago, by the database's clock."""
    return datetime.fromtimestamp(database.now(), UTC).date() - timedelta(days=ago)


async def make_day(connection: asyncpg.Connection, day: date) -> None:
    """The tables of a day, as once made ahead of it."""
    for table in TABLES:
        await connection.execute(f"create table {name_of(table, day)} (like {table} including all)")
        await attach(connection, table, day)


def event(day: date, **given: Any) -> Event:
    """Accepted on that day, at noon and some milliseconds."""
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC).timestamp()
    identity = UUID(int=ids.first_of(noon + next(_numbers) / 1000).int | 7 << 76 | 2 << 62)
    return making.event(id=identity, **given)
