"""What a bad receiver costs the others."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import asyncpg
from google.protobuf.duration_pb2 import Duration

from ..designs import Hookpost
from ..load import Order
from ..row import RECEIPT
from ..silence import silent_names
from ..stage import Stage

SECONDS = 12.0  # a p99 of too few events says nothing
RATE, GOOD = 200, 4  # events a second for the others, and how many webhooks these are
DUE = 5000  # deliveries waiting for webhooks that hang
BAD_RATE = 50  # events a second for the bad ones
P99 = RECEIPT[1]


async def isolation(stage: Stage) -> None:
    """Unary 200/s to good webhooks: alone, and beside others that hang, refuse, or whose names nobody resolves."""
    hanging, due = stage.inbox.url(path="/hang"), stage.number(DUE)
    await _case(stage, f"1 hangs, {due:,} due", [hanging], due=due, timeout=Duration(seconds=30))
    await _case(stage, f"20 hang, {due:,} due", [hanging] * 20, due=due, timeout=Duration(seconds=10))
    refusing = f"http://127.0.0.1:{_closed_port()}/"
    await _case(stage, "20 of 100 refuse", [refusing] * 20, good=80, rate=BAD_RATE)
    names = [f"http://dead-{number}.example.com/" for number in range(50)]
    with silent_names(stage.directory) as through:
        if through:
            await _case(stage, "50 names never resolve", names, rate=BAD_RATE, through=through)
        else:
            print("isolation: 50 names never resolve: left out, it takes Linux and the right to unshare")


async def _case(
    stage: Stage,
    case: str,
    bad: Sequence[str],
    *,
    good: int = GOOD,
    due: int = 0,
    rate: int = 0,
    through: Sequence[str] = (),
    **settings: object,
) -> None:
    """The good ones' flow before and while the bad ones have work: `due` events before it, or `rate` a second."""
    async with stage.hookpost(await stage.database(), through=through) as server:
        tenant, shunned = stage.tenant(), stage.tenant()
        await server.subscribe(tenant, [stage.inbox.url()] * good)
        await server.subscribe(shunned, bad, max_in_flight=16, **settings)
        order = Order(shape="unary", tenant=tenant, seconds=stage.seconds(SECONDS), types=(0, good), rate=RATE)
        warm = replace(order, seconds=order.seconds / 4)
        await stage.outbox.produce(server.address, warm)  # connections are made
        before = await stage.flow(f"{case}: before", server, order)
        stage.append(before)
        async with _trouble(stage, server, shunned, len(bad), due, rate):
            during = await stage.flow(f"{case}: meanwhile", server, order)
        during.figures["p99 ratio"] = float(during.figures[P99]) / max(0.001, float(before.figures[P99]))
        during.figures["wasted POSTs %"] = await _wasted(server)
        stage.append(during)


@contextlib.asynccontextmanager
async def _trouble(stage: Stage, server: Hookpost, tenant: str, bad: int, due: int, rate: int) -> AsyncIterator[None]:
    """The bad ones' events, from a second producer."""
    background = await stage.background()
    if due:
        order = Order(shape="batch", tenant=tenant, seconds=0, types=(0, bad), events=due, at_once=4)
        await background.produce(server.address, order)
        yield
        return
    # A second earlier than the others' flow: what hangs takes its places first.
    order = Order(shape="unary", tenant=tenant, seconds=stage.seconds(SECONDS) + 1, types=(0, bad), rate=rate)
    async with asyncio.TaskGroup() as group:
        group.create_task(background.produce(server.address, order))
        await asyncio.sleep(1)
        yield


async def _wasted(server: Hookpost) -> float:
    """The share of attempts that failed; those under way are not among them."""
    connection = await asyncpg.connect(server.database_url)
    try:
        share = await connection.fetchval(
            "select avg(case when status between 200 and 299 then 0 else 100 end) from attempts"
        )
    finally:
        await connection.close()
    return float(share or 0)


def _closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
