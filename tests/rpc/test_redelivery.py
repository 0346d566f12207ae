"""RedeliverDelivery: one more attempt in the same entry, of whatever has ended."""

import asyncio

import grpc
import pytest
from google.protobuf import duration_pb2

from hookpost.v1 import delivery_pb2, webhook_pb2, webhook_service_pb2
from tests.receiver import Receiver
from tests.rpc.serving import Client, refusal, refused

pytestmark = pytest.mark.asyncio(loop_scope="module")

AT_ONCE = webhook_pb2.RetryPolicy(delays=[duration_pb2.Duration()] * 5, jitter=0.0)
PENDING = delivery_pb2.DELIVERY_STATE_PENDING
SUCCEEDED, FAILED = delivery_pb2.DELIVERY_STATE_SUCCEEDED, delivery_pb2.DELIVERY_STATE_FAILED
SCHEDULED, REDELIVERY = delivery_pb2.ATTEMPT_TRIGGER_SCHEDULED, delivery_pb2.ATTEMPT_TRIGGER_REDELIVERY


async def delete(client: Client, webhook_id: str) -> None:
    await client.webhooks.DeleteWebhook(
        webhook_service_pb2.DeleteWebhookRequest(webhook_id=webhook_id, tenant_id=client.tenant)
    )


@pytest.mark.parametrize("status", [404, 200])
async def test_one_more_attempt_in_the_same_entry(client: Client, receiver: Receiver, status: int) -> None:
    receiver.answers.extend([(status, "first"), (201, "second")])
    await client.create(receiver.url, retry_policy=AT_ONCE)
    event = await client.emit('{"n": 1.0}')
    (before,) = await client.ended(event.event_id)
    receiver.hold()
    again = await client.redeliver(before.id)
    assert (again.state, again.attempt_count, again.id) == (PENDING, 1, before.id)
    assert again.HasField("next_attempt_time")
    assert not again.HasField("finish_time")
    assert not again.attempts
    receiver.release()
    (after,) = await client.ended(event.event_id)
    assert (after.state, after.attempt_count, after.last_status_code) == (SUCCEEDED, 2, 201)
    assert [attempt.number for attempt in after.attempts] == [1, 2]
    assert [attempt.trigger for attempt in after.attempts] == [SCHEDULED, REDELIVERY]
    assert after.attempts[0] == before.attempts[0] or status == 404  # of a failure the words change: it was tried again
    assert after.create_time == before.create_time
    first, second = await receiver.received(2)
    assert (first.event_id, first.delivery_id, first.body) == (second.event_id, second.delivery_id, second.body)
    assert (first.attempt, second.attempt) == (1, 2)


async def test_it_is_not_retried_again(client: Client, receiver: Receiver) -> None:
    """The policy has five retries left, but a redelivery is one attempt."""
    receiver.answers.append((404, ""))
    receiver.decide = lambda request: (500, "")
    await client.create(receiver.url, retry_policy=AT_ONCE)
    event = await client.emit()
    (entry,) = await client.ended(event.event_id)
    for count in (2, 3):
        await client.redeliver(entry.id)
        (entry,) = await client.ended(event.event_id)
        assert (entry.state, entry.attempt_count) == (FAILED, count)
    assert [attempt.trigger for attempt in entry.attempts] == [SCHEDULED, REDELIVERY, REDELIVERY]


@pytest.mark.case("H3")
async def test_not_while_it_is_pending(client: Client, receiver: Receiver) -> None:
    receiver.hold()
    await client.create(receiver.url)
    event = await client.emit()
    await receiver.received(1)
    (entry,) = (await client.event(event.event_id)).deliveries
    refusal = await refused(client.redeliver(entry.id))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "DELIVERY_NOT_ENDED")
    assert refusal.metadata == {"state": "PENDING"}
    receiver.release()
    (entry,) = await client.ended(event.event_id)
    assert entry.attempt_count == 1


async def test_not_to_a_deleted_webhook(client: Client, receiver: Receiver) -> None:
    webhook = await client.create(receiver.url)
    event = await client.emit()
    (entry,) = await client.ended(event.event_id)
    await delete(client, webhook.id)
    refusal = await refused(client.redeliver(entry.id))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND")
    assert refusal.resource
    assert (refusal.resource.resource_type, refusal.resource.resource_name) == ("webhook", webhook.id)
    assert await client.delivery(entry.id) == entry


async def test_to_a_disabled_one_it_waits(client: Client, receiver: Receiver) -> None:
    webhook = await client.create(receiver.url)
    event = await client.emit()
    (entry,) = await client.ended(event.event_id)
    named = {"webhook_id": webhook.id, "tenant_id": client.tenant}
    await client.webhooks.DisableWebhook(webhook_service_pb2.DisableWebhookRequest(**named))
    assert (await client.redeliver(entry.id)).state == PENDING
    other = await client.create(f"{receiver.url}/other", event_types=["Role.Created"])
    await client.ended((await client.emit(type="Role.Created")).event_id)  # the engine has made its rounds meanwhile
    assert (await client.delivery(entry.id)).state == PENDING
    await client.webhooks.EnableWebhook(webhook_service_pb2.EnableWebhookRequest(**named))
    (entry,) = await client.ended(event.event_id)
    assert (entry.state, entry.attempt_count) == (SUCCEEDED, 2)
    assert other.id


@pytest.mark.case("H3")
async def test_ten_at_once_are_one(client: Client, receiver: Receiver) -> None:
    await client.create(receiver.url)
    event = await client.emit()
    (entry,) = await client.ended(event.event_id)
    receiver.hold()
    answers = await asyncio.gather(*(client.redeliver(entry.id) for _ in range(10)), return_exceptions=True)
    refusals = [refusal(answer) for answer in answers if isinstance(answer, grpc.aio.AioRpcError)]
    assert {each.reason for each in refusals} == {"DELIVERY_NOT_ENDED"}
    assert len(refusals) == 9
    receiver.release()
    (entry,) = await client.ended(event.event_id)
    assert entry.attempt_count == 2
    assert len(receiver.requests) == 2


async def test_figures_follow(client: Client, receiver: Receiver) -> None:
    """While it is tried again, it has not ended; then it counts once, as what it came to."""
    receiver.answers.append((404, ""))
    webhook = await client.create(receiver.url)
    event = await client.emit()
    (entry,) = await client.ended(event.event_id)
    receiver.hold()

    async def figures() -> tuple[int, int, int]:
        health = (await client.health(webhook.id)).health
        return health.request_count, health.success_count, health.attempt_count

    assert await figures() == (1, 0, 1)
    await client.redeliver(entry.id)
    assert await figures() == (0, 0, 1)
    receiver.release()
    await client.ended(event.event_id)
    assert await figures() == (1, 1, 2)


async def test_its_request_is_signed_anew(client: Client, receiver: Receiver) -> None:
    """With the key of now, so that a receiver that checks the time accepts it."""
    webhook = await client.create(receiver.url)
    event = await client.emit()
    (entry,) = await client.ended(event.event_id)
    request = webhook_service_pb2.RotateSigningKeyRequest(webhook_id=webhook.id, tenant_id=client.tenant)
    await client.webhooks.RotateSigningKey(request)
    await client.redeliver(entry.id)
    await client.ended(event.event_id)
    first, second = await receiver.received(2)
    assert first.headers["hookpost-signature-sha-256"] != second.headers["hookpost-signature-sha-256"]
