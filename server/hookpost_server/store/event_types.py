"""The catalogue of event types, and what the hot path remembers of it."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg

from ..domain import errors, event_type, schema
from ..domain.api_key import ALL_TENANTS
from ..domain.audit import Action
from ..domain.catalogue import builtin, operational
from ..domain.event_type import EventType
from . import audit
from .database import Database

STALE_AFTER = 2.0  # seconds for which a server may still go by an older catalogue
CHANGEABLE = ("enforce_schema", "deprecated")  # of a built-in type

_COLUMNS = (
    "name, group_name, description, json_schema, example, enforce_schema, deprecated, built_in, version, "
    "create_time, update_time"
)


def _from_row(row: Mapping[str, Any]) -> EventType:
    values = dict(row)
    return EventType(group=values.pop("group_name"), **values)


class EventTypes:
    """Verbs on event types."""

    def __init__(self, database: Database) -> None:
        self._database = database

    SEED = """
        insert into event_types as t (name, group_name, description, json_schema, example, built_in)
        select *, true from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[]) i(name) order by name
        on conflict (name) do update set group_name = excluded.group_name, description = excluded.description,
            json_schema = excluded.json_schema, example = excluded.example, built_in = true, update_time = now()
        where (t.group_name, t.description, t.json_schema, t.example, t.built_in)
            is distinct from (excluded.group_name, excluded.description, excluded.json_schema, excluded.example, true)
    """

    async def seed(self) -> None:
        """Brings the built-in types up to this release; an operator's choices on them stay."""
        entries = [*builtin(), *operational()]
        columns = [
            [getattr(e, name) for e in entries] for name in ("name", "group", "description", "schema", "example")
        ]
        async with self._database.connection() as connection:
            await connection.execute(self.SEED, *columns)

    CREATE = f"""
        insert into event_types (name, group_name, description, json_schema, example, enforce_schema, deprecated)
        values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing returning {_COLUMNS}
    """  # noqa: S608

    async def create(self, given: EventType) -> EventType:
        """Raises NameTaken."""
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(
                self.CREATE,
                given.name,
                given.group,
                given.description,
                given.json_schema,
                given.example,
                given.enforce_schema,
                given.deprecated,
            )
            if row is None:
                raise errors.NameTaken("event type", given.name)
            await audit.note(connection, ALL_TENANTS, Action.EVENT_TYPE_CREATED, given.name)
        return _from_row(row)

    GET = f"select {_COLUMNS} from event_types where name = $1"  # noqa: S608

    async def get(self, name: str) -> EventType:
        """Raises NotFound."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(self.GET, name)
        if row is None:
            raise errors.NotFound("event type", name)
        return _from_row(row)

    LIST = f"""
        select {_COLUMNS} from event_types
        where name > $1 and ($2 = '' or group_name = $2) order by name limit $3
    """  # noqa: S608

    async def list(self, *, after: str, group: str, limit: int) -> list[EventType]:
        """By name, those after a name; `group` empty means all."""
        async with self._database.connection() as connection:
            return [_from_row(row) for row in await connection.fetch(self.LIST, after, group, limit)]

    LOCK = f"select {_COLUMNS} from event_types where name = $1 for update"  # noqa: S608
    UPDATE = f"""
        update event_types set group_name = $2, description = $3, json_schema = $4, example = $5, enforce_schema = $6,
            deprecated = $7, version = version + 1, update_time = now()
        where name = $1 returning {_COLUMNS}
    """  # noqa: S608

    async def update(self, name: str, given: Mapping[str, Any], etag: str) -> EventType:
        """Replaces the given fields. Raises NotFound, EtagMismatch, EventTypeInUse, InvalidFields."""
        async with self._database.transaction() as connection:
            before = await self._locked(connection, name, etag)
            after = dataclasses.replace(before, **given)
            changed = [each for each in sorted(given) if getattr(before, each) != getattr(after, each)]
            if before.built_in and (fixed := [each for each in changed if each not in CHANGEABLE]):
                raise errors.EventTypeInUse(
                    f'"{name}" is built in: only {" and ".join(CHANGEABLE)} can be changed, not {fixed[0]}'
                )
            event_type.check(after)
            row = await connection.fetchrow(
                self.UPDATE,
                name,
                after.group,
                after.description,
                after.json_schema,
                after.example,
                after.enforce_schema,
                after.deprecated,
            )
            await audit.note(connection, ALL_TENANTS, Action.EVENT_TYPE_UPDATED, name, fields=sorted(given))
        return _from_row(row)

    SUBSCRIBED = "select count(*) from subscriptions where pattern = $1"
    DELETE = "delete from event_types where name = $1"

    async def delete(self, name: str, etag: str) -> None:
        """Raises NotFound, EtagMismatch, EventTypeInUse."""
        async with self._database.transaction() as connection:
            if (await self._locked(connection, name, etag)).built_in:
                raise errors.EventTypeInUse(f'"{name}" is built in and can\'t be deleted; mark it deprecated instead')
            if count := await connection.fetchval(self.SUBSCRIBED, name):
                who = "1 webhook subscribes" if count == 1 else f"{count} webhooks subscribe"
                raise errors.EventTypeInUse(f'{who} to "{name}"; change them first')
            await connection.execute(self.DELETE, name)
            await audit.note(connection, ALL_TENANTS, Action.EVENT_TYPE_DELETED, name)

    async def _locked(self, connection: asyncpg.Connection, name: str, etag: str) -> EventType:
        row = await connection.fetchrow(self.LOCK, name)
        if row is None:
            raise errors.NotFound("event type", name)
        found = _from_row(row)
        if etag and etag != found.etag:
            raise errors.EtagMismatch("event type", found.etag)
        return found

    SCHEMAS = "select name, case when enforce_schema then json_schema else '' end as json_schema from event_types"

    async def enforced_schemas(self) -> dict[str, str]:
        """All names, each with the schema that payloads must fit; empty if they need not."""
        async with self._database.connection() as connection:
            return {row["name"]: row["json_schema"] for row in await connection.fetch(self.SCHEMAS)}

    async def violations(self, name: str, payload: bytes) -> Sequence[str]:
        """What the payload breaks of the type's schema, enforced or not; nothing if there is no such type or schema."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(self.GET, name)
        return schema.compiled(row["json_schema"]).violations(payload) if row and row["json_schema"] else []

    CHOICES = "select name, group_name, description, deprecated from event_types order by group_name, name"

    async def choices(self) -> Sequence[EventType]:
        """All types by group and name, without schemas and examples."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(self.CHOICES)
        return [
            EventType(
                name=row["name"], group=row["group_name"], description=row["description"], deprecated=row["deprecated"]
            )
            for row in rows
        ]

    EXAMPLES = "select name, example from event_types order by name"

    async def examples(self) -> dict[str, str]:
        """All names, each with its example."""
        async with self._database.connection() as connection:
            return {row["name"]: row["example"] for row in await connection.fetch(self.EXAMPLES)}


class KnownTypes:
    """The names that the hot path goes by: at most STALE_AFTER old for what exists, exact for what does not."""

    def __init__(self, store: EventTypes, *, open_names: bool) -> None:
        self._store = store
        self._open = open_names
        self._names: dict[str, str] = {}  # with the schema to enforce, if any
        self._read_at = float("-inf")  # monotonic
        self._reading = asyncio.Lock()

    def sure_of(self, name: str) -> bool:
        """Whether a type is known for certain, without asking the database."""
        return (self._open or name in self._names) and time.monotonic() - self._read_at <= STALE_AFTER

    async def require(self, name: str) -> None:
        """Raises EventTypeUnknown, naming the nearest. Asks the database before it says no."""
        if not self.sure_of(name):
            await self.refresh()
        if not self._open and name not in self._names:
            raise event_type.unknown(name, self._names)

    def enforced_schema(self, name: str) -> schema.Schema | None:
        """What payloads of this type must fit, as last read."""
        text = self._names.get(name)
        return schema.compiled(text) if text else None

    def __contains__(self, name: str) -> bool:
        """As last read; call `refresh` first where it must be exact."""
        return self._open or name in self._names

    async def refresh(self) -> None:
        """Reads the catalogue; callers that come while somebody reads share what is read next."""
        asked = time.monotonic()
        async with self._reading:
            if self._read_at < asked:
                began = time.monotonic()
                self._names = await self._store.enforced_schemas()
                self._read_at = began
