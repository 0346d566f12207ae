"""Logto's cases of the management API: create, read, change, delete, keys."""

import grpc
import pytest

from hookpost.v1 import event_type_service_pb2, webhook_pb2, webhook_service_pb2
from tests.logto.payloads import EVERY
from tests.logto.telling import UNKNOWN_WEBHOOK, names, retries, secret, told, verifies
from tests.receiver import Receiver
from tests.rpc.serving import Client, Refusal, refused

pytestmark = pytest.mark.asyncio(loop_scope="package")

ADAPTIVE = "PostSignInAdaptiveMfaTriggered"


def not_found(refusal: Refusal, webhook_id: str = UNKNOWN_WEBHOOK) -> bool:
    assert refusal.resource
    assert refusal.resource.resource_name == webhook_id
    return (refusal.code, refusal.reason) == (grpc.StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND")


async def listed(client: Client, **more: object) -> list[webhook_pb2.Webhook]:
    request = webhook_service_pb2.ListWebhooksRequest(tenant_id=client.tenant, **more)
    return list((await client.webhooks.ListWebhooks(request)).webhooks)


async def deleted(client: Client, webhook_id: str) -> webhook_service_pb2.DeleteWebhookResponse:
    request = webhook_service_pb2.DeleteWebhookRequest(webhook_id=webhook_id, tenant_id=client.tenant)
    return await client.webhooks.DeleteWebhook(request)


async def regenerated(client: Client, webhook_id: str) -> webhook_service_pb2.RotateSigningKeyResponse:
    request = webhook_service_pb2.RotateSigningKeyRequest(webhook_id=webhook_id, tenant_id=client.tenant)
    return await client.webhooks.RotateSigningKey(request)


async def test_the_whole_cycle(client: Client) -> None:
    """hook.test: create, list contains, get equals, patch events, delete, then not found."""
    created = await client.create(event_types=["PostRegister"])
    assert created in await listed(client)
    assert await client.webhook(created.id) == created
    patched = await client.update(created.id, "event_types", event_types=["PostSignIn"])
    assert patched.event_types == ["PostSignIn"]
    assert await client.webhook(created.id) == patched
    await deleted(client, created.id)
    assert await listed(client) == []
    assert not_found(await refused(client.webhook(created.id)), created.id)


async def test_defaults(client: Client) -> None:
    """routes/hook.test: create with name, events and URL alone; it is enabled and has a key of its own."""
    first, second = await client.create(event_types=["PostRegister"]), await client.create()
    assert first.state == webhook_pb2.WEBHOOK_STATE_ACTIVE
    assert first.timeout.ToTimedelta().total_seconds() == 10
    assert len(first.retry_policy.delays) == 3
    assert await secret(client, first.id) != await secret(client, second.id)


async def test_several_events(client: Client) -> None:
    """routes/hook.test: create and patch with several events; repeats are dropped, the order is kept."""
    webhook = await client.create(event_types=["PostSignIn", "PostRegister", "PostSignIn"])
    assert webhook.event_types == ["PostSignIn", "PostRegister"]
    await client.update(webhook.id, "event_types", event_types=["User.Created", "PostRegister"])
    assert (await client.webhook(webhook.id)).event_types == ["User.Created", "PostRegister"]


async def test_an_empty_name(client: Client) -> None:
    """hook.test: empty name → 400 `guard.invalid_input`."""
    refusal = await refused(client.create(name=""))
    assert (refusal.code, set(refusal.violations)) == (grpc.StatusCode.INVALID_ARGUMENT, {"webhook.name"})


async def test_no_event(client: Client) -> None:
    """hook.test: no event → 400 `hook.missing_events`; routes/hook.test: no more by a patch."""
    refusal = await refused(client.create(event_types=[]))
    assert (refusal.code, set(refusal.violations)) == (grpc.StatusCode.INVALID_ARGUMENT, {"webhook.event_types"})
    webhook = await client.create()
    refusal = await refused(client.update(webhook.id, "event_types"))
    assert (refusal.code, set(refusal.violations)) == (grpc.StatusCode.INVALID_ARGUMENT, {"webhook.event_types"})
    assert await client.webhook(webhook.id) == webhook


async def test_an_event_that_does_not_exist(client: Client) -> None:
    """routes/hook.test: an event that is not available → 400, by create and by patch."""
    refusal = await refused(client.create(event_types=["PostSignUp"]))
    assert (refusal.code, set(refusal.violations)) == (grpc.StatusCode.INVALID_ARGUMENT, {"webhook.event_types[0]"})
    webhook = await client.create()
    refusal = await refused(client.update(webhook.id, "event_types", event_types=["PostSignUp"]))
    assert refusal.code == grpc.StatusCode.INVALID_ARGUMENT


async def test_adaptive_mfa(client: Client) -> None:
    """hook.test: create and patch with `PostSignInAdaptiveMfaTriggered`."""
    assert (await client.create(event_types=[ADAPTIVE])).event_types == [ADAPTIVE]
    webhook = await client.create(event_types=["PostSignIn"])
    assert (await client.update(webhook.id, "event_types", event_types=[ADAPTIVE])).event_types == [ADAPTIVE]


async def test_the_available_events(client: Client) -> None:
    """routes/hook.test: the API lists the events that can be subscribed to; each of the 31 can, trusted devices too."""
    request = event_type_service_pb2.ListEventTypesRequest(page_size=1000)
    available = (await client.types.ListEventTypes(request)).event_types
    built_in = sorted(each.name for each in available if each.built_in and each.group != "Hookpost")
    assert built_in == sorted({case.type for case in EVERY})
    assert len(built_in) == 31
    assert sorted((await client.create(event_types=built_in)).event_types) == built_in


@pytest.mark.parametrize("url", ["not_work_url", "", "ftp://example.com/", "https://"])
async def test_an_url_that_is_none(client: Client, url: str) -> None:
    """hook.test and trigger.experience: `not_work_url`, which Logto stores and fails at every event, is refused."""
    refusal = await refused(client.create(url))
    assert (refusal.code, set(refusal.violations)) == (grpc.StatusCode.INVALID_ARGUMENT, {"webhook.url"})


async def test_pages(client: Client) -> None:
    """hook.test: page and page_size; a token stands in for the page's number and the total."""
    made = [(await client.create()).id for _ in range(5)]
    first = await client.webhooks.ListWebhooks(
        webhook_service_pb2.ListWebhooksRequest(tenant_id=client.tenant, page_size=3)
    )
    second = await client.webhooks.ListWebhooks(
        webhook_service_pb2.ListWebhooksRequest(tenant_id=client.tenant, page_size=3, page_token=first.next_page_token)
    )
    assert [webhook.id for webhook in first.webhooks] == made[:1:-1]
    assert [webhook.id for webhook in second.webhooks] == made[1::-1]
    assert not second.next_page_token


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "another name"),
        ("url", "https://example.com/elsewhere"),
        ("headers", {"x-team": "crm"}),
        ("retry_policy", retries(1)),
    ],
)
async def test_a_patch_changes_what_it_names(client: Client, field: str, value: object) -> None:
    """routes/hook.test: patch fields. Logto replaces the whole of `config`; here each setting stands alone."""
    before = await client.create(headers={"x-old": "1"})
    after = await client.update(before.id, field, **{field: value})
    assert after != before
    for changed in (field, "etag", "update_time"):
        before.ClearField(changed)
        after.ClearField(changed)
    assert after == before


