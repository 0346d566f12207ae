"""Signing keys, within the transactions of `webhooks.py`: each function is given the connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from ..domain import errors, sealing
from ..domain.sealing import KeyRing
from ..domain.secret import Secret
from ..domain.signing import MAX_KEYS, SigningKey

ADD = "insert into signing_keys (tenant_id, webhook_id, id, secret, request_id) values ($1, $2, $3, $4, $5)"


async def add(
    connection: asyncpg.Connection,
    ring: KeyRing,
    tenant_id: str,
    webhook_id: UUID,
    key_id: UUID,
    secret: Secret,
    request_id: str = "",
) -> None:
    """A new current key; the one before must have been retired."""
    sealed = ring.seal(secret.reveal().encode(), tenant_id, webhook_id, sealing.SECRET)
    await connection.execute(ADD, tenant_id, webhook_id, key_id, sealed, request_id or None)


IN_FORCE = """
    select tenant_id, webhook_id, id, secret, create_time, expire_time from signing_keys
    where webhook_id = any($1::uuid[]) and (expire_time is null or expire_time > now())
    order by expire_time desc nulls first, create_time desc, id desc
"""


async def in_force(connection: asyncpg.Connection, webhook_ids: Sequence[UUID]) -> dict[UUID, list[Mapping[str, Any]]]:
    """The keys that sign now, newest first, by webhook; for `from_row`."""
    return _by_webhook(await connection.fetch(IN_FORCE, webhook_ids))


# For the engine, which may hold a webhook for a while: what may sign from this version on. When a key expires is judged
# at the attempt's own moment (Webhook.keys_at), which the log shows.
OF_VERSION = """
    select k.tenant_id, k.webhook_id, k.id, k.secret, k.create_time, k.expire_time
    from signing_keys k join webhooks w on w.id = k.webhook_id and w.tenant_id = k.tenant_id
    where k.webhook_id = any($1::uuid[]) and (k.expire_time is null or k.expire_time > w.update_time)
    order by k.expire_time desc nulls first, k.create_time desc, k.id desc
"""


async def of_version(
    connection: asyncpg.Connection, webhook_ids: Sequence[UUID]
) -> dict[UUID, list[Mapping[str, Any]]]:
    """The keys that sign, or did when the webhook last changed, newest first, by webhook; for `from_row`."""
    return _by_webhook(await connection.fetch(OF_VERSION, webhook_ids))


STORED = """
    select tenant_id, webhook_id, id, secret, create_time, expire_time from signing_keys
    where webhook_id = $1 and tenant_id = $2
    order by expire_time desc nulls first, create_time desc, id desc
"""


async def stored(connection: asyncpg.Connection, ring: KeyRing, tenant_id: str, webhook_id: UUID) -> list[SigningKey]:
    """Newest first; those that have expired are among them, until `forget` removes them. Raises SealBroken."""
    return [from_row(row, ring) for row in await connection.fetch(STORED, webhook_id, tenant_id)]


MADE_BY = """
    select tenant_id, webhook_id, id, secret, create_time, expire_time from signing_keys
    where webhook_id = $1 and tenant_id = $2 and request_id = $3
"""


async def made_by(
    connection: asyncpg.Connection, ring: KeyRing, tenant_id: str, webhook_id: UUID, request_id: str
) -> SigningKey | None:
    """The key that a rotation with this request id made. Raises SealBroken."""
    row = await connection.fetchrow(MADE_BY, webhook_id, tenant_id, request_id)
    return None if row is None else from_row(row, ring)


OVERLAPPING = "select count(*) from signing_keys where webhook_id = $1 and tenant_id = $2 and expire_time > now()"
RETIRE = """
    update signing_keys set expire_time = least(expire_time, now() + $3)
    where webhook_id = $1 and tenant_id = $2 and (expire_time is null or expire_time > now() + $3)
"""


async def retire(connection: asyncpg.Connection, tenant_id: str, webhook_id: UUID, overlap: float) -> None:
    """All keys sign for `overlap` seconds more at most. Raises LimitExceeded when there is no room for a new one."""
    await connection.execute(RETIRE, webhook_id, tenant_id, timedelta(seconds=overlap))
    if await connection.fetchval(OVERLAPPING, webhook_id, tenant_id) >= MAX_KEYS:
        raise errors.LimitExceeded(f"{MAX_KEYS} keys sign for the webhook already; choose a shorter overlap")


FORGET = """
    delete from signing_keys k using (
        select webhook_id, id, tenant_id from signing_keys where expire_time < $1
        order by webhook_id, id, tenant_id for update skip locked) old
    where k.webhook_id = old.webhook_id and k.id = old.id and k.tenant_id = old.tenant_id
"""


async def forget(connection: asyncpg.Connection, before: datetime) -> int:
    """Removes the keys, of all webhooks, that had expired before a moment; returns how many."""
    return int((await connection.execute(FORGET, before)).split()[-1])


DELETE = "delete from signing_keys where webhook_id = $1 and tenant_id = $2"


async def delete(connection: asyncpg.Connection, tenant_id: str, webhook_id: UUID) -> None:
    """All keys of a webhook that goes."""
    await connection.execute(DELETE, webhook_id, tenant_id)


def _by_webhook(rows: Sequence[Mapping[str, Any]]) -> dict[UUID, list[Mapping[str, Any]]]:
    keys: dict[UUID, list[Mapping[str, Any]]] = {}
    for row in rows:
        keys.setdefault(row["webhook_id"], []).append(row)
    return keys


def from_row(row: Mapping[str, Any], ring: KeyRing) -> SigningKey:
    """Raises SealBroken."""
    secret = ring.open(row["secret"], row["tenant_id"], row["webhook_id"], sealing.SECRET)
    return SigningKey(
        id=row["id"], secret=Secret(secret.decode()), create_time=row["create_time"], expire_time=row["expire_time"]
    )
