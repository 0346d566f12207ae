"""GetDelivery with include_requests: the request as the receiver got it, made again from what is stored."""

import asyncpg
import pytest
from google.protobuf import duration_pb2

from hookpost.v1 import delivery_pb2, delivery_service_pb2, webhook_pb2, webhook_service_pb2
from hookpost_server import __version__, app
from hookpost_server.delivery import directory
from hookpost_server.domain import ids, sealing
from tests.receiver import Received, Receiver
from tests.rpc.serving import Client, config, connected, refused, serving
from tests.store import making

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
    """Signs nothing any more, but what it signed is shown; and never a signature of a key that did not sign."""
    webhook = await client.create(receiver.url)
    first = await delivered(client)
    await rotate(client, webhook.id, overlap=3600)
    both = await delivered(client)
    await rotate(client, webhook.id)
    last = await delivered(client)
    await rotate(client, webhook.id)
    for entry, got, keys in zip((first, both, last), await receiver.received(3), (1, 2, 1), strict=True):
        (shown,) = await sent(client, entry)
        assert headers(shown) == as_received(got)
        assert headers(shown)["webhook-signature"].count("v1,") == keys


async def test_made_from_what_a_node_remembered(
    receiver: Receiver, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node may go by a webhook that has just changed: then the old key, URL and headers are shown."""
    monkeypatch.setattr(directory, "REFRESH_INTERVAL", 60.0)
    monkeypatch.setattr(directory, "STALE_AFTER", 60.0)
    async with serving(config(database_url)) as server, connected(server.address) as client:
        webhook = await client.create(f"{receiver.url}/old", headers={"X-Team": "old"}, max_in_flight=1)
        receiver.hold()
        events = [(await client.emit()).event_id for _ in range(2)]
        await receiver.received(1)
        await client.update(webhook.id, "url", "headers", url=f"{receiver.url}/new", headers={"X-Team": "new"})
        await rotate(client, webhook.id)
        receiver.release()
        entries = [(await client.ended(event))[0].id for event in events]
        entries.append(await delivered(client))
        requests = await receiver.received(3)
        assert [(got.path, got.headers["x-team"]) for got in requests] == [("/old", "old")] * 2 + [("/new", "new")]
        for entry, got in zip(entries, requests, strict=True):
            (shown,) = await sent(client, entry)
            assert headers(shown) == as_received(got)
            assert shown.url.endswith(got.path)


async def test_made_by_another_server(receiver: Receiver, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With another version, and another name of the signature's header, which is a custom header by now."""
    async with serving(config(database_url)) as server, connected(server.address) as client:
        webhook = await client.create(receiver.url, headers={"Acme-Signature": "own"})
        tenant, entry = client.tenant, await delivered(client)
        await client.update(webhook.id, "headers", headers={"X-Team": "crm"})
    monkeypatch.setattr(app, "__version__", "99.9")
    settings = config(database_url, signature_header="acme-signature")
    async with serving(settings) as server, connected(server.address) as client:
        client.tenant = tenant
        await client.redeliver(entry)
        await client.ended((await client.delivery(entry)).event_id)
        requests = await sent(client, entry)
    received = await receiver.received(2)
    assert [got.headers["user-agent"] for got in received] == [f"Hookpost/{__version__}", "Hookpost/99.9"]
    assert ["hookpost-signature-sha-256" in got.headers for got in received] == [True, False]
    for shown, got in zip(requests, received, strict=True):
        assert headers(shown) | {"acme-signature": ""} == as_received(got) | {"acme-signature": ""}
    assert [headers(shown)["acme-signature"] for shown in requests] == ["***", received[1].headers["acme-signature"]]


async def test_one_that_could_not_be_made(client: Client, receiver: Receiver, module_database_url: str) -> None:
    """There is nothing to show, and the rest of the entry is told all the same."""
    webhook = await client.create(receiver.url, retry_policy=AT_ONCE)
    connection = await asyncpg.connect(module_database_url)
    webhook_id = ids.parse(ids.WEBHOOK, webhook.id)
    bad = making.sealed(b'{"Host": "a"}', webhook_id, sealing.HEADERS, client.tenant)
    for table in ("webhooks", "webhook_revisions"):
        await connection.execute(f"update {table} set headers = $2 where tenant_id = $1", client.tenant, bad)
    await connection.close()
    entry = await client.delivery(await delivered(client))
    assert {attempt.outcome for attempt in entry.attempts} == {delivery_pb2.ATTEMPT_OUTCOME_INTERNAL}
    request = delivery_service_pb2.GetDeliveryRequest(
        delivery_id=entry.id, tenant_id=client.tenant, include_requests=True
    )
    found = (await client.deliveries.GetDelivery(request)).delivery
    assert [attempt.HasField("request") for attempt in found.attempts] == [False] * 3
    assert found.attempts == entry.attempts
    assert webhook.id == found.webhook_id


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
