"""ReplayDeliveries and StopReplay: many deliveries put back, counted first, at a bounded rate, and taken back."""

import itertools
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import asyncpg
import grpc
import pytest
import pytest_asyncio
from google.protobuf import duration_pb2

from hookpost.v1 import delivery_pb2, delivery_service_pb2, webhook_pb2, webhook_service_pb2
from hookpost_server.domain import errors, ids
from hookpost_server.domain.delivery import State
from hookpost_server.store.database import Database
from hookpost_server.store.delivery_log import Filter
from hookpost_server.store.missed import Missed
from hookpost_server.store.replays import MOST, Replays
from tests.receiver import Received, Receiver
from tests.rpc.serving import Client, counts, eventually, refused

pytestmark = pytest.mark.asyncio(loop_scope="module")

PENDING, SUCCEEDED = delivery_pb2.DELIVERY_STATE_PENDING, delivery_pb2.DELIVERY_STATE_SUCCEEDED
FAILED, CANCELLED = delivery_pb2.DELIVERY_STATE_FAILED, delivery_pb2.DELIVERY_STATE_CANCELLED
REPLAY = delivery_pb2.ATTEMPT_TRIGGER_REPLAY


def by_type(request: Received) -> tuple[int, str]:
    """Users are fine, roles are not known, and the rest is out of order."""
    kind = request.headers["hookpost-event"].split(".")[0]
    return {"User": 200, "Role": 404}.get(kind, 422), ""


async def entries(client: Client, webhook_id: str = "", **filter: Any) -> list[delivery_pb2.Delivery]:
    """All deliveries, oldest event first."""
    request = delivery_service_pb2.ListDeliveriesRequest(
        tenant_id=client.tenant,
        page_size=1000,
        filter=delivery_service_pb2.DeliveryFilter(webhook_id=webhook_id, **filter),
    )
    return sorted((await client.deliveries.ListDeliveries(request)).deliveries, key=lambda each: each.event_id)


async def all_ended(client: Client, webhook_id: str = "") -> list[delivery_pb2.Delivery]:
    async def ended() -> list[delivery_pb2.Delivery] | None:
        found = await entries(client, webhook_id)
        return None if any(each.state == PENDING for each in found) else found

    return await eventually(ended)


async def emit(client: Client, *types: str) -> list[str]:
    return [(await client.emit(type=kind)).event_id for kind in types]


async def disable(client: Client, webhook_id: str) -> None:
    request = webhook_service_pb2.DisableWebhookRequest(webhook_id=webhook_id, tenant_id=client.tenant)
    await client.webhooks.DisableWebhook(request)


async def enable(client: Client, webhook_id: str) -> None:
    request = webhook_service_pb2.EnableWebhookRequest(webhook_id=webhook_id, tenant_id=client.tenant)
    await client.webhooks.EnableWebhook(request)


TRAFFIC = ("User.Created", "Role.Created", "Scope.Created", "Role.Deleted", "User.Deleted")


@pytest_asyncio.fixture(loop_scope="module")
async def webhook(client: Client, receiver: Receiver) -> webhook_pb2.Webhook:
    """One that has had TRAFFIC: 200, 404, 422, 404, 200."""
    receiver.decide = by_type
    made = await client.create(receiver.url)
    await emit(client, *TRAFFIC)
    await all_ended(client)
    return made


