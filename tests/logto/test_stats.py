"""Logto's cases of execution stats and recent logs."""

import random
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

import grpc
import pytest
from google.protobuf import timestamp_pb2

from hookpost.v1 import delivery_pb2, delivery_service_pb2, webhook_pb2, webhook_service_pb2
from hookpost_server.domain import ids
from hookpost_server.store.database import Database
from hookpost_server.store.events import Events, Room
from hookpost_server.store.partitions import Partitions
from tests.logto.payloads import interaction
from tests.logto.telling import FAILED, SUCCEEDED, UNKNOWN_WEBHOOK, log, retries, told
from tests.receiver import Receiver
from tests.rpc.serving import Client, refused
from tests.store import making

pytestmark = pytest.mark.asyncio(loop_scope="package")


async def with_stats(client: Client, webhook_id: str) -> webhook_pb2.Webhook:
    request = webhook_service_pb2.GetWebhookRequest(webhook_id=webhook_id, tenant_id=client.tenant, include_health=True)
    return (await client.webhooks.GetWebhook(request)).webhook


async def list_with_stats(client: Client, *, include: bool) -> list[webhook_pb2.Webhook]:
    request = webhook_service_pb2.ListWebhooksRequest(tenant_id=client.tenant, include_health=include)
    return list((await client.webhooks.ListWebhooks(request)).webhooks)


class TestStats:
    async def test_one_delivery(self, client: Client, receiver: Receiver) -> None:
        """hook.stats: after one delivery requestCount 1, successCount 1."""
        webhook = await client.create(receiver.url, event_types=["PostRegister"])
        await told(client, "PostRegister", interaction("PostRegister"))
        health = (await with_stats(client, webhook.id)).health
        assert (health.request_count, health.success_count, health.success_rate) == (1, 1, 1.0)

    async def test_the_list_has_them_on_every_webhook(self, client: Client, receiver: Receiver) -> None:
        """hook.stats: list with stats has `executionStats` on every hook; routes/hook.test: and without, on none."""
        used = await client.create(receiver.url, event_types=["PostRegister"])
        idle = await client.create(receiver.url, event_types=["PostSignIn"])
        await told(client, "PostRegister", {})
        found = {webhook.id: webhook for webhook in await list_with_stats(client, include=True)}
        assert all(webhook.HasField("health") for webhook in found.values())
        assert (found[used.id].health.request_count, found[used.id].health.success_count) == (1, 1)
        assert (found[idle.id].health.request_count, found[idle.id].health.success_count) == (0, 0)
        assert not found[idle.id].health.HasField("success_rate")
        assert not any(webhook.HasField("health") for webhook in await list_with_stats(client, include=False))
        assert not (await client.webhook(used.id)).HasField("health")

    async def test_deliveries_are_counted_and_not_attempts(self, client: Client, receiver: Receiver) -> None:
        """stats: counts deliveries, not attempts; requests are successes and errors."""
        receiver.answers.extend([(500, ""), (500, ""), (200, "")] + [(500, "")] * 4)
        webhook = await client.create(receiver.url, retry_policy=retries(3))
        await told(client, "PostSignIn", {})
        await told(client, "PostSignIn", {})
        health = (await with_stats(client, webhook.id)).health
        assert (health.request_count, health.success_count, health.success_rate) == (2, 1, 0.5)
        assert health.attempt_count == 7 == len(receiver.requests)


class TestRecentLogs:
    async def test_a_registration_is_in_the_log(self, client: Client, receiver: Receiver) -> None:
        """hook.stats: after a registration recent-logs holds a Success row with that hookId."""
        webhook = await client.create(receiver.url, event_types=["PostRegister"])
        await told(client, "PostRegister", interaction("PostRegister"))
        (entry,) = (await log(client, webhook_id=webhook.id)).deliveries
        assert (entry.webhook_id, entry.event_type) == (webhook.id, "PostRegister")
        assert (entry.state, entry.last_status_code) == (SUCCEEDED, 200)

    async def test_what_an_entry_says(self, client: Client, receiver: Receiver) -> None:
        """libraries/hook/index.test: the log of an interaction hook: what was sent, status and body of the answer."""
        receiver.answers.append((201, '{"ok":true}'))
        headers = {"X-Team": "crm", "Authorization": "Bearer of-nobody"}
        webhook = await client.create(f"{receiver.url}/hook", headers=headers)
        (entry,) = await told(client, "PostSignIn", interaction("PostSignIn"))
        request = delivery_service_pb2.GetDeliveryRequest(
            delivery_id=entry.id, tenant_id=client.tenant, include_requests=True
        )
        ((attempt,), (sent,)) = (await client.deliveries.GetDelivery(request)).delivery.attempts, receiver.requests
        assert (attempt.status_code, attempt.response_body, attempt.error_message) == (201, '{"ok":true}', "")
        assert attempt.request.body.encode() == sent.body
        assert (attempt.request.method, attempt.request.url) == ("POST", f"{receiver.url}/hook")
        shown = {header.name.lower(): header.value for header in attempt.request.headers}
        assert shown["x-team"] == "crm"
        assert shown["authorization"] == "***", "values of sensitive names are masked"
        assert sent.headers["authorization"] == "Bearer of-nobody"
        assert sent.json["hookId"] == webhook.id

    async def test_nobody_listens(self, client: Client) -> None:
        """trigger.experience: a hook that can't be reached logs an Error with the cause, and no response."""
        await client.create("http://127.0.0.1:1025/", retry_policy=retries(0))
        (entry,) = await told(client, "PostRegister", {})
        assert entry.state == FAILED
        (attempt,) = entry.attempts
        assert attempt.outcome == delivery_pb2.ATTEMPT_OUTCOME_CONNECT_FAILED
        assert attempt.error_message
        assert attempt.explanation
        assert not attempt.HasField("status_code")

    async def test_by_event_and_by_page(self, client: Client, receiver: Receiver) -> None:
        """routes/hook.test: recent-logs passes logKey, page, 24 h start; newest first."""
        webhook = await client.create(receiver.url)
        await client.create(receiver.url)
        for event_type in ("PostSignIn", "PostRegister", "PostSignIn", "PostSignIn"):
            await told(client, event_type, {})
        filter = {"webhook_id": webhook.id, "event_type": "PostSignIn"}
        first = await log(client, page_size=2, **filter)
        second = await log(client, page_size=2, page_token=first.next_page_token, **filter)
        found = [*first.deliveries, *second.deliveries]
        assert len(found) == 3
        assert len(first.deliveries) == 2
        assert not second.next_page_token
        assert {(entry.webhook_id, entry.event_type) for entry in found} == {(webhook.id, "PostSignIn")}
        assert [entry.event_id for entry in found] == sorted((entry.event_id for entry in found), reverse=True)
        assert len((await log(client, webhook_id=webhook.id)).deliveries) == 4

    async def test_an_unknown_webhook(self, client: Client) -> None:
        """routes/hook.test: recent-logs of an unknown id → an empty list."""
        assert list((await log(client, webhook_id=UNKNOWN_WEBHOOK)).deliveries) == []


