"""Tenants beside each other: who has many webhooks, or slow ones, takes nothing from the others."""

from __future__ import annotations

import asyncio

from hookpost_server.store.database import Database
from tests.store import making

from .engine import Engine
from .wire import Exchange, answering, receiving

MANY = 40


async def test_one_webhook_among_the_many_of_another_tenant(database: Database) -> None:
    """Both tenants get the same number of attempts, though one has forty times the webhooks: handed over."""
    order, gate = list[str](), asyncio.Event()

    async def answer(exchange: Exchange) -> object:
        order.append(exchange.request.line.split()[1])
        await gate.wait()
        return await answering()(exchange)

    async with receiving(answer) as receiver, Engine(database, max_in_flight=4).running() as engine:
        base = receiver.url.removesuffix("/hook")
        for _ in range(MANY):
            await making.webhook(engine.webhooks, "a", url=f"{base}/a")
        await making.webhook(engine.webhooks, "b", url=f"{base}/b")
        await engine.emit(2, tenant_id="a")
        await engine.emit(20, tenant_id="b")
        gate.set()
        await receiver.got(2 * MANY + 20)
    assert 15 <= order[4:44].count("/b") <= 25


async def test_one_webhook_among_the_many_of_another_tenant_from_the_database(database: Database) -> None:
    """The same of what is claimed: a backlog many times what memory takes does not come first."""
    order = list[str]()

    async def answer(exchange: Exchange) -> object:
        order.append(exchange.request.line.split()[1])
        return await answering()(exchange)

    async with receiving(answer) as receiver:
        engine = Engine(database, max_in_flight=4)
        base = receiver.url.removesuffix("/hook")
        for _ in range(MANY):
            await making.webhook(engine.webhooks, "a", url=f"{base}/a")
        await making.webhook(engine.webhooks, "b", url=f"{base}/b")
        await making.queue(engine.events, *(making.event(tenant_id="a") for _ in range(5)))
        await making.queue(engine.events, *(making.event(tenant_id="b") for _ in range(20)))
        async with engine.running():
            await receiver.got(5 * MANY + 20)
    assert order[:60].count("/b") == 20


async def test_a_tenant_whose_webhooks_all_hang_leaves_half_of_the_slots(database: Database) -> None:
    gate = asyncio.Event()

    async def hang(exchange: Exchange) -> object:
        await gate.wait()
        return await answering()(exchange)

    async with (
        receiving(hang) as slow,
        receiving() as fast,
        Engine(database, max_in_flight=16).running() as engine,
    ):
        for _ in range(MANY):
            await making.webhook(engine.webhooks, "a", url=slow.url, max_in_flight=1)
        await making.webhook(engine.webhooks, "b", url=fast.url)
        await engine.emit(1, tenant_id="a")
        await slow.got(15)
        await engine.emit(50, tenant_id="b")
        await fast.got(50)  # by the one slot that is kept
        assert len(slow.requests) == 15
        gate.set()
        await slow.got(MANY)


async def test_the_rate_limit_holds_for_claims_too(database: Database) -> None:
    interval = 0.1
    async with receiving() as receiver:
        engine = Engine(database)
        webhook = await engine.webhook(receiver.url, rate_limit=1 / interval)
        events = [making.event() for _ in range(6)]
        await making.queue(engine.events, *events)
        async with engine.running():
            found = [await engine.ended(event, webhook) for event in events]
    starts = sorted(delivery.attempts[0].start_time.timestamp() for delivery in found)
    assert starts[5] - starts[0] > interval * 4