class TestChoosing:
    async def test_a_dry_run_counts_and_changes_nothing(
        self, client: Client, webhook: webhook_pb2.Webhook, receiver: Receiver, module_database_url: str
    ) -> None:
        before = await counts(module_database_url, client.tenant)
        answer = await client.replay(webhook_id=webhook.id, dry_run=True)
        assert answer == delivery_service_pb2.ReplayDeliveriesResponse(delivery_count=3)
        assert await counts(module_database_url, client.tenant) == before
        assert len(receiver.requests) == len(TRAFFIC)

    async def test_filters(self, client: Client, webhook: webhook_pb2.Webhook) -> None:
        """As in lists, but only what has ended, and only what failed unless states are named."""
        found = await entries(client)
        times = [each.create_time for each in found]
        bad = delivery_pb2.ATTEMPT_OUTCOME_BAD_STATUS
        for filter, expected in (
            ({"states": [SUCCEEDED]}, 2),
            ({"states": [SUCCEEDED, FAILED]}, 5),
            ({"states": [CANCELLED]}, 0),
            ({"event_type": "Role.Created"}, 1),
            ({"event_type": "User.Created"}, 0),
            ({"status_classes": [4]}, 3),
            ({"status_classes": [5, 2]}, 0),
            ({"outcomes": [bad]}, 3),
            ({"outcomes": [delivery_pb2.ATTEMPT_OUTCOME_TIMED_OUT]}, 0),
            ({"start_time": times[2]}, 2),
            ({"end_time": times[2]}, 1),
            ({"event_id": found[1].event_id}, 1),
            ({"event_id": found[0].event_id}, 0),
        ):
            answer = await client.replay(webhook_id=webhook.id, dry_run=True, **filter)
            assert answer.delivery_count == expected, filter
        assert (await client.replay(event_id=found[1].event_id, dry_run=True)).delivery_count == 1

    async def test_another_webhooks_are_left_alone(self, client: Client, webhook: webhook_pb2.Webhook) -> None:
        other = await client.create()
        assert not (await client.replay(webhook_id=other.id, dry_run=True)).delivery_count
        answer = await client.replay(webhook_id=other.id)
        assert answer == delivery_service_pb2.ReplayDeliveriesResponse()

    async def test_what_is_pending_is_not_replayed_twice(
        self, client: Client, webhook: webhook_pb2.Webhook, receiver: Receiver
    ) -> None:
        receiver.hold()
        assert (await client.replay(webhook_id=webhook.id)).delivery_count == 3
        assert not (await client.replay(webhook_id=webhook.id)).delivery_count
        receiver.release()
        await all_ended(client)
        assert len(receiver.requests) == len(TRAFFIC) + 3

    async def test_not_of_a_deleted_webhook(self, client: Client, webhook: webhook_pb2.Webhook) -> None:
        await client.webhooks.DeleteWebhook(
            webhook_service_pb2.DeleteWebhookRequest(webhook_id=webhook.id, tenant_id=client.tenant)
        )
        assert not (await client.replay(webhook_id=webhook.id)).delivery_count

    async def test_another_tenants_are_left_alone(self, client: Client, webhook: webhook_pb2.Webhook) -> None:
        client.tenant += "-b"
        assert not (await client.replay(webhook_id=webhook.id)).delivery_count
        refusal = await refused(client.replay(webhook_id=webhook.id, missed=True))
        assert refusal.reason == "RESOURCE_NOT_FOUND"


