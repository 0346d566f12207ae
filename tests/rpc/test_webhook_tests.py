"""TestWebhook: the example of each chosen type, sent for real and forgotten."""

import asyncio
import json

import grpc
import pytest
from google.protobuf import duration_pb2
from standardwebhooks import Webhook as Verifier

from hookpost.v1 import (
    delivery_pb2,
    delivery_service_pb2,
    event_service_pb2,
    event_type_pb2,
    event_type_service_pb2,
    webhook_pb2,
    webhook_service_pb2,
)
from hookpost_server.domain.catalogue import builtin
from hookpost_server.domain.signing import hex_signature
from tests.receiver import Received, Receiver
from tests.rpc.serving import Client, config, connected, counts, refusal, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

EXAMPLES = {entry.name: json.loads(entry.example) for entry in builtin()}
SUCCEEDED, BAD_STATUS = delivery_pb2.ATTEMPT_OUTCOME_SUCCEEDED, delivery_pb2.ATTEMPT_OUTCOME_BAD_STATUS
TIMED_OUT, REFUSED = delivery_pb2.ATTEMPT_OUTCOME_TIMED_OUT, delivery_pb2.ATTEMPT_OUTCOME_CONNECT_FAILED


async def key_of(client: Client, webhook_id: str) -> str:
    request = webhook_service_pb2.GetSigningKeyRequest(webhook_id=webhook_id, tenant_id=client.tenant)
    return (await client.webhooks.GetSigningKey(request)).keys[0].secret


def types_of(requests: list[Received]) -> set[str]:
    return {request.headers["hookpost-event"] for request in requests}


class TestTypes:
    async def test_in_the_order_in_which_they_were_chosen(self, client: Client, receiver: Receiver) -> None:
        """Also such as the webhook does not subscribe to; repeats are one."""
        webhook = await client.create(receiver.url, event_types=["Role.Created"])
        chosen = ["User.Deleted", "PostSignIn", "Role.Created", "User.Created"]
        results = await client.test(webhook.id, *chosen, "PostSignIn")
        assert [name for name, _ in results] == chosen
        assert {attempt.outcome for _, attempt in results} == {SUCCEEDED}
        assert types_of(receiver.requests) == set(chosen)
        assert len(receiver.requests) == 4

    @pytest.mark.parametrize(
        "patterns", [["User.*"], ["Role.Created", "Organization.*"], ["*"], ["User.Created", "User.*"], ["Role.Data.*"]]
    )
    async def test_all_that_it_subscribes_to(self, client: Client, receiver: Receiver, patterns: list[str]) -> None:
        """Patterns expand to the catalogue, which may hold types of other tests too."""
        webhook = await client.create(receiver.url, event_types=patterns)
        names = [name for name, _ in await client.test(webhook.id)]
        assert len(set(names)) == len(names)
        prefixes = tuple(pattern.removesuffix("*") for pattern in patterns if pattern.endswith("*"))
        expected = {name for name in EXAMPLES if name in patterns or name.startswith(prefixes or "\0")}
        assert set(names) & EXAMPLES.keys() == expected
        assert types_of(receiver.requests) == set(names)

    async def test_a_type_of_ones_own(self, client: Client, receiver: Receiver) -> None:
        kind = event_type_pb2.EventType(name="Acme.Invoice.Paid", example='{"amount": 1.50, "to": "ü"}')
        await client.types.CreateEventType(event_type_service_pb2.CreateEventTypeRequest(event_type=kind))
        webhook = await client.create(receiver.url, event_types=["Acme.*"], payload_format=4)
        ((name, _),) = await client.test(webhook.id)
        assert name == "Acme.Invoice.Paid"
        (request,) = receiver.requests
        assert request.body == '{"amount": 1.50, "to": "ü"}'.encode()

    async def test_the_example_and_nothing_else(self, client: Client, receiver: Receiver) -> None:
        webhook = await client.create(receiver.url)
        await client.test(webhook.id, "PostSignIn")
        (request,) = receiver.requests
        body = request.json
        assert body["event"] == "PostSignIn"
        assert body["hookId"] == webhook.id
        assert {name: body[name] for name in EXAMPLES["PostSignIn"]} == EXAMPLES["PostSignIn"]


