"""The engine, from emit to log entry: every outcome, retries, limits, fairness, changes on the way."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections import Counter
from datetime import UTC, datetime

import asyncpg
import pytest

from hookpost_server.domain import ids, sealing, signing
from hookpost_server.domain.delivery import Result, State
from hookpost_server.domain.secret import Secret
from hookpost_server.domain.webhook import State as WebhookState
from hookpost_server.store.database import Database
from hookpost_server.store.events import Room
from tests.store import making
from tests.store.making import SECRET, TENANT, retries

from .engine import SIGNATURE, Engine
from .wire import Exchange, Receiver, answering, receiving


class Gate:
    """Answers once it is opened."""

    def __init__(self) -> None:
        self.event = asyncio.Event()

    async def __call__(self, exchange: Exchange) -> object:
        await self.event.wait()
        return await answering()(exchange)

    def open(self) -> None:
        self.event.set()


async def test_one_delivery(database: Database) -> None:
    async with receiving(answering(201, b"done", "x-id: 7\r\n")) as receiver, Engine(database).running() as engine:
        webhook = await engine.webhook(receiver.url, headers={"X-Team": "shop"})
        (event,) = await engine.emit(payload=b'{"n": 1.0}')
        found = await engine.ended(event, webhook)
        (request,) = receiver.requests
    assert (found.state, found.attempt_count, found.last_status) == (State.SUCCEEDED, 1, 201)
    (attempt,) = found.attempts
    assert (attempt.number, attempt.result, attempt.status) == (1, Result.SUCCEEDED, 201)
    assert (attempt.body, attempt.truncated, attempt.url, attempt.error) == (b"done", False, receiver.url, "")
    assert ("x-id", "7") in attempt.headers
    sent = json.loads(request.body)
    assert (sent["event"], sent["n"], sent["hookId"]) == ("User.Created", 1.0, ids.text(ids.WEBHOOK, webhook.id))
    assert b'"n": 1.0' in request.body
    assert request.header(SIGNATURE) == signing.hex_signature(SECRET, request.body)
    assert request.header("webhook-id") == ids.text(ids.EVENT, event.id)
    assert request.header("hookpost-delivery") == ids.text(ids.DELIVERY, found.id)
    assert (request.header("hookpost-attempt"), request.header("x-team")) == ("1", "shop")
    assert request.header("user-agent") == "Hookpost/test"


async def test_retries_are_numbered_in_one_entry(database: Database) -> None:
    statuses = iter((500, 429, 200))

    async def answer(exchange: Exchange) -> object:
        return await answering(next(statuses))(exchange)

    async with receiving(answer) as receiver, Engine(database).running() as engine:
        webhook = await engine.webhook(receiver.url, retry_policy=retries(0.01, 0.01, 0.01))
        (event,) = await engine.emit()
        found = await engine.ended(event, webhook)
        requests = receiver.requests
    assert (found.state, found.attempt_count) == (State.SUCCEEDED, 3)
    assert [(a.number, a.status, a.result) for a in found.attempts] == [
        (1, 500, Result.BAD_STATUS),
        (2, 429, Result.BAD_STATUS),
        (3, 200, Result.SUCCEEDED),
    ]
    assert [request.header("hookpost-attempt") for request in requests] == ["1", "2", "3"]
    assert len({request.header("webhook-id") for request in requests}) == 1
    assert len({request.body for request in requests}) == 1


async def test_attempts_that_are_spent(database: Database) -> None:
    async with receiving(answering(503)) as receiver, Engine(database).running() as engine:
        webhook = await engine.webhook(receiver.url, retry_policy=retries(0.0, 0.0))
        (event,) = await engine.emit()
        found = await engine.ended(event, webhook)
    assert (found.state, found.attempt_count, len(receiver.requests)) == (State.FAILED, 3, 3)


@pytest.mark.parametrize("status", [302, 400, 404])
async def test_final_at_once(database: Database, status: int) -> None:
    async with receiving(answering(status)) as receiver, Engine(database).running() as engine:
        webhook = await engine.webhook(receiver.url, retry_policy=retries(0.0, 0.0))
        (event,) = await engine.emit()
        found = await engine.ended(event, webhook)
    assert (found.state, found.attempt_count, found.last_status) == (State.FAILED, 1, status)


async def test_retry_after_is_obeyed(database: Database) -> None:
    async with (
        receiving(answering(503, b"", "retry-after: 3600\r\n")) as receiver,
        Engine(database).running() as engine,
    ):
        webhook = await engine.webhook(receiver.url, retry_policy=retries(0.0))
        (event,) = await engine.emit()
        found = await engine.delivery(event, webhook, lambda d: d.attempt_count == 1)
    assert found.state is State.PENDING
    assert 3590 < (found.due_time - found.attempts[0].start_time).total_seconds() < 3660
    assert len(receiver.requests) == 1


@pytest.mark.case("D13")
async def test_410_suspends_the_webhook(database: Database, sql: asyncpg.Connection) -> None:
    """What waits is kept: it goes on once somebody has mended it."""
    answers = [500, 410]

    async def answer(exchange: Exchange) -> object:
        return await answering(answers.pop(0) if answers else 200)(exchange)

    async with receiving(answer) as receiver, Engine(database).running() as engine:
        webhook = await engine.webhook(receiver.url, retry_policy=retries(3600.0))
        (waits,) = await engine.emit()
        await engine.delivery(waits, webhook, lambda d: d.attempt_count == 1)
        (event,) = await engine.emit()
        found = await engine.ended(event, webhook)
        assert (found.state, found.attempt_count) == (State.FAILED, 1)

        async def suspended() -> bool:
            return (await engine.webhooks.get(TENANT, webhook.id)).state is WebhookState.SUSPENDED

        await making.until(suspended)
        assert (await engine.webhooks.get(TENANT, webhook.id)).state_reason == "the receiver answered 410 Gone"
        assert (await engine.group.emit(making.event())).delivery_count == 0
        await sql.execute("update deliveries set due_at = now() where state = 1")
        await engine.webhooks.enable(TENANT, webhook.id)
        engine.dispatcher.wake()
        assert (await engine.ended(waits, webhook)).attempt_count == 2


async def test_a_stored_fault_of_ours_ends_after_three_attempts(database: Database, sql: asyncpg.Connection) -> None:
    """A header that must not be sent: no request, no hot loop, and everybody else is served."""
    async with receiving() as receiver, Engine(database).running() as engine:
        bad = await engine.webhook(receiver.url + "/bad", retry_policy=retries(*[0.0] * 10))
        await sql.execute(
            "update webhooks set headers = $2 where id = $1",
            bad.id,
            making.sealed(json.dumps({"X-A": "a\r\nEvil: 1"}).encode(), bad.id, sealing.HEADERS),
        )
        good = await engine.webhook(receiver.url, event_types=("*",))
        (event,) = await engine.emit()
        failed, served = await engine.ended(event, bad), await engine.ended(event, good)
    assert (failed.state, [a.result for a in failed.attempts]) == (State.FAILED, [Result.INTERNAL] * 3)
    assert "Evil" not in failed.attempts[0].error
    assert served.state is State.SUCCEEDED
    assert [request.line for request in receiver.requests] == ["POST /hook HTTP/1.1"]


async def test_a_webhook_without_a_key_is_never_called_unsigned(database: Database, sql: asyncpg.Connection) -> None:
    async with receiving() as receiver, Engine(database).running() as engine:
        webhook = await engine.webhook(receiver.url, retry_policy=retries())
        await sql.execute("delete from signing_keys")
        (event,) = await engine.emit()
        assert (await engine.ended(event, webhook)).last_result is Result.INTERNAL
        assert receiver.connections == 0


async def test_the_cap_in_flight_of_a_webhook(database: Database) -> None:
    """Never more at once than the webhook allows, from the very first of its deliveries on."""
    gate = Gate()
    async with (
        receiving(gate) as narrow,
        receiving(gate) as wide,
        receiving() as other,
        Engine(database).running() as engine,
    ):
        two = await engine.webhook(narrow.url, max_in_flight=2, event_types=("User.Created",))
        await engine.webhook(wide.url, max_in_flight=20, event_types=("User.Created",))
        events = await engine.emit(30)
        await wide.got(20)
        await narrow.got(2)
        # Whatever could be started besides would have been by the time that these have come and gone.
        free = await engine.webhook(other.url, event_types=("Role.Created",))
        for event in await engine.emit(20, "Role.Created"):
            await engine.ended(event, free)
        assert (len(narrow.requests), len(wide.requests)) == (2, 20)
        gate.open()
        for event in events:
            assert (await engine.ended(event, two)).state is State.SUCCEEDED
        assert (narrow.most_at_once, wide.most_at_once) == (2, 20)


async def test_the_cap_in_flight_holds_for_claims_too(database: Database) -> None:
    gate = Gate()
    async with receiving(gate) as receiver:
        engine = Engine(database)
        webhook = await engine.webhook(receiver.url, max_in_flight=3)
        events = [making.event() for _ in range(40)]
        await making.queue(engine.events, *events)
        async with engine.running():
            await receiver.got(3)
            gate.open()
            for event in events:
                assert (await engine.ended(event, webhook)).state is State.SUCCEEDED
        assert receiver.most_at_once == 3
        assert len(receiver.requests) == 40


async def test_the_cap_in_flight_of_the_process(database: Database) -> None:
    gate = Gate()
    async with receiving(gate) as receiver, Engine(database, max_in_flight=5).running() as engine:
        webhooks = [await engine.webhook(receiver.url) for _ in range(4)]
        events = await engine.emit(5)
        await receiver.got(5)
        assert engine.dispatcher.in_flight == 5
        gate.open()
        for event in events:
            for webhook in webhooks:
                assert (await engine.ended(event, webhook)).state is State.SUCCEEDED
        assert receiver.most_at_once == 5


async def test_one_that_hangs_does_not_hold_the_others(database: Database) -> None:
    gate = Gate()
    async with receiving(gate) as slow, receiving() as fast, Engine(database).running() as engine:
        hanging, quick = await engine.webhook(slow.url), await engine.webhook(fast.url)
        events = await engine.emit(60)
        await slow.got(16)
        for event in events:
            assert (await engine.ended(event, quick)).state is State.SUCCEEDED
        assert len(slow.requests) == slow.at_once == 16
        gate.open()
        for event in events:
            assert (await engine.ended(event, hanging)).state is State.SUCCEEDED
        assert Counter(len(receiver.requests) for receiver in (slow, fast)) == {60: 2}


async def test_webhooks_take_turns(database: Database) -> None:
    """With one slot, each gets the same share, whoever came first and however much waits."""
    order: list[str] = []
    gate = Gate()

    async def answer(exchange: Exchange) -> object:
        order.append(exchange.request.line.split()[1])
        return await gate(exchange)

    async with receiving(answer) as receiver, Engine(database, max_in_flight=1).running() as engine:
        base = receiver.url.removesuffix("/hook")
        flooded = await engine.webhook(f"{base}/flooded", event_types=("User.Created",))
        events = await engine.emit(40)
        await receiver.got(1)
        for name in ("a", "b"):
            await engine.webhook(f"{base}/{name}", event_types=("Role.Created",))
        await engine.emit(20, "Role.Created")
        gate.open()
        for event in events:
            await engine.ended(event, flooded)
        await receiver.got(80)
    assert Counter(order) == {"/flooded": 40, "/a": 20, "/b": 20}
    shares = Counter(order[1:31])
    assert min(shares["/flooded"], shares["/a"], shares["/b"]) >= 9


async def test_the_rate_limit(database: Database) -> None:
    """Attempts start no faster, neither in a burst nor one after another."""
    interval = 0.15
    async with receiving() as receiver, Engine(database).running() as engine:
        webhook = await engine.webhook(receiver.url, rate_limit=1 / interval)
        burst = await engine.emit(4)
        found = [await engine.ended(event, webhook) for event in burst]
        for _ in range(3):
            (event,) = await engine.emit()
            found.append(await engine.ended(event, webhook))
    starts = sorted(delivery.attempts[0].start_time.timestamp() for delivery in found)
    assert len(receiver.requests) == 7
    # A start may be noted a little late, so what counts is the time that several take together.
    assert starts[3] - starts[0] > interval * 2
    assert starts[6] - starts[3] > interval * 2


async def test_hand_off_has_room_for_so_many_and_the_rest_is_claimed(
    database: Database, sql: asyncpg.Connection
) -> None:
    gate = Gate()
    async with receiving(gate) as receiver, Engine(database, max_waiting=10, max_in_flight=4).running() as engine:
        webhook = await engine.webhook(receiver.url)
        first = await engine.emit(1)
        await receiver.got(1)
        events = first + [event for _ in range(4) for event in await engine.emit(25)]
        assert await sql.fetchval("select count(*) from deliveries where claim_count = 0") > 101 - 4 - 10 - 8
        gate.open()
        for event in events:
            assert (await engine.ended(event, webhook)).attempt_count == 1
        assert len(receiver.requests) == 101


async def test_a_backlog_is_worked_off_without_waiting_for_the_next_poll(database: Database) -> None:
    """The end of the round is not the end of the work: what comes before the cursor is looked at again at once."""
    async with receiving() as receiver:
        engine = Engine(database, max_in_flight=1, poll_interval=3600.0)
        webhooks = [await engine.webhook(receiver.url) for _ in range(5)]
        events = [making.event() for _ in range(6)]
        await making.queue(engine.events, *events)
        async with engine.running():
            for event in events:
                for webhook in webhooks:
                    assert (await engine.ended(event, webhook)).state is State.SUCCEEDED
        assert len(receiver.requests) == 30


async def test_what_a_webhook_can_not_attempt_in_time_is_given_back(
    database: Database, sql: asyncpg.Connection
) -> None:
    """With a short lease and a low rate, most of a burst goes back to the queue, due at once."""
    async with receiving() as receiver, Engine(database, lease=31.0).running() as engine:
        webhook = await engine.webhook(receiver.url, rate_limit=0.1, max_in_flight=1)
        (event,) = await engine.emit()
        await engine.ended(event, webhook)
        await engine.group.submit([making.event() for _ in range(300)])

        async def given_back() -> bool:
            free = await sql.fetchval("select count(*) from deliveries where state = 1 and due_at <= now()")
            return bool(free >= 200)

        await making.until(given_back)


async def test_a_webhook_stopped_in_the_meantime(database: Database) -> None:
    """What was handed over before goes back to the queue, and on when the webhook is active again."""
    gate = Gate()
    async with receiving(gate) as receiver, Engine(database).running() as engine:
        webhook = await engine.webhook(receiver.url, max_in_flight=1)
        events = await engine.emit(5)
        await receiver.got(1)
        disabled = await engine.webhooks.disable(TENANT, webhook.id, "holidays")
        await engine.directory.get(webhook.id, disabled.version)
        gate.open()
        first = await engine.ended(events[0], webhook)
        assert first.state is State.SUCCEEDED  # what was under way ended as it ended
        for event in events[1:]:
            found = await engine.delivery(event, webhook, lambda d: d.due_time <= datetime.now(UTC))
            assert (found.state, found.attempt_count) == (State.PENDING, 0)
        assert len(receiver.requests) == 1
        await engine.webhooks.enable(TENANT, webhook.id)
        for event in events[1:]:
            assert (await engine.ended(event, webhook)).state is State.SUCCEEDED
        assert len(receiver.requests) == 5


@pytest.mark.parametrize("held_by", ["rate limit", "slow receiver"])
async def test_all_that_waits_for_a_disabled_webhook_goes_back_at_once(
    database: Database, sql: asyncpg.Connection, held_by: str
) -> None:
    """Not at the rate at which it would have been attempted; and Enable finds it in the queue."""
    gate = Gate()
    limits = {"rate_limit": 0.5} if held_by == "rate limit" else {"max_in_flight": 1}
    count = 300 if held_by == "rate limit" else 1200
    if held_by == "rate limit":
        gate.open()
    async with receiving(gate) as receiver, Engine(database, lease=7200.0).running() as engine:
        webhook = await engine.webhook(receiver.url, **limits)
        events = await engine.emit(count)
        await receiver.got(1)
        leased = "select count(*) from deliveries where state = 1 and due_at > now()"
        assert await sql.fetchval(leased) > count - 10
        await engine.webhooks.disable(TENANT, webhook.id, "holidays")

        async def given_back() -> bool:
            return bool(await sql.fetchval(leased) == engine.dispatcher.in_flight)

        await making.until(given_back)
        assert engine.dispatcher.room().deliveries == engine.max_waiting
        started = len(receiver.requests)
        assert started < 10
        gate.open()
        await engine.ended(events[0], webhook)
        assert len(receiver.requests) == started
        await engine.webhooks.update(TENANT, webhook.id, lambda s: dataclasses.replace(s, rate_limit=0.0))
        await engine.webhooks.enable(TENANT, webhook.id)
        for event in events[::100]:
            assert (await engine.ended(event, webhook)).attempt_count == 1


async def test_all_that_waits_for_a_deleted_webhook_leaves_memory_at_once(
    database: Database, sql: asyncpg.Connection
) -> None:
    async with receiving() as receiver, Engine(database, lease=7200.0).running() as engine:
        await engine.webhook(receiver.url, rate_limit=0.1)
        await engine.emit(100)
        await receiver.got(1)
        # As by a node whose delete was cut short: the webhook is gone, its deliveries are not.
        await sql.execute("delete from webhooks")

        async def cancelled() -> bool:
            return bool(await sql.fetchval("select count(*) from deliveries where state = 4") == 99)

        await making.until(cancelled)
        assert engine.dispatcher.room().deliveries == engine.max_waiting
        assert len(receiver.requests) == 1


async def test_a_webhook_that_can_not_be_read_harms_no_other(database: Database, sql: asyncpg.Connection) -> None:
    """Its claims wait for the end of their lease, and are attempted once it can be read again."""
    async with receiving() as receiver, Engine(database).running() as engine:
        bad = await engine.webhook(receiver.url + "/bad", max_in_flight=1)
        good = await engine.webhook(receiver.url + "/good")
        mute = await engine.webhook(receiver.url + "/mute")
        put = "update webhooks set headers = $2, version = version + 1 where id = $1"
        await sql.execute(put, bad.id, making.sealed(b"not json", bad.id, sealing.HEADERS))
        cut = "update signing_keys set secret = substr(secret, 1, length(secret) - 1) where webhook_id = $1"
        await sql.execute(cut, mute.id)
        events = await engine.emit(5)
        for event in events:
            assert (await engine.ended(event, good)).state is State.SUCCEEDED
        await making.until(lambda: engine.dispatcher.room().deliveries == engine.max_waiting)
        await making.until(lambda: engine.dispatcher.in_flight == 0)
        assert {request.line for request in receiver.requests} == {"POST /hook/good HTTP/1.1"}
        later = "select count(*) from deliveries where state = 1 and attempt_count = 0 and due_at > now()"
        assert await sql.fetchval(later) == 10
        await sql.execute(put, bad.id, making.sealed(b"{}", bad.id, sealing.HEADERS))
        await sql.execute("update deliveries set due_at = now() where state = 1")  # the leases are over
        for event in events:
            assert (await engine.ended(event, bad)).state is State.SUCCEEDED


@pytest.mark.case("H1")
async def test_no_retry_of_a_webhook_that_was_disabled_while_its_post_was_under_way(database: Database) -> None:
    gate = Gate()

    async def answer(exchange: Exchange) -> object:
        await gate.event.wait()
        return await answering(500)(exchange)

    async with receiving(answer) as receiver, receiving() as other, Engine(database).running() as engine:
        webhook = await engine.webhook(receiver.url, retry_policy=retries(0.0, 0.0))
        (event,) = await engine.emit()
        await receiver.got(1)
        await engine.webhooks.disable(TENANT, webhook.id, "")
        gate.open()
        found = await engine.delivery(event, webhook, lambda d: d.attempt_count == 1)
        assert (found.state, found.last_status) == (State.PENDING, 500)
        # Claims go round several times.
        busy = await engine.webhook(other.url, retry_policy=retries(0.0))
        for _ in range(3):
            (event,) = await engine.emit()
            await engine.ended(event, busy)
        assert len(receiver.requests) == 1


async def test_a_webhook_deleted_in_the_meantime(database: Database, sql: asyncpg.Connection) -> None:
    gate = Gate()
    async with receiving(gate) as receiver, Engine(database).running() as engine:
        webhook = await engine.webhook(receiver.url, max_in_flight=1)
        events = await engine.emit(4)
        await receiver.got(1)
        # As by a node whose delete was cut short: the webhook is gone, its deliveries are not.
        await sql.execute("delete from webhooks")
        await engine.directory.get(webhook.id, 99)
        gate.open()
        assert (await engine.ended(events[0], webhook)).state is State.SUCCEEDED
        for event in events[1:]:
            found = await engine.ended(event, webhook)
            assert (found.state, found.attempt_count) == (State.CANCELLED, 0)
        assert len(receiver.requests) == 1


async def test_deliveries_of_a_deleted_webhook_in_the_queue_are_cancelled(
    database: Database, sql: asyncpg.Connection
) -> None:
    async with receiving() as receiver:
        engine = Engine(database)
        webhook = await engine.webhook(receiver.url)
        event = making.event()
        await making.queue(engine.events, event)
        await sql.execute("delete from webhooks")
        async with engine.running():
            assert (await engine.ended(event, webhook)).state is State.CANCELLED
        assert receiver.connections == 0


@pytest.mark.case("H1")
async def test_what_a_node_held_that_died_is_cancelled_after_its_lease(
    database: Database, sql: asyncpg.Connection
) -> None:
    """Deleted under an attempt whose outcome never comes, it does not wait for ever."""
    async with receiving() as receiver:
        engine = Engine(database)
        webhook = await engine.webhook(receiver.url)
        event = making.event()
        assert len((await engine.events.emit([event], Room(1))).claims) == 1  # and nobody makes the attempt
        assert await engine.webhooks.delete(TENANT, webhook.id) == 0
        async with engine.running():
            other = await engine.webhook(receiver.url + "/other")
            (later,) = await engine.emit()
            await engine.ended(later, other)
            assert (await engine.deliveries.get(TENANT, ids.delivery(event.id, webhook.id))).state is State.PENDING
            await sql.execute("update deliveries set due_at = now() where state = 1")  # the lease is over
            engine.dispatcher.wake()
            found = await engine.ended(event, webhook)
            assert (found.state, found.attempt_count) == (State.CANCELLED, 0)
        assert [request.line for request in receiver.requests] == ["POST /hook/other HTTP/1.1"]


@pytest.mark.case("H2")
async def test_what_is_due_goes_by_the_settings_of_now(database: Database) -> None:
    """URL and key are those of the attempt's moment, not of the event's."""
    async with receiving(answering(500)) as before, receiving() as after, Engine(database).running() as engine:
        webhook = await engine.webhook(before.url, retry_policy=retries(0.0, 3600.0))
        (event,) = await engine.emit()
        await engine.delivery(event, webhook, lambda d: d.attempt_count == 2)
        await engine.webhooks.update(
            TENANT, webhook.id, lambda s: dataclasses.replace(s, url=after.url, retry_policy=retries(0.0, 0.0, 0.0))
        )
        _, secret = await engine.webhooks.rotate_key(TENANT, webhook.id, Secret("a-key-of-today-and-tomorrow"), 0)
        (fresh,) = await engine.emit()
        assert (await engine.ended(fresh, webhook)).state is State.SUCCEEDED
        (request,) = after.requests
        assert request.header(SIGNATURE) == signing.hex_signature(secret.reveal(), request.body)
        assert (
            request.header(
                "webhook-signature",
            )
            is not None
        )
        assert len((request.header("webhook-signature") or "").split(" ")) == 1
        assert {a.url for a in (await engine.deliveries.get(TENANT, ids.delivery(event.id, webhook.id))).attempts} == {
            before.url
        }


async def test_a_rotation_with_overlap_signs_with_both(database: Database) -> None:
    async with receiving() as receiver, Engine(database).running() as engine:
        webhook = await engine.webhook(receiver.url)
        await engine.webhooks.rotate_key(TENANT, webhook.id, Secret("a-key-of-today-and-tomorrow"), 3600)
        (event,) = await engine.emit()
        await engine.ended(event, webhook)
        (request,) = receiver.requests
    assert len((request.header("webhook-signature") or "").split(" ")) == 2
    assert request.header(SIGNATURE) == signing.hex_signature("a-key-of-today-and-tomorrow", request.body)


async def test_two_engines_share_the_work(database: Database) -> None:
    """Two processes on one database: each delivery is POSTed once."""
    async with receiving() as receiver:
        engines = [Engine(database, poll_interval=0.01) for _ in range(2)]
        webhooks = [await engines[0].webhook(receiver.url) for _ in range(5)]
        events = [making.event() for _ in range(60)]
        await making.queue(engines[0].events, *events)
        async with engines[0].running(), engines[1].running():
            for event in events:
                for webhook in webhooks:
                    assert (await engines[0].ended(event, webhook)).attempt_count == 1
        posts = Counter(request.header("hookpost-delivery") for request in receiver.requests)
    assert len(posts) == 300
    assert set(posts.values()) == {1}
    assert isinstance(receiver, Receiver)
