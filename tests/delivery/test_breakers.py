"""Webhooks that are down: few POSTs in vain, no attempt used up, and all is delivered once they are back."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

import asyncpg
import pytest
import structlog

from hookpost_server.delivery.breakers import MOST, Breakers
from hookpost_server.domain import ids
from hookpost_server.domain.breaker import THRESHOLD, State
from hookpost_server.domain.delivery import Claim, Conclusion, Outcome, Record, Result, Trigger
from hookpost_server.domain.delivery import State as DeliveryState
from hookpost_server.store.cursor import START, Wanted
from hookpost_server.store.database import Database
from tests.store import making
from tests.store.making import TENANT, retries

from .engine import Engine
from .wire import Exchange, answering, receiving

IN_FLIGHT = 4


class Clock:
    """A clock that is set by hand; only the breakers go by it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Shop:
    """A receiver that is down until it is opened."""

    def __init__(self) -> None:
        self.open = False
        self.status = 503

    async def __call__(self, exchange: Exchange) -> object:
        return await answering(200 if self.open else self.status)(exchange)


def breakers(clock: Clock) -> Breakers:
    return Breakers(clock=clock, spread=lambda: 0.0)


def held(engine: Engine) -> tuple[int, int]:
    counts = engine.dispatcher.breakers
    return counts[State.OPEN], counts[State.HALF_OPEN]


async def waiting(sql: asyncpg.Connection) -> int:
    """Deliveries that are due and nobody's."""
    number: int = await sql.fetchval("select count(*) from deliveries where state = 1 and due_at <= now()")
    return number


