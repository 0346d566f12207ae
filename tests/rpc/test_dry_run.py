"""EmitEvent with dry_run: who would receive the event, who would not and why; nothing is written or sent."""

import pytest

from hookpost.v1 import (
    event_service_pb2,
    event_type_pb2,
    event_type_service_pb2,
    webhook_pb2,
    webhook_service_pb2,
)
from tests.receiver import Receiver
from tests.rpc.serving import Client, counts

pytestmark = pytest.mark.asyncio(loop_scope="module")


def verdicts(answer: event_service_pb2.EmitEventResponse) -> dict[str, tuple[bool, str]]:
    return {match.webhook_name: (match.matched, match.reason) for match in answer.matches}


async def disable(client: Client, webhook_id: str, reason: str = "") -> None:
    await client.webhooks.DisableWebhook(
        webhook_service_pb2.DisableWebhookRequest(webhook_id=webhook_id, tenant_id=client.tenant, reason=reason)
    )


async def test_who_and_why(client: Client, receiver: Receiver) -> None:
    """Those that would fire come first."""
    receiver.answers.append((410, ""))
    gone = await client.create(receiver.url, name="gone", event_types=["Scope.Created"])
    await client.ended((await client.emit(type="Scope.Created")).event_id)
    await client.update(gone.id, "event_types", event_types=["*"])
    await client.create(name="all", event_types=["*"])
    await client.create(name="family", event_types=["Role.*", "User.*"])
    await client.create(name="exact", event_types=["User.Created", "*"])
    await client.create(name="other", event_types=["User.Deleted", "Role.*"])
    await disable(client, (await client.create(name="off", event_types=["User.Created"])).id)
    await disable(client, (await client.create(name="off with a reason", event_types=["*"])).id, "on holiday")
    answer = await client.emit(dry_run=True)
    assert (answer.event_id, answer.delivery_count, answer.duplicate) == ("", 3, False)
    assert verdicts(answer) == {
        "all": (True, "it subscribes to *"),
        "family": (True, "it subscribes to User.*"),
        "exact": (True, "it subscribes to User.Created"),
        "other": (False, "it does not subscribe to User.Created"),
        "off": (False, "it subscribes to User.Created, but is disabled"),
        "off with a reason": (False, "it subscribes to *, but is disabled: on holiday"),
        "gone": (False, "it subscribes to *, but is suspended: the receiver answered 410 Gone"),
    }
    assert [match.matched for match in answer.matches] == [True] * 3 + [False] * 4
    real = await client.emit()
    fired = {each.webhook_id for each in (await client.event(real.event_id)).deliveries}
    assert fired == {match.webhook_id for match in answer.matches if match.matched}


async def test_without_a_webhook(client: Client) -> None:
    answer = await client.emit(dry_run=True)
    assert (answer.event_id, answer.delivery_count, len(answer.matches)) == ("", 0, 0)


async def test_nothing_is_written_or_sent(client: Client, receiver: Receiver, module_database_url: str) -> None:
    """With a key too, which stays free."""
    await client.create(receiver.url)
    before = await counts(module_database_url, client.tenant)
    for given in ({}, {"idempotency_key": "k"}, {"wait": event_service_pb2.Wait(timeout={"seconds": 1})}):
        answer = await client.emit(dry_run=True, **given)
        assert (answer.delivery_count, len(answer.deliveries)) == (1, 0)
    assert await counts(module_database_url, client.tenant) == before
    assert not (await client.emit('{"other": 1}', idempotency_key="k")).duplicate
    (request,) = await receiver.received(1)
    assert request.json["other"] == 1


async def test_tenants_are_apart(client: Client) -> None:
    await client.create()
    client.tenant += "-b"
    assert not (await client.emit(dry_run=True)).matches


async def test_what_the_schema_says(client: Client) -> None:
    """All of it, also where it is not enforced."""
    schema = '{"properties": {"n": {"type": "integer"}, "to": {"type": "string"}}, "required": ["n"]}'
    for name, enforce in (("Dry.Loose", False), ("Dry.Strict", True)):
        kind = event_type_pb2.EventType(name=name, json_schema=schema, example='{"n": 1}', enforce_schema=enforce)
        await client.types.CreateEventType(event_type_service_pb2.CreateEventTypeRequest(event_type=kind))
        await client.create(event_types=[name])
        assert not (await client.emit('{"n": 2}', type=name, dry_run=True)).schema_violations
        answer = await client.emit('{"to": 1}', type=name, dry_run=True)
        assert answer.delivery_count == 1
        assert sorted(answer.schema_violations) == ['"n" is a required property', 'to: 1 is not of type "string"']


async def test_a_verdict_is_of_the_moment(client: Client, receiver: Receiver) -> None:
    webhook = await client.create(receiver.url)
    await disable(client, webhook.id)
    assert not (await client.emit(dry_run=True)).delivery_count
    await client.webhooks.EnableWebhook(
        webhook_service_pb2.EnableWebhookRequest(webhook_id=webhook.id, tenant_id=client.tenant)
    )
    assert (await client.emit(dry_run=True)).delivery_count == 1
    assert (await client.webhook(webhook.id)).state == webhook_pb2.WEBHOOK_STATE_ACTIVE