class TestSending:
    async def test_each_is_attempted_once_more(
        self, client: Client, webhook: webhook_pb2.Webhook, receiver: Receiver
    ) -> None:
        before = await entries(client)
        receiver.decide = lambda request: (200, "")
        answer = await client.replay(webhook_id=webhook.id)
        assert answer.delivery_count == 3
        assert answer.replay_id.startswith("rpl_")
        after = await all_ended(client)
        assert [each.id for each in after] == [each.id for each in before]
        for old, new in zip(before, after, strict=True):
            attempts = (await client.delivery(new.id)).attempts
            if old.state == SUCCEEDED:
                assert new == old
                continue
            assert (new.state, new.attempt_count) == (SUCCEEDED, 2)
            assert [attempt.number for attempt in attempts] == [1, 2]
            assert attempts[1].trigger == REPLAY
            requests = [request for request in receiver.requests if request.delivery_id == new.id]
            assert [request.attempt for request in requests] == [1, 2]
            assert {request.event_id for request in requests} == {new.event_id}

    async def test_at_a_bounded_rate(self, client: Client, webhook: webhook_pb2.Webhook) -> None:
        """Due one after the other, oldest event first; it is told when the last one is."""
        await disable(client, webhook.id)
        answer = await client.replay(webhook_id=webhook.id, rate=0.5)
        due = [each.next_attempt_time.ToNanoseconds() for each in await entries(client) if each.state == PENDING]
        assert len(due) == 3
        assert [later - sooner for sooner, later in itertools.pairwise(due)] == [2 * 10**9] * 2
        assert abs(answer.end_time.ToNanoseconds() - due[-1]) < 10**9

    async def test_without_a_rate_twenty_a_second(self, client: Client, webhook: webhook_pb2.Webhook) -> None:
        await disable(client, webhook.id)
        await client.replay(webhook_id=webhook.id, rate=0)
        due = [each.next_attempt_time.ToNanoseconds() for each in await entries(client) if each.state == PENDING]
        assert [later - sooner for sooner, later in itertools.pairwise(due)] == [50_000_000] * 2

    async def test_what_fails_again_can_be_replayed_again(
        self, client: Client, webhook: webhook_pb2.Webhook, receiver: Receiver
    ) -> None:
        for count in (2, 3):
            assert (await client.replay(webhook_id=webhook.id)).delivery_count == 3
            assert [each.attempt_count for each in await all_ended(client)] == [1, count, count, count, 1]
        assert (await client.health(webhook.id)).health.request_count == len(TRAFFIC)

    async def test_retries_that_are_left_are_used(self, client: Client, receiver: Receiver) -> None:
        """A replay goes by the policy, unlike a redelivery."""
        policy = webhook_pb2.RetryPolicy(delays=[duration_pb2.Duration()] * 2, jitter=0.0)
        receiver.answers.extend([(404, ""), (500, ""), (200, "")])
        made = await client.create(receiver.url, retry_policy=policy)
        await emit(client, "User.Created")
        await all_ended(client)
        await client.replay(webhook_id=made.id)
        (entry,) = await all_ended(client)
        assert (entry.state, entry.attempt_count) == (SUCCEEDED, 3)
        assert {each.trigger for each in (await client.delivery(entry.id)).attempts[1:]} == {REPLAY}


MISSED = ("User.Created", "User.Data.Updated", "Role.Created", "Role.Data.Updated", "Role.Scopes.Updated")


