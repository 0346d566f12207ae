"""The demo's client: subscribes, emits, waits, and gathers what the server's log and the receiver say."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any, Self, TypeVar, cast

import grpc

from hookpost.v1.delivery_pb2 import DELIVERY_STATE_PENDING, Delivery
from hookpost.v1.delivery_service_pb2 import DeliveryFilter, GetDeliveryRequest, ListDeliveriesRequest
from hookpost.v1.delivery_service_pb2_grpc import DeliveryServiceStub
from hookpost.v1.event_service_pb2 import EmitEventRequest
from hookpost.v1.event_service_pb2_grpc import EventServiceStub
from hookpost.v1.event_type_pb2 import EventType
from hookpost.v1.event_type_service_pb2 import ListEventTypesRequest
from hookpost.v1.event_type_service_pb2_grpc import EventTypeServiceStub
from hookpost.v1.webhook_pb2 import PAYLOAD_FORMAT_FLAT, RetryPolicy, Webhook
from hookpost.v1.webhook_service_pb2 import CreateWebhookRequest
from hookpost.v1.webhook_service_pb2_grpc import WebhookServiceStub
from hookpost_server.cli.demo_check import TYPES, Line
from hookpost_server.cli.progress import Progress
from hookpost_server.cli.receiver import Receiver
from hookpost_server.cli.refusals import to_failure
from hookpost_server.domain import event

Answer = TypeVar("Answer")

DELAYS = (0.2, 0.4, 0.8)  # seconds between attempts; a demo has no minutes to wait
POLL = 0.1  # seconds


class Run:
    """One run against one fresh server."""

    def __init__(self, address: str, receiver: Receiver, progress: Progress) -> None:
        self._address = address
        self._receiver = receiver
        self._progress = progress
        self._channel = grpc.aio.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)])
        self._webhook_id = ""
        self._emitted: list[tuple[EventType, str]] = []
        self._found: list[Delivery] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._channel.close()

    async def subscribe(self, url: str, headers: dict[str, str]) -> None:
        """One webhook for everything. Its key goes to the receiver."""
        policy = RetryPolicy(jitter=0)
        for delay in DELAYS:
            policy.delays.add().FromTimedelta(timedelta(seconds=delay))
        webhook = Webhook(
            name="demo",
            url=url,
            event_types=["*"],
            headers=headers,
            payload_format=PAYLOAD_FORMAT_FLAT,
            retry_policy=policy,
        )
        stub = WebhookServiceStub(self._channel)
        answer = await self._call(stub.CreateWebhook(CreateWebhookRequest(webhook=webhook), timeout=10))
        self._webhook_id = answer.webhook.id
        self._receiver.keys = [answer.signing_key]
        self._progress.done(f"Webhook {answer.webhook.id} subscribes to every event type")

    async def emit_all(self) -> None:
        """One event of each built-in type that may be emitted, with the catalogue's example as its payload."""
        request = ListEventTypesRequest(page_size=1000)
        listed = await self._call(EventTypeServiceStub(self._channel).ListEventTypes(request, timeout=10))
        events = EventServiceStub(self._channel)
        for kind in listed.event_types:
            if kind.built_in and not event.is_operational(kind.name):
                emit = EmitEventRequest(type=kind.name, json=kind.example)
                answer = await self._call(events.EmitEvent(emit, timeout=10))
                self._emitted.append((kind, answer.event_id))
                self._progress.live(f"emitted {len(self._emitted)} of {TYPES}: {kind.name}")
        self._progress.done(f"Emitted {len(self._emitted)} events, one of each built-in type")

    async def wait(self, stop: asyncio.Event, patience: float) -> None:
        """Until every delivery has ended, `stop` is set, or `patience` seconds are over."""
        stub = DeliveryServiceStub(self._channel)
        request = ListDeliveriesRequest(page_size=1000, filter=DeliveryFilter(webhook_id=self._webhook_id))
        end = time.monotonic() + patience
        while not stop.is_set() and time.monotonic() < end:
            answer = await self._call(stub.ListDeliveries(request, timeout=10))
            self._found = list(answer.deliveries)
            pending = sum(delivery.state == DELIVERY_STATE_PENDING for delivery in self._found)
            ended = len(self._found) - pending
            if ended >= len(self._emitted):
                break
            self._progress.live(
                f"{ended} of {len(self._emitted)} delivered, {pending} under way or waiting to be retried"
            )
            await asyncio.sleep(POLL)
        self._progress.done(f"Received {self._receiver.count} requests")

    async def lines(self) -> list[Line]:
        """All that is known about each event."""
        stub = DeliveryServiceStub(self._channel)
        deliveries = [
            (await self._call(stub.GetDelivery(GetDeliveryRequest(delivery_id=found.id), timeout=10))).delivery
            for found in self._found
        ]
        return [
            Line(
                event_type=kind.name,
                event_id=event_id,
                example=kind.example,
                webhook_id=self._webhook_id,
                deliveries=[delivery for delivery in deliveries if delivery.event_id == event_id],
                received=[received for received in self._receiver.received if received.event_id == event_id],
            )
            for kind, event_id in self._emitted
        ]

    async def _call(self, call: Awaitable[Answer]) -> Answer:
        try:
            return await call
        except grpc.aio.AioRpcError as error:
            raise to_failure(cast(Any, error), self._address) from error
