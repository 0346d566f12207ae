"""The outbox by asyncpg."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg

from hookpost.emission import Event
from hookpost.outbox.relay import Entry

_ADD = """
    insert into hookpost_outbox (id, type, tenant_id, payload, occur_time) values ($1, $2, $3, $4, $5)
"""
_TAKE = """
    select id, type, tenant_id, payload, occur_time from hookpost_outbox
    where error is null order by number limit $1 for update skip locked
"""
_DELETE = "delete from hookpost_outbox where id = any($1)"
_REFUSE = "update hookpost_outbox set error = $2 where id = $1"


async def add(connection: Any, event: Event) -> UUID:
    """Writes an event in the connection's transaction; returns its idempotency key. Raises ValueError as `emit` does.

    An `idempotency_key` of the event's own is not used: the row's id is the key.
    """
    entry = Entry.of(event, uuid.uuid4(), datetime.now(UTC))
    await connection.execute(_ADD, entry.id, entry.type, entry.tenant_id, entry.payload, entry.occur_time)
    return entry.id


class Source:
    """The outbox of a pool's database."""

    transient = (
        asyncpg.PostgresConnectionError,
        asyncpg.InsufficientResourcesError,
        asyncpg.OperatorInterventionError,
        asyncpg.InterfaceError,
        OSError,
    )

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    @contextlib.asynccontextmanager
    async def take(self, limit: int) -> AsyncIterator[_Batch]:
        """See `relay.Source`."""
        async with self._pool.acquire() as connection, connection.transaction():
            rows = await connection.fetch(_TAKE, limit)
            yield _Batch(connection, [Entry(**dict(row)) for row in rows])


class _Batch:
    def __init__(self, connection: Any, entries: Sequence[Entry]) -> None:
        self._connection = connection
        self.entries = entries

    async def settle(self, emitted: Sequence[UUID], refused: Mapping[UUID, str]) -> None:
        if emitted:
            await self._connection.execute(_DELETE, emitted)
        if refused:
            await self._connection.executemany(_REFUSE, list(refused.items()))
