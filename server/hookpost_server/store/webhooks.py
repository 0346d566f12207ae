"""What is done to webhooks; their subscriptions and signing keys change in the same transactions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

import asyncpg

from .. import failpoints
from ..domain import errors, ids, sealing
from ..domain.audit import Action
from ..domain.sealing import KeyRing
from ..domain.secret import Secret
from ..domain.webhook import Settings, State, Webhook, differing, unknown_type
from . import audit, resumption, signing_keys, vault
from .database import Database
from .revisions import Revisions
from .webhook_register import COLUMNS, SETTINGS, WebhookRegister, from_row, unreadable, values

MOST = 10_000  # webhooks of a tenant, by default: an event may go to all of them
CANCEL_STEP, CANCEL_MOST = 5_000, 50_000  # deliveries cancelled by one statement, and by one delete


class Webhooks(WebhookRegister):
    """Verbs on webhooks."""

    def __init__(self, database: Database, ring: KeyRing, *, open_types: bool = False, most: int = MOST) -> None:
        """`open_types` lets webhooks subscribe to types that are not in the catalogue; `most`: webhooks of a tenant."""
        super().__init__(database, ring)
        self._open_types = open_types
        self._most = most

    CREATE = f"""
        insert into webhooks (id, tenant_id, {SETTINGS}, state, request_id, request_digest)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 1, $15, $16)
        on conflict do nothing returning id
    """  # noqa: S608
    REPEATED = "select id, request_digest from webhooks where tenant_id = $1 and request_id = $2"
    COUNT = "select count(*) from webhooks where tenant_id = $1"
    SUBSCRIBE = """
        insert into subscriptions (tenant_id, pattern, webhook_id)
        select $1, pattern, $2 from unnest($3::text[]) pattern order by pattern
    """
    # Holds a type that is being subscribed to against its deletion.
    HOLD_TYPES = "select name from event_types where name = any($1::text[]) order by name for key share"

    async def create(
        self, tenant_id: str, settings: Settings, secret: Secret, *, request_id: str = "", digest: bytes = b""
    ) -> Webhook:
        """An active webhook with its key. A known request id answers the first webhook.

        Raises RequestIdReused, LimitExceeded, MasterKeyRetired, and InvalidFields for an event type that was deleted
        since it was looked up.
        """
        webhook_id = ids.new(self._database.now())
        async with self._database.transaction() as connection:
            await vault.hold(connection, self._ring)
            await self._hold_types(connection, settings)
            made = await connection.fetchval(
                self.CREATE,
                webhook_id,
                tenant_id,
                *values(settings, tenant_id, webhook_id, self._ring),
                request_id or None,
                # The request may have a secret in it that its digest would let somebody try out.
                self._ring.seal(digest, tenant_id, webhook_id, sealing.DIGEST) if digest else None,
            )
            if made is None:
                first = await connection.fetchrow(self.REPEATED, tenant_id, request_id)
                if first is None or self._digest(tenant_id, first) != digest:
                    raise errors.RequestIdReused(request_id)
                return await self._revealed(connection, tenant_id, first["id"])
            if await connection.fetchval(self.COUNT, tenant_id) > self._most:
                raise errors.LimitExceeded(f"the tenant has {self._most:,} webhooks already; delete some")
            await connection.execute(self.SUBSCRIBE, tenant_id, webhook_id, list(settings.event_types))
            key_id = ids.new(self._database.now())
            await signing_keys.add(connection, self._ring, tenant_id, webhook_id, key_id, secret)
            await Revisions.note(connection, tenant_id, webhook_id)
            await self._note(connection, tenant_id, Action.WEBHOOK_CREATED, webhook_id)
            return await self._read(connection, tenant_id, webhook_id)

    def _digest(self, tenant_id: str, row: Mapping[str, Any]) -> bytes:
        with unreadable(row["id"]):
            return self._ring.open(row["request_digest"], tenant_id, row["id"], sealing.DIGEST)

    async def _hold_types(self, connection: asyncpg.Connection, settings: Settings) -> None:
        held = {row["name"] for row in await connection.fetch(self.HOLD_TYPES, list(settings.event_types))}
        gone = [
            unknown_type(index, name)
            for index, name in enumerate(settings.event_types)
            if not self._open_types and not name.endswith("*") and name not in held
        ]
        if gone:
            raise errors.InvalidFields(errors.Violation(f"webhook.{field}", fault) for field, fault in gone)

    LOCK = f"select {COLUMNS} from webhooks where id = $1 and tenant_id = $2 for update"  # noqa: S608
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
        """Applies `change` to the settings as they are now.

        Raises NotFound, EtagMismatch, WebhookUnreadable, MasterKeyRetired, what `change` raises, and InvalidFields as
        `create` does.
        """
        async with self._database.transaction() as connection:
            await vault.hold(connection, self._ring)
            row = await self._locked(connection, tenant_id, webhook_id, etag)
            with unreadable(webhook_id):
                before = from_row(row, self._ring)
            settings = change(before.settings)
            sealed = values(settings, tenant_id, webhook_id, self._ring)
            await connection.execute(self.UPDATE, webhook_id, tenant_id, *sealed)
            await Revisions.note(connection, tenant_id, webhook_id)
            changed = differing(before.settings, settings)
            await self._note(connection, tenant_id, Action.WEBHOOK_UPDATED, webhook_id, fields=changed)
            if settings.event_types != before.settings.event_types:
                await self._hold_types(connection, settings)
                await connection.execute(self.UNSUBSCRIBE, webhook_id, tenant_id)
                await connection.execute(self.SUBSCRIBE, tenant_id, webhook_id, list(settings.event_types))
            return await self._read(connection, tenant_id, webhook_id)

    async def _locked(
        self, connection: asyncpg.Connection, tenant_id: str, webhook_id: UUID, etag: str = ""
    ) -> Mapping[str, Any]:
        row = await connection.fetchrow(self.LOCK, webhook_id, tenant_id)
        if row is None:
            raise errors.NotFound("webhook", ids.text(ids.WEBHOOK, webhook_id))
        found = from_row(row, None)
        if etag and etag != found.etag:
            raise errors.EtagMismatch("webhook", found.etag)
        fetched: Mapping[str, Any] = row
        return fetched

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
            if done == "UPDATE 1":
                action = Action.WEBHOOK_ENABLED if state is State.ACTIVE else Action.WEBHOOK_DISABLED
                await self._note(connection, tenant_id, action, webhook_id)
                if state is State.ACTIVE:
                    await connection.execute(self.FORGIVE, webhook_id, tenant_id)
            return await self._shown(connection, tenant_id, webhook_id)

    DELETE = "delete from webhooks where id = $1 and tenant_id = $2"
    # Rows come by due time here and by id in every other statement: skipping what is locked, it can't deadlock.
    CANCEL = """
        with cancelled as (
            update deliveries d set state = 4, finish_time = now()
            from (select id, tenant_id from deliveries
                  where tenant_id = $1 and webhook_id = $2 and state = 1 and not (claimed and due_at > now())
                  order by due_at limit $3 for update skip locked) due
            where d.id = due.id and d.tenant_id = due.tenant_id
            returning d.tenant_id, d.id
        )
        insert into other_changes (tenant_id, delivery_id) select tenant_id, id from cancelled
    """

    async def delete(self, tenant_id: str, webhook_id: UUID, etag: str = "") -> int:
        """Removes the webhook, then cancels its waiting deliveries in steps; returns how many.

        What a node holds ends there: an attempt under way with its own outcome, the rest by the node's next look. What
        is queued at the same moment, or is beyond CANCEL_MOST, the engine cancels when it is due.
        Raises NotFound, EtagMismatch.
        """
        async with self._database.transaction() as connection:
            await self._locked(connection, tenant_id, webhook_id, etag)
            await connection.execute(self.UNSUBSCRIBE, webhook_id, tenant_id)
            await signing_keys.delete(connection, tenant_id, webhook_id)
            await connection.execute(self.DELETE, webhook_id, tenant_id)
            await self._note(connection, tenant_id, Action.WEBHOOK_DELETED, webhook_id)
        cancelled = 0
        while cancelled < CANCEL_MOST:
            async with self._database.by_key() as connection:
                step = int((await connection.execute(self.CANCEL, tenant_id, webhook_id, CANCEL_STEP)).split()[-1])
            cancelled += step
            if step < CANCEL_STEP:
                break
        return cancelled

    async def reveal_keys(self, tenant_id: str, webhook_id: UUID) -> Webhook:
        """With its keys in force, for somebody who will see them: it is noted who. Raises NotFound."""
        async with self._database.transaction() as connection:
            return await self._revealed(connection, tenant_id, webhook_id)

    async def _revealed(self, connection: asyncpg.Connection, tenant_id: str, webhook_id: UUID) -> Webhook:
        webhook = await self._read(connection, tenant_id, webhook_id)
        await self._note(connection, tenant_id, Action.SIGNING_KEY_REVEALED, webhook_id)
        return webhook

    @staticmethod
    async def _note(
        connection: asyncpg.Connection, tenant_id: str, action: Action, webhook_id: UUID, **details: object
    ) -> None:
        await audit.note(connection, tenant_id, action, ids.text(ids.WEBHOOK, webhook_id), **details)

    BUMP = "update webhooks set version = version + 1, update_time = now() where id = $1 and tenant_id = $2"

    async def rotate_key(
        self, tenant_id: str, webhook_id: UUID, secret: Secret, overlap: float, *, request_id: str = ""
    ) -> tuple[Webhook, Secret]:
        """A new current key; those of before sign on for `overlap` seconds. Returns the secret in force.

        What was read before may still be signed with, for STALE_AFTER at most. A known request id changes nothing and
        answers the key that it made. Raises NotFound, LimitExceeded (MAX_KEYS), WebhookUnreadable, MasterKeyRetired.
        """
        async with self._database.transaction() as connection:
            await vault.hold(connection, self._ring)
            await self._locked(connection, tenant_id, webhook_id)
            if request_id:
                with unreadable(webhook_id):
                    known = await signing_keys.made_by(connection, self._ring, tenant_id, webhook_id, request_id)
                if known is not None:
                    return await self._revealed(connection, tenant_id, webhook_id), known.secret
            await signing_keys.retire(connection, tenant_id, webhook_id, overlap)
            key_id = ids.new(self._database.now())
            await signing_keys.add(connection, self._ring, tenant_id, webhook_id, key_id, secret, request_id)
            await connection.execute(self.BUMP, webhook_id, tenant_id)
            await Revisions.note(connection, tenant_id, webhook_id)
            await self._note(connection, tenant_id, Action.SIGNING_KEY_ROTATED, webhook_id, overlap=overlap)
            failpoints.hit("rotate.uncommitted")
            webhook = await self._read(connection, tenant_id, webhook_id)
        failpoints.hit("rotate.committed")
        return webhook, secret
