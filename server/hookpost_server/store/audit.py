"""The audit log: appended to in the transactions of the deeds, read in pages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import asyncpg

from ..domain import actor
from ..domain.audit import Action, Entry
from .database import Database

NEWEST = 2**63 - 1

NOTE = """
    insert into audit_log (tenant_id, actor, actor_name, address, action, target, details)
    values ($1, $2, $3, $4, $5, $6, $7)
"""


async def note(connection: asyncpg.Connection, tenant_id: str, action: Action, target: str, **details: Any) -> None:
    """Who acts is asked of `domain/actor.py`. To be called in the transaction of the deed."""
    who = actor.current()
    await connection.execute(NOTE, tenant_id, who.id, who.name, who.address, action.value, target, json.dumps(details))


class AuditLog:
    """Reads the audit log."""

    def __init__(self, database: Database) -> None:
        self._database = database

    LIST = """
        select * from audit_log
        where id < $1 and ($2::text is null or tenant_id = $2) and ($3 = '' or target = $3) and ($4 = '' or actor = $4)
        order by id desc limit $5
    """

    async def list(
        self, tenant_id: str | None, *, before: int = NEWEST, target: str = "", actor_id: str = "", limit: int = 50
    ) -> list[Entry]:
        """Newest first, those before the entry with the id `before`. Without a tenant: of all, and of none."""
        async with self._database.by_range() as connection:
            rows = await connection.fetch(self.LIST, before, tenant_id, target, actor_id, limit)
        return [_from_row(row) for row in rows]


def _from_row(row: Mapping[str, Any]) -> Entry:
    return Entry(
        id=row["id"],
        time=row["time"],
        tenant_id=row["tenant_id"],
        actor=actor.Actor(row["actor"], row["actor_name"], row["address"]),
        action=row["action"],
        target=row["target"],
        details=json.loads(row["details"]),
    )