class TestMissed:
    @pytest.mark.parametrize(
        ("patterns", "expected"),
        [
            (["User.Created"], MISSED[:1]),
            (["User.*"], MISSED[:2]),
            (["Role.Data.*", "User.Created"], (MISSED[0], MISSED[3])),
            (["*"], MISSED),
            (["*", "User.*", "Role.Created"], MISSED),
            (["Scope.*"], ()),
        ],
        ids=lambda value: ",".join(value),
    )
    async def test_events_from_before_the_webhook(
        self, client: Client, receiver: Receiver, patterns: list[str], expected: tuple[str, ...]
    ) -> None:
        events = await emit(client, *MISSED)
        webhook = await client.create(receiver.url, event_types=patterns)
        dry = await client.replay(webhook_id=webhook.id, missed=True, dry_run=True)
        assert dry.delivery_count == len(expected)
        assert not await entries(client)
        assert not (await client.replay(webhook_id=webhook.id)).delivery_count
        answer = await client.replay(webhook_id=webhook.id, missed=True)
        assert answer.delivery_count == len(expected)
        # They are the deliveries that the events would have had: a second call finds none missing.
        assert not (await client.replay(webhook_id=webhook.id, missed=True)).delivery_count
        found = await all_ended(client)
        assert [each.event_type for each in found] == list(expected)
        assert {each.event_id for each in found} <= set(events)
        assert {(each.state, each.attempt_count) for each in found} <= {(SUCCEEDED, 1)}
        for each in found:
            assert (await client.delivery(each.id)).attempts[0].trigger == REPLAY
        requests = await receiver.received(len(expected))
        assert {request.delivery_id for request in requests} == {each.id for each in found}
        assert len(receiver.requests) == len(expected)

    async def test_events_of_the_time_it_was_disabled(self, client: Client, receiver: Receiver) -> None:
        webhook = await client.create(receiver.url)
        await emit(client, "User.Created")
        await disable(client, webhook.id)
        (event,) = await emit(client, "User.Deleted")
        await enable(client, webhook.id)
        await emit(client, "Role.Created")
        assert (await client.replay(webhook_id=webhook.id, missed=True)).delivery_count == 1
        found = await all_ended(client)
        assert len(found) == 3
        assert event in {each.event_id for each in found}

    async def test_type_and_times_hold_for_them(self, client: Client) -> None:
        for kind in MISSED:
            await client.emit(type=kind)
        webhook = await client.create()
        (middle,) = await emit(client, "Scope.Created")
        time = (await client.event(middle)).event.create_time
        chosen = {"webhook_id": webhook.id, "missed": True, "dry_run": True}
        assert (await client.replay(**chosen, event_type="Role.Created")).delivery_count == 1
        assert (await client.replay(**chosen, end_time=time)).delivery_count == len(MISSED)
        assert (await client.replay(**chosen, start_time=time)).delivery_count == 0

    async def test_failed_ones_come_first(self, client: Client, receiver: Receiver) -> None:
        """Failed and missed together, in one rate."""
        (early,) = await emit(client, "Role.Created")
        receiver.decide = by_type
        webhook = await client.create(receiver.url)
        (failed,) = await emit(client, "Role.Deleted")
        await all_ended(client)
        await disable(client, webhook.id)
        answer = await client.replay(webhook_id=webhook.id, missed=True, rate=1)
        assert answer.delivery_count == 2
        due = {each.event_id: each.next_attempt_time.ToNanoseconds() for each in await entries(client)}
        assert due[early] - due[failed] == 10**9


