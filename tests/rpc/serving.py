"""A whole server in the test's own loop, on a real database and a real port, and a client of it."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import asyncpg
import grpc
from google.protobuf import any_pb2, duration_pb2, field_mask_pb2
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from hookpost.v1 import (
    api_key_service_pb2_grpc,
    delivery_pb2,
    delivery_service_pb2,
    delivery_service_pb2_grpc,
    event_service_pb2,
    event_service_pb2_grpc,
    event_type_service_pb2_grpc,
    webhook_pb2,
    webhook_service_pb2,
    webhook_service_pb2_grpc,
)
from hookpost_server import app
from hookpost_server.config import Address, Config
from tests.keys import MASTER_KEY

T = TypeVar("T")
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


class Client:
    """The stubs of all services on one channel, and the calls that most tests begin with, for a tenant of its own."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self.tenant = f"t-{uuid.uuid4().hex}"
        self.webhooks = webhook_service_pb2_grpc.WebhookServiceStub(channel)
        self.events = event_service_pb2_grpc.EventServiceStub(channel)
        self.types = event_type_service_pb2_grpc.EventTypeServiceStub(channel)
        self.deliveries = delivery_service_pb2_grpc.DeliveryServiceStub(channel)
        self.keys = api_key_service_pb2_grpc.ApiKeyServiceStub(channel)

    async def create(self, url: str = "https://example.com/hooks", **settings: Any) -> webhook_pb2.Webhook:
        given = {"name": "a webhook", "event_types": ["*"], "tenant_id": self.tenant} | settings
        request = webhook_service_pb2.CreateWebhookRequest(webhook=webhook_pb2.Webhook(url=url, **given))
        return (await self.webhooks.CreateWebhook(request)).webhook

    async def webhook(self, webhook_id: str) -> webhook_pb2.Webhook:
        request = webhook_service_pb2.GetWebhookRequest(webhook_id=webhook_id, tenant_id=self.tenant)
        return (await self.webhooks.GetWebhook(request)).webhook

    async def update(self, webhook_id: str, *paths: str, etag: str = "", **settings: Any) -> webhook_pb2.Webhook:
        webhook = webhook_pb2.Webhook(id=webhook_id, tenant_id=self.tenant, etag=etag, **settings)
        mask = field_mask_pb2.FieldMask(paths=paths) if paths else None
        request = webhook_service_pb2.UpdateWebhookRequest(webhook=webhook, update_mask=mask)
        return (await self.webhooks.UpdateWebhook(request)).webhook

    def emit_request(self, json: str = "{}", **fields: Any) -> event_service_pb2.EmitEventRequest:
        payload = {} if "data" in fields else {"json": json}
        given = {"type": "User.Created", "tenant_id": self.tenant} | payload | fields
        return event_service_pb2.EmitEventRequest(**given)

    async def emit(self, json: str = "{}", **fields: Any) -> event_service_pb2.EmitEventResponse:
        return await self.events.EmitEvent(self.emit_request(json, **fields))

    async def event(self, event_id: str) -> event_service_pb2.GetEventResponse:
        request = event_service_pb2.GetEventRequest(event_id=event_id, tenant_id=self.tenant)
        return await self.events.GetEvent(request)

    async def delivery(self, delivery_id: str) -> delivery_pb2.Delivery:
        request = delivery_service_pb2.GetDeliveryRequest(delivery_id=delivery_id, tenant_id=self.tenant)
        return (await self.deliveries.GetDelivery(request)).delivery

    async def test(self, webhook_id: str, *event_types: str, **fields: Any) -> list[tuple[str, delivery_pb2.Attempt]]:
        """(type, attempt) of each test send."""
        request = webhook_service_pb2.TestWebhookRequest(
            webhook_id=webhook_id, tenant_id=self.tenant, event_types=event_types, **fields
        )
        return [(each.event_type, each.attempt) for each in (await self.webhooks.TestWebhook(request)).results]

    async def health(self, webhook_id: str, **spans: float) -> webhook_service_pb2.GetWebhookHealthResponse:
        """`spans`: window and bucket in seconds."""
        given = {name: duration_pb2.Duration(seconds=int(seconds)) for name, seconds in spans.items()}
        request = webhook_service_pb2.GetWebhookHealthRequest(webhook_id=webhook_id, tenant_id=self.tenant, **given)
        return await self.webhooks.GetWebhookHealth(request)

    async def redeliver(self, delivery_id: str) -> delivery_pb2.Delivery:
        request = delivery_service_pb2.RedeliverDeliveryRequest(delivery_id=delivery_id, tenant_id=self.tenant)
        return (await self.deliveries.RedeliverDelivery(request)).delivery

    async def replay(
        self, *, missed: bool = False, dry_run: bool = False, rate: float = 1000, **filter: Any
    ) -> delivery_service_pb2.ReplayDeliveriesResponse:
        request = delivery_service_pb2.ReplayDeliveriesRequest(
            tenant_id=self.tenant,
            filter=delivery_service_pb2.DeliveryFilter(**filter),
            include_missed=missed,
            dry_run=dry_run,
            rate=rate,
        )
        return await self.deliveries.ReplayDeliveries(request)

    async def stop_replay(self, replay_id: str) -> int:
        request = delivery_service_pb2.StopReplayRequest(replay_id=replay_id, tenant_id=self.tenant)
        return (await self.deliveries.StopReplay(request)).stopped_count

    def watch(
        self, resume_token: str = "", **filter: Any
    ) -> grpc.aio.UnaryStreamCall[
        delivery_service_pb2.WatchDeliveriesRequest, delivery_service_pb2.WatchDeliveriesResponse
    ]:
        return self.deliveries.WatchDeliveries(
            delivery_service_pb2.WatchDeliveriesRequest(
                tenant_id=self.tenant,
                filter=delivery_service_pb2.DeliveryFilter(**filter),
                resume_token=resume_token,
            )
        )

    async def ended(self, event_id: str) -> list[delivery_pb2.Delivery]:
        """The event's deliveries with their attempts, once none is pending."""

        async def all_ended() -> list[delivery_pb2.Delivery] | None:
            found = (await self.event(event_id)).deliveries
            pending = [each for each in found if each.state == delivery_pb2.DELIVERY_STATE_PENDING]
            return None if pending else list(found)

        return [await self.delivery(each.id) for each in await eventually(all_ended)]


