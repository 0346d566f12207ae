"""GetWebhookHealth, and the same figures on Get and List: what callers see of deliveries that ended."""

import grpc
import pytest
from google.protobuf import duration_pb2

from hookpost.v1 import delivery_pb2, webhook_pb2, webhook_service_pb2
from tests.receiver import Receiver
from tests.rpc.serving import Client, eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

ONCE = webhook_pb2.RetryPolicy(schedule=webhook_pb2.RETRY_SCHEDULE_NONE)
LATER = webhook_pb2.RetryPolicy(delays=[duration_pb2.Duration(seconds=3600)], jitter=0.0)
DAY = duration_pb2.Duration(seconds=24 * 3600)


async def everywhere(client: Client, webhook_id: str) -> webhook_pb2.WebhookHealth:
    """The figures, which must be the same wherever they are asked for."""
    got = await client.webhooks.GetWebhook(
        webhook_service_pb2.GetWebhookRequest(webhook_id=webhook_id, tenant_id=client.tenant, include_health=True)
    )
    listed = await client.webhooks.ListWebhooks(
        webhook_service_pb2.ListWebhooksRequest(tenant_id=client.tenant, include_health=True)
    )
    (of_list,) = [each.health for each in listed.webhooks if each.id == webhook_id]
    own = (await client.health(webhook_id)).health
    assert own == got.webhook.health == of_list
    assert own.window == DAY
    return own


async def test_no_data_is_no_rate(client: Client) -> None:
    webhook = await client.create()
    health = await everywhere(client, webhook.id)
    assert (health.request_count, health.success_count, health.attempt_count) == (0, 0, 0)
    for name in ("success_rate", "latency_p50", "latency_p95", "last_success_time", "last_failure_time"):
        assert not health.HasField(name), name
    assert not health.HasField("oldest_pending_time")


async def test_it_is_left_out_unless_asked_for(client: Client) -> None:
    webhook = await client.create()
    assert not (await client.webhook(webhook.id)).HasField("health")
    listed = await client.webhooks.ListWebhooks(webhook_service_pb2.ListWebhooksRequest(tenant_id=client.tenant))
    assert not any(each.HasField("health") for each in listed.webhooks)


async def test_deliveries_count_and_not_attempts(client: Client, receiver: Receiver) -> None:
    """Two attempts that end well are one request; what is still retried is none yet; a test is never one."""
    receiver.answers.extend([(500, ""), (200, ""), (404, "")])
    policy = webhook_pb2.RetryPolicy(delays=[duration_pb2.Duration()], jitter=0.0)
    webhook = await client.create(receiver.url, retry_policy=policy)
    (good,) = await client.ended((await client.emit()).event_id)
    (bad,) = await client.ended((await client.emit()).event_id)
    assert (good.attempt_count, bad.attempt_count) == (2, 1)
    receiver.decide = lambda request: (500, "")
    await client.update(webhook.id, "retry_policy", retry_policy=LATER)
    event = await client.emit()

    async def tried() -> delivery_pb2.Delivery | None:
        (entry,) = (await client.event(event.event_id)).deliveries
        return entry if entry.attempt_count else None

    pending = await eventually(tried)
    for _ in range(2):
        health = await everywhere(client, webhook.id)
        assert (health.request_count, health.success_count, health.success_rate) == (2, 1, 0.5)
        assert health.attempt_count == 4
        assert health.consecutive_failure_count == 1
        assert health.last_success_time == good.finish_time
        assert health.last_failure_time == bad.finish_time
        assert health.oldest_pending_time == pending.create_time
        assert 0 < health.latency_p50.ToNanoseconds() <= health.latency_p95.ToNanoseconds()
        await client.test(webhook.id, "User.Created", "Role.Created")


async def test_the_series_adds_up(client: Client, receiver: Receiver) -> None:
    receiver.answers.extend([(404, ""), (404, "")])
    webhook = await client.create(receiver.url)
    for _ in range(5):
        await client.ended((await client.emit()).event_id)
    for spans, width, count in (
        ({}, 3600, 24),
        ({"window": 7 * 86_400}, 3600, 168),
        ({"window": 3 * 3600}, 60, 180),
        ({"window": 600}, 60, 10),
        ({"window": 3600, "bucket": 3600}, 3600, 1),
        ({"window": 25 * 3600, "bucket": 60}, 60, 1500),
    ):
        answer = await client.health(webhook.id, **spans)
        starts = [point.start_time.ToSeconds() for point in answer.series]
        assert len(starts) == count
        assert starts == list(range(starts[0], starts[0] + count * width, width))
        assert starts[-1] <= answer.read_time.ToSeconds() + 1
        # An hour may have turned since the traffic; a window of an hour then shows it all the same.
        if count > 1:
            assert sum(point.success_count for point in answer.series) == answer.health.success_count == 3
            assert sum(point.failure_count for point in answer.series) == 2
            assert sum(point.attempt_count for point in answer.series) == answer.health.attempt_count == 5
        assert answer.health.window.seconds == spans.get("window", 86_400)


async def test_a_deleted_webhook_has_none(client: Client, receiver: Receiver) -> None:
    webhook = await client.create(receiver.url)
    await client.ended((await client.emit()).event_id)
    await client.webhooks.DeleteWebhook(
        webhook_service_pb2.DeleteWebhookRequest(webhook_id=webhook.id, tenant_id=client.tenant)
    )
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.health(webhook.id)
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


async def test_a_disabled_one_keeps_its_figures(client: Client, receiver: Receiver) -> None:
    webhook = await client.create(receiver.url, retry_policy=ONCE)
    await client.ended((await client.emit()).event_id)
    await client.webhooks.DisableWebhook(
        webhook_service_pb2.DisableWebhookRequest(webhook_id=webhook.id, tenant_id=client.tenant)
    )
    assert (await everywhere(client, webhook.id)).success_rate == 1.0