class TestRequests:
    async def test_signed_with_the_real_key(self, client: Client, receiver: Receiver) -> None:
        webhook = await client.create(receiver.url)
        await client.test(webhook.id, "User.Created", "Role.Created")
        key = await key_of(client, webhook.id)
        assert len(receiver.requests) == 2
        for request in receiver.requests:
            Verifier(key).verify(request.body, request.headers)
            assert request.headers["hookpost-signature-sha-256"] == hex_signature(key, request.body)

    async def test_marked_as_a_test(self, client: Client, receiver: Receiver) -> None:
        """A delivery is not; each test is an event of its own."""
        webhook = await client.create(receiver.url)
        await client.test(webhook.id, "User.Created")
        await client.test(webhook.id, "User.Created")
        await client.ended((await client.emit()).event_id)
        assert [request.headers.get("hookpost-test") for request in receiver.requests] == ["true", "true", None]
        assert len({request.event_id for request in receiver.requests}) == 3
        assert len({request.delivery_id for request in receiver.requests}) == 3
        assert {request.attempt for request in receiver.requests} == {1}

    async def test_settings_not_saved_yet(self, client: Client, receiver: Receiver) -> None:
        webhook = await client.create("https://example.com/", headers={"X-Old": "1"})
        unsaved = {
            "url": f"{receiver.url}/new",
            "headers": {"X-New": "2"},
            "override_headers": True,
            "payload_format": webhook_pb2.PAYLOAD_FORMAT_STANDARD,
        }
        ((_, attempt),) = await client.test(webhook.id, "User.Created", **unsaved)
        assert attempt.url == f"{receiver.url}/new"
        (request,) = receiver.requests
        assert (request.path, request.headers["x-new"]) == ("/new", "2")
        assert "x-old" not in request.headers
        assert request.json.keys() == {"type", "timestamp", "data"}
        Verifier(await key_of(client, webhook.id)).verify(request.body, request.headers)
        assert await client.webhook(webhook.id) == webhook

    async def test_headers_are_the_stored_ones_unless_overridden(self, client: Client, receiver: Receiver) -> None:
        webhook = await client.create(receiver.url, headers={"X-Old": "1"})
        await client.test(webhook.id, "User.Created")
        await client.test(webhook.id, "User.Created", override_headers=True)
        first, second = receiver.requests
        assert first.headers["x-old"] == "1"
        assert "x-old" not in second.headers

    async def test_while_disabled(self, client: Client, receiver: Receiver) -> None:
        webhook = await client.create(receiver.url)
        request = webhook_service_pb2.DisableWebhookRequest(webhook_id=webhook.id, tenant_id=client.tenant)
        await client.webhooks.DisableWebhook(request)
        ((_, attempt),) = await client.test(webhook.id, "User.Created")
        assert attempt.outcome == SUCCEEDED

    async def test_a_type_that_another_node_has_just_learnt(
        self, client: Client, receiver: Receiver, module_database_url: str
    ) -> None:
        """Unsaved settings are checked as a whole, against the catalogue as it is."""
        async with serving(config(module_database_url)) as second, connected(second.address) as other:
            other.tenant = client.tenant
            kind = event_type_pb2.EventType(name="Acme.Just.Learnt")
            await client.types.CreateEventType(event_type_service_pb2.CreateEventTypeRequest(event_type=kind))
            webhook = await client.create("https://example.com/", event_types=["Acme.Just.Learnt"])
            ((_, attempt),) = await other.test(webhook.id, url=receiver.url)
            assert attempt.outcome == SUCCEEDED


