"""Links to receivers that are slow, silent or cut, and more receivers than a process has descriptors for."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator

from .experiment import experiment
from .proxy import Proxy
from .stage import Stage

FAULT = 2.0  # seconds that a link is broken
TIMEOUT = {"timeout": {"seconds": 1}}  # of a webhook, shorter than that


@contextlib.asynccontextmanager
async def link(stage: Stage) -> AsyncIterator[Proxy]:
    """Load on a server whose receiver is behind a proxy; afterwards the link is sound and the last POST awaited."""
    proxy = Proxy(stage.receiver_url)
    await proxy.open()
    try:
        node = await stage.start()
        await stage.subscribe(node, url=proxy.url, **TIMEOUT)
        await stage.produce(node)
        await stage.posted(20)
        yield proxy
        await stage.settle()
    finally:
        await proxy.close()


def ambiguous(stage: Stage) -> None:
    """A request that was sent, and its connection lost, may be sent again: any delivery may come twice."""
    stage.may_repeat = defaultdict(lambda: 20)


@experiment("", "receiver's link has 300 ms latency", rounds=2)
async def slow(stage: Stage, rounds: int) -> None:
    async with link(stage) as proxy:
        for _ in range(rounds):
            proxy.latency = 0.3
            await asyncio.sleep(FAULT)
            proxy.latency = 0.0
            await stage.posted(20)


@experiment("", "receiver's link stalls", rounds=3)
async def stalled(stage: Stage, rounds: int) -> None:
    """What was held up arrives late, after its attempt was given up and even after the next one succeeded."""
    ambiguous(stage)
    async with link(stage) as proxy:
        for _ in range(rounds):
            proxy.stall()
            await asyncio.sleep(FAULT)
            proxy.flow()
            await stage.posted(20)


@experiment("", "receiver's link is reset", rounds=5, quick=1)
async def reset(stage: Stage, rounds: int) -> None:
    ambiguous(stage)
    async with link(stage) as proxy:
        for _ in range(rounds):
            proxy.resets = True
            await proxy.cut()
            await asyncio.sleep(FAULT / 2)
            proxy.resets = False
            await stage.posted(20)


@experiment("", "receiver's link is half open", rounds=3)
async def half_open(stage: Stage, rounds: int) -> None:
    ambiguous(stage)
    async with link(stage) as proxy:
        for _ in range(rounds):
            proxy.half_open = True
            await asyncio.sleep(FAULT)
            proxy.half_open = False
            await stage.posted(20)


@experiment("", "answers are cut in the midst of their body", rounds=3)
async def cut_in_the_body(stage: Stage, rounds: int) -> None:
    """The status was there, so it decides."""
    await stage.receiver.tell(body=5000)
    async with link(stage) as proxy:
        for _ in range(rounds):
            proxy.cut_after = 1000
            await proxy.cut()
            await asyncio.sleep(FAULT)
            proxy.cut_after = None
            await stage.posted(20)
    ambiguous(stage)


@experiment("R20", "256 descriptors, 40 slow receivers", rounds=1, seconds=120)
async def few_descriptors(stage: Stage, rounds: int) -> None:
    limited = ("sh", "-c", 'ulimit -n 256 && exec "$@"', "sh")
    node = await stage.direct.start(by=limited)
    await stage.subscribe(node, 40)
    await stage.receiver.tell(delay=2.0)
    await stage.produce(node, rate=20)
    for _ in range(rounds):
        await stage.acknowledged(80)
    await stage.receiver.tell(delay=0.0)
    await stage.settle()
    async with stage.sql() as connection:
        failed = "select error, count(*) from attempts where error <> '' group by error"
        stage.finding.notes["failed attempts"] = {row["error"]: row["count"] for row in await connection.fetch(failed)}
    if node.ended:
        stage.finding.faults.append("the server ended")
