"""API keys as they are stored."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from ..domain import api_key, errors, ids
from ..domain.api_key import ApiKey, Scope
from ..domain.audit import Action
from . import audit
from .database import Database

MOST = 10_000  # keys that work; those of a server are its services and its people, not its users

_COLUMNS = "id, tenant_id, name, scopes, digest, create_time, expire_time, revoke_time, last_use_time"


class ApiKeys:
    """Verbs on API keys."""

    def __init__(self, database: Database) -> None:
        self._database = database

    WORKING = "select count(*) from api_keys where revoke_time is null and (expire_time is null or expire_time > now())"
    CREATE = f"""
        insert into api_keys (id, tenant_id, name, scopes, digest, expire_time) values ($1, $2, $3, $4, $5, $6)
        returning {_COLUMNS}
    """  # noqa: S608

    async def create(
        self, tenant_id: str, name: str, scopes: Collection[Scope], expire_time: datetime | None = None
    ) -> tuple[ApiKey, str]:
        """The key and its secret text, which nobody can read again. Raises LimitExceeded, and InvalidFields."""
        if faults := api_key.check(name, tenant_id, scopes, expire_time, self._database.now()):
            raise errors.InvalidFields(faults)
        key_id = ids.new(self._database.now())
        text = api_key.new_text(key_id)
        numbers = sorted(map(int, set(scopes)))
        async with self._database.transaction() as connection:
            if await connection.fetchval(self.WORKING) >= MOST:
                raise errors.LimitExceeded(f"there are {MOST:,} API keys already; revoke some")
            row = await connection.fetchrow(
                self.CREATE, key_id, tenant_id, name, numbers, api_key.digest(text), expire_time
            )
            await audit.note(
                connection,
                tenant_id,
                Action.API_KEY_CREATED,
                ids.text(ids.KEY, key_id),
                name=name,
                scopes=[Scope(number).name for number in numbers],
            )
        return _from_row(row), text

    LIST = f"""
        select {_COLUMNS} from api_keys where id < $1 and ($2::text is null or tenant_id = $2)
        order by id desc limit $3
    """  # noqa: S608

    async def list(self, tenant_id: str | None, *, before: UUID, limit: int) -> list[ApiKey]:
        """Newest first, revoked ones included. Without a tenant: all."""
        async with self._database.connection() as connection:
            return [_from_row(row) for row in await connection.fetch(self.LIST, before, tenant_id, limit)]

    LOCK = f"select {_COLUMNS} from api_keys where id = $1 and ($2::text is null or tenant_id = $2) for update"  # noqa: S608
    REVOKE = f"update api_keys set revoke_time = now() where id = $1 returning {_COLUMNS}"  # noqa: S608

    async def revoke(self, key_id: UUID, tenant_id: str | None = None) -> ApiKey:
        """Stops a key; one that was stopped stays as it was. With a tenant: only one of its keys. Raises NotFound."""
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(self.LOCK, key_id, tenant_id)
            if row is None:
                raise errors.NotFound("API key", ids.text(ids.KEY, key_id))
            if row["revoke_time"] is None:
                row = await connection.fetchrow(self.REVOKE, key_id)
                await audit.note(connection, row["tenant_id"], Action.API_KEY_REVOKED, ids.text(ids.KEY, key_id))
        return _from_row(row)

    async def any_works(self) -> bool:
        """Whether anybody could be let in."""
        async with self._database.connection() as connection:
            return bool(await connection.fetchval(self.WORKING))

    OF = f"select {_COLUMNS} from api_keys where id = any($1::uuid[])"  # noqa: S608

    async def get_many(self, key_ids: Sequence[UUID]) -> dict[UUID, ApiKey]:
        """Those that exist, whether they work or not."""
        async with self._database.connection() as connection:
            return {row["id"]: _from_row(row) for row in await connection.fetch(self.OF, key_ids)}

    USED = """
        update api_keys k set last_use_time = date_trunc('minute', now())
        from (
            select id, tenant_id from api_keys
            where id = any($1::uuid[]) and (last_use_time is null or last_use_time < date_trunc('minute', now()))
            order by id, tenant_id for update skip locked) used
        where k.id = used.id and k.tenant_id = used.tenant_id
    """

    async def used(self, key_ids: Sequence[UUID]) -> None:
        """Notes the minute of their last use."""
        async with self._database.connection() as connection:
            await connection.execute(self.USED, key_ids)


def _from_row(row: Mapping[str, Any]) -> ApiKey:
    return ApiKey(**{**row, "scopes": tuple(map(Scope, row["scopes"]))})
