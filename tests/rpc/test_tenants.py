"""Tenants are apart: what is another's is not found, in the words for what does not exist."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from hookpost.v1 import (
    delivery_service_pb2,
    event_service_pb2,
    webhook_pb2,
    webhook_service_pb2,
)
from tests.receiver import Receiver
from tests.rpc.serving import Client, Refusal, counts, refused

pytestmark = pytest.mark.asyncio(loop_scope="module")

OTHER = "somebody-else"
UNKNOWN = {kind: f"{kind}_{'0' * 26}" for kind in ("whk", "evt", "dlv")}

Call = Callable[[Client, str], Awaitable[object]]

BY_ID: dict[str, tuple[str, Call]] = {
    "GetWebhook": ("whk", lambda client, id: client.webhooks.GetWebhook(
        webhook_service_pb2.GetWebhookRequest(webhook_id=id, tenant_id=OTHER))),
    "UpdateWebhook": ("whk", lambda client, id: client.webhooks.UpdateWebhook(
        webhook_service_pb2.UpdateWebhookRequest(
            webhook=webhook_pb2.Webhook(id=id, tenant_id=OTHER, name="taken over")))),
    "DeleteWebhook": ("whk", lambda client, id: client.webhooks.DeleteWebhook(
        webhook_service_pb2.DeleteWebhookRequest(webhook_id=id, tenant_id=OTHER))),
    "EnableWebhook": ("whk", lambda client, id: client.webhooks.EnableWebhook(
        webhook_service_pb2.EnableWebhookRequest(webhook_id=id, tenant_id=OTHER))),
    "DisableWebhook": ("whk", lambda client, id: client.webhooks.DisableWebhook(
        webhook_service_pb2.DisableWebhookRequest(webhook_id=id, tenant_id=OTHER))),
    "GetSigningKey": ("whk", lambda client, id: client.webhooks.GetSigningKey(
        webhook_service_pb2.GetSigningKeyRequest(webhook_id=id, tenant_id=OTHER))),
    "RotateSigningKey": ("whk", lambda client, id: client.webhooks.RotateSigningKey(
        webhook_service_pb2.RotateSigningKeyRequest(webhook_id=id, tenant_id=OTHER))),
    "TestWebhook": ("whk", lambda client, id: client.webhooks.TestWebhook(
        webhook_service_pb2.TestWebhookRequest(webhook_id=id, tenant_id=OTHER))),
    "GetWebhookHealth": ("whk", lambda client, id: client.webhooks.GetWebhookHealth(
        webhook_service_pb2.GetWebhookHealthRequest(webhook_id=id, tenant_id=OTHER))),
    "RedeliverDelivery": ("dlv", lambda client, id: client.deliveries.RedeliverDelivery(
        delivery_service_pb2.RedeliverDeliveryRequest(delivery_id=id, tenant_id=OTHER))),
    "GetEvent": ("evt", lambda client, id: client.events.GetEvent(
        event_service_pb2.GetEventRequest(event_id=id, tenant_id=OTHER))),
    "GetDelivery": ("dlv", lambda client, id: client.deliveries.GetDelivery(
        delivery_service_pb2.GetDeliveryRequest(delivery_id=id, tenant_id=OTHER))),
}  # fmt: skip


async def owned(client: Client, receiver: Receiver) -> dict[str, str]:
    """One of each kind, of the client's own tenant."""
    webhook = await client.create(receiver.url)
    event = await client.emit()
    (delivery,) = await client.ended(event.event_id)
    return {"whk": webhook.id, "evt": event.event_id, "dlv": delivery.id}


def without_name(refusal: Refusal, name: str) -> Refusal:
    """The refusal with the id that the caller itself gave taken out."""
    assert refusal.resource
    assert refusal.resource.resource_name == name
    assert refusal.resource.owner == ""
    refusal.resource.resource_name = ""
    refusal.resource.description = refusal.resource.description.replace(name, "")
    return replace(refusal, message=refusal.message.replace(name, ""))


@pytest.mark.parametrize("call", BY_ID)
async def test_a_foreign_id_is_as_good_as_an_unknown_one(
    client: Client, receiver: Receiver, module_database_url: str, call: str
) -> None:
    kind, make = BY_ID[call]
    foreign = (await owned(client, receiver))[kind]
    before = await counts(module_database_url, client.tenant)
    said_of_foreign = without_name(await refused(make(client, foreign)), foreign)
    said_of_unknown = without_name(await refused(make(client, UNKNOWN[kind])), UNKNOWN[kind])
    assert said_of_foreign == said_of_unknown
    assert said_of_foreign.reason == "RESOURCE_NOT_FOUND"
    assert await counts(module_database_url, client.tenant) == before


async def test_lists_show_the_tenants_own(client: Client, receiver: Receiver) -> None:
    own = await owned(client, receiver)
    for tenant, expected in ((client.tenant, 1), (OTHER, 0)):
        webhooks = await client.webhooks.ListWebhooks(webhook_service_pb2.ListWebhooksRequest(tenant_id=tenant))
        events = await client.events.ListEvents(event_service_pb2.ListEventsRequest(tenant_id=tenant))
        assert len(webhooks.webhooks) == expected
        assert len(events.events) == expected
        for filter in ({}, {"webhook_id": own["whk"]}, {"event_id": own["evt"]}):
            request = delivery_service_pb2.ListDeliveriesRequest(
                tenant_id=tenant, filter=delivery_service_pb2.DeliveryFilter(**filter)
            )
            assert len((await client.deliveries.ListDeliveries(request)).deliveries) == expected


async def test_events_stay_in_their_tenant(client: Client, receiver: Receiver) -> None:
    await client.create(f"{receiver.url}/mine")
    await client.create(f"{receiver.url}/theirs", tenant_id=client.tenant + "-b")
    answer = await client.emit()
    assert answer.delivery_count == 1
    await client.ended(answer.event_id)
    assert [request.path for request in await receiver.received(1)] == ["/mine"]


async def test_tenants_differ_by_case(client: Client) -> None:
    client.tenant = f"{client.tenant}-x"
    webhook = await client.create()
    request = webhook_service_pb2.GetWebhookRequest(webhook_id=webhook.id, tenant_id=client.tenant.upper())
    assert (await refused(client.webhooks.GetWebhook(request))).reason == "RESOURCE_NOT_FOUND"


async def test_request_ids_are_each_tenants_own(client: Client) -> None:
    async def create(tenant: str) -> str:
        webhook = webhook_pb2.Webhook(tenant_id=tenant, name="n", url="https://example.com", event_types=["*"])
        request = webhook_service_pb2.CreateWebhookRequest(webhook=webhook, request_id="same")
        return (await client.webhooks.CreateWebhook(request)).webhook.id

    assert await create(client.tenant) != await create(client.tenant + "-b")


async def test_the_longest_tenant(client: Client) -> None:
    client.tenant = ("Az9._-" * 11)[:64]
    webhook = await client.create()
    assert (await client.webhook(webhook.id)).tenant_id == client.tenant
