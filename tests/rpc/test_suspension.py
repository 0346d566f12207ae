"""The server stops a webhook, and tells those who asked for it; nobody else may say so."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import asyncpg
import grpc
import pytest

from hookpost.v1 import (
    delivery_pb2,
    event_service_pb2,
    event_type_pb2,
    event_type_service_pb2,
    webhook_pb2,
    webhook_service_pb2,
)
from hookpost_server import upkeep
from hookpost_server.domain import ids
from hookpost_server.domain.breaker import THRESHOLD
from tests.receiver import Received, Receiver
from tests.rpc.serving import Client, config, connected, eventually, refused, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

TYPE = "hookpost.webhook.suspended"
SUSPENDED = webhook_pb2.WEBHOOK_STATE_SUSPENDED


def gone(request: Received) -> tuple[int, str]:
    return (410, "") if request.path == "/gone" else (200, "ok")


def at(receiver: Receiver, path: str) -> list[Received]:
    return [request for request in receiver.requests if request.path == path]


async def suspended(client: Client, webhook_id: str) -> webhook_pb2.Webhook:
    request = webhook_service_pb2.GetWebhookRequest(webhook_id=webhook_id, tenant_id=client.tenant)

    async def found() -> webhook_pb2.Webhook | None:
        webhook = (await client.webhooks.GetWebhook(request)).webhook
        return webhook if webhook.state == SUSPENDED else None

    return await eventually(found)


async def test_a_webhook_that_is_gone(client: Client, receiver: Receiver) -> None:
    """One event, to the one that subscribed to Hookpost's own."""
    receiver.decide = gone
    stopped = await client.create(f"{receiver.url}/gone", name="orders", event_types=["User.Created", "hookpost.*"])
    await client.create(f"{receiver.url}/all", event_types=["*"])
    watching = await client.create(f"{receiver.url}/ops", event_types=[TYPE])
    await client.emit()
    assert (await suspended(client, stopped.id)).state_reason == "the receiver answered 410 Gone"
    await receiver.until(lambda receiver: at(receiver, "/ops"))
    await client.ended((await client.emit()).event_id)
    (told,) = at(receiver, "/ops")
    assert (told.json["event"], told.json["hookId"]) == (TYPE, watching.id)
    assert (told.json["webhookId"], told.json["webhookName"], told.json["lastStatus"]) == (stopped.id, "orders", 410)
    assert told.json["reason"] == "the receiver answered 410 Gone"
    assert "/gone" not in told.body.decode()
    assert len(at(receiver, "/gone")) == 1
    assert {request.json["event"] for request in at(receiver, "/all")} == {"User.Created"}