class TestResults:
    async def test_what_each_came_to(self, client: Client, receiver: Receiver) -> None:
        """Every result is that of its own type, good and bad side by side; none is tried again."""

        def decide(request: Received) -> tuple[int, str]:
            kind = request.headers["hookpost-event"]
            return {"User.Created": (200, "thanks"), "User.Deleted": (500, "<oops>")}.get(kind, (404, "no " + kind))

        receiver.decide = decide
        webhook = await client.create(receiver.url)
        results = dict(await client.test(webhook.id, "User.Created", "User.Deleted", "Role.Created"))
        assert {name: (each.outcome, each.status_code) for name, each in results.items()} == {
            "User.Created": (SUCCEEDED, 200),
            "User.Deleted": (BAD_STATUS, 500),
            "Role.Created": (BAD_STATUS, 404),
        }
        assert [each.response_body for each in results.values()] == ["thanks", "<oops>", "no Role.Created"]
        for each in results.values():
            assert (each.number, each.trigger) == (1, delivery_pb2.ATTEMPT_TRIGGER_TEST)
            assert each.url == webhook.url
            assert each.latency.ToNanoseconds() > 0
            assert each.HasField("start_time")
            assert bool(each.explanation) == (each.outcome != SUCCEEDED)
        assert len(receiver.requests) == 3

    async def test_one_that_hangs_beside_one_that_does_not(self, client: Client, receiver: Receiver) -> None:
        receiver.hold()
        webhook = await client.create(receiver.url, timeout=duration_pb2.Duration(nanos=300_000_000))
        calling = asyncio.create_task(client.test(webhook.id, "User.Created", "Role.Created"))
        await receiver.until(lambda receiver: receiver.waiting == 2)  # side by side
        for _, attempt in await calling:
            assert attempt.outcome == TIMED_OUT
            assert not attempt.HasField("status_code")
            assert "waiting for the answer" in attempt.error_message
            assert attempt.explanation.startswith("The receiver got the request but did not answer in time.")

    async def test_nobody_there(self, client: Client) -> None:
        webhook = await client.create("http://127.0.0.1:1025/")
        ((_, attempt),) = await client.test(webhook.id, "User.Created")
        assert attempt.outcome == REFUSED
        assert attempt.explanation.startswith("The host refused the connection")

    async def test_of_a_webhook_that_is_deleted_meanwhile(self, client: Client, receiver: Receiver) -> None:
        """More types than are sent at once: the keys of the last ones are looked for in vain."""
        receiver.hold()
        webhook = await client.create(receiver.url)
        calling = asyncio.create_task(client.test(webhook.id, *list(EXAMPLES)[:12]))
        await receiver.until(lambda receiver: receiver.waiting == 10)
        request = webhook_service_pb2.DeleteWebhookRequest(webhook_id=webhook.id, tenant_id=client.tenant)
        await client.webhooks.DeleteWebhook(request)
        receiver.release()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await calling
        assert refusal(caught.value).code is grpc.StatusCode.NOT_FOUND

    async def test_a_long_answer_is_cut(self, client: Client, receiver: Receiver) -> None:
        receiver.decide = lambda request: (200, "x" * 100_000)
        webhook = await client.create(receiver.url)
        ((_, attempt),) = await client.test(webhook.id, "User.Created")
        assert attempt.response_body == "x" * 65_536
        assert attempt.response_body_truncated


async def test_it_leaves_no_trace(client: Client, receiver: Receiver, module_database_url: str) -> None:
    """In no table, list, count or figure, and a webhook that answers 410 goes on."""
    receiver.decide = lambda request: (410, "")
    webhook = await client.create(receiver.url)
    before = await counts(module_database_url, client.tenant)
    await client.test(webhook.id)
    await client.test(webhook.id, "User.Created")
    assert await counts(module_database_url, client.tenant) == before
    listing = delivery_service_pb2.ListDeliveriesRequest(tenant_id=client.tenant)
    assert not (await client.deliveries.ListDeliveries(listing)).deliveries
    assert not (await client.events.ListEvents(event_service_pb2.ListEventsRequest(tenant_id=client.tenant))).events
    health = (await client.health(webhook.id)).health
    assert (health.request_count, health.attempt_count, health.HasField("last_failure_time")) == (0, 0, False)
    assert await client.webhook(webhook.id) == webhook