@dataclass
class Server:
    """A running server. `task` ends with it."""

    address: Address
    metrics_address: Address | None
    console_address: Address | None
    stop: asyncio.Event
    task: asyncio.Task[None]


def config(database_url: str, **settings: Any) -> Config:
    given = {
        "grpc_address": Address("127.0.0.1", 0),
        "metrics_address": None,
        "master_key": MASTER_KEY,
        "console_address": None,
        "allow_http": True,
        "allow_networks": LOOPBACK,
        "shutdown_grace": 5.0,
        "poll_interval": 0.1,
    }
    return Config(database_url=database_url, **given | settings)


@contextlib.asynccontextmanager
async def serving(settings: Config) -> AsyncIterator[Server]:
    """Serves while the block lasts; a server that ends by an error ends the test with it."""
    ready: asyncio.Future[app.Running] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    task = asyncio.create_task(app.serve(settings, ready=ready.set_result, stop=stop))
    await asyncio.wait([task, ready], return_when=asyncio.FIRST_COMPLETED)
    if not ready.done():
        await task
        raise AssertionError("the server ended before it was ready")
    try:
        running = ready.result()
        yield Server(running.grpc_address, running.metrics_address, running.console_address, stop, task)
    finally:
        stop.set()
        await task


@contextlib.asynccontextmanager
async def connected(address: Address) -> AsyncIterator[Client]:
    # A server that was restarted is found again soon.
    soon = [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 200)]
    async with grpc.aio.insecure_channel(str(address), options=soon) as channel:
        yield Client(channel)


async def eventually(check: Callable[[], Awaitable[T | None]], seconds: float = 30) -> T:
    """What `check` answers, once that is something."""
    end = time.monotonic() + seconds
    while (value := await check()) is None:
        assert time.monotonic() < end, "not in time"
        await asyncio.sleep(0.01)
    return value


@dataclass(frozen=True)
class Refusal:
    """What a refused call said: the code and all details."""

    code: grpc.StatusCode
    message: str
    reason: str
    metadata: dict[str, str]
    violations: dict[str, str]  # by field
    resource: error_details_pb2.ResourceInfo | None
    retry_delay: float | None


def refusal(error: grpc.aio.AioRpcError) -> Refusal:
    """Reads the details; fails when there is no ErrorInfo of this API."""
    status = rpc_status.from_call(error)
    assert status is not None, f"no details: {error.code()} {error.details()}"
    assert status.code == error.code().value[0]
    info = _detail(status.details, error_details_pb2.ErrorInfo)
    assert info is not None, f"no ErrorInfo: {error.code()} {error.details()}"
    assert info.domain == "hookpost.v1"
    bad = _detail(status.details, error_details_pb2.BadRequest)
    retry = _detail(status.details, error_details_pb2.RetryInfo)
    return Refusal(
        code=error.code(),
        message=error.details() or "",
        reason=info.reason,
        metadata=dict(info.metadata),
        violations={each.field: each.description for each in bad.field_violations} if bad else {},
        resource=_detail(status.details, error_details_pb2.ResourceInfo),
        retry_delay=retry.retry_delay.ToTimedelta().total_seconds() if retry else None,
    )


def _detail(details: Any, kind: type[T]) -> T | None:
    for packed in details:
        assert isinstance(packed, any_pb2.Any)
        found = kind()
        if packed.Unpack(found):  # type: ignore[arg-type]
            return found
    return None


async def refused(call: Awaitable[object]) -> Refusal:
    """The refusal of a call that must be refused."""
    try:
        answer = await call
    except grpc.aio.AioRpcError as error:
        return refusal(error)
    raise AssertionError(f"not refused: {answer}")


async def counts(database_url: str, tenant_id: str) -> dict[str, int]:
    """What is stored of a tenant: a fingerprint of each table that a caller can change."""
    connection = await asyncpg.connect(database_url)
    try:
        return {
            table: await connection.fetchval(
                f"select coalesce(sum(hashtext(t::text)), 0) from {table} t where tenant_id = $1", tenant_id
            )
            for table in (
                *("webhooks", "subscriptions", "signing_keys", "webhook_revisions"),
                *("idempotency_keys", "events", "deliveries", "attempts"),
                *("health_minutes", "health_hours", "webhook_streaks", "other_changes", "replay_items"),
            )
        }
    finally:
        await connection.close()