async def test_a_webhook_that_has_failed_for_five_days(
    database_url: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by the server's own chores; its rows are made old by hand."""
    monkeypatch.setattr(upkeep, "INTERVAL", 0.05)
    receiver.decide = lambda request: (500, "") if request.path == "/down" else (200, "ok")
    async with serving(config(database_url)) as server, connected(server.address) as client:
        failing = await client.create(f"{receiver.url}/down", event_types=["User.Created"])
        await client.create(f"{receiver.url}/ops", event_types=["hookpost.*"])
        await client.emit()
        await receiver.until(lambda receiver: at(receiver, "/down"))
        sql = await asyncpg.connect(database_url)
        try:
            await eventually(lambda: sql.fetchval("select failing_since from webhook_streaks"))
            await sql.execute(
                "insert into health_hours (tenant_id, webhook_id, hour, succeeded, failed, attempts, latency_sum) "
                "select tenant_id, webhook_id, date_trunc('hour', now()) - make_interval(days => day), 0, 1, 1, 1 "
                "from webhook_streaks, generate_series(1, 4) day"
            )
            await sql.execute("update webhook_streaks set failing_since = now() - interval '5 days 1 minute'")
            assert (await suspended(client, failing.id)).state_reason == "no attempt succeeded for 5 days"
            await receiver.until(lambda receiver: at(receiver, "/ops"))
            assert await sql.fetchval("select count(*) from events where type = $1", TYPE) == 1
        finally:
            await sql.close()
    (told,) = at(receiver, "/ops")
    assert told.json["failingSince"] < told.json["suspendedAt"]


def emit(client: Client) -> Awaitable[object]:
    return client.emit(type=TYPE)


def emit_dry(client: Client) -> Awaitable[object]:
    return client.emit(type=TYPE, dry_run=True)


def emit_in_a_batch(client: Client) -> Awaitable[object]:
    requests = [client.emit_request(type=TYPE)]
    return client.events.BatchEmitEvents(
        event_service_pb2.BatchEmitEventsRequest(requests=requests, tenant_id=client.tenant)
    )


def create_type(client: Client) -> Awaitable[object]:
    given = event_type_pb2.EventType(name="hookpost.mine")
    return client.types.CreateEventType(event_type_service_pb2.CreateEventTypeRequest(event_type=given))


@pytest.mark.parametrize("call", [emit, emit_dry, emit_in_a_batch, create_type])
async def test_nobody_else_says_so(client: Client, call: Callable[[Client], Awaitable[object]]) -> None:
    refusal = await refused(call(client))
    assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
    assert ["kept for Hookpost's own events" in text for text in refusal.violations.values()] == [True]


async def test_a_test_send_goes_by_the_same_rule(client: Client, receiver: Receiver) -> None:
    """`*` stands for what producers emit; who names the type gets its example."""
    everything = await client.create(receiver.url, event_types=["*"])
    assert TYPE not in [name for name, _ in await client.test(everything.id)]
    own = await client.create(receiver.url, event_types=["hookpost.*"])
    assert [name for name, _ in await client.test(own.id)] == [TYPE]
    assert [name for name, _ in await client.test(everything.id, TYPE)] == [TYPE]


async def test_a_replay_of_what_was_missed_goes_by_the_same_rule(client: Client, receiver: Receiver) -> None:
    receiver.decide = gone
    await client.create(f"{receiver.url}/gone", event_types=["User.Created"])
    stopped = (await client.ended((await client.emit()).event_id))[0].webhook_id
    await suspended(client, stopped)
    everything = await client.create(receiver.url, event_types=["*"])
    own = await client.create(receiver.url, event_types=["hookpost.*"])

    async def missed(webhook_id: str) -> int:
        return (await client.replay(missed=True, dry_run=True, webhook_id=webhook_id)).delivery_count

    assert (await missed(everything.id), await missed(own.id)) == (1, 1)


async def test_a_delivery_that_is_held_back_says_so(client: Client, receiver: Receiver) -> None:
    receiver.decide = lambda request: (503, "")
    webhook = await client.create(receiver.url, event_types=["User.Created"])
    events = [(await client.emit()).event_id for _ in range(THRESHOLD)]
    (first,) = (await client.event(events[0])).deliveries

    async def held() -> delivery_pb2.Delivery | None:
        found = await client.delivery(first.id)
        return found if found.explanation else None

    told = await eventually(held)
    assert told.explanation.startswith("Held back, with no attempt used up")
    assert "tried again in " in told.explanation
    assert told.webhook_id == webhook.id


async def test_a_delivery_that_was_held_back_for_too_long_says_so(
    database_url: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits is made old by hand; the server's own chores give it up."""
    monkeypatch.setattr(upkeep, "INTERVAL", 0.05)
    receiver.decide = lambda request: (503, "")
    async with serving(config(database_url)) as server, connected(server.address) as client:
        webhook = await client.create(receiver.url, event_types=["User.Created"])
        for _ in range(3 * THRESHOLD):
            await client.emit()
        sql = await asyncpg.connect(database_url)
        try:
            await sql.execute("update deliveries set due_at = now() - interval '25 h' where attempt_count = 0")
            given_up = await eventually(
                lambda: sql.fetchval("select id from deliveries where state = 3 and attempt_count = 0")
            )
        finally:
            await sql.close()
        told = await client.delivery(ids.text(ids.DELIVERY, given_up))
    assert (told.state, len(told.attempts)) == (delivery_pb2.DELIVERY_STATE_FAILED, 0)
    assert told.explanation.startswith("Given up without a further attempt")
    assert told.webhook_id == webhook.id