class TestStopping:
    async def test_what_was_not_attempted_is_as_before(self, client: Client, webhook: webhook_pb2.Webhook) -> None:
        """State, times and figures."""
        before, health = await entries(client), (await client.health(webhook.id)).health
        await disable(client, webhook.id)  # so that nothing is attempted
        answer = await client.replay(webhook_id=webhook.id, states=[SUCCEEDED, FAILED])
        assert {each.state for each in await entries(client)} == {PENDING}
        assert not (await client.health(webhook.id)).health.request_count
        assert await client.stop_replay(answer.replay_id) == len(TRAFFIC)
        assert await entries(client) == before
        after = (await client.health(webhook.id)).health
        assert after == health
        assert await client.stop_replay(answer.replay_id) == 0
        # And from there all goes on as if there had been no replay.
        await enable(client, webhook.id)
        assert (await client.replay(webhook_id=webhook.id)).delivery_count == 3
        assert [each.attempt_count for each in await all_ended(client)] == [1, 2, 2, 2, 1]

    async def test_what_was_attempted_stays(
        self, client: Client, webhook: webhook_pb2.Webhook, receiver: Receiver
    ) -> None:
        receiver.decide = lambda request: (200, "")
        answer = await client.replay(webhook_id=webhook.id, rate=0.1)
        await receiver.received(len(TRAFFIC) + 1)
        first = (await entries(client))[1]
        await client.ended(first.event_id)
        assert await client.stop_replay(answer.replay_id) == 2
        assert [(each.state, each.attempt_count) for each in await entries(client)] == [
            (SUCCEEDED, 1), (SUCCEEDED, 2), (FAILED, 1), (FAILED, 1), (SUCCEEDED, 1),
        ]  # fmt: skip
        health = (await client.health(webhook.id)).health
        assert (health.request_count, health.success_count, health.attempt_count) == (5, 3, 6)

    async def test_what_is_under_way_is_not_taken_back(
        self, client: Client, webhook: webhook_pb2.Webhook, receiver: Receiver
    ) -> None:
        """Its outcome would be lost otherwise."""
        receiver.decide = lambda request: (200, "")
        receiver.hold()
        answer = await client.replay(webhook_id=webhook.id, rate=0.1)
        await receiver.until(lambda receiver: receiver.waiting == 1)
        assert await client.stop_replay(answer.replay_id) == 2
        receiver.release()
        assert [(each.state, each.attempt_count) for each in await all_ended(client)][1] == (SUCCEEDED, 2)

    async def test_those_that_it_made_are_cancelled(self, client: Client) -> None:
        await emit(client, "User.Created", "User.Deleted")
        webhook = await client.create()
        await disable(client, webhook.id)
        answer = await client.replay(webhook_id=webhook.id, missed=True)
        assert await client.stop_replay(answer.replay_id) == 2
        found = await entries(client)
        assert {(each.state, each.attempt_count) for each in found} == {(CANCELLED, 0)}
        assert all(each.HasField("finish_time") for each in found)
        assert not (await client.health(webhook.id)).health.request_count
        # They can still be had: by their state.
        answer = await client.replay(webhook_id=webhook.id, states=[CANCELLED], dry_run=True)
        assert answer.delivery_count == 2

    async def test_another_tenant_cannot(self, client: Client, webhook: webhook_pb2.Webhook) -> None:
        await disable(client, webhook.id)
        answer = await client.replay(webhook_id=webhook.id)
        tenant, client.tenant = client.tenant, f"{client.tenant}-b"
        refusal = await refused(client.stop_replay(answer.replay_id))
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND")
        client.tenant = tenant
        assert await client.stop_replay(answer.replay_id) == 3


class TestTheLogKnowsThem:
    async def test_which_it_chose(self, client: Client, webhook: webhook_pb2.Webhook) -> None:
        """Whatever has become of them; no other replay's, no other tenant's."""
        await emit(client, "Role.Created")
        await all_ended(client)
        one = await client.replay(webhook_id=webhook.id, event_type="Role.Created", states=[FAILED])
        two = await client.replay(webhook_id=webhook.id, states=[SUCCEEDED])
        await all_ended(client)
        for replay, expected in ((one, ["Role.Created"] * 2), (two, ["User.Created", "User.Deleted"])):
            assert [each.event_type for each in await entries(client, replay_id=replay.replay_id)] == expected
        found = {"replay_id": two.replay_id}
        assert len(await entries(client, event_type="User.Deleted", **found)) == 1
        assert len(await entries(client, webhook.id, states=[SUCCEEDED], **found)) == 2
        assert not await entries(client, states=[FAILED], **found)
        (event,) = {each.event_id for each in await entries(client, event_type="User.Deleted")}
        assert len(await entries(client, event_id=event, **found)) == 1
        assert not await entries(client, event_id=event, replay_id=one.replay_id)
        assert not await entries(client, (await client.create()).id, **found)
        assert not await entries(client, replay_id="rpl_" + "0" * 26)
        client.tenant += "-b"
        assert not await entries(client, **found)

    async def test_those_taken_back_and_those_made(self, client: Client) -> None:
        await emit(client, "User.Created", "User.Deleted")
        webhook = await client.create()
        await disable(client, webhook.id)
        replay = await client.replay(webhook_id=webhook.id, missed=True)
        assert {each.state for each in await entries(client, replay_id=replay.replay_id)} == {PENDING}
        await client.stop_replay(replay.replay_id)
        assert [each.state for each in await entries(client, replay_id=replay.replay_id)] == [CANCELLED] * 2

    async def test_what_failed_again_is_replayed_again(
        self, client: Client, webhook: webhook_pb2.Webhook, receiver: Receiver
    ) -> None:
        """The replay is enough to choose them; what has failed elsewhere is left alone."""
        receiver.decide = lambda request: (404 if "Role" in request.headers["hookpost-event"] else 200, "")
        first = await client.replay(webhook_id=webhook.id)
        await all_ended(client)
        await emit(client, "Role.Created")
        await all_ended(client)
        assert (await client.replay(replay_id=first.replay_id, dry_run=True)).delivery_count == 2
        assert (
            await client.replay(replay_id=first.replay_id, event_type="Role.Deleted", dry_run=True)
        ).delivery_count == 1
        second = await client.replay(replay_id=first.replay_id)
        assert second.delivery_count == 2
        await all_ended(client)
        assert [each.attempt_count for each in await entries(client, replay_id=second.replay_id)] == [3, 3]
        assert [each.attempt_count for each in await entries(client, replay_id=first.replay_id)] == [3, 2, 3]
        assert not (await client.replay(replay_id="rpl_" + "0" * 26)).replay_id


