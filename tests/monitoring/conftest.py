"""A server that has been through everything it counts, and its scrape afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest_asyncio

from hookpost.v1 import event_service_pb2, event_type_service_pb2, webhook_pb2
from hookpost_server.config import Address
from tests.conftest import copied
from tests.monitoring.scraping import Scrape, scrape
from tests.receiver import receiving
from tests.rpc.serving import Client, config, connected, eventually, refused, serving

ANY_PORT = Address("127.0.0.1", 0)
QUICKLY = webhook_pb2.RetryPolicy(delays=[{"nanos": 1_000_000}], jitter=0.0)
CANARY_TENANT, CANARY_TYPE = "canary-tenant-7f3a", "Canary7f3a.Sang"


@dataclass
class Day:
    """What was done, and what the server's figures were after it."""

    scrape: Scrape
    secrets: list[str] = field(default_factory=list)  # ids, names and keys that were in use


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def day(postgres_url: str, template_database: str) -> AsyncIterator[Day]:
    async with copied(postgres_url, template_database) as url:
        yield await _live(url)


async def _live(database_url: str) -> Day:
    """Seven events to three webhooks: one that answers 200, one that fails at first, one that refuses."""
    settings = config(database_url, metrics_address=ANY_PORT)
    async with serving(settings) as server, connected(server.address) as client, receiving() as receiver:
        client.tenant = CANARY_TENANT
        made = await client.types.CreateEventType(
            event_type_service_pb2.CreateEventTypeRequest(event_type={"name": CANARY_TYPE, "group": "Canary"})
        )
        assert made.event_type.name == CANARY_TYPE
        receiver.decide = lambda request: (
            (404, "")
            if request.path == "/no"
            else (500, "")
            if (request.path, request.attempt) == ("/later", 1)
            else (200, "")
        )
        webhooks = [
            await client.create(f"{receiver.url}/{path}", name=f"canary-{path}", retry_policy=QUICKLY)
            for path in ("yes", "later", "no")
        ]
        events = await _emit(client)
        deliveries = [each for event in events for each in await client.ended(event)]

        async def written() -> Scrape | None:
            found = await scrape(server.metrics_address)
            ended = sum(found.by("hookpost_deliveries_ended_total", "state").values())
            read = found.value("hookpost_backlog_due_deliveries") is not None
            lag = found.value("hookpost_event_loop_lag_seconds_count")
            return found if ended == len(deliveries) == 21 and read and lag else None

        after = await eventually(written)
        return Day(
            after,
            [
                *events,
                *(webhook.id for webhook in webhooks),
                *(delivery.id for delivery in deliveries),
                *(CANARY_TENANT, CANARY_TYPE, "canary", receiver.url, "key-of-canary"),
            ],
        )


async def _emit(client: Client) -> list[str]:
    """Accepted: 3 single ones, 1 with a key, 2 in a batch, 1 in a stream. Duplicate: 1. Refused: 1, 2 and 1."""
    request = client.emit_request(type=CANARY_TYPE)
    events = [(await client.emit(type=CANARY_TYPE)).event_id for _ in range(3)]
    keyed = [await client.emit(type=CANARY_TYPE, idempotency_key="key-of-canary") for _ in range(2)]
    assert [each.duplicate for each in keyed] == [False, True]
    unknown = client.emit_request(type="Canary7f3a.Flew")
    assert (await refused(client.events.EmitEvent(unknown))).reason == "EVENT_TYPE_UNKNOWN"
    dry = client.emit_request(type="Canary7f3a.Flew", dry_run=True)
    assert (await refused(client.events.EmitEvent(dry))).reason == "EVENT_TYPE_UNKNOWN"

    def batch(*requests: event_service_pb2.EmitEventRequest) -> event_service_pb2.BatchEmitEventsRequest:
        return event_service_pb2.BatchEmitEventsRequest(tenant_id=client.tenant, requests=requests)

    answer = await client.events.BatchEmitEvents(batch(request, request))
    broken = client.emit_request("no JSON", type=CANARY_TYPE)
    assert (await refused(client.events.BatchEmitEvents(batch(request, broken)))).reason == "FIELD_INVALID"
    stream = client.events.StreamEmitEvents()
    results: list[event_service_pb2.StreamEmitEventsResult] = []
    for sequence, each in enumerate((request, unknown), 1):
        await stream.write(event_service_pb2.StreamEmitEventsRequest(sequence=sequence, event=each))
    await stream.done_writing()
    async for response in stream:
        results += response.results
    accepted = [each.response.event_id for each in results if each.HasField("response")]
    return [*events, keyed[0].event_id, *(each.event_id for each in answer.responses), *accepted]
