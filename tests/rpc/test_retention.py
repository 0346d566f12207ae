"""A server lets go of what is old by itself, and says so to who asks for it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg
import grpc
import pytest

from hookpost.v1 import delivery_pb2, delivery_service_pb2
from hookpost_server.domain import ids
from hookpost_server.domain.event import Event
from hookpost_server.domain.retention import HOUR, Lifetime
from hookpost_server.store.database import Database
from hookpost_server.store.deliveries import Deliveries
from hookpost_server.store.events import Events
from tests.receiver import Receiver
from tests.rpc.serving import Client, config, connected, eventually, refused, serving
from tests.store import making, past

pytestmark = pytest.mark.asyncio(loop_scope="module")

PENDING, SUCCEEDED = delivery_pb2.DELIVERY_STATE_PENDING, delivery_pb2.DELIVERY_STATE_SUCCEEDED


@dataclass(frozen=True)
class Past:
    """An event of each of some days, by how long ago they were."""

    webhook_id: str
    events: dict[int, Event]

    def event_id(self, ago: int) -> str:
        return ids.text(ids.EVENT, self.events[ago].id)


async def live(database_url: str, receiver: Receiver, *, days: tuple[int, ...], pending: tuple[int, ...] = ()) -> Past:
    """Days of traffic to one webhook. What is `pending` is not due for long."""
    async with serving(config(database_url)) as server, connected(server.address) as client:
        client.tenant = making.TENANT
        webhook = await client.create(receiver.url)
    database = await Database.open(database_url)
    sql = await asyncpg.connect(database_url)
    try:
        made = {}
        for ago in days:
            await past.make_day(sql, past.day_of(database, ago))
            made[ago] = past.event(past.day_of(database, ago), payload=b'{"days": %d}' % ago)
            await making.queue(Events(database, lease=45), made[ago])
            claim = await making.claim_one(Deliveries(database, lease=45))
            if ago not in pending:
                await Deliveries(database, lease=45).record([making.record(claim)])
        await sql.execute("update deliveries set due_at = now() + interval '1 h'")
        return Past(webhook.id, made)
    finally:
        await sql.close()
        await database.close()


@asynccontextmanager
async def served(database_url: str, **settings: object) -> AsyncIterator[Client]:
    async with serving(config(database_url, **settings)) as server, connected(server.address) as client:
        client.tenant = making.TENANT
        yield client


async def gone(client: Client, event_id: str) -> bool | None:
    try:
        await client.event(event_id)
    except grpc.aio.AioRpcError as error:
        assert error.code() is grpc.StatusCode.NOT_FOUND
        return True
    return None


async def test_a_server_drops_old_days(database_url: str, receiver: Receiver) -> None:
    before = await live(database_url, receiver, days=(30, 8, 2), pending=(8,))
    async with served(database_url, retention=Lifetime(3 * 24 * HOUR)) as client:
        await eventually(lambda: gone(client, before.event_id(30)))
        kept = await client.event(before.event_id(2))
        assert json.loads(kept.event.json) == {"days": 2}
        assert not kept.event.payload_removed
        (entry,) = kept.deliveries
        assert [attempt.response_removed for attempt in (await client.delivery(entry.id)).attempts] == [False]
        refusal = await refused(client.delivery(entry_of_dropped := "dlv_" + before.event_id(30)[4:]))
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND")
        assert (await refused(client.redeliver(entry_of_dropped))).code is grpc.StatusCode.NOT_FOUND
        # A pending delivery holds its day, and is still attempted.
        (held,) = (await client.event(before.event_id(8))).deliveries
        assert held.state == PENDING
        await due(database_url)
        (delivered,) = await client.ended(before.event_id(8))
        assert (delivered.id, delivered.state) == (held.id, SUCCEEDED)
        (request,) = await receiver.received(1)
        assert json.loads(request.body)["days"] == 8
        # The figures of the webhook are those of outcomes, which were all just now.
        assert (await client.health(before.webhook_id)).health.request_count == 3
    async with served(database_url, retention=Lifetime(3 * 24 * HOUR)) as client:
        await eventually(lambda: gone(client, before.event_id(8)))
        assert (await client.health(before.webhook_id)).health.request_count == 3


async def due(database_url: str) -> None:
    sql = await asyncpg.connect(database_url)
    try:
        await sql.execute("update deliveries set due_at = now() where state = 1")
    finally:
        await sql.close()


async def test_bodies_go_before_their_entries(database_url: str, receiver: Receiver) -> None:
    before = await live(database_url, receiver, days=(5, 2), pending=(2,))
    async with served(database_url, body_retention=Lifetime(HOUR)) as client:

        async def removed() -> bool | None:
            return (await client.event(before.event_id(5))).event.payload_removed or None

        await eventually(removed)
        found = await client.event(before.event_id(5))
        assert (found.event.json, found.event.type) == ("", "User.Created")
        (entry,) = found.deliveries
        request = delivery_service_pb2.GetDeliveryRequest(
            delivery_id=entry.id, tenant_id=client.tenant, include_requests=True
        )
        (attempt,) = (await client.deliveries.GetDelivery(request)).delivery.attempts
        assert (attempt.response_removed, attempt.response_body, list(attempt.response_headers)) == (True, "", [])
        assert (attempt.status_code, attempt.url, attempt.HasField("request")) == (
            200,
            "https://example.com/hooks",
            False,
        )
        refusal = await refused(client.redeliver(entry.id))
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "PAYLOAD_REMOVED")
        assert refusal.metadata == {"event_id": before.event_id(5)}
        for dry_run in (True, False):
            replay = client.replay(event_id=before.event_id(5), states=[SUCCEEDED], dry_run=dry_run)
            refusal = await refused(replay)
            assert (refusal.code, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "PAYLOAD_REMOVED")
        # Nothing but the pending one is ever sent, and that whole.
        await due(database_url)
        await client.ended(before.event_id(2))
        (sent,) = await receiver.received(1)
        assert json.loads(sent.body)["days"] == 2
        assert len(receiver.requests) == 1
