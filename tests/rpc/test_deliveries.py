"""GetDelivery and ListDeliveries: the log, one entry for each event and webhook."""

import json

import grpc
import pytest
from google.protobuf import duration_pb2, timestamp_pb2

from hookpost.v1 import delivery_pb2, delivery_service_pb2, webhook_pb2
from tests.receiver import Receiver
from tests.rpc.serving import Client, refused

pytestmark = pytest.mark.asyncio(loop_scope="module")

AT_ONCE = webhook_pb2.RetryPolicy(delays=[duration_pb2.Duration(nanos=1_000_000)] * 2, jitter=0.0)
SUCCEEDED, FAILED = delivery_pb2.DELIVERY_STATE_SUCCEEDED, delivery_pb2.DELIVERY_STATE_FAILED


async def test_an_entry_with_its_attempts(client: Client, receiver: Receiver) -> None:
    receiver.answers.extend([(500, "out of order"), (503, "still ✗"), (201, "thanks")])
    webhook = await client.create(f"{receiver.url}/hook", retry_policy=AT_ONCE)
    event = await client.emit()
    (entry,) = await client.ended(event.event_id)
    requests = await receiver.received(3)
    assert {request.delivery_id for request in requests} == {entry.id}
    assert {request.event_id for request in requests} == {event.event_id}
    assert [request.attempt for request in requests] == [1, 2, 3]

    assert entry.tenant_id == client.tenant
    assert (entry.event_id, entry.event_type, entry.webhook_id) == (event.event_id, "User.Created", webhook.id)
    assert (entry.state, entry.attempt_count) == (SUCCEEDED, 3)
    assert (entry.last_outcome, entry.last_status_code) == (delivery_pb2.ATTEMPT_OUTCOME_SUCCEEDED, 201)
    assert entry.create_time == event.create_time
    assert entry.HasField("finish_time")
    assert not entry.HasField("next_attempt_time")

    assert [attempt.number for attempt in entry.attempts] == [1, 2, 3]
    assert [attempt.status_code for attempt in entry.attempts] == [500, 503, 201]
    assert [attempt.response_body for attempt in entry.attempts] == ["out of order", "still ✗", "thanks"]
    bad, good = delivery_pb2.ATTEMPT_OUTCOME_BAD_STATUS, delivery_pb2.ATTEMPT_OUTCOME_SUCCEEDED
    assert [attempt.outcome for attempt in entry.attempts] == [bad, bad, good]
    for attempt in entry.attempts:
        assert attempt.trigger == delivery_pb2.ATTEMPT_TRIGGER_SCHEDULED
        assert attempt.url == f"{receiver.url}/hook"
        assert attempt.latency.ToNanoseconds() > 0
        assert not attempt.response_body_truncated
        assert ("content-type", "text/plain; charset=utf-8") in {
            (header.name, header.value) for header in attempt.response_headers
        }
    starts = [attempt.start_time.ToNanoseconds() for attempt in entry.attempts]
    assert starts == sorted(starts)


async def test_a_long_answer_is_cut(client: Client, receiver: Receiver) -> None:
    receiver.answers.append((200, "x" * 100_000))
    await client.create(receiver.url)
    (entry,) = await client.ended((await client.emit()).event_id)
    (attempt,) = entry.attempts
    assert attempt.response_body == "x" * 65_536
    assert attempt.response_body_truncated


async def test_no_answer_has_no_status(client: Client) -> None:
    await client.create("http://127.0.0.1:1025/", retry_policy=webhook_pb2.RetryPolicy(schedule=3))
    (entry,) = await client.ended((await client.emit()).event_id)
    assert entry.state == FAILED
    assert not entry.HasField("last_status_code")
    (attempt,) = entry.attempts
    assert attempt.outcome == delivery_pb2.ATTEMPT_OUTCOME_CONNECT_FAILED
    assert not attempt.HasField("status_code")
    assert attempt.error_message
    assert "127.0.0.1" not in attempt.error_message


async def test_while_an_attempt_is_under_way(client: Client, receiver: Receiver) -> None:
    receiver.hold()
    await client.create(receiver.url)
    event = await client.emit()
    await receiver.received(1)
    (entry,) = (await client.event(event.event_id)).deliveries
    assert (entry.state, entry.attempt_count) == (delivery_pb2.DELIVERY_STATE_PENDING, 0)
    assert entry.HasField("next_attempt_time")
    assert not entry.HasField("finish_time")
    assert not entry.HasField("last_status_code")
    assert entry.last_outcome == delivery_pb2.ATTEMPT_OUTCOME_UNSPECIFIED
    receiver.release()
    (entry,) = await client.ended(event.event_id)
    assert entry.attempt_count == 1


async def test_an_unknown_delivery(client: Client) -> None:
    unknown = f"dlv_{'0' * 26}"
    refusal = await refused(client.delivery(unknown))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND")
    assert refusal.resource
    assert (refusal.resource.resource_type, refusal.resource.resource_name) == ("delivery", unknown)


