"""Signing keys, within the transactions of `webhooks.py`: each function is given the connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg

from ..domain.signing import SigningKey

ADD = "insert into signing_keys (tenant_id, webhook_id, id, secret, request_id) values ($1, $2, $3, $4, $5)"


async def add(
    connection: asyncpg.Connection, tenant_id: str, webhook_id: UUID, key_id: UUID, secret: str, request_id: str = ""
) -> None:
    """A new current key; the one before must have been retired."""
    await connection.execute(ADD, tenant_id, webhook_id, key_id, secret.encode(), request_id or None)


IN_FORCE = """
    select webhook_id, id, secret, create_time, expire_time from signing_keys
    where webhook_id = any($1::uuid[]) and (expire_time is null or expire_time > now())
    order by expire_time desc nulls first, create_time desc, id desc
"""


async def in_force(connection: asyncpg.Connection, webhook_ids: Sequence[UUID]) -> dict[UUID, list[SigningKey]]:
    """The keys that sign now, newest first, by webhook."""
    keys: dict[UUID, list[SigningKey]] = {}
    for row in await connection.fetch(IN_FORCE, webhook_ids):
        keys.setdefault(row["webhook_id"], []).append(_from_row(row))
    return keys


STORED = """
    select id, secret, create_time, expire_time from signing_keys where webhook_id = $1 and tenant_id = $2
    order by expire_time desc nulls first, create_time desc, id desc
"""


async def stored(connection: asyncpg.Connection, tenant_id: str, webhook_id: UUID) -> list[SigningKey]:
    """Newest first; those that have expired since the last rotation are still among them."""
    return [_from_row(row) for row in await connection.fetch(STORED, webhook_id, tenant_id)]


MADE_BY = "select secret from signing_keys where webhook_id = $1 and tenant_id = $2 and request_id = $3"


async def made_by(connection: asyncpg.Connection, tenant_id: str, webhook_id: UUID, request_id: str) -> str | None:
    """The secret that a rotation with this request id made."""
    secret = await connection.fetchval(MADE_BY, webhook_id, tenant_id, request_id)
    return None if secret is None else str(secret, "utf-8")


RETIRE = """
    update signing_keys set expire_time = least(expire_time, now() + $3)
    where webhook_id = $1 and tenant_id = $2 and (expire_time is null or expire_time > now() + $3)
"""
FORGET = "delete from signing_keys where webhook_id = $1 and tenant_id = $2 and expire_time <= now()"


async def retire(connection: asyncpg.Connection, tenant_id: str, webhook_id: UUID, overlap: float) -> None:
    """All keys sign for `overlap` seconds more at most; those that sign no more are forgotten."""
    await connection.execute(RETIRE, webhook_id, tenant_id, timedelta(seconds=overlap))
    await connection.execute(FORGET, webhook_id, tenant_id)


DELETE = "delete from signing_keys where webhook_id = $1 and tenant_id = $2"


async def delete(connection: asyncpg.Connection, tenant_id: str, webhook_id: UUID) -> None:
    """All keys of a webhook that goes."""
    await connection.execute(DELETE, webhook_id, tenant_id)


def _from_row(row: Mapping[str, Any]) -> SigningKey:
    return SigningKey(
        id=row["id"], secret=row["secret"].decode(), create_time=row["create_time"], expire_time=row["expire_time"]
    )
