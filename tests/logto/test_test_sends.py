"""Logto's cases of "Send test payload"."""

from typing import Any

import grpc
import pytest

from hookpost.v1 import delivery_pb2, webhook_pb2, webhook_service_pb2
from tests.logto.telling import UNKNOWN_WEBHOOK, log, retries, secret, told, verifies
from tests.receiver import Receiver
from tests.rpc.serving import Client, refused

pytestmark = pytest.mark.asyncio(loop_scope="package")


async def sent(client: Client, webhook_id: str, *event_types: str, **unsaved: Any) -> list[tuple[str, Any]]:
    request = webhook_service_pb2.TestWebhookRequest(
        webhook_id=webhook_id, tenant_id=client.tenant, event_types=event_types, **unsaved
    )
    return [(each.event_type, each.attempt) for each in (await client.webhooks.TestWebhook(request)).results]


async def test_a_working_endpoint(client: Client, receiver: Receiver) -> None:
    """hook.testing: test against a working endpoint → 204."""
    webhook = await client.create(receiver.url, event_types=["PostSignIn"])
    ((event_type, attempt),) = await sent(client, webhook.id, "PostSignIn")
    assert event_type == "PostSignIn"
    assert attempt.outcome == delivery_pb2.ATTEMPT_OUTCOME_SUCCEEDED
    assert (attempt.status_code, attempt.response_body) == (200, "ok")
    assert attempt.trigger == delivery_pb2.ATTEMPT_TRIGGER_TEST
    (request,) = receiver.requests
    assert request.headers["hookpost-test"] == "true"
    assert verifies(await secret(client, webhook.id), request)
    assert request.json["event"] == "PostSignIn"
    assert request.json["user"]["primaryEmail"] == "robin@example.com"
    assert request.json["hookId"] == webhook.id


async def test_an_unknown_webhook(client: Client) -> None:
    """hook.testing: unknown hook → 404 `entity.not_exists_with_id`."""
    assert (await refused(sent(client, UNKNOWN_WEBHOOK, "PostSignIn"))).code == grpc.StatusCode.NOT_FOUND


async def test_an_url_that_is_none(client: Client, receiver: Receiver) -> None:
    """hook.testing: `url: "not_work_url"` → 422 `hook.send_test_payload_failed`; here a fault of the field."""
    webhook = await client.create(receiver.url)
    refusal = await refused(sent(client, webhook.id, "PostSignIn", url="not_work_url"))
    assert (refusal.code, set(refusal.violations)) == (grpc.StatusCode.INVALID_ARGUMENT, {"url"})
    assert receiver.requests == []


async def test_nobody_listens(client: Client) -> None:
    """libraries/hook/index.test: a test that fails says why; here as a result, with words for people."""
    webhook = await client.create("http://127.0.0.1:1025/")
    ((_, attempt),) = await sent(client, webhook.id, "PostSignIn")
    assert attempt.outcome == delivery_pb2.ATTEMPT_OUTCOME_CONNECT_FAILED
    assert not attempt.HasField("status_code")
    assert attempt.error_message
    assert attempt.explanation


async def test_an_endpoint_that_answers_500(client: Client, receiver: Receiver) -> None:
    """hook.testing: endpoint answers 500 → 422 `hook.endpoint_responded_with_error`, with status and body."""
    receiver.decide = lambda request: (500, '{"error":"out of order"}')
    webhook = await client.create(receiver.url, retry_policy=retries(3))
    ((_, attempt),) = await sent(client, webhook.id, "PostSignIn")
    assert attempt.outcome == delivery_pb2.ATTEMPT_OUTCOME_BAD_STATUS
    assert (attempt.status_code, attempt.response_body) == (500, '{"error":"out of order"}')
    assert attempt.explanation
    assert len(receiver.requests) == 1, "a test is not retried: the person who sent it waits for the answer"


async def test_once_for_each_event(client: Client, receiver: Receiver) -> None:
    """libraries/hook/index.test: test sends once per event; one that fails leaves the others alone."""
    chosen = ["PostRegister", "PostSignIn", "User.Created"]
    receiver.decide = lambda request: (500 if request.json["event"] == "PostSignIn" else 200, "")
    webhook = await client.create(receiver.url)
    results = await sent(client, webhook.id, *chosen)
    assert [(event_type, attempt.status_code) for event_type, attempt in results] == [
        ("PostRegister", 200),
        ("PostSignIn", 500),
        ("User.Created", 200),
    ]
    assert sorted(request.json["event"] for request in receiver.requests) == chosen


async def test_all_that_is_subscribed_to(client: Client, receiver: Receiver) -> None:
    """docs, "Send test payload": one for each selected event; families are written out."""
    webhook = await client.create(receiver.url, event_types=["PostSignIn", "User.*"])
    expected = ["PostSignIn", "User.Created", "User.Data.Updated", "User.Deleted", "User.SuspensionStatus.Updated"]
    assert sorted(event_type for event_type, _ in await sent(client, webhook.id)) == expected
    assert sorted(request.json["event"] for request in receiver.requests) == expected


async def test_the_form_before_it_is_saved(client: Client, receiver: Receiver) -> None:
    """test payload: uses the events and the config of the form, unsaved, but the stored key."""
    webhook = await client.create(f"{receiver.url}/old", event_types=["PostSignIn"], headers={"x-old": "1"})
    unsaved = {"url": f"{receiver.url}/new", "headers": {"x-new": "1"}, "override_headers": True}
    await sent(client, webhook.id, "Role.Created", **unsaved)
    (request,) = receiver.requests
    assert (request.path, request.json["event"]) == ("/new", "Role.Created")
    assert request.headers["x-new"] == "1"
    assert "x-old" not in request.headers
    assert verifies(await secret(client, webhook.id), request)
    assert await client.webhook(webhook.id) == webhook


async def test_while_disabled(client: Client, receiver: Receiver) -> None:
    """test payload: works for disabled hooks too."""
    webhook = await client.create(receiver.url, event_types=["PostSignIn"])
    disable = webhook_service_pb2.DisableWebhookRequest(webhook_id=webhook.id, tenant_id=client.tenant)
    await client.webhooks.DisableWebhook(disable)
    ((_, attempt),) = await sent(client, webhook.id)
    assert attempt.status_code == 200
    assert (await client.webhook(webhook.id)).state == webhook_pb2.WEBHOOK_STATE_DISABLED


async def test_nothing_of_it_is_kept(client: Client, receiver: Receiver) -> None:
    """test payload: test sends write no log and are not in the stats; what is delivered afterwards is."""
    receiver.answers.append((500, ""))
    webhook = await client.create(receiver.url, event_types=["PostRegister", "PostSignIn"])
    await sent(client, webhook.id)
    assert len(receiver.requests) == 2
    request = webhook_service_pb2.GetWebhookRequest(webhook_id=webhook.id, tenant_id=client.tenant, include_health=True)
    health = (await client.webhooks.GetWebhook(request)).webhook.health
    assert (health.request_count, health.attempt_count) == (0, 0)
    assert not health.HasField("success_rate")
    (entry,) = await told(client, "PostSignIn", {})
    assert [each.id for each in (await log(client, webhook_id=webhook.id)).deliveries] == [entry.id]
    health = (await client.webhooks.GetWebhook(request)).webhook.health
    assert (health.request_count, health.success_count, health.attempt_count) == (1, 1, 1)
    assert not health.HasField("last_failure_time")
