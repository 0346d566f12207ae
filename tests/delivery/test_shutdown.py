"""The end of a process: what is under way ends or is given back, and nobody has to wait for a lease."""

from __future__ import annotations

import asyncio

import asyncpg

from hookpost_server.domain import ids
from hookpost_server.domain.delivery import State
from hookpost_server.store.database import Database
from hookpost_server.store.deliveries import Deliveries
from tests.store import making

from .engine import Engine
from .test_engine import Gate
from .wire import Exchange, receiving


async def test_attempts_under_way_end_within_the_grace(database: Database) -> None:
    gate = Gate()
    async with receiving(gate) as receiver:
        engine = Engine(database)
        async with engine.running():
            webhook = await engine.webhook(receiver.url)
            events = await engine.emit(5)
            await receiver.got(5)
            stopping = asyncio.create_task(engine.stop())
            await asyncio.sleep(0)
            assert not stopping.done()
            gate.open()
            await stopping
        for event in events:
            assert (await engine.ended(event, webhook)).attempt_count == 1
        assert len(receiver.requests) == 5
        await receiver.until(lambda r: r.closed == r.connections)


async def test_what_waits_is_given_back_at_once(database: Database, deliveries: Deliveries) -> None:
    """While the one attempt is still under way, another process takes over the rest."""
    gate = Gate()
    async with receiving(gate) as receiver:
        engine = Engine(database, max_in_flight=1)
        async with engine.running():
            webhook = await engine.webhook(receiver.url)
            events = await engine.emit(10)
            await receiver.got(1)
            engine.dispatcher.stop()

            async def taken() -> bool:
                nonlocal claims
                claims += await making.claim_all(deliveries)
                return len(claims) == 9

            claims: list[object] = []
            await making.until(taken)
            assert engine.dispatcher.in_flight == 1
            gate.open()
        assert (await engine.ended(events[0], webhook)).state is State.SUCCEEDED
        assert {claim.attempt for claim in claims} == {1}  # type: ignore[attr-defined]
        assert len(receiver.requests) == 1


async def test_what_does_not_end_is_cut_off_and_given_back(database: Database, deliveries: Deliveries) -> None:
    async with receiving(Exchange.left) as receiver:
        engine = Engine(database)
        engine.grace = 0.1
        async with engine.running():
            await engine.webhook(receiver.url)
            await engine.emit(3)
            await receiver.got(3)
        await receiver.until(lambda r: r.closed == 3)
        claims = await making.claim_all(deliveries)
        assert [(claim.attempt, claim.claim_count) for claim in claims] == [(1, 2)] * 3
        assert engine.written == []


async def test_nothing_is_claimed_after_a_stop(database: Database, deliveries: Deliveries) -> None:
    gate = Gate()
    async with receiving(gate) as receiver:
        engine = Engine(database, poll_interval=0.01)
        async with engine.running():
            await engine.webhook(receiver.url)
            await engine.emit(1)
            await receiver.got(1)
            engine.dispatcher.stop()
            assert engine.dispatcher.room().deliveries == 0
            await engine.emit(3)  # still accepted, and left in the queue
            assert len(await making.claim_all(deliveries)) == 3
            gate.open()
        assert len(receiver.requests) == 1


async def test_a_commit_under_way_at_the_end_hands_over_to_nobody(
    database: Database, deliveries: Deliveries, sql: asyncpg.Connection, other_sql: asyncpg.Connection
) -> None:
    """Its deliveries were leased to this process, which is ending: they are given back, not left to lapse."""
    async with receiving() as receiver:
        engine = Engine(database)
        async with engine.running():
            webhook = await engine.webhook(receiver.url)
            async with sql.transaction():
                await sql.execute("lock table idempotency_keys in share mode")
                emitting = asyncio.create_task(engine.emit(3, idempotency_key=None))
                keyed = asyncio.create_task(engine.emit(1, idempotency_key="k"))
                await making.blocked(other_sql, 1)
                engine.dispatcher.stop()
                await engine.tasks["dispatcher"]
            events = [*await emitting, *await keyed]
        claims = await making.claim_all(deliveries)
        assert {claim.id for claim in claims} == {ids.delivery(event.id, webhook.id) for event in events}
        assert receiver.connections == 0


async def test_what_a_stopped_process_left_is_done_by_the_next(database: Database) -> None:
    async with receiving() as receiver:
        first = Engine(database, max_in_flight=2)
        gate = Gate()
        receiver.answer = gate
        async with first.running():
            webhook = await first.webhook(receiver.url)
            events = await first.emit(20)
            await receiver.got(2)
            first.dispatcher.stop()
            gate.open()
        async with Engine(database).running() as second:
            for event in events:
                found = await second.ended(event, webhook)
                assert (found.state, found.attempt_count) == (State.SUCCEEDED, 1)
        assert len(receiver.requests) == 20
