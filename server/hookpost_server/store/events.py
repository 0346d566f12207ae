"""Accepting events: one statement stores them, finds the subscribed webhooks and queues the deliveries."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg

from .. import failpoints
from ..domain import errors, ids
from ..domain.delivery import Claim, Trigger
from ..domain.event import Event, patterns
from .columns import sparse
from .database import Database, planned


@dataclass(frozen=True, slots=True)
class Room:
    """How many new deliveries this process can take over at once, and which webhooks and tenants have no room left."""

    deliveries: int
    full: Sequence[UUID] = ()
    full_tenants: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Emitted:
    """What became of an accepted event."""

    event_id: UUID
    delivery_count: int
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a statement did: an entry for each event, in order, and the deliveries that this process now owns."""

    results: list[Emitted | errors.IdempotencyKeyReused]
    claims: list[Claim]
    left_in_queue: bool  # whether deliveries were queued that nobody owns yet


class Events:
    """Verbs on events."""

    def __init__(self, database: Database, *, lease: float) -> None:
        self._database = database
        self._lease = lease  # seconds

    # An event that is missing from the answer is a duplicate. Each distinct (tenant, type) is a route: its patterns
    # are looked up once. `offset 0` keeps the order of the look-ups: without statistics the planner would begin with
    # all webhooks of the tenant, for each pattern. Every multi-row insert that can meet another's rows is sorted by its
    # key. An event that nobody subscribed to stays in `matched`, without a webhook, and takes no room; the others
    # take it in their order, however they were joined. `changed_in` is given, because its default would be computed for
    # each row.
    EMIT = """
        with input as (
            select * from unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[], $5::timestamptz[], $6::text[],
                                 $7::bytea[], $8::int[], $15::text[]) with ordinality
                as i(id, tenant_id, type, payload, occur_time, key, fingerprint, route, traceparent, number)
        ), keyed as (
            insert into idempotency_keys (key, tenant_id, event_id, fingerprint)
            select key, tenant_id, id, fingerprint from input where key is not null order by key, tenant_id, id
            on conflict do nothing returning event_id
        ), fresh as materialized (
            select * from input where key is null or id in (select event_id from keyed)
        ), stored as (
            insert into events (tenant_id, id, type, payload, occur_time, idempotency_key, traceparent, changed_in)
            select tenant_id, id, type, payload, occur_time, key, traceparent,
                (select pg_current_xact_id()::text::bigint)
            from fresh
        ), routes as materialized (
            select distinct r.route, s.webhook_id, w.version
            from unnest($9::int[], $10::text[], $11::text[]) as r(route, tenant_id, pattern)
            cross join lateral (
                select s.webhook_id from subscriptions s
                where s.tenant_id = r.tenant_id and s.pattern = r.pattern offset 0) s
            cross join lateral (
                select w.version from webhooks w
                where w.id = s.webhook_id and w.tenant_id = r.tenant_id and w.state = 1 offset 0) w
        ), matched as materialized (
            select f.number, f.tenant_id, f.id as event_id, f.type, routes.webhook_id, routes.version,
                (left(f.id::text, 24) || left(md5(f.id::text || routes.webhook_id::text), 12))::uuid as id,
                routes.webhook_id is not null
                    and count(routes.webhook_id) over (order by f.number rows unbounded preceding) <= $12
                    and routes.webhook_id <> all($13::uuid[]) and f.tenant_id <> all($16::text[]) as owned
            from fresh f left join routes using (route)
        ), queued as (
            insert into deliveries (tenant_id, id, event_id, webhook_id, type, due_at, claim_count, claimed)
            select tenant_id, id, event_id, webhook_id, type,
                case when owned then now() + $14 else now() end, case when owned then 1 else 0 end, owned
            from matched where webhook_id is not null
        )
        select number::int - 1, id, webhook_id, version, owned from matched
    """

    async def emit(self, events: Sequence[Event], room: Room) -> Accepted:
        """Stores events of one placement group. A reused key is a result of its own event and spares the others."""
        async with self._database.connection() as connection:
            return await self._emit(connection, events, room)

    async def emit_atomically(self, events: Sequence[Event], room: Room) -> Accepted:
        """Stores all events or, if any key was used for other content, none. Raises IdempotencyKeyReused."""
        async with self._database.transaction() as connection:
            accepted = await self._emit(connection, events, room)
            for result in accepted.results:
                if isinstance(result, errors.IdempotencyKeyReused):
                    raise result
            failpoints.hit("emit.uncommitted")
            return accepted

    async def add(self, connection: asyncpg.Connection, event: Event) -> None:
        """Stores an event of the server's own in the transaction of what it tells of; its deliveries are queued."""
        await self._emit(connection, [event], Room(0))

    async def _emit(self, connection: asyncpg.Connection, events: Sequence[Event], room: Room) -> Accepted:
        routes: dict[tuple[str, str], int] = {}
        route_ids, route_tenants, route_patterns = [], [], []
        event_routes = []
        for event in events:
            route = routes.get((event.tenant_id, event.type))
            if route is None:
                route = routes[event.tenant_id, event.type] = len(routes)
                for pattern in patterns(event.type):
                    route_ids.append(route)
                    route_tenants.append(event.tenant_id)
                    route_patterns.append(pattern)
            event_routes.append(route)
        deadline = time.monotonic() + self._lease
        failpoints.hit("emit.unsent")
        rows = await connection.fetch(
            self.EMIT,
            [event.id for event in events],
            [event.tenant_id for event in events],
            [event.type for event in events],
            [event.payload for event in events],
            [event.occur_time for event in events],
            sparse([event.idempotency_key for event in events]),
            sparse([event.fingerprint or None for event in events]),
            event_routes,
            route_ids,
            route_tenants,
            route_patterns,
            room.deliveries,
            room.full,
            timedelta(seconds=self._lease),
            sparse([event.traceparent for event in events]),
            room.full_tenants,
        )
        counts: list[int | None] = [None] * len(events)  # deliveries; None: the event was not stored
        claims = []
        left_in_queue = False
        for number, delivery_id, webhook_id, version, owned in rows:
            counts[number] = (counts[number] or 0) + (delivery_id is not None)
            if owned:
                event = events[number]
                claims.append(
                    Claim(delivery_id, event.tenant_id, webhook_id, version, 1, 1, Trigger.SCHEDULED, event, deadline)
                )
            elif delivery_id is not None:
                left_in_queue = True
        repeated = [event for event, count in zip(events, counts, strict=True) if count is None]
        known = await self._first_events(connection, repeated) if repeated else {}
        results = [
            known[event.id] if count is None else Emitted(event.id, count)
            for event, count in zip(events, counts, strict=True)
        ]
        return Accepted(results, claims, left_in_queue)

    # A second statement, because the first one's snapshot cannot see a key that was committed while it waited for it.
    FIRST_EVENTS = """
        select i.id, k.event_id, k.fingerprint,
            (select count(*) from deliveries d
             where d.tenant_id = k.tenant_id and d.event_id = k.event_id
               and d.id >= (left(k.event_id::text, 24) || '000000000000')::uuid
               and d.id <= (left(k.event_id::text, 24) || 'ffffffffffff')::uuid)::int as delivery_count
        from unnest($1::uuid[], $2::text[], $3::text[]) as i(id, tenant_id, key)
        join idempotency_keys k on k.key = i.key and k.tenant_id = i.tenant_id
    """

    async def _first_events(
        self, connection: asyncpg.Connection, events: Sequence[Event]
    ) -> Mapping[UUID, Emitted | errors.IdempotencyKeyReused]:
        async with planned(connection):
            rows = await connection.fetch(
                self.FIRST_EVENTS,
                [event.id for event in events],
                [event.tenant_id for event in events],
                [event.idempotency_key for event in events],
            )
        by_id = {event.id: event for event in events}
        known: dict[UUID, Emitted | errors.IdempotencyKeyReused] = {}
        for row in rows:
            event = by_id[row["id"]]
            if row["fingerprint"] == event.fingerprint:
                known[event.id] = Emitted(row["event_id"], row["delivery_count"], duplicate=True)
            else:
                known[event.id] = errors.IdempotencyKeyReused(
                    event.idempotency_key or "", ids.text(ids.EVENT, row["event_id"])
                )
        if missing := by_id.keys() - known.keys():
            raise errors.DatabaseUnavailable(f"{len(missing)} idempotency keys expired at this moment")
        return known

    GET = "select * from events where id = $1 and tenant_id = $2"

    async def get(self, tenant_id: str, event_id: UUID) -> Event:
        """Raises NotFound."""
        async with self._database.by_key() as connection:
            row = await connection.fetchrow(self.GET, event_id, tenant_id)
        if row is None:
            raise errors.NotFound("event", ids.text(ids.EVENT, event_id))
        return _from_row(row)

    LIST = """
        select * from (
            select * from events where tenant_id = $1 and id >= $2 and id < $3 order by id desc limit $4
        ) scanned
        where $5 = '' or type = $5 limit $6
    """
    # Where a scan of `$4` rows ended; null when it reached the end of the range.
    SCANNED = """
        select id from events where tenant_id = $1 and id >= $2 and id < $3 order by id desc offset $4 limit 1
    """

    async def list(
        self, tenant_id: str, *, since: UUID, before: UUID, event_type: str, limit: int, scan: int = 20_000
    ) -> tuple[list[Event], UUID | None]:
        """Newest first, within [since, before); and from where to go on, None at the end.

        After `scan` rows that did not match, the page ends short rather than late.
        """
        async with self._database.by_range() as connection:
            rows = await connection.fetch(self.LIST, tenant_id, since, before, scan, event_type, limit + 1)
            events = [_from_row(row) for row in rows]
            if len(events) > limit:
                return events[:limit], events[limit - 1].id
            return events, await connection.fetchval(self.SCANNED, tenant_id, since, before, scan - 1)


def _from_row(row: Mapping[str, Any]) -> Event:
    return Event(
        id=row["id"],
        tenant_id=row["tenant_id"],
        type=row["type"],
        payload=row["payload"] or b"",
        occur_time=row["occur_time"],
        idempotency_key=row["idempotency_key"],
        traceparent=row["traceparent"],
    )