class TestList:
    async def page(
        self, client: Client, *, page_size: int = 0, page_token: str = "", **filter: object
    ) -> delivery_service_pb2.ListDeliveriesResponse:
        return await client.deliveries.ListDeliveries(
            delivery_service_pb2.ListDeliveriesRequest(
                tenant_id=client.tenant,
                page_size=page_size,
                page_token=page_token,
                filter=delivery_service_pb2.DeliveryFilter(**filter) if filter else None,
            )
        )

    async def ids(self, client: Client, **filter: object) -> set[str]:
        """All pages, so that a page that ends short is no difference."""
        seen, token = [], ""
        while True:
            page = await self.page(client, page_token=token, **filter)
            seen += [each.id for each in page.deliveries]
            if not (token := page.next_page_token):
                break
        assert len(set(seen)) == len(seen)
        return set(seen)

    @pytest.mark.parametrize("by", ["tenant", "webhook_id", "event_id"])
    async def test_pages_newest_event_first_without_attempts(self, client: Client, receiver: Receiver, by: str) -> None:
        webhooks = [await client.create(receiver.url) for _ in range(3)]
        events = [(await client.emit(json.dumps({"n": n}))).event_id for n in range(4)]
        entries = [entry for event in events for entry in await client.ended(event)]
        filter = {"tenant": {}, "webhook_id": {by: webhooks[0].id}, "event_id": {by: events[0]}}[by]
        expected = {entry.id for entry in entries if all(getattr(entry, key) == value for key, value in filter.items())}
        seen, token = [], ""
        while True:
            page = await self.page(client, page_size=2, page_token=token, **filter)
            assert len(page.deliveries) <= 2
            seen += page.deliveries
            if not (token := page.next_page_token):
                break
        assert len(seen) == len(expected)
        assert {each.id for each in seen} == expected
        assert [each.event_id for each in seen] == sorted((each.event_id for each in seen), reverse=True)
        assert not any(each.attempts for each in seen)

    async def test_filters(self, client: Client, receiver: Receiver) -> None:
        """Every filter alone, and all of them together, against what they say."""
        receiver.answers.extend([(200, ""), (404, "")])
        await client.create(f"{receiver.url}/a", event_types=["User.*"])
        good = await client.ended((await client.emit()).event_id)
        bad = await client.ended((await client.emit()).event_id)
        down = await client.create(
            "http://127.0.0.1:1025/", event_types=["Role.*"], retry_policy=webhook_pb2.RetryPolicy(schedule=3)
        )
        lost = await client.ended((await client.emit(type="Role.Created")).event_id)
        (good_id,), (bad_id,), (lost_id,) = ({entry.id for entry in entries} for entries in (good, bad, lost))
        assert await self.ids(client) == {good_id, bad_id, lost_id}
        assert await self.ids(client, states=[SUCCEEDED]) == {good_id}
        assert await self.ids(client, states=[FAILED]) == {bad_id, lost_id}
        assert await self.ids(client, states=[SUCCEEDED, FAILED]) == {good_id, bad_id, lost_id}
        assert await self.ids(client, states=[delivery_pb2.DELIVERY_STATE_CANCELLED]) == set()
        assert await self.ids(client, status_classes=[4]) == {bad_id}
        assert await self.ids(client, status_classes=[2, 4]) == {good_id, bad_id}
        assert await self.ids(client, outcomes=[delivery_pb2.ATTEMPT_OUTCOME_CONNECT_FAILED]) == {lost_id}
        assert await self.ids(client, event_type="Role.Created") == {lost_id}
        assert await self.ids(client, event_type="Role.Deleted") == set()
        assert await self.ids(client, webhook_id=down.id) == {lost_id}
        assert await self.ids(client, webhook_id=down.id, states=[FAILED]) == {lost_id}
        assert await self.ids(client, event_id=good[0].event_id) == {good_id}
        assert await self.ids(client, event_id=good[0].event_id, webhook_id=down.id) == set()
        assert await self.ids(client, start_time=lost[0].create_time) == {lost_id}
        assert await self.ids(client, end_time=lost[0].create_time) == {good_id, bad_id}
        everything = {
            "webhook_id": down.id,
            "event_id": lost[0].event_id,
            "event_type": "Role.Created",
            "states": [FAILED],
            "outcomes": [delivery_pb2.ATTEMPT_OUTCOME_CONNECT_FAILED],
            "start_time": lost[0].create_time,
        }
        assert await self.ids(client, **everything) == {lost_id}
        assert await self.ids(client, **everything | {"states": [SUCCEEDED]}) == set()

    async def test_an_old_start_is_fine(self, client: Client) -> None:
        assert await self.ids(client, start_time=timestamp_pb2.Timestamp(seconds=0)) == set()

    @pytest.mark.parametrize(
        "last",
        [
            "evt_7zzzzzzzzzzzzzzzzzzzzzzzzz",
            "evt_00000000000000000000000000",
        ],
    )
    async def test_the_ends_of_the_ids(self, client: Client, last: str) -> None:
        assert await self.ids(client, event_id=last) == set()
