"""E7: what a rotation promises to have stopped when it answers, on the node that was asked and on another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from google.protobuf import duration_pb2
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from hookpost.v1 import webhook_pb2, webhook_service_pb2
from hookpost_server.delivery import directory
from tests.receiver import Received, Receiver, receiving
from tests.rpc.serving import Client, config, connected, eventually, serving

UNDER_WAY = 500


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as running:
        yield running


@pytest.fixture
async def nodes(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[Client]]:
    """Clients of two servers, which look for changes as late as they may."""
    monkeypatch.setattr(directory, "REFRESH_INTERVAL", 3600.0)
    settings = config(database_url, max_in_flight=2 * UNDER_WAY)
    async with (
        serving(settings) as one,
        serving(settings) as other,
        connected(one.address) as client,
        connected(other.address) as second,
    ):
        second.tenant = client.tenant
        yield [client, second]


async def key_of(client: Client, webhook: webhook_pb2.Webhook) -> str:
    request = webhook_service_pb2.GetSigningKeyRequest(webhook_id=webhook.id, tenant_id=client.tenant)
    return (await client.webhooks.GetSigningKey(request)).keys[0].secret


async def rotate(client: Client, webhook: webhook_pb2.Webhook, overlap: int) -> str:
    request = webhook_service_pb2.RotateSigningKeyRequest(
        webhook_id=webhook.id, tenant_id=client.tenant, overlap=duration_pb2.Duration(seconds=overlap)
    )
    return (await client.webhooks.RotateSigningKey(request)).signing_key


def signed(request: Received, key: str) -> bool:
    try:
        Verifier(key).verify(request.body, request.headers, json_parse=False)
    except WebhookVerificationError:
        return False
    return True


async def queued(node: Client, receiver: Receiver, webhook: webhook_pb2.Webhook, count: int) -> None:
    """Deliveries in a node's memory: as many as the webhook's cap are under way, the rest waits for them."""
    receiver.hold()
    requests = [node.emit_request(json="{}") for _ in range(count)]
    await asyncio.gather(*(node.events.EmitEvent(request) for request in requests))
    await receiver.until(lambda receiver: receiver.waiting == min(count, webhook.max_in_flight))


@pytest.mark.parametrize("overlap", [0, 3600])
async def test_e7_with_five_hundred_under_way(nodes: list[Client], receiver: Receiver, overlap: int) -> None:
    """Those under way end with the signature that they began with; those that waited are signed anew."""
    webhook = await nodes[0].create(receiver.url, max_in_flight=UNDER_WAY)
    old = await key_of(nodes[0], webhook)
    await queued(nodes[0], receiver, webhook, 2 * UNDER_WAY)
    new = await rotate(nodes[0], webhook, overlap)
    begun = len(receiver.requests)
    assert begun == UNDER_WAY
    fresh = await nodes[0].emit()
    receiver.release()
    await receiver.received(2 * UNDER_WAY + 1)
    assert all(signed(request, old) and not signed(request, new) for request in receiver.requests[:begun])
    after = receiver.requests[begun:]
    if overlap:  # without one to wait for, a node may go by what it knows for 2 s
        after = [request for request in after if request.event_id == fresh.event_id]
    assert all(signed(request, new) for request in after)
    assert {signed(request, old) for request in after} == {bool(overlap)}
    assert {len(request.headers["webhook-signature"].split()) for request in after} == {2 if overlap else 1}


async def test_e7_nor_on_another_node(nodes: list[Client], receiver: Receiver) -> None:
    """It has deliveries in memory, and has just read the webhook with the key of before."""
    asked, other = nodes
    webhook = await asked.create(receiver.url, max_in_flight=1)
    old = await key_of(asked, webhook)
    await queued(other, receiver, webhook, 4)
    new = await rotate(asked, webhook, 0)
    receiver.release()
    first, *after = await receiver.received(4)
    assert signed(first, old)
    assert all(signed(request, new) and not signed(request, old) for request in after)


async def test_e7_a_repeated_call_promises_the_same(nodes: list[Client], receiver: Receiver) -> None:
    """The first one's answer may never have come."""
    asked, other = nodes
    webhook = await asked.create(receiver.url, max_in_flight=1)
    old = await key_of(asked, webhook)
    await queued(other, receiver, webhook, 2)
    request = webhook_service_pb2.RotateSigningKeyRequest(
        webhook_id=webhook.id, tenant_id=asked.tenant, request_id="once"
    )
    first = asyncio.ensure_future(asked.webhooks.RotateSigningKey(request))

    async def rotated() -> bool | None:
        return True if await key_of(asked, webhook) != old else None

    await eventually(rotated)
    first.cancel()
    answer = await asked.webhooks.RotateSigningKey(request)
    receiver.release()
    _, after = await receiver.received(2)
    assert signed(after, answer.signing_key)
    assert not signed(after, old)


async def test_e7_a_test_of_many_types_does_not_outlive_it(nodes: list[Client], receiver: Receiver) -> None:
    """Ten at a time; the others begin when those have ended."""
    client = nodes[0]
    webhook = await client.create(receiver.url)
    old = await key_of(client, webhook)
    receiver.hold()
    types = ["User.Created"] + [f"{what}.{verb}" for what in ("Role", "Scope", "Organization", "OrganizationRole")
                                for verb in ("Created", "Deleted", "Data.Updated")]  # fmt: skip
    testing = asyncio.ensure_future(client.test(webhook.id, *types))
    await receiver.until(lambda receiver: receiver.waiting == 10)
    new = await rotate(client, webhook, 0)
    receiver.release()
    assert len(await testing) == len(types) == 13
    assert [signed(request, old) for request in receiver.requests] == [True] * 10 + [False] * 3
    assert [signed(request, new) for request in receiver.requests] == [False] * 10 + [True] * 3