async def test_a_patch_of_an_unknown_webhook(client: Client) -> None:
    """hook.test: patch unknown id → 404."""
    assert not_found(await refused(client.update(UNKNOWN_WEBHOOK, "name", name="x")))


async def test_other_calls_of_an_unknown_webhook(client: Client) -> None:
    """hook.test: get and delete of an unknown id → 404."""
    assert not_found(await refused(client.webhook(UNKNOWN_WEBHOOK)))
    assert not_found(await refused(deleted(client, UNKNOWN_WEBHOOK)))


async def test_a_patch_can_not_change_the_key(client: Client) -> None:
    """routes/hook.test: patch cannot change the key."""
    webhook = await client.create()
    key = await secret(client, webhook.id)
    other = webhook_pb2.SigningKey(id="key_00000000000000000000000000")
    refusal = await refused(client.update(webhook.id, "signing_keys", signing_keys=[other]))
    assert refusal.code == grpc.StatusCode.INVALID_ARGUMENT
    await client.update(webhook.id, name="renamed", signing_keys=[other])
    assert (await client.webhook(webhook.id)).signing_keys == webhook.signing_keys
    assert await secret(client, webhook.id) == key


async def test_a_new_key_changes_the_key_alone(client: Client, receiver: Receiver) -> None:
    """routes/hook.test: regenerate changes only the key; the old one stops at once."""
    before = await client.create(receiver.url, headers={"x-team": "crm"})
    old = await secret(client, before.id)
    answer = await regenerated(client, before.id)
    assert answer.signing_key != old
    assert await secret(client, before.id) == answer.signing_key
    after = await client.webhook(before.id)
    assert after == answer.webhook
    assert [key.id for key in after.signing_keys] != [key.id for key in before.signing_keys]
    await told(client, "User.Created", {})
    (request,) = receiver.requests
    assert verifies(answer.signing_key, request)
    assert not verifies(old, request)
    for changed in ("signing_keys", "etag", "update_time"):
        before.ClearField(changed)
        after.ClearField(changed)
    assert after == before


async def test_a_new_key_of_an_unknown_webhook(client: Client) -> None:
    """hook.test: regenerate key of unknown id → 404."""
    assert not_found(await refused(regenerated(client, UNKNOWN_WEBHOOK)))


async def test_a_deleted_webhook_keeps_its_log(client: Client, receiver: Receiver) -> None:
    """hook.test: delete; its log rows stay, and nothing more is sent."""
    webhook = await client.create(receiver.url)
    (entry,) = await told(client, "PostRegister", {"userId": "u1"})
    await deleted(client, webhook.id)
    assert await client.delivery(entry.id) == entry
    assert await told(client, "PostRegister", {"userId": "u2"}) == []
    assert names([request.json for request in receiver.requests]) == ["PostRegister"]


async def test_a_disabled_webhook_gets_nothing(client: Client, receiver: Receiver) -> None:
    """hooks: only enabled ones fire. Console: disables, reactivates."""
    webhook = await client.create(f"{receiver.url}/off")
    await client.create(f"{receiver.url}/on")
    disable = webhook_service_pb2.DisableWebhookRequest(webhook_id=webhook.id, tenant_id=client.tenant)
    assert (await client.webhooks.DisableWebhook(disable)).webhook.state == webhook_pb2.WEBHOOK_STATE_DISABLED
    await told(client, "PostSignIn", {})
    assert [request.path for request in receiver.requests] == ["/on"]
    enable = webhook_service_pb2.EnableWebhookRequest(webhook_id=webhook.id, tenant_id=client.tenant)
    assert (await client.webhooks.EnableWebhook(enable)).webhook.state == webhook_pb2.WEBHOOK_STATE_ACTIVE
    await told(client, "PostSignIn", {})
    assert sorted(request.path for request in receiver.requests) == ["/off", "/on", "/on"]
