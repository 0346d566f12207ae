"""What requests of a webhook were made from, by its version, so that they can be made again after it has changed."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg

from ..domain import envelope, ids
from ..domain.sealing import KeyRing
from ..domain.secret import Secret
from ..domain.signing import SigningKey
from ..domain.webhook import Settings
from . import signing_keys
from .database import Database
from .webhook_register import headers_from_row, unreadable

# An attempt under way, or an outcome not yet written, may have used a key that has expired since.
UNDER_WAY = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Revision:
    """From a version on, until the next revision."""

    version: int
    settings: Settings  # headers and format; nothing else shows in a request but the URL, which the attempt has
    keys: tuple[SigningKey, ...]  # newest first, as they were to expire; the secret of a forgotten one is empty

    def keys_at(self, moment: datetime) -> list[SigningKey]:
        """Those that signed."""
        return [key for key in self.keys if key.expire_time is None or key.expire_time > moment]


class Revisions:
    """Writes and reads revisions, and keeps retired keys for as long as an attempt that they signed is stored."""

    def __init__(self, database: Database, ring: KeyRing) -> None:
        self._database = database
        self._ring = ring

    NOTE = """
        insert into webhook_revisions (tenant_id, webhook_id, version, headers, payload_format, key_ids,
            key_expire_times)
        select w.tenant_id, w.id, w.version, w.headers, w.payload_format,
            array_agg(k.id order by k.expire_time desc nulls first, k.create_time desc, k.id desc),
            array_agg(k.expire_time order by k.expire_time desc nulls first, k.create_time desc, k.id desc)
        from webhooks w
        join signing_keys k on k.webhook_id = w.id and k.tenant_id = w.tenant_id
            and (k.expire_time is null or k.expire_time > now())
        where w.id = $1 and w.tenant_id = $2
        group by w.id, w.tenant_id
    """

    @classmethod
    async def note(cls, connection: asyncpg.Connection, tenant_id: str, webhook_id: UUID) -> None:
        """To be called last in a transaction that changes what requests show or who signs them."""
        await connection.execute(cls.NOTE, webhook_id, tenant_id)

    OF = """
        select tenant_id, webhook_id, version, headers, payload_format, key_ids, key_expire_times
        from webhook_revisions where webhook_id = $1 and tenant_id = $2 order by version desc
    """

    async def of(self, tenant_id: str, webhook_id: UUID) -> list[Revision]:
        """Newest first. Those of a deleted webhook too, but its keys are forgotten. Raises WebhookUnreadable."""
        async with self._database.snapshot() as connection:
            rows = await connection.fetch(self.OF, webhook_id, tenant_id)
            with unreadable(webhook_id):
                stored = await signing_keys.stored(connection, self._ring, tenant_id, webhook_id)
        known = {key.id: key for key in stored}
        with unreadable(webhook_id):
            return [
                Revision(
                    version=row["version"],
                    settings=Settings(
                        headers=headers_from_row(row, row["webhook_id"], self._ring),
                        payload_format=envelope.Format(row["payload_format"]),
                    ),
                    keys=tuple(
                        dataclasses.replace(known.get(key_id) or _forgotten(key_id), expire_time=expire_time)
                        for key_id, expire_time in zip(row["key_ids"], row["key_expire_times"], strict=True)
                    ),
                )
                for row in rows
            ]

    OLDEST_ATTEMPT = "select delivery_id from attempts order by delivery_id limit 1"

    async def forget_keys(self) -> int:
        """Removes the retired keys that signed no attempt that is still stored; returns how many.

        An attempt is stored by its event's time, which is before its own: no key that had expired by the oldest one's
        can be needed.
        """
        async with self._database.by_key() as connection:
            oldest = await connection.fetchval(self.OLDEST_ATTEMPT)
            before = ids.time_of(oldest) if oldest else datetime.fromtimestamp(self._database.now(), UTC)
            return await signing_keys.forget(connection, before - UNDER_WAY)


def _forgotten(key_id: UUID) -> SigningKey:
    return SigningKey(id=key_id, secret=Secret(""), create_time=ids.time_of(key_id), expire_time=None)