class TestTimeWindow:
    async def test_24_hours_by_default(self, client: Client, receiver: Receiver, logto_database_url: str) -> None:
        """routes/hook.test, time window: default; a start that is given replaces it."""
        webhook = await client.create(receiver.url, event_types=["PostSignIn"])
        old = await emitted_in_the_past(logto_database_url, client.tenant, 24 * 3600 + 2)
        young = await emitted_in_the_past(logto_database_url, client.tenant, 24 * 3600 - 120)
        assert await entries(client, webhook.id) == {young}
        start = moment(time.time() - 25 * 3600)
        assert await entries(client, webhook.id, start_time=start) == {old, young}
        await receiver.received(2)

    async def test_start_and_end(self, client: Client, receiver: Receiver) -> None:
        """routes/hook.test, time window: start only, end only, both, equal. The start is in it, the end is not."""
        webhook = await client.create(receiver.url)
        first, second, third = [(await told(client, "PostSignIn", {}))[0] for _ in range(3)]
        assert await entries(client, webhook.id, start_time=second.create_time) == {second.event_id, third.event_id}
        assert await entries(client, webhook.id, end_time=second.create_time) == {first.event_id}
        both = {"start_time": second.create_time, "end_time": third.create_time}
        assert await entries(client, webhook.id, **both) == {second.event_id}
        equal = {"start_time": second.create_time, "end_time": second.create_time}
        assert await entries(client, webhook.id, **equal) == set()

    async def test_the_end_before_the_start(self, client: Client) -> None:
        """routes/hook.test, time window: start > end → 400 `log.invalid_time_window`."""
        now = time.time()
        refusal = await refused(log(client, start_time=moment(now), end_time=moment(now - 60)))
        assert (refusal.code, set(refusal.violations)) == (grpc.StatusCode.INVALID_ARGUMENT, {"filter.end_time"})

    async def test_no_time(self, client: Client) -> None:
        """routes/hook.test, time window: non-number → 400; the nearest that a Timestamp can be."""
        refusal = await refused(log(client, start_time=timestamp_pb2.Timestamp(nanos=-1)))
        assert (refusal.code, set(refusal.violations)) == (grpc.StatusCode.INVALID_ARGUMENT, {"filter.start_time"})


def moment(seconds: float) -> timestamp_pb2.Timestamp:
    stamp = timestamp_pb2.Timestamp()
    stamp.FromDatetime(datetime.fromtimestamp(0, UTC) + timedelta(seconds=seconds))
    return stamp


async def entries(client: Client, webhook_id: str, **times: timestamp_pb2.Timestamp) -> set[str]:
    return {entry.event_id for entry in (await log(client, webhook_id=webhook_id, **times)).deliveries}


class Earlier(Database):
    """Its clock is behind by so many seconds."""

    behind = 0.0

    def now(self) -> float:
        return super().now() - self.behind


async def emitted_in_the_past(database_url: str, tenant: str, seconds: float) -> str:
    """An event as it would be stored if it had been accepted then: its id tells the time of acceptance."""
    database = await Earlier.open(database_url)
    database.behind = seconds
    accepted = UUID(int=ids.first_of(database.now()).int | 7 << 76 | 2 << 62 | random.getrandbits(62))
    try:
        await Partitions(database).make()  # of the day before yesterday, when the test runs right after midnight
        made = making.event("PostSignIn", id=accepted, tenant_id=tenant, payload=b"{}")
        await Events(database, lease=45).emit([made], Room(0))
    finally:
        await database.close()
    return ids.text(ids.EVENT, made.id)
