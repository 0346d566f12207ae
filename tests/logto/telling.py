"""Steps that many of the cases share."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf import duration_pb2

from hookpost.v1 import delivery_pb2, delivery_service_pb2, webhook_pb2, webhook_service_pb2
from tests.receiver import Received, Receiver
from tests.rpc.serving import Client

SIGNATURE = "logto-signature-sha-256"
UNKNOWN_WEBHOOK = "whk_00000000000000000000000000"
PENDING, SUCCEEDED = delivery_pb2.DELIVERY_STATE_PENDING, delivery_pb2.DELIVERY_STATE_SUCCEEDED
FAILED = delivery_pb2.DELIVERY_STATE_FAILED


def retries(count: int, milliseconds: int = 20) -> webhook_pb2.RetryPolicy:
    """So many retries, soon."""
    if not count:
        return webhook_pb2.RetryPolicy(schedule=webhook_pb2.RETRY_SCHEDULE_NONE)
    delay = duration_pb2.Duration(nanos=milliseconds * 1_000_000)
    return webhook_pb2.RetryPolicy(delays=[delay] * count, jitter=0.0)


async def told(client: Client, event_type: str, payload: Mapping[str, Any]) -> list[delivery_pb2.Delivery]:
    """Emits, and answers the deliveries once they have ended."""
    event = await client.emit(json.dumps(payload), type=event_type)
    return await client.ended(event.event_id)


async def heard(
    client: Client,
    receiver: Receiver,
    subscriptions: Mapping[str, Sequence[str]],
    *events: tuple[str, Mapping[str, Any]],
) -> dict[str, list[dict[str, Any]]]:
    """The bodies that each of the webhooks got of these events, when every delivery had ended; all have succeeded."""
    for name, event_types in subscriptions.items():
        await client.create(f"{receiver.url}/{name}", event_types=event_types)
    for event_type, payload in events:
        entries = await told(client, event_type, payload)
        assert all(entry.state == SUCCEEDED for entry in entries)
    got: dict[str, list[dict[str, Any]]] = {name: [] for name in subscriptions}
    for request in receiver.requests:
        got[request.path.removeprefix("/")].append(request.json)
    return got


def names(bodies: Sequence[Mapping[str, Any]]) -> list[str]:
    return [body["event"] for body in bodies]


async def secret(client: Client, webhook_id: str) -> str:
    request = webhook_service_pb2.GetSigningKeyRequest(webhook_id=webhook_id, tenant_id=client.tenant)
    return (await client.webhooks.GetSigningKey(request)).keys[0].secret


def verifies(key: str, request: Received) -> bool:
    """As the page on securing webhooks tells Logto's receivers to do it: on the raw body, with the key's text."""
    expected = hmac.new(key.encode(), request.body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, request.headers[SIGNATURE])


async def log(
    client: Client, *, page_size: int = 0, page_token: str = "", **filter: Any
) -> delivery_service_pb2.ListDeliveriesResponse:
    """A page of the log."""
    return await client.deliveries.ListDeliveries(
        delivery_service_pb2.ListDeliveriesRequest(
            tenant_id=client.tenant,
            page_size=page_size,
            page_token=page_token,
            filter=delivery_service_pb2.DeliveryFilter(**filter),
        )
    )
