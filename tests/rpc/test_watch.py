"""WatchDeliveries: every change is told, in order, whatever happens to the stream; nothing is skipped silently."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import asyncpg
import grpc
import pytest
import pytest_asyncio
from google.protobuf import duration_pb2

from hookpost.v1 import delivery_pb2, delivery_service_pb2, webhook_pb2, webhook_service_pb2
from hookpost_server.actions.watching import Watches
from hookpost_server.domain import errors, ids
from hookpost_server.domain.delivery import Delivery, State
from hookpost_server.rpc import watching
from hookpost_server.store.changes import ChangeFeed, Place
from hookpost_server.store.database import Database
from hookpost_server.store.delivery_log import Filter
from tests.receiver import Receiver
from tests.rpc.serving import Client, config, connected, eventually, refusal, refused, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

PENDING, SUCCEEDED = delivery_pb2.DELIVERY_STATE_PENDING, delivery_pb2.DELIVERY_STATE_SUCCEEDED
FAILED, CANCELLED = delivery_pb2.DELIVERY_STATE_FAILED, delivery_pb2.DELIVERY_STATE_CANCELLED
LATER = webhook_pb2.RetryPolicy(delays=[duration_pb2.Duration(seconds=3600)], jitter=0.0)
AT_ONCE = webhook_pb2.RetryPolicy(delays=[duration_pb2.Duration()] * 2, jitter=0.0)
PATIENCE = 30.0  # seconds

ALL = Filter(since=ids.first_of(0), before=UUID(int=2**128 - 1))

Answer = delivery_service_pb2.WatchDeliveriesResponse


class Watcher:
    """One who watches: answers one by one, and the last token seen."""

    def __init__(self, client: Client, resume_token: str = "", **filter: Any) -> None:
        self.call = client.watch(resume_token, **filter)
        self.token = resume_token

    async def answer(self) -> Answer:
        async with asyncio.timeout(PATIENCE):
            answer = await self.call.read()
        assert answer is not grpc.aio.EOF, "the stream ended without a reason"
        assert answer.resume_token, "an answer from which the watch can't go on"
        self.token = answer.resume_token
        return answer

    async def begun(self) -> "Watcher":
        """Once the server has said from where on it watches."""
        assert not (await self.answer()).HasField("delivery")
        return self

    async def until(self, true: Callable[[delivery_pb2.Delivery], bool]) -> list[delivery_pb2.Delivery]:
        """What is told up to and with the first delivery of which that is true."""
        told = []
        while True:
            answer = await self.answer()
            if answer.HasField("delivery"):
                told.append(answer.delivery)
                if true(answer.delivery):
                    return told


async def delete(client: Client, webhook_id: str) -> None:
    request = webhook_service_pb2.DeleteWebhookRequest(webhook_id=webhook_id, tenant_id=client.tenant)
    await client.webhooks.DeleteWebhook(request)


class TestChanges:
    async def test_every_change_of_a_delivery(self, client: Client, receiver: Receiver) -> None:
        """Creation, attempt, redelivery, replay, stop and cancellation, each as the delivery is after it."""
        receiver.hold()
        watcher = await Watcher(client).begun()
        webhook = await client.create(receiver.url, retry_policy=LATER)

        async def told(state: delivery_pb2.DeliveryState, attempts: int) -> delivery_pb2.Delivery:
            return (await watcher.until(lambda each: (each.state, each.attempt_count) == (state, attempts)))[-1]

        event = await client.emit()
        entry = await told(PENDING, 0)
        assert (entry.event_id, entry.webhook_id, entry.tenant_id) == (event.event_id, webhook.id, client.tenant)
        receiver.release()
        assert await told(SUCCEEDED, 1) == (await client.event(event.event_id)).deliveries[0]
        receiver.hold()
        await client.redeliver(entry.id)
        assert (await told(PENDING, 1)).id == entry.id
        receiver.answers.append((404, ""))
        receiver.release()
        await told(FAILED, 2)

        await client.webhooks.DisableWebhook(
            webhook_service_pb2.DisableWebhookRequest(webhook_id=webhook.id, tenant_id=client.tenant)
        )
        replay = await client.replay(webhook_id=webhook.id)
        await told(PENDING, 2)
        await client.stop_replay(replay.replay_id)
        await told(FAILED, 2)
        await client.replay(webhook_id=webhook.id)
        await told(PENDING, 2)
        await delete(client, webhook.id)
        last = await told(CANCELLED, 2)
        assert last.HasField("finish_time")
        assert not last.attempts

    async def test_a_retry_is_a_change(self, client: Client, receiver: Receiver) -> None:
        receiver.decide = lambda request: (500, "")
        watcher = await Watcher(client).begun()
        await client.create(receiver.url, retry_policy=LATER)
        await client.emit()
        entry = (await watcher.until(lambda each: each.attempt_count == 1))[-1]
        assert (entry.state, entry.last_status_code) == (PENDING, 500)

    async def test_only_from_now_on(self, client: Client, receiver: Receiver) -> None:
        await client.create(receiver.url)
        before = (await client.ended((await client.emit()).event_id))[0].id
        watcher = await Watcher(client).begun()
        after = (await client.emit()).event_id
        told = await watcher.until(lambda each: each.event_id == after)
        assert before not in {each.id for each in told}

    async def test_missed_events_that_are_replayed(self, client: Client, receiver: Receiver) -> None:
        event = (await client.emit()).event_id
        webhook = await client.create(receiver.url)
        watcher = await Watcher(client).begun()
        await client.replay(webhook_id=webhook.id, missed=True)
        assert (await watcher.until(lambda each: each.state == SUCCEEDED))[-1].event_id == event

    async def test_the_filter(self, client: Client, receiver: Receiver) -> None:
        """Each condition lets through what fits it and nothing else; the last of the traffic ends the looking."""
        receiver.decide = lambda request: (404 if "Role" in request.headers["hookpost-event"] else 200, "")
        one, two = [await client.create(receiver.url, retry_policy=AT_ONCE) for _ in range(2)]
        marker = await client.emit(type="Scope.Created")
        conditions: list[tuple[dict[str, Any], Callable[[delivery_pb2.Delivery], bool]]] = [
            ({"webhook_id": one.id}, lambda each: each.webhook_id == one.id),
            ({"event_type": "Role.Created"}, lambda each: each.event_type == "Role.Created"),
            ({"states": [FAILED]}, lambda each: each.state == FAILED),
            ({"status_classes": [2]}, lambda each: each.last_status_code // 100 == 2),
            (
                {"outcomes": [delivery_pb2.ATTEMPT_OUTCOME_BAD_STATUS]},
                lambda each: each.last_outcome == delivery_pb2.ATTEMPT_OUTCOME_BAD_STATUS,
            ),
            (
                {"webhook_id": two.id, "event_type": "Role.Created", "states": [FAILED]},
                lambda each: (each.webhook_id, each.event_type, each.state) == (two.id, "Role.Created", FAILED),
            ),
            ({"event_id": marker.event_id}, lambda each: each.event_id == marker.event_id),
        ]
        await client.ended(marker.event_id)
        watchers = [await Watcher(client, **filter).begun() for filter, _ in conditions]
        events = [(await client.emit(type=kind)).event_id for kind in ("Role.Created", "User.Created")]
        entries = [entry for event in events for entry in await client.ended(event)]
        marks = [entry.id for entry in await client.ended(marker.event_id)]
        for (filter, fits), watcher in zip(conditions, watchers, strict=True):
            expected = {entry.id for entry in entries if fits(entry)} or {marks[0]}
            if "event_id" in filter:
                await client.redeliver(marks[0])
            seen: set[str] = set()

            def enough(each: delivery_pb2.Delivery, seen: set[str] = seen, expected: set[str] = expected) -> bool:
                if each.state != PENDING:
                    seen.add(each.id)
                return seen >= expected

            told = await watcher.until(enough)
            assert all(fits(each) for each in told), filter
            assert seen == expected, filter

    async def test_a_replay(self, client: Client, receiver: Receiver) -> None:
        """What it chose and nothing else, from its beginning on."""
        receiver.decide = lambda request: (404, "")
        webhook = await client.create(receiver.url)
        entries = [(await client.ended((await client.emit()).event_id))[0] for _ in range(2)]
        begin = (await Watcher(client).begun()).token
        replay = await client.replay(webhook_id=webhook.id, event_id=entries[0].event_id)
        watcher = await Watcher(client, replay_id=replay.replay_id).begun()
        await client.ended(entries[0].event_id)
        await client.redeliver(entries[1].id)
        await client.ended(entries[1].event_id)
        await client.redeliver(entries[0].id)
        told = await watcher.until(lambda each: each.attempt_count == 3)
        assert {each.id for each in told} == {entries[0].id}
        refusal = await refused(client.watch(begin, replay_id=replay.replay_id).read())
        assert "resume_token" in refusal.violations, "a token of another watch"

    async def test_tenants_are_apart(self, client: Client, receiver: Receiver) -> None:
        await client.create(receiver.url)
        own = await Watcher(client).begun()
        mine = client.tenant
        client.tenant = f"{mine}-b"
        await client.create(receiver.url)
        other = await Watcher(client).begun()
        theirs = [(await client.emit()).event_id for _ in range(3)]
        client.tenant = mine
        event = (await client.emit()).event_id
        assert {each.tenant_id for each in await own.until(lambda each: each.event_id == event)} == {mine}
        told = await other.until(lambda each: each.event_id == theirs[-1] and each.state == SUCCEEDED)
        assert {each.tenant_id for each in told} == {f"{mine}-b"}

    async def test_tests_are_not_told(self, client: Client, receiver: Receiver) -> None:
        webhook = await client.create(receiver.url)
        watcher = await Watcher(client).begun()
        await client.test(webhook.id, "Role.Created")
        event = (await client.emit()).event_id
        told = await watcher.until(lambda each: each.state == SUCCEEDED)
        assert {each.event_id for each in told} == {event}


class TestResuming:
    @pytest.mark.parametrize("seed", range(3))
    async def test_nothing_is_missed(self, client: Client, receiver: Receiver, seed: int) -> None:
        """Random traffic; the stream is cut at random points and goes on from its last token."""
        chance = random.Random(seed)
        answers = {"User.Created": [200, 200, 404, 500], "Scope.Created": [200]}
        receiver.decide = lambda request: (chance.choice(answers[request.headers["hookpost-event"]]), "")
        webhooks = [await client.create(receiver.url, event_types=["User.*"], retry_policy=AT_ONCE) for _ in range(3)]
        final: dict[str, tuple[int, int]] = {}
        await client.create(receiver.url, event_types=["Scope.Created"])

        async def traffic() -> None:
            for _ in range(25):
                events = await asyncio.gather(*(client.emit() for _ in range(chance.randint(1, 4))))
                if chance.random() < 0.2:
                    entries = await client.ended(events[0].event_id)
                    await client.redeliver(chance.choice(entries).id)
                if chance.random() < 0.2:
                    await client.replay(webhook_id=chance.choice(webhooks).id)
            await delete(client, webhooks[0].id)

            async def quiet() -> list[delivery_pb2.Delivery] | None:
                request = delivery_service_pb2.ListDeliveriesRequest(tenant_id=client.tenant, page_size=1000)
                found = (await client.deliveries.ListDeliveries(request)).deliveries
                return None if any(each.state == PENDING for each in found) else list(found)

            final.update({each.id: (each.state, each.attempt_count) for each in await eventually(quiet)})
            await client.emit(type="Scope.Created")

        seen: dict[str, tuple[int, int]] = {}
        watcher = await Watcher(client).begun()
        cuts = 0
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
            group.create_task(traffic())
            marked = False  # the last event was told
            while not marked:
                for _ in range(chance.randint(1, 40) * (1 + cuts)):  # a step told in part is told again: longer ones
                    each = (await watcher.answer()).delivery
                    marked |= (each.event_type, each.state) == ("Scope.Created", SUCCEEDED)
                    if each.event_type == "User.Created":
                        seen[each.id] = (each.state, each.attempt_count)
                    if marked:
                        break
                else:
                    watcher.call.cancel()
                    watcher = Watcher(client, watcher.token)
                    cuts += 1
        assert seen == final
        assert cuts

    async def test_on_another_node(self, client: Client, receiver: Receiver, module_database_url: str) -> None:
        """Changes of any node are told on each, and a token of one is good on the other."""
        async with serving(config(module_database_url)) as second, connected(second.address) as other:
            other.tenant = client.tenant
            await client.create(receiver.url)
            watcher = await Watcher(other).begun()
            event = (await client.emit()).event_id
            await watcher.until(lambda each: each.event_id == event and each.state == SUCCEEDED)
            watcher.call.cancel()
            event = (await other.emit()).event_id
            await other.ended(event)
            resumed = Watcher(client, watcher.token)
            await resumed.until(lambda each: each.event_id == event and each.state == SUCCEEDED)

    async def test_after_a_restart(self, client: Client, receiver: Receiver, database_url: str) -> None:
        async with serving(config(database_url)) as server, connected(server.address) as first:
            await first.create(receiver.url)
            await first.emit()
            watcher = await Watcher(first).begun()
            event = (await first.emit()).event_id
            tenant = first.tenant
        async with serving(config(database_url)) as server, connected(server.address) as second:
            second.tenant = tenant
            await Watcher(second, watcher.token).until(lambda each: each.event_id == event)

    async def test_a_token_from_before_the_first_event(self, receiver: Receiver, database_url: str) -> None:
        async with serving(config(database_url)) as server, connected(server.address) as client:
            watcher = await Watcher(client).begun()
            watcher.call.cancel()
            await client.create(receiver.url)
            event = (await client.emit()).event_id
            await Watcher(client, watcher.token).until(lambda each: each.event_id == event)

    async def test_a_token_that_is_too_old(self, receiver: Receiver, database_url: str) -> None:
        """Some of what happened after it has been removed; one from after that is still good."""
        async with serving(config(database_url)) as server, connected(server.address) as client:
            await client.create(receiver.url)
            early = (await Watcher(client).begun()).token
            first = await client.emit()
            await client.ended(first.event_id)
            late = (await Watcher(client).begun()).token
            second = (await client.emit()).event_id
            await client.ended(second)
            database = await Database.open(database_url, max_size=1)
            before = ids.parse(ids.EVENT, second)
            async with database.transaction() as connection:
                await ChangeFeed(database).forget(connection, ids.deliveries_of(before)[0])
                for table, name in (("attempts", "delivery_id"), ("deliveries", "id"), ("events", "id")):
                    await connection.execute(f"delete from {table} where {name} < $1", ids.deliveries_of(before)[0])
            await database.close()
            told = await refused(client.watch(early).read())
            assert (told.code, told.reason) == (grpc.StatusCode.OUT_OF_RANGE, "TOKEN_EXPIRED")
            assert int(told.metadata["oldest"]) > 0
            assert "without a resume token" in told.message
            await Watcher(client, late).until(lambda each: each.event_id == second)
            await Watcher(client).begun()

    async def test_a_token_from_the_future(self, client: Client) -> None:
        """Of a database that was put back to an earlier state: waiting for its numbers would skip what comes first."""
        request = delivery_service_pb2.WatchDeliveriesRequest(
            tenant_id=client.tenant, filter=delivery_service_pb2.DeliveryFilter()
        )
        told = await refused(client.watch(watching.token(request, Place(2**60))).read())
        assert (told.code, told.reason) == (grpc.StatusCode.OUT_OF_RANGE, "TOKEN_EXPIRED")


class TestMany:
    MANY = 6_000

    @pytest_asyncio.fixture(loop_scope="module")
    async def failed(self, client: Client, module_database_url: str) -> str:
        """A disabled webhook with many deliveries that failed."""
        webhook = await client.create()
        await client.webhooks.DisableWebhook(
            webhook_service_pb2.DisableWebhookRequest(webhook_id=webhook.id, tenant_id=client.tenant)
        )
        first = ids.parse(ids.EVENT, (await client.emit()).event_id)
        connection = await asyncpg.connect(module_database_url)
        # The ids differ in the random bits only, so that all are of this moment.
        await connection.execute(
            """
            with made as (
                select ($3 || lpad(to_hex(n), 16, '0'))::uuid as id from generate_series(1, $4) n
            ), stored as (
                insert into events (tenant_id, id, type, payload, occur_time)
                select $1, id, 'User.Created', '{}', now() from made
            )
            insert into deliveries (tenant_id, id, event_id, webhook_id, type, due_at, finish_time, state)
            select $1, id, id, $2, 'User.Created', now(), now(), 3
            from made
            """,
            client.tenant,
            ids.parse(ids.WEBHOOK, webhook.id),
            first.hex[:16],
            self.MANY,
        )
        await connection.close()
        return webhook.id

    async def test_a_large_replay_ends_no_watch(self, client: Client, receiver: Receiver, failed: str) -> None:
        """Every change of it is told once, though the stream is cut amid; who looks for others is told of those."""
        watcher = await Watcher(client, states=[PENDING, SUCCEEDED]).begun()
        other = await Watcher(client, event_type="Role.Created").begun()
        assert (await client.replay(webhook_id=failed)).delivery_count == self.MANY
        seen: list[str] = []
        while len(seen) < self.MANY:
            if len(seen) == self.MANY // 2:
                watcher.call.cancel()
                watcher = await Watcher(client, watcher.token, states=[PENDING, SUCCEEDED]).begun()
            answer = await watcher.answer()
            if answer.HasField("delivery"):
                seen.append(answer.delivery.id)
        assert len(set(seen)) == self.MANY
        await client.create(receiver.url, event_types=["Role.Created"])
        event = (await client.emit(type="Role.Created")).event_id
        assert {each.event_id for each in await other.until(lambda each: each.state == SUCCEEDED)} == {event}
        told = await watcher.until(lambda each: each.state == SUCCEEDED)
        assert {each.event_id for each in told} == {event}


async def test_it_ends_at_shutdown(database_url: str) -> None:
    async with serving(config(database_url)) as server, connected(server.address) as client:
        watcher = await Watcher(client).begun()
        server.stop.set()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await watcher.answer()
        told = refusal(caught.value)
        assert (told.code, told.reason) == (grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN")
        assert told.retry_delay
        await server.task


class TestFeed:
    """The parts below the edge."""

    @pytest_asyncio.fixture(loop_scope="module")
    async def database(self, module_database_url: str) -> AsyncIterator[Database]:
        database = await Database.open(module_database_url, max_size=4)
        yield database
        await database.close()

    @pytest_asyncio.fixture(loop_scope="module")
    async def feed(self, database: Database) -> ChangeFeed:
        return ChangeFeed(database)

    async def test_silence_is_told(self, client: Client, feed: ChangeFeed, receiver: Receiver) -> None:
        """Heartbeats carry positions that go on: a quiet watcher's token does not grow old."""
        async with asyncio.timeout(PATIENCE):
            steps = Watches(feed, heartbeat=0.0).changes(client.tenant, None, ALL)
            told = [await anext(steps)]
            await client.emit()  # to no webhook
            while told[-1][1] == told[0][1]:
                told.append(await anext(steps))
            assert not any(changed for changed, _ in told)
            positions = [place.position for _, place in told]
            assert positions == sorted(positions)
            await steps.aclose()

    async def test_what_does_not_match_is_silence_too(
        self, client: Client, feed: ChangeFeed, receiver: Receiver
    ) -> None:
        await client.create(receiver.url)
        async with asyncio.timeout(PATIENCE):
            steps = Watches(feed, heartbeat=0.0).changes(client.tenant, None, replace(ALL, event_type="No.Such"))
            _, begin = await anext(steps)
            event = (await client.emit()).event_id
            await client.ended(event)
            place = begin
            while place == begin:
                changed, place = await anext(steps)
                assert changed is None
            await steps.aclose()

    async def test_no_heartbeat_amid_changes(self, client: Client, feed: ChangeFeed, receiver: Receiver) -> None:
        await client.create(receiver.url)
        async with asyncio.timeout(PATIENCE):
            steps = Watches(feed, heartbeat=3600.0).changes(client.tenant, None, ALL)
            await anext(steps)
            await client.ended((await client.emit()).event_id)
            changed = None
            while changed is None or changed.state is not State.SUCCEEDED:
                changed, _ = await anext(steps)
                assert changed
            await steps.aclose()

    async def test_one_who_falls_behind_is_told(
        self, client: Client, feed: ChangeFeed, receiver: Receiver, database: Database
    ) -> None:
        """Who does not read is waited for, until something is removed that was not taken."""
        await client.create(receiver.url)
        async with asyncio.timeout(PATIENCE):
            slow, slower = (Watches(feed, page=1).changes(client.tenant, None, ALL) for _ in range(2))
            await anext(slow), await anext(slower)
            entries = [(await client.ended((await client.emit()).event_id))[0] for _ in range(3)]
            seen: set[str] = set()
            while seen != {each.id for each in entries}:
                changed, _ = await anext(slow)
                assert changed
                seen.add(text_id(changed))
            async with database.transaction() as connection:
                await feed.forget(connection, ids.after(ids.parse(ids.DELIVERY, entries[-1].id)))
            with pytest.raises(errors.TokenExpired, match="has been removed"):
                await anext(slower)
            await slow.aclose()

    async def test_a_long_transaction_leads_to_no_gap(
        self, client: Client, feed: ChangeFeed, receiver: Receiver, module_database_url: str
    ) -> None:
        """What is written early and committed late has a lower number than what was committed meanwhile."""
        await client.create(receiver.url)
        early = (await client.ended((await client.emit()).event_id))[0].id
        position = await feed.position()
        connection = await asyncpg.connect(module_database_url)
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(
            "insert into other_changes (tenant_id, delivery_id) "
            "select tenant_id, id from deliveries where tenant_id = $1",
            client.tenant,
        )
        late = (await client.ended((await client.emit()).event_id))[0].id

        seen: set[str] = set()

        async def look() -> None:
            nonlocal position
            step = await feed.since(client.tenant, Place(position), ALL)
            assert step.place.position >= position
            position = step.place.position
            seen.update(text_id(each) for each, _ in step.told)

        for _ in range(3):
            await look()
        await transaction.commit()
        await connection.close()

        async def both() -> bool | None:
            await look()
            return True if seen == {early, late} else None

        assert await eventually(both)


def text_id(found: Delivery) -> str:
    return ids.text(ids.DELIVERY, found.id)
