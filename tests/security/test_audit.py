"""E8 and the audit log: each deed that a caller can do is noted with who did it, and no entry has a secret in it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from google.protobuf import duration_pb2

from hookpost.v1 import (
    api_key_pb2,
    api_key_service_pb2,
    delivery_service_pb2,
    event_type_pb2,
    event_type_service_pb2,
    webhook_service_pb2,
)
from hookpost_server.domain import api_key, ids
from hookpost_server.domain.actor import Actor
from hookpost_server.domain.api_key import ALL_TENANTS, Scope
from hookpost_server.domain.audit import Action, Entry
from hookpost_server.store.audit import AuditLog
from hookpost_server.store.database import Database
from tests.receiver import Receiver
from tests.rpc.serving import counts, refused
from tests.security.calling import METHODS, Authorized, Secured
from tests.security.test_door import needed

pytestmark = pytest.mark.asyncio(loop_scope="module")

CANARY = "CANARY-of-a-secret-value"
REMARK = "CANARY-of-a-remark"  # stored in plain, and no part of an entry either


@dataclass
class World:
    """A client with a webhook and a delivery of it that has ended."""

    client: Authorized
    key_id: str
    webhook_id: str
    delivery_id: str


@pytest_asyncio.fixture(loop_scope="module")
async def world(secured: Secured, receiver: Receiver) -> World:
    key = await secured.key(Scope.ADMIN, name="the operator")
    client = Authorized(secured.channel, key)
    webhook = await client.create(receiver.url)
    (delivery,) = await client.ended((await client.emit()).event_id)
    key_id = api_key.id_of(key)
    assert key_id
    return World(client, ids.text(ids.KEY, key_id), webhook.id, delivery.id)


async def entries(secured: Secured) -> list[Entry]:
    database = await Database.open(secured.database_url, max_size=1)
    try:
        return await AuditLog(database).list(None)
    finally:
        await database.close()


def on_webhook(name: str, **fields: Any) -> Callable[[World], Awaitable[Any]]:
    request = getattr(webhook_service_pb2, f"{name}Request")
    return lambda world: getattr(world.client.webhooks, name)(
        request(webhook_id=world.webhook_id, tenant_id=world.client.tenant, **fields)
    )


async def enable(world: World) -> Any:
    await on_webhook("DisableWebhook", reason=REMARK)(world)
    return await on_webhook("EnableWebhook")(world)


async def revoke(world: World) -> Any:
    key = api_key_pb2.ApiKey(name="k", tenant_id=world.client.tenant, scopes=[api_key_pb2.API_KEY_SCOPE_READ])
    made = await world.client.keys.CreateApiKey(api_key_service_pb2.CreateApiKeyRequest(api_key=key))
    return await world.client.keys.RevokeApiKey(api_key_service_pb2.RevokeApiKeyRequest(api_key_id=made.api_key.id))


def type_named(world: World) -> event_type_pb2.EventType:
    return event_type_pb2.EventType(name=f"T.{world.client.tenant.replace('-', '')}")


async def make_type(world: World) -> Any:
    return await world.client.types.CreateEventType(
        event_type_service_pb2.CreateEventTypeRequest(event_type=type_named(world))
    )


async def update_type(world: World) -> Any:
    kind = (await make_type(world)).event_type
    kind.description = REMARK
    return await world.client.types.UpdateEventType(event_type_service_pb2.UpdateEventTypeRequest(event_type=kind))


async def delete_type(world: World) -> Any:
    await make_type(world)
    return await world.client.types.DeleteEventType(
        event_type_service_pb2.DeleteEventTypeRequest(name=type_named(world).name)
    )


async def stop_replay(world: World) -> Any:
    await on_webhook("DisableWebhook")(world)  # so that it waits
    replay = await world.client.replay(webhook_id=world.webhook_id, states=[2])
    return await world.client.stop_replay(replay.replay_id)


DEEDS: dict[str, tuple[Callable[[World], Awaitable[Any]], Action, dict[str, Any]]] = {
    "WebhookService/CreateWebhook": (
        lambda world: world.client.create(headers={"x-token": CANARY}), Action.WEBHOOK_CREATED, {}),
    "WebhookService/UpdateWebhook": (
        lambda world: world.client.update(world.webhook_id, "headers", "name", headers={"x-token": CANARY}, name="b"),
        Action.WEBHOOK_UPDATED, {"fields": ["name", "headers"]}),
    "WebhookService/DeleteWebhook": (on_webhook("DeleteWebhook"), Action.WEBHOOK_DELETED, {}),
    "WebhookService/DisableWebhook": (on_webhook("DisableWebhook"), Action.WEBHOOK_DISABLED, {}),
    "WebhookService/EnableWebhook": (enable, Action.WEBHOOK_ENABLED, {}),
    "WebhookService/GetSigningKey": (on_webhook("GetSigningKey"), Action.SIGNING_KEY_REVEALED, {}),
    "WebhookService/RotateSigningKey": (
        on_webhook("RotateSigningKey", signing_key=CANARY, overlap=duration_pb2.Duration(seconds=60)),
        Action.SIGNING_KEY_ROTATED, {"overlap": 60.0}),
    "EventTypeService/CreateEventType": (make_type, Action.EVENT_TYPE_CREATED, {}),
    "EventTypeService/UpdateEventType": (update_type, Action.EVENT_TYPE_UPDATED, {}),
    "EventTypeService/DeleteEventType": (delete_type, Action.EVENT_TYPE_DELETED, {}),
    "DeliveryService/RedeliverDelivery": (
        lambda world: world.client.redeliver(world.delivery_id), Action.DELIVERY_REDELIVERED, {}),
    "DeliveryService/ReplayDeliveries": (
        lambda world: world.client.replay(webhook_id=world.webhook_id, states=[2]),
        Action.REPLAY_STARTED, {"deliveries": 1}),
    "DeliveryService/StopReplay": (stop_replay, Action.REPLAY_STOPPED, {"deliveries": 1}),
    "ApiKeyService/CreateApiKey": (
        lambda world: world.client.keys.CreateApiKey(api_key_service_pb2.CreateApiKeyRequest(api_key=api_key_pb2.ApiKey(
            name="k", tenant_id=world.client.tenant, scopes=[api_key_pb2.API_KEY_SCOPE_READ]))),
        Action.API_KEY_CREATED, {"name": "k", "scopes": ["READ"]}),
    "ApiKeyService/RevokeApiKey": (revoke, Action.API_KEY_REVOKED, {}),
}  # fmt: skip
NOT_NOTED = {"WebhookService/TestWebhook", "ApiKeyService/ListApiKeys"}  # they change nothing


async def test_every_deed_is_here() -> None:
    quiet = {method for method in METHODS if needed(method) in (Scope.READ, Scope.EVENTS_EMIT)}
    assert DEEDS.keys() == METHODS.keys() - quiet - NOT_NOTED


@pytest.mark.parametrize("method", DEEDS)
async def test_each_deed_is_noted_with_who_did_it(secured: Secured, world: World, method: str) -> None:
    do, action, details = DEEDS[method]
    await do(world)
    found = await entries(secured)
    entry = found[0]
    assert (entry.action, entry.actor) == (action, Actor(world.key_id, "the operator", "127.0.0.1"))
    assert entry.tenant_id == (ALL_TENANTS if method.startswith("EventType") else world.client.tenant)
    assert entry.target
    assert details.items() <= entry.details.items()
    assert "CANARY" not in str(found)


async def test_what_is_refused_is_not_noted(secured: Secured, world: World) -> None:
    before = await entries(secured)
    unknown = f"whk_{'0' * 26}"
    await refused(world.client.update(unknown, "name", name="b"))
    await refused(world.client.update(world.webhook_id, "name", name="b", etag='"99"'))
    await refused(world.client.create(url="ftp://x"))
    request = delivery_service_pb2.RedeliverDeliveryRequest(delivery_id=f"dlv_{'0' * 26}", tenant_id="t")
    await refused(world.client.deliveries.RedeliverDelivery(request))
    await world.client.replay(webhook_id=world.webhook_id, dry_run=True)
    await world.client.replay(webhook_id=world.webhook_id, states=[3])  # finds nothing
    assert await entries(secured) == before


async def test_a_key_shown_again_is_noted(secured: Secured, world: World) -> None:
    """A repeated request answers with the key, so somebody has seen it."""
    request = webhook_service_pb2.RotateSigningKeyRequest(
        webhook_id=world.webhook_id, tenant_id=world.client.tenant, request_id="same"
    )
    for action in (Action.SIGNING_KEY_ROTATED, Action.SIGNING_KEY_REVEALED):
        await world.client.webhooks.RotateSigningKey(request)
        assert (await entries(secured))[0].action == action


async def test_enabling_twice_is_one_deed(secured: Secured, world: World) -> None:
    before = await entries(secured)
    await on_webhook("EnableWebhook")(world)  # it is
    assert await entries(secured) == before


async def test_a_deed_that_cannot_be_noted_is_not_done(secured: Secured, world: World) -> None:
    """They are one transaction."""
    database = await Database.open(secured.database_url, max_size=1)
    async with database.connection() as connection:
        await connection.execute("alter table audit_log add constraint full_up check (target = '') not valid")
        before = await counts(secured.database_url, world.client.tenant)
        for name in ("DeleteWebhook", "DisableWebhook", "GetSigningKey", "RotateSigningKey"):
            assert (await refused(on_webhook(name)(world))).reason == "INTERNAL"
        assert (await refused(world.client.redeliver(world.delivery_id))).reason == "INTERNAL"
        assert (await refused(world.client.replay(webhook_id=world.webhook_id, states=[2]))).reason == "INTERNAL"
        assert await counts(secured.database_url, world.client.tenant) == before
        await connection.execute("alter table audit_log drop constraint full_up")
    await database.close()
