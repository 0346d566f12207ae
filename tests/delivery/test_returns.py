"""Claims that go back to the queue."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import asyncpg

from hookpost_server.delivery import returns
from hookpost_server.delivery.returns import Returns
from hookpost_server.domain.delivery import Claim
from hookpost_server.store.database import Database
from hookpost_server.store.deliveries import Deliveries
from tests.store import making

from .engine import Engine

DUE = "select count(*) from deliveries where due_at <= now()"


async def test_one_statement_at_a_time(database: Database, sql: asyncpg.Connection, monkeypatch: Any) -> None:
    monkeypatch.setattr(returns, "STEP", 3)
    under_way: list[int] = []
    release = Deliveries.release

    async def noting(self: Deliveries, claims: Sequence[Claim]) -> None:
        under_way.append(len(claims))
        await release(self, claims)
        assert under_way.pop() == len(claims)
        assert not under_way

    monkeypatch.setattr(Deliveries, "release", noting)
    engine = Engine(database)
    await making.webhook(engine.webhooks)
    await making.queue(engine.events, *(making.event() for _ in range(10)))
    claims = await making.claim_all(engine.deliveries)
    assert (await sql.fetchval(DUE), len(claims)) == (0, 10)
    giving_back = Returns(engine.courier)
    async with asyncio.TaskGroup() as tasks:

        def add(claims: Sequence[Claim]) -> None:
            if giving_back.add(claims):
                tasks.create_task(giving_back.run())

        for start in range(0, 10, 2):
            add(claims[start : start + 2])
        add([])
        await asyncio.sleep(0)
    assert await sql.fetchval(DUE) == 10
    assert not giving_back.add([])
    assert giving_back.add(await making.claim_all(engine.deliveries)), "and anew"
    await giving_back.run()
    assert await sql.fetchval(DUE) == 10
    await engine.sender.close()