async def test_few_posts_while_it_is_down_and_all_delivered_after(database: Database, sql: asyncpg.Connection) -> None:
    """300 deliveries, most of which are never attempted in vain; one probe for each pause; nothing is lost."""
    clock, shop, count = Clock(), Shop(), 300
    async with receiving(shop) as receiver, receiving() as other:
        engine = Engine(database, breakers=breakers(clock))
        webhook = await engine.webhook(
            receiver.url,
            event_types=("User.Created",),
            retry_policy=retries(0.0, 3600.0),
            max_in_flight=IN_FLIGHT,
        )
        await making.queue(engine.events, *(making.event() for _ in range(count // 2)))
        async with engine.running():
            await engine.emit(count // 2)
            await making.until(lambda: held(engine) == (1, 0) and not engine.dispatcher.in_flight)
            wasted = len(receiver.requests)
            assert THRESHOLD <= wasted < THRESHOLD + IN_FLIGHT

            healthy = await engine.webhook(other.url, event_types=("Role.Created",))
            for probe in range(1, 4):
                # Claims go round and round meanwhile, for those of others.
                for event in await engine.emit(3, "Role.Created"):
                    await engine.ended(event, healthy)
                assert len(receiver.requests) == wasted + probe - 1
                clock.now += 300.0
                await making.until(lambda n=wasted + probe: len(receiver.requests) >= n and held(engine) == (1, 0))
            assert len(receiver.requests) == wasted + 3

            async def used() -> bool:
                recorded = "select sum(attempt_count) from deliveries where webhook_id = $1"
                return await sql.fetchval(recorded, webhook.id) == wasted + 3

            await making.until(used)
            shop.open = True
            await sql.execute("update deliveries set due_at = now() where state = 1")  # retries of an hour
            clock.now += 300.0
            await making.until(lambda: len(receiver.requests) >= count + wasted + 3)

            async def all_ended() -> bool:
                return not await sql.fetchval("select count(*) from deliveries where state = 1")

            await making.until(all_ended)
            assert held(engine) == (0, 0)
    states = await sql.fetch("select state, count(*) from deliveries where webhook_id = $1 group by 1", webhook.id)
    assert [tuple(row) for row in states] == [(DeliveryState.SUCCEEDED, count)]
    assert receiver.most_at_once <= IN_FLIGHT
    assert len(receiver.requests) == count + wasted + 3


@pytest.mark.case("H8")
async def test_exactly_one_probe_of_thousands_due(database: Database, sql: asyncpg.Connection) -> None:
    clock, shop = Clock(), Shop()
    async with receiving(shop) as receiver:
        engine = Engine(database, breakers=breakers(clock))
        await engine.webhook(receiver.url, retry_policy=retries(3600.0), max_in_flight=IN_FLIGHT)
        await making.queue(engine.events, *(making.event() for _ in range(3000)))
        async with engine.running():
            await making.until(lambda: held(engine) == (1, 0) and not engine.dispatcher.in_flight)
            before = len(receiver.requests)

            async def settled() -> bool:
                return await waiting(sql) == 3000 - before

            await making.until(settled)  # what memory held has gone back
            clock.now += 300.0
            await making.until(lambda: len(receiver.requests) > before and held(engine) == (1, 0))
            await engine.emit(500)
            assert (len(receiver.requests), engine.dispatcher.in_flight) == (before + 1, 0)
            assert await waiting(sql) == 3500 - before - 1


async def test_it_recovers_slowly(database: Database) -> None:
    """One at a time, then twice as many with each success: a receiver just come back is not run over."""
    clock, shop, answers = Clock(), Shop(), asyncio.Semaphore(0)

    async def answer(exchange: Exchange) -> object:
        if shop.open:
            await answers.acquire()
        return await shop(exchange)

    async with receiving(answer) as receiver, receiving() as other:
        engine = Engine(database, breakers=breakers(clock))
        await engine.webhook(receiver.url, event_types=("User.Created",), retry_policy=retries(3600.0), max_in_flight=6)
        healthy = await engine.webhook(other.url, event_types=("Role.Created",))
        async with engine.running():
            await engine.emit(100)
            await making.until(lambda: held(engine) == (1, 0) and not engine.dispatcher.in_flight)
            shop.open = True
            clock.now += 300.0
            before = len(receiver.requests)
            for answered, allowed in ((0, 1), (1, 1), (2, 2), (3, 4), (4, 6), (9, 6)):
                for _ in range(answered - (len(receiver.requests) - before - receiver.at_once)):
                    answers.release()
                await receiver.got(before + answered + allowed)
                for event in await engine.emit(3, "Role.Created"):  # whatever could begin besides would have begun
                    await engine.ended(event, healthy)
                assert receiver.at_once == allowed
            for _ in range(100):
                answers.release()
            await receiver.got(100)


async def test_what_waits_in_memory_goes_back_at_once(database: Database, sql: asyncpg.Connection) -> None:
    """When it opens, and when something is handed over that was under way just then."""
    async with receiving(answering(503)) as receiver:
        engine = Engine(database, breakers=breakers(Clock()), poll_interval=3600.0)
        await engine.webhook(receiver.url, retry_policy=retries(3600.0), max_in_flight=IN_FLIGHT)
        async with engine.running():
            await engine.emit(200)
            await making.until(lambda: held(engine) == (1, 0) and not engine.dispatcher.in_flight)
            wasted = len(receiver.requests)

            async def given_back() -> bool:
                return await waiting(sql) == 200 - wasted

            await making.until(given_back)
            claims, _ = await engine.deliveries.claim(START, Wanted(room=7, room_each=7))
            assert await waiting(sql) == 200 - wasted - 7
            engine.dispatcher.accept(claims, False)
            await making.until(given_back)
            assert len(receiver.requests) == wasted


async def test_a_changed_webhook_is_tried_at_once(database: Database) -> None:
    """A new URL, or Enable, starts anew: nobody waits for the pause of what has been mended."""
    clock, shop = Clock(), Shop()
    async with (
        receiving(shop) as down,
        receiving() as up,
        Engine(database, breakers=breakers(clock)).running() as engine,
    ):
        webhook = await engine.webhook(down.url, retry_policy=retries(3600.0))
        await engine.emit(100)
        await making.until(lambda: held(engine) == (1, 0) and not engine.dispatcher.in_flight)
        wasted = len(down.requests)
        await engine.webhooks.update(TENANT, webhook.id, lambda s: making.settings(url=up.url))
        await up.got(100 - wasted)
        assert held(engine) == (0, 0)
        assert len(down.requests) == wasted


async def test_what_it_held_is_cancelled_once_the_webhook_is_deleted(
    database: Database, sql: asyncpg.Connection
) -> None:
    """Also what comes back to the queue only then, as after a delete that was cut short."""
    async with receiving(answering(503)) as receiver, Engine(database, breakers=breakers(Clock())).running() as engine:
        await engine.webhook(receiver.url, retry_policy=retries(3600.0))
        await engine.emit(100)
        await making.until(lambda: held(engine) == (1, 0) and not engine.dispatcher.in_flight)
        wasted = len(receiver.requests)
        await sql.execute("delete from webhooks")
        engine.dispatcher.wake()

        async def cancelled() -> bool:
            return not await sql.fetchval("select count(*) from deliveries where state = 1 and attempt_count = 0")

        await making.until(cancelled)
        assert held(engine) == (0, 0)
        assert len(receiver.requests) == wasted


async def test_whoever_answers_is_not_down(database: Database) -> None:
    async with receiving(answering(404)) as receiver, Engine(database).running() as engine:
        webhook = await engine.webhook(receiver.url)
        for event in await engine.emit(3 * THRESHOLD):
            await engine.ended(event, webhook)
        assert held(engine) == (0, 0)


def test_memory_is_bounded() -> None:
    """Beyond so many webhooks, the one that nothing happened to for longest is forgotten, held or not."""
    found = Breakers()
    first, second, *others = [ids.new(float(n)) for n in range(MOST + 1)]
    failed = failure()
    for _ in range(THRESHOLD):
        found.end(first, 0, failed)
    assert list(found.held()) == [first]
    for webhook_id in (second, *others):
        found.end(webhook_id, 0, failed)
    assert found.held() == {}
    assert Counter(found.lets(each) for each in (first, second)) == {True: 2}


def test_the_log_tells_when_a_webhook_is_down_and_when_it_is_back() -> None:
    clock = Clock()
    found = breakers(clock)
    failed = failure()
    webhook_id = failed.claim.webhook_id
    with structlog.testing.capture_logs() as lines:
        for _ in range(THRESHOLD):
            found.end(webhook_id, 0, failed)
        clock.now += found.held_for(webhook_id) or 0.0
        epoch = found.begin(webhook_id)
        found.end(webhook_id, epoch, replace(failed, outcome=Outcome(result=Result.SUCCEEDED, status=200)))
        found.end(webhook_id, found.begin(webhook_id), replace(failed, outcome=Outcome(result=Result.SUCCEEDED)))
    assert [line["event"] for line in lines] == ["breaker.opened", "breaker.closed"]
    assert lines[1]["webhook_id"] == ids.text(ids.WEBHOOK, webhook_id)


def failure() -> Record:
    event = making.event()
    claim = Claim(event.id, TENANT, event.id, 1, 1, 1, Trigger.SCHEDULED, event, 0.0)
    outcome = Outcome(result=Result.TIMED_OUT)
    return Record(claim, outcome, Conclusion(DeliveryState.PENDING, 1.0), "", event.occur_time, 1.0, 1)
