"""Webhooks as they are stored, read one by one, in pages, and for the engine."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

import asyncpg

from ..domain import envelope, errors, ids, retry, sealing
from ..domain.sealing import KeyRing
from ..domain.webhook import Settings, State, Webhook
from . import signing_keys
from .database import Database

SETTINGS = (
    "name, url, event_types, headers, retry_schedule, retry_delays, retry_jitter, timeout, payload_format, "
    "max_in_flight, rate_limit, labels"
)
COLUMNS = f"id, tenant_id, {SETTINGS}, state, state_reason, version, create_time, update_time"


def values(settings: Settings, tenant_id: str, webhook_id: UUID, ring: KeyRing) -> list[Any]:
    """In the order of SETTINGS."""
    policy = settings.retry_policy
    headers = json.dumps(dict(settings.headers)).encode()
    return [
        settings.name,
        settings.url,
        list(settings.event_types),
        ring.seal(headers, tenant_id, webhook_id, sealing.HEADERS),
        int(policy.schedule),
        list(policy.delays),
        policy.jitter,
        settings.timeout,
        int(settings.payload_format),
        settings.max_in_flight,
        settings.rate_limit,
        json.dumps(dict(settings.labels)),
    ]


def headers_from_row(row: Mapping[str, Any], webhook_id: UUID, ring: KeyRing) -> dict[str, str]:
    """Raises SealBroken."""
    headers: dict[str, str] = json.loads(ring.open(row["headers"], row["tenant_id"], webhook_id, sealing.HEADERS))
    return headers


def from_row(row: Mapping[str, Any], ring: KeyRing | None, keys: Sequence[Mapping[str, Any]] = ()) -> Webhook:
    """Raises SealBroken; without a key ring it can't, and what is secret is left out."""
    return Webhook(
        id=row["id"],
        tenant_id=row["tenant_id"],
        settings=Settings(
            name=row["name"],
            url=row["url"],
            event_types=tuple(row["event_types"]),
            headers={} if ring is None else headers_from_row(row, row["id"], ring),
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
        keys=() if ring is None else tuple(signing_keys.from_row(key, ring) for key in keys),
    )


@contextlib.contextmanager
def unreadable(webhook_id: UUID) -> Iterator[None]:
    """Whatever can go wrong when what is stored is read becomes WebhookUnreadable."""
    try:
        yield
    except errors.SealBroken as error:
        raise errors.WebhookUnreadable(ids.text(ids.WEBHOOK, webhook_id), error.message) from None
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise errors.WebhookUnreadable(ids.text(ids.WEBHOOK, webhook_id), type(error).__name__) from None


class WebhookRegister:
    """Reads webhooks."""

    def __init__(self, database: Database, ring: KeyRing) -> None:
        self._database = database
        self._ring = ring

    GET = f"select {COLUMNS} from webhooks where id = $1 and tenant_id = $2"  # noqa: S608

    async def get(self, tenant_id: str, webhook_id: UUID) -> Webhook:
        """With its keys in force. Raises NotFound, WebhookUnreadable."""
        async with self._database.connection() as connection:
            return await self._read(connection, tenant_id, webhook_id)

    async def shown(self, tenant_id: str, webhook_id: UUID) -> Webhook:
        """As `get`, for who only names it: without its secrets if it can't be read. Raises NotFound."""
        async with self._database.connection() as connection:
            return await self._shown(connection, tenant_id, webhook_id)

    async def _read(self, connection: asyncpg.Connection, tenant_id: str, webhook_id: UUID) -> Webhook:
        row, keys = await self._rows(connection, tenant_id, webhook_id)
        with unreadable(webhook_id):
            return from_row(row, self._ring, keys)

    async def _shown(self, connection: asyncpg.Connection, tenant_id: str, webhook_id: UUID) -> Webhook:
        """For an answer: without its secrets if it can't be read."""
        row, keys = await self._rows(connection, tenant_id, webhook_id)
        return self._read_or_shown(row, keys)

    async def _rows(
        self, connection: asyncpg.Connection, tenant_id: str, webhook_id: UUID
    ) -> tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]:
        row = await connection.fetchrow(self.GET, webhook_id, tenant_id)
        if row is None:
            raise errors.NotFound("webhook", ids.text(ids.WEBHOOK, webhook_id))
        return row, (await signing_keys.in_force(connection, [webhook_id])).get(webhook_id, ())

    TARGETS = f"select {COLUMNS} from webhooks where id = any($1::uuid[])"  # noqa: S608

    async def get_many(self, webhook_ids: Sequence[UUID]) -> dict[UUID, Webhook | errors.WebhookUnreadable]:
        """For the delivery engine: of all tenants, with the keys of their version; deleted ones are missing."""
        async with self._database.snapshot() as connection:
            rows = await connection.fetch(self.TARGETS, webhook_ids)
            keys = await signing_keys.of_version(connection, webhook_ids)
        return {row["id"]: self._read_or_error(row, keys.get(row["id"], ())) for row in rows}

    def _read_or_error(
        self, row: Mapping[str, Any], keys: Sequence[Mapping[str, Any]]
    ) -> Webhook | errors.WebhookUnreadable:
        """One row must not take the others along."""
        try:
            with unreadable(row["id"]):
                return from_row(row, self._ring, keys)
        except errors.WebhookUnreadable as error:
            return error

    VERSIONS = "select id, version from webhooks where id = any($1::uuid[])"

    async def versions(self, webhook_ids: Sequence[UUID]) -> dict[UUID, int]:
        """What a cache needs to know: deleted ones are missing."""
        async with self._database.connection() as connection:
            return {row["id"]: row["version"] for row in await connection.fetch(self.VERSIONS, webhook_ids)}

    LIST = f"""
        select {COLUMNS} from webhooks w
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
        """Newest first, those older than `before`; `patterns` are those that an event type matches.

        One that can't be read is shown without headers and keys.
        """
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
        return [self._read_or_shown(row, keys.get(row["id"], ())) for row in rows]

    def _read_or_shown(self, row: Mapping[str, Any], keys: Sequence[Mapping[str, Any]]) -> Webhook:
        read = self._read_or_error(row, keys)
        return read if isinstance(read, Webhook) else from_row(row, None)
