"""GetDelivery with include_requests: the request as the receiver got it, made again from what is stored."""

import pytest
from google.protobuf import duration_pb2

from hookpost.v1 import delivery_pb2, delivery_service_pb2, webhook_pb2, webhook_service_pb2
from tests.receiver import Received, Receiver
from tests.rpc.serving import Client, refused

pytestmark = pytest.mark.asyncio(loop_scope="module")

AT_ONCE = webhook_pb2.RetryPolicy(delays=[duration_pb2.Duration()] * 2, jitter=0.0)
TRANSPORT = {"host", "content-length"}  # what the connection itself adds
SIGNATURES = {"hookpost-signature-sha-256", "webhook-signature"}


async def sent(client: Client, delivery_id: str) -> list[delivery_pb2.SentRequest]:
    request = delivery_service_pb2.GetDeliveryRequest(
        delivery_id=delivery_id, tenant_id=client.tenant, include_requests=True
    )
    return [attempt.request for attempt in (await client.deliveries.GetDelivery(request)).delivery.attempts]


def headers(request: delivery_pb2.SentRequest) -> dict[str, str]:
    found = {header.name.lower(): header.value for header in request.headers}
    assert len(found) == len(request.headers)
    return found


def as_received(request: Received) -> dict[str, str]:
    return {name: value for name, value in request.headers.items() if name not in TRANSPORT}


async def delivered(client: Client) -> str:
    """The id of the delivery of a new event."""
    (entry,) = await client.ended((await client.emit('{"ü": 1.50, "n": [ ]}')).event_id)
    return entry.id


async def rotate(client: Client, webhook_id: str, overlap: int = 0) -> None:
    await client.webhooks.RotateSigningKey(
        webhook_service_pb2.RotateSigningKeyRequest(
            webhook_id=webhook_id, tenant_id=client.tenant, overlap=duration_pb2.Duration(seconds=overlap)
        )
    )


@pytest.mark.parametrize("format", [1, 2, 3, 4])
async def test_byte_for_byte(client: Client, receiver: Receiver, format: int) -> None:
    """Every attempt's, the signatures included."""
    receiver.answers.extend([(500, ""), (503, "")])
    webhook = await client.create(
        f"{receiver.url}/hook?a=%20b",
        payload_format=format,
        headers={"X-Team": "crm", "User-Agent": "Acme/1"},
        retry_policy=AT_ONCE,
    )
    requests = await sent(client, await delivered(client))
    received = await receiver.received(3)
    assert len(requests) == 3
    for shown, got in zip(requests, received, strict=True):
        assert (shown.method, shown.url) == ("POST", webhook.url)
        assert shown.body.encode() == got.body
        assert headers(shown) == as_received(got)
        assert headers(shown).keys() >= SIGNATURES


async def test_not_unless_asked_for(client: Client, receiver: Receiver) -> None:
    await client.create(receiver.url)
    entry = await client.delivery(await delivered(client))
    assert not entry.attempts[0].HasField("request")


async def test_as_it_was_and_not_as_it_would_be(client: Client, receiver: Receiver) -> None:
    """URL, headers and format have changed since; the key signs on beside a newer one."""
    webhook = await client.create(f"{receiver.url}/first", headers={"X-Team": "crm"})
    first = await delivered(client)
    await client.update(webhook.id, "name", "url", name="renamed", url=f"{receiver.url}/second")
    second = await delivered(client)
    await client.update(webhook.id, "headers", "payload_format", headers={"X-Other": "1"}, payload_format=4)
    third = await delivered(client)
    await rotate(client, webhook.id, overlap=3600)
    fourth = await delivered(client)
    named = {"webhook_id": webhook.id, "tenant_id": client.tenant}
    await client.webhooks.DisableWebhook(webhook_service_pb2.DisableWebhookRequest(**named))
    await client.webhooks.EnableWebhook(webhook_service_pb2.EnableWebhookRequest(**named))
    await client.update(webhook.id, "headers", headers={})
    for entry, got in zip((first, second, third, fourth), await receiver.received(4), strict=True):
        (shown,) = await sent(client, entry)
        assert shown.body.encode() == got.body
        assert headers(shown) == as_received(got)
        assert shown.url.endswith(got.path)
    assert headers(shown)["webhook-signature"].count("v1,") == 2  # of both keys


async def test_a_redelivery_shows_its_own(client: Client, receiver: Receiver) -> None:
    webhook = await client.create(receiver.url, headers={"X-Team": "crm"})
    entry = await delivered(client)
    await client.update(webhook.id, "headers", headers={"X-Team": "ops"})
    await client.redeliver(entry)
    await client.ended((await client.delivery(entry)).event_id)
    requests = await sent(client, entry)
    assert [headers(each)["x-team"] for each in requests] == ["crm", "ops"]
    for shown, got in zip(requests, await receiver.received(2), strict=True):
        assert headers(shown) == as_received(got)


async def test_secrets_are_masked(client: Client, receiver: Receiver) -> None:
    """By their names; what Hookpost sets itself is never masked."""
    secrets = ["Authorization", "X-API-Key", "X-Auth-Token", "My-Secret", "X-Password", "X-Credential", "X-Session-Id"]
    plain = {"X-Team": "crm", "Content-Type": "application/vnd.acme+json"}
    await client.create(receiver.url, headers=dict.fromkeys(secrets, "s3cret") | plain)
    entry = await delivered(client)
    (shown,) = await sent(client, entry)
    (got,) = await receiver.received(1)
    masked = {name.lower() for name in secrets}
    assert headers(shown) == {name: "***" if name in masked else value for name, value in as_received(got).items()}
    assert {got.headers[name] for name in masked} == {"s3cret"}
    assert "s3cret" not in str(shown)


async def test_a_retired_key(client: Client, receiver: Receiver) -> None:
    """All but the signatures, which nobody can make again; and never one of a key that did not sign."""
    webhook = await client.create(receiver.url)
    before = await delivered(client)
    await rotate(client, webhook.id)
    after = await delivered(client)
    old, new = await receiver.received(2)
    (shown,) = await sent(client, before)
    expected = {name: "(retired key)" if name in SIGNATURES else value for name, value in as_received(old).items()}
    assert headers(shown) == expected
    (shown,) = await sent(client, after)
    assert headers(shown) == as_received(new)


async def test_of_a_deleted_webhook(client: Client, receiver: Receiver) -> None:
    webhook = await client.create(receiver.url, headers={"X-Team": "crm"}, payload_format=2)
    entry = await delivered(client)
    await client.webhooks.DeleteWebhook(
        webhook_service_pb2.DeleteWebhookRequest(webhook_id=webhook.id, tenant_id=client.tenant)
    )
    (shown,) = await sent(client, entry)
    (got,) = await receiver.received(1)
    assert shown.body.encode() == got.body
    expected = {name: "(retired key)" if name in SIGNATURES else value for name, value in as_received(got).items()}
    assert headers(shown) == expected


async def test_an_entry_without_attempts(client: Client, receiver: Receiver) -> None:
    receiver.hold()
    await client.create(receiver.url)
    event = await client.emit()
    await receiver.received(1)
    (entry,) = (await client.event(event.event_id)).deliveries
    assert await sent(client, entry.id) == []


async def test_another_tenants(client: Client, receiver: Receiver) -> None:
    await client.create(receiver.url)
    entry = await delivered(client)
    client.tenant += "-b"
    assert (await refused(sent(client, entry))).reason == "RESOURCE_NOT_FOUND"
