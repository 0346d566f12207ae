"""Which master keys the database is sealed with, and sealing it anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

import asyncpg

from ..domain import errors, sealing
from ..domain.sealing import SHORTEST, KeyRing
from .database import Database

BATCH = 500  # rows sealed in one transaction
_NIL = UUID(int=0)

HOLD = "select from master_keys where id = $1 for key share"


async def hold(connection: asyncpg.Connection, ring: KeyRing) -> None:
    """To be called first in a transaction that seals: until its end the key is not retired. Raises MasterKeyRetired."""
    if await connection.fetchrow(HOLD, ring.keys[0].id) is None:
        raise errors.MasterKeyRetired(str(ring.keys[0]))


@dataclass(frozen=True, slots=True)
class _Column:
    """Where secrets are."""

    table: str
    name: str
    what: str  # as sealing.py names it
    webhook: str  # the column with the webhook's id
    key: tuple[str, ...]  # primary key
    before: tuple[Any, ...]  # less than every key

    @property
    def constraint(self) -> str:
        return f"{self.table}.{self.name}_sealed"

    @property
    def prove(self) -> str:
        return f"""
            alter table {self.table} add constraint {self.name}_sealed
                check (substr({self.name}, 1, 1) = '\\x01' and length({self.name}) >= {SHORTEST})
        """

    @property
    def page(self) -> str:
        return f"""
            select {", ".join(self.key)}, {self.webhook} as webhook, {self.name} as stored from {self.table}
            where ({", ".join(self.key)}) > ($3, $4{", $5" if len(self.key) == 3 else ""})
              and (substr({self.name}, 1, length($1::bytea)) <> $1 or length({self.name}) < {SHORTEST})
            order by {", ".join(self.key)} limit $2 for update
        """  # noqa: S608

    @property
    def put(self) -> str:
        rows = " and ".join(f"{part} = ${number}" for number, part in enumerate(self.key, start=2))
        return f"update {self.table} set {self.name} = $1 where {rows}"  # noqa: S608

    @property
    def used(self) -> str:
        return f"select exists (select from {self.table} where substr({self.name}, 2, 8) = $1)"  # noqa: S608


_COLUMNS = (
    _Column("webhooks", "headers", sealing.HEADERS, "id", ("id", "tenant_id"), (_NIL, "")),
    _Column("webhooks", "request_digest", sealing.DIGEST, "id", ("id", "tenant_id"), (_NIL, "")),
    _Column(
        *("webhook_revisions", "headers", sealing.HEADERS, "webhook_id"),
        ("webhook_id", "version", "tenant_id"),
        (_NIL, 0, ""),
    ),
    _Column(
        "signing_keys", "secret", sealing.SECRET, "webhook_id", ("webhook_id", "id", "tenant_id"), (_NIL, _NIL, "")
    ),
)


@dataclass(frozen=True, slots=True)
class Rewrapped:
    """What a rewrap came to."""

    sealed: int  # anew
    unreadable: int  # left as they were: they do not open
    retired: Sequence[bytes]  # ids of keys that are no longer needed
    needed: Sequence[bytes]  # ids of keys other than the first that something is still sealed with


class Vault:
    """Verbs on everything sealed. Each can be cut short at any moment, and repeated."""

    def __init__(self, database: Database, ring: KeyRing) -> None:
        self._database = database
        self._ring = ring

    # One node at a time, so that of two that bring different keys to a new database one is refused.
    ALONE = "lock table master_keys in share row exclusive mode"
    KNOWN = "select id from master_keys order by id"
    ADD = "insert into master_keys (id) values ($1) on conflict do nothing"

    async def admit(self) -> list[bytes]:
        """Notes the ring's first key; returns the ids of keys that the database needs and the ring lacks.

        If there are any, nothing was noted.
        """
        async with self._database.transaction() as connection:
            await connection.execute(self.ALONE)
            known = [row["id"] for row in await connection.fetch(self.KNOWN)]
            missing = sorted(set(known) - {key.id for key in self._ring.keys})
            if not missing:
                await connection.execute(self.ADD, self._ring.keys[0].id)
            return missing

    PROVEN = "select conrelid::regclass || '.' || conname from pg_constraint where conname like '%\\_sealed'"

    async def seal_all(self) -> int:
        """Seals what a version before sealing has left, once; returns how much that was.

        In the end a constraint on each column says that nothing unsealed is left, and keeps it so.
        """
        async with self._database.connection() as connection:
            proven = await self._proven(connection)
        sealed = 0
        for column in _COLUMNS:
            if column.constraint in proven:
                continue
            done, _ = await self._renew(column, b"\x01", lambda stored, *_: stored, lambda count: None)
            sealed += done
            async with self._database.transaction() as connection:
                await connection.execute(self.ALONE)
                if column.constraint not in await self._proven(connection):
                    await connection.execute(column.prove)
        return sealed

    async def _proven(self, connection: asyncpg.Connection) -> set[str]:
        return {row[0] for row in await connection.fetch(self.PROVEN)}

    RETIRE = "delete from master_keys where id = $1"

    async def rewrap(self, progress: Callable[[int], None]) -> Rewrapped:
        """Seals everything with the ring's first key, and retires those that nothing is sealed with any more.

        `progress` is told after each batch how much has been sealed anew. What does not open stays as it is.
        """
        sealed = unreadable = 0
        for column in _COLUMNS:
            done, left = await self._renew(
                column, self._ring.prefix, self._ring.open, partial(_beyond, progress, sealed)
            )
            sealed, unreadable = sealed + done, unreadable + left
        async with self._database.connection() as connection:
            others = [row["id"] for row in await connection.fetch(self.KNOWN) if row["id"] != self._ring.keys[0].id]
        retired = [key_id for key_id in others if await self._retire(key_id)]
        return Rewrapped(sealed, unreadable, retired, [key_id for key_id in others if key_id not in retired])

    async def _retire(self, key_id: bytes) -> bool:
        async with self._database.connection() as connection:
            doing = connection.transaction()
            await doing.start()
            await connection.execute(self.RETIRE, key_id)  # waits for those who seal with it now; see `hold`
            used = [await connection.fetchval(column.used, key_id) for column in _COLUMNS]
            await (doing.rollback() if any(used) else doing.commit())
        return not any(used)

    async def _renew(
        self,
        column: _Column,
        done: bytes,
        read: Callable[[bytes, str, UUID, str], bytes],
        progress: Callable[[int], None],
    ) -> tuple[int, int]:
        """Seals what does not begin with `done`; returns how many rows that were, and how many could not be read."""
        renewed = unreadable = 0
        place = column.before
        while True:
            async with self._database.transaction() as connection:
                await hold(connection, self._ring)
                rows = await connection.fetch(column.page, done, BATCH, *place)
                changes = []
                for row in rows:
                    owner = row["tenant_id"], row["webhook"], column.what
                    try:
                        plain = read(row["stored"], *owner)
                    except errors.SealBroken:
                        unreadable += 1
                    else:
                        changes.append((self._ring.seal(plain, *owner), *(row[part] for part in column.key)))
                await connection.executemany(column.put, changes)
            renewed += len(changes)
            if changes:
                progress(renewed)
            if len(rows) < BATCH:
                return renewed, unreadable
            place = tuple(rows[-1][part] for part in column.key)


def _beyond(progress: Callable[[int], None], before: int, count: int) -> None:
    progress(before + count)