class TestTooMany:
    @pytest_asyncio.fixture(loop_scope="module")
    async def few(self, module_database_url: str) -> AsyncIterator[Replays]:
        """Replays of two deliveries at most."""
        database = await Database.open(module_database_url, max_size=2)
        yield Replays(database, most=2)
        await database.close()

    async def test_nothing_is_changed(
        self, client: Client, webhook: webhook_pb2.Webhook, few: Replays, module_database_url: str
    ) -> None:
        chosen = Filter(
            ids.first_of(0),
            UUID(int=2**128 - 1),
            webhook_id=ids.parse(ids.WEBHOOK, webhook.id),
            states=[State.FAILED],
        )
        before = await counts(module_database_url, client.tenant)
        with pytest.raises(errors.LimitExceeded, match="more than 2 deliveries"):
            await few.count(client.tenant, chosen, None)
        with pytest.raises(errors.LimitExceeded):
            await few.replay(client.tenant, chosen, None, interval=1)
        assert await counts(module_database_url, client.tenant) == before

    async def test_missed_ones_count_too(
        self, client: Client, receiver: Receiver, few: Replays, module_database_url: str
    ) -> None:
        await emit(client, "User.Created", "User.Created")
        receiver.decide = lambda request: (404, "")
        webhook = await client.create(receiver.url)
        await emit(client, "User.Created")
        await all_ended(client)
        chosen = Filter(
            ids.first_of(0),
            UUID(int=2**128 - 1),
            webhook_id=ids.parse(ids.WEBHOOK, webhook.id),
            states=[State.FAILED],
        )
        before = await counts(module_database_url, client.tenant)
        missed = Missed([], [""])
        with pytest.raises(errors.LimitExceeded):
            await few.count(client.tenant, chosen, missed)
        with pytest.raises(errors.LimitExceeded):
            await few.replay(client.tenant, chosen, missed, interval=1)
        assert await counts(module_database_url, client.tenant) == before

    async def test_callers_are_told(self, client: Client, module_database_url: str) -> None:
        """By the real limit; that a replay keeps it is shown above."""
        webhook = await client.create()
        connection = await asyncpg.connect(module_database_url)
        low = (await client.emit(type="Role.Created")).event_id
        first = ids.parse(ids.EVENT, low).hex[:16]
        # The rows differ in the ids' random bits only, so that all are of this moment.
        await connection.execute(
            """
            insert into events (tenant_id, id, type, payload, occur_time)
            select $1, ($2 || lpad(to_hex(n), 16, '0'))::uuid, 'User.Created', '{}', now()
            from generate_series(1, $3) n
            """,
            client.tenant,
            first,
            MOST + 1,
        )
        await connection.close()
        refusal = await refused(client.replay(webhook_id=webhook.id, missed=True, dry_run=True))
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "LIMIT_EXCEEDED")
        assert "50,000" in refusal.message
