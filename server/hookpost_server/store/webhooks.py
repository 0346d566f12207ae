"""Webhooks, their subscriptions and their signing keys."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

import asyncpg

from ..domain import envelope, errors, ids, retry
from ..domain.signing import SigningKey
from ..domain.webhook import Settings, State, Webhook
from . import resumption, signing_keys
from .database import Database

CANCEL_STEP, CANCEL_MOST = 5_000, 50_000  # deliveries cancelled by one statement, and by one delete

_SETTINGS = (
    "name, url, event_types, headers, retry_schedule, retry_delays, retry_jitter, timeout, payload_format, "
    "max_in_flight, rate_limit, labels"
)
_COLUMNS = f"id, tenant_id, {_SETTINGS}, state, state_reason, version, create_time, update_time"


def _values(settings: Settings) -> list[Any]:
    """In the order of _SETTINGS."""
    policy = settings.retry_policy
    return [
        settings.name,
        settings.url,
        list(settings.event_types),
        json.dumps(dict(settings.headers)).encode(),
        int(policy.schedule),
        list(policy.delays),
        policy.jitter,
        settings.timeout,
        int(settings.payload_format),
        settings.max_in_flight,
        settings.rate_limit,
        json.dumps(dict(settings.labels)),
    ]


def _from_row(row: Mapping[str, Any], keys: Sequence[SigningKey] = ()) -> Webhook:
    return Webhook(
        id=row["id"],
        tenant_id=row["tenant_id"],
        settings=Settings(
            name=row["name"],
            url=row["url"],
            event_types=tuple(row["event_types"]),
            headers=json.loads(row["headers"]),
            retry_policy=retry.RetryPolicy(
                retry.Schedule(row["retry_schedule"]), tuple(row["retry_delays"]), row["retry_jitter"]
            ),
            timeout=row["timeout"],
            payload_format=envelope.Format(row["payload_format"]),
            max_in_flight=row["max_in_flight"],
            rate_limit=row["rate_limit"],
            labels=json.loads(row["labels"]),
        ),
        state=State(row["state"]),
        state_reason=row["state_reason"],
        version=row["version"],
        create_time=row["create_time"],
        update_time=row["update_time"],
        keys=tuple(keys),
    )


class Webhooks:
    """Verbs on webhooks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    CREATE = f"""
        insert into webhooks (id, tenant_id, {_SETTINGS}, state, request_id, request_digest)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 1, $15, $16)
        on conflict do nothing returning id
    """  # noqa: S608
    REPEATED = "select id, request_digest from webhooks where tenant_id = $1 and request_id = $2"
    SUBSCRIBE = """
        insert into subscriptions (tenant_id, pattern, webhook_id)
        select $1, pattern, $2 from unnest($3::text[]) pattern order by pattern
    """
    # Holds a type that is being subscribed to against its deletion.
    HOLD_TYPES = "select name from event_types where name = any($1::text[]) order by name for key share"
    # What requests made from this version on show.
    REVISE = """
        insert into webhook_revisions (tenant_id, webhook_id, version, headers, payload_format)
        select tenant_id, id, version, headers, payload_format from webhooks where id = $1 and tenant_id = $2
    """

    async def create(
        self, tenant_id: str, settings: Settings, secret: str, *, request_id: str = "", digest: bytes = b""
    ) -> Webhook:
        """An active webhook with its key. A known request id answers the first webhook. Raises RequestIdReused."""
        webhook_id = ids.new(self._database.now())
        async with self._database.transaction() as connection:
            await connection.fetch(self.HOLD_TYPES, list(settings.event_types))
            made = await connection.fetchval(
                self.CREATE, webhook_id, tenant_id, *_values(settings), request_id or None, digest or None
            )
            if made is None:
                first = await connection.fetchrow(self.REPEATED, tenant_id, request_id)
                if first is None or first["request_digest"] != digest:
                    raise errors.RequestIdReused(request_id)
                return await self._read(connection, tenant_id, first["id"])
            await connection.execute(self.REVISE, webhook_id, tenant_id)
            await connection.execute(self.SUBSCRIBE, tenant_id, webhook_id, list(settings.event_types))
            key_id = ids.new(self._database.now())
            await signing_keys.add(connection, tenant_id, webhook_id, key_id, secret)
            return await self._read(connection, tenant_id, webhook_id)

    GET = f"select {_COLUMNS} from webhooks where id = $1 and tenant_id = $2"  # noqa: S608

    async def get(self, tenant_id: str, webhook_id: UUID) -> Webhook:
        """With its keys in force. Raises NotFound."""
        async with self._database.connection() as connection:
            return await self._read(connection, tenant_id, webhook_id)

    async def _read(self, connection: asyncpg.Connection, tenant_id: str, webhook_id: UUID) -> Webhook:
        row = await connection.fetchrow(self.GET, webhook_id, tenant_id)
        if row is None:
            raise errors.NotFound("webhook", ids.text(ids.WEBHOOK, webhook_id))
        return _from_row(row, (await signing_keys.in_force(connection, [webhook_id])).get(webhook_id, ()))

    TARGETS = f"select {_COLUMNS} from webhooks where id = any($1::uuid[])"  # noqa: S608

    async def get_many(self, webhook_ids: Sequence[UUID]) -> dict[UUID, Webhook]:
        """For the delivery engine: with keys, of all tenants; deleted ones are missing."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(self.TARGETS, webhook_ids)
            keys = await signing_keys.in_force(connection, webhook_ids)
        return {row["id"]: _from_row(row, keys.get(row["id"], ())) for row in rows}

    REVISIONS = """
        select version, headers, payload_format from webhook_revisions
        where webhook_id = $1 and tenant_id = $2 order by version desc
    """

    async def revisions(self, tenant_id: str, webhook_id: UUID) -> list[tuple[int, Settings]]:
        """Newest first: from which version on requests showed which headers and format. Also of a deleted webhook."""
        async with self._database.connection() as connection:
            return [
                (
                    row["version"],
                    Settings(headers=json.loads(row["headers"]), payload_format=envelope.Format(row["payload_format"])),
                )
                for row in await connection.fetch(self.REVISIONS, webhook_id, tenant_id)
            ]

    async def known_keys(self, tenant_id: str, webhook_id: UUID) -> list[SigningKey]:
        """Newest first, those that have expired but are still stored included."""
        async with self._database.connection() as connection:
            return await signing_keys.stored(connection, tenant_id, webhook_id)

    VERSIONS = "select id, version from webhooks where id = any($1::uuid[])"

    async def versions(self, webhook_ids: Sequence[UUID]) -> dict[UUID, int]:
        """What a cache needs to know: deleted ones are missing."""
        async with self._database.connection() as connection:
            return {row["id"]: row["version"] for row in await connection.fetch(self.VERSIONS, webhook_ids)}

    LIST = f"""
        select {_COLUMNS} from webhooks w
        where tenant_id = $1 and id < $2
          and ($3::smallint[] = '{{}}' or state = any($3::smallint[]))
          and ($4::text[] = '{{}}' or exists (
              select from subscriptions s
              where s.tenant_id = $1 and s.pattern = any($4::text[]) and s.webhook_id = w.id))
          and labels @> $5::jsonb
          and ($6 = '' or position(lower($6) in lower(name)) > 0 or position(lower($6) in lower(url)) > 0)
        order by id desc limit $7
    """  # noqa: S608

    async def list(
        self,
        tenant_id: str,
        *,
        before: UUID,
        states: Sequence[State] = (),
        patterns: Sequence[str] = (),
        labels: Mapping[str, str] | None = None,
        query: str = "",
        limit: int = 50,
    ) -> list[Webhook]:
        """Newest first, those older than `before`; `patterns` are those that an event type matches."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                self.LIST,
                tenant_id,
                before,
                [int(s) for s in states],
                patterns,
                json.dumps(dict(labels or {})),
                query,
                limit,
            )
            keys = await signing_keys.in_force(connection, [row["id"] for row in rows])
        return [_from_row(row, keys.get(row["id"], ())) for row in rows]

    LOCK = f"select {_COLUMNS} from webhooks where id = $1 and tenant_id = $2 for update"  # noqa: S608
    UPDATE = """
        update webhooks set name = $3, url = $4, event_types = $5, headers = $6, retry_schedule = $7, retry_delays = $8,
            retry_jitter = $9, timeout = $10, payload_format = $11, max_in_flight = $12, rate_limit = $13, labels = $14,
            version = version + 1, update_time = now()
        where id = $1 and tenant_id = $2
    """
    UNSUBSCRIBE = "delete from subscriptions where webhook_id = $1 and tenant_id = $2"

    async def update(
        self, tenant_id: str, webhook_id: UUID, change: Callable[[Settings], Settings], etag: str = ""
    ) -> Webhook:
        """Applies `change` to the settings as they are now. Raises NotFound, EtagMismatch, and what `change` raises."""
        async with self._database.transaction() as connection:
            before = await self._locked(connection, tenant_id, webhook_id, etag)
            settings = change(before.settings)
            await connection.execute(self.UPDATE, webhook_id, tenant_id, *_values(settings))
            await connection.execute(self.REVISE, webhook_id, tenant_id)
            if settings.event_types != before.settings.event_types:
                await connection.fetch(self.HOLD_TYPES, list(settings.event_types))
                await connection.execute(self.UNSUBSCRIBE, webhook_id, tenant_id)
                await connection.execute(self.SUBSCRIBE, tenant_id, webhook_id, list(settings.event_types))
            return await self._read(connection, tenant_id, webhook_id)

    async def _locked(
        self, connection: asyncpg.Connection, tenant_id: str, webhook_id: UUID, etag: str = ""
    ) -> Webhook:
        row = await connection.fetchrow(self.LOCK, webhook_id, tenant_id)
        if row is None:
            raise errors.NotFound("webhook", ids.text(ids.WEBHOOK, webhook_id))
        found = _from_row(row)
        if etag and etag != found.etag:
            raise errors.EtagMismatch("webhook", found.etag)
        return found

    SET_STATE = """
        update webhooks set state = $3, state_reason = $4, version = version + 1, update_time = now()
        where id = $1 and tenant_id = $2 and (state, state_reason) is distinct from ($3, $4)
    """

    # What failed before counts no more.
    FORGIVE = "update webhook_streaks set failing_since = null where webhook_id = $1 and tenant_id = $2"

    async def enable(self, tenant_id: str, webhook_id: UUID) -> Webhook:
        """Active again, whoever stopped it; what waits comes due over a minute at most. Raises NotFound."""
        await resumption.spread(self._database, tenant_id, webhook_id)
        return await self._set_state(tenant_id, webhook_id, State.ACTIVE, "")

    async def disable(self, tenant_id: str, webhook_id: UUID, reason: str) -> Webhook:
        """Stopped by a caller. Raises NotFound."""
        return await self._set_state(tenant_id, webhook_id, State.DISABLED, reason)

    async def _set_state(self, tenant_id: str, webhook_id: UUID, state: State, reason: str) -> Webhook:
        async with self._database.transaction() as connection:
            done = await connection.execute(self.SET_STATE, webhook_id, tenant_id, int(state), reason)
            if state is State.ACTIVE and done == "UPDATE 1":
                await connection.execute(self.FORGIVE, webhook_id, tenant_id)
            return await self._read(connection, tenant_id, webhook_id)

    DELETE = "delete from webhooks where id = $1 and tenant_id = $2"
    # Rows come by due time here and by id in every other statement: skipping what is locked, it can't deadlock.
    CANCEL = """
        with cancelled as (
            update deliveries d set state = 4, finish_time = now()
            from (select id, tenant_id from deliveries
                  where tenant_id = $1 and webhook_id = $2 and state = 1
                  order by due_at limit $3 for update skip locked) due
            where d.id = due.id and d.tenant_id = due.tenant_id
            returning d.tenant_id, d.id
        )
        insert into other_changes (tenant_id, delivery_id) select tenant_id, id from cancelled
    """

    async def delete(self, tenant_id: str, webhook_id: UUID, etag: str = "") -> int:
        """Removes the webhook, then cancels its waiting deliveries in steps; returns how many.

        What is queued or recorded at the same moment, or is beyond CANCEL_MOST, the engine cancels when it is due.
        Raises NotFound, EtagMismatch.
        """
        async with self._database.transaction() as connection:
            await self._locked(connection, tenant_id, webhook_id, etag)
            await connection.execute(self.UNSUBSCRIBE, webhook_id, tenant_id)
            await signing_keys.delete(connection, tenant_id, webhook_id)
            await connection.execute(self.DELETE, webhook_id, tenant_id)
        cancelled = 0
        while cancelled < CANCEL_MOST:
            async with self._database.by_key() as connection:
                step = int((await connection.execute(self.CANCEL, tenant_id, webhook_id, CANCEL_STEP)).split()[-1])
            cancelled += step
            if step < CANCEL_STEP:
                break
        return cancelled

    BUMP = "update webhooks set version = version + 1, update_time = now() where id = $1 and tenant_id = $2"

    async def rotate_key(
        self, tenant_id: str, webhook_id: UUID, secret: str, overlap: float, *, request_id: str = ""
    ) -> tuple[Webhook, str]:
        """A new current key; those of before sign on for `overlap` seconds. Returns the secret in force.

        A known request id changes nothing and answers the key that it made. Raises NotFound.
        """
        async with self._database.transaction() as connection:
            await self._locked(connection, tenant_id, webhook_id)
            known = request_id and await signing_keys.made_by(connection, tenant_id, webhook_id, request_id)
            if known:
                return await self._read(connection, tenant_id, webhook_id), known
            await signing_keys.retire(connection, tenant_id, webhook_id, overlap)
            key_id = ids.new(self._database.now())
            await signing_keys.add(connection, tenant_id, webhook_id, key_id, secret, request_id)
            await connection.execute(self.BUMP, webhook_id, tenant_id)
            return await self._read(connection, tenant_id, webhook_id), secret
