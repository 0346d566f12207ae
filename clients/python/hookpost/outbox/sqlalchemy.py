"""The outbox by SQLAlchemy 2: `add` for any session or connection, a source for an AsyncEngine."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from hookpost.emission import Event
from hookpost.outbox.relay import Entry

_AWAY = frozenset({"08", "53", "57"})  # classes of SQLSTATE: connection, resources, an operator's intervention
_metadata = sa.MetaData()
outbox = sa.Table(
    "hookpost_outbox",
    _metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("tenant_id", sa.Text, nullable=False),
    sa.Column("payload", sa.LargeBinary, nullable=False),
    sa.Column("occur_time", sa.DateTime(timezone=True), nullable=False),
    sa.Column("error", sa.Text),
    sa.Column("number", sa.BigInteger, sa.Identity(always=True)),
    sa.Index("hookpost_outbox_waiting", "number", postgresql_where=sa.text("error is null")),
)


def table(metadata: sa.MetaData) -> sa.Table:
    """The table among your own, for migrations made from metadata."""
    return outbox.to_metadata(metadata)


def insert(event: Event) -> sa.Insert:
    """To execute, by a session or a connection, sync or not, in the transaction of what the event tells of.

    Raises ValueError as `emit` does.
    """
    entry = Entry.of(event, uuid.uuid4(), datetime.now(UTC))
    return sa.insert(outbox).values(
        id=entry.id,
        type=entry.type,
        tenant_id=entry.tenant_id,
        payload=entry.payload,
        occur_time=entry.occur_time,
    )


class Source:
    """The outbox of an AsyncEngine's database."""

    transient = (sa.exc.OperationalError, sa.exc.InterfaceError, OSError)  # ConnectionError, of take, too

    def __init__(self, engine: Any) -> None:
        self._engine = engine

    @contextlib.asynccontextmanager
    async def take(self, limit: int) -> AsyncIterator[_Batch]:
        """See `relay.Source`."""
        taken = (
            sa.select(outbox.c.id, outbox.c.type, outbox.c.tenant_id, outbox.c.payload, outbox.c.occur_time)
            .where(outbox.c.error.is_(None))
            .order_by(outbox.c.number)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        try:
            async with self._engine.begin() as connection:
                rows = (await connection.execute(taken)).mappings()
                yield _Batch(connection, [Entry(**row) for row in rows])
        except sa.exc.DBAPIError as error:  # by asyncpg it is no OperationalError when the database restarts
            if str(getattr(error.orig, "sqlstate", ""))[:2] in _AWAY:
                raise ConnectionError(str(error)) from error
            raise


class _Batch:
    def __init__(self, connection: Any, entries: Sequence[Entry]) -> None:
        self._connection = connection
        self.entries = entries

    async def settle(self, emitted: Sequence[UUID], refused: Mapping[UUID, str]) -> None:
        if emitted:
            await self._connection.execute(sa.delete(outbox).where(outbox.c.id.in_(emitted)))
        for identity, error in refused.items():
            await self._connection.execute(sa.update(outbox).where(outbox.c.id == identity).values(error=error))
