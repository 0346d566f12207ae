"""A million deliveries that are due."""

from __future__ import annotations

import asyncio
import time

from hookpost_server.domain import ids
from hookpost_server.store.cursor import START, Wanted
from hookpost_server.store.database import Database
from hookpost_server.store.deliveries import Deliveries

from .. import row
from ..designs import Hookpost
from ..load import Order
from ..past import make_queue
from ..processes import cpu_seconds, forget_peak, peak_memory
from ..receipt import percentile
from ..stage import Stage

QUEUED, WEBHOOKS = 1_000_000, 100
CLAIMS, ROOM, ROOM_EACH = 50, 512, 64  # as the dispatcher claims
SECONDS, LEAST_SECONDS = 5.0, 1.0


async def backlog(stage: Stage) -> None:
    """1 M due deliveries of 100 webhooks: the claim statement, the server's memory, and a new event beside them."""
    tenant, newcomer = stage.tenant(), stage.tenant()
    url = await stage.database()
    queued = stage.number(QUEUED, least=1000)
    async with stage.hookpost(url) as server:
        webhooks = await server.subscribe(tenant, [stage.inbox.url()] * WEBHOOKS)
        await server.subscribe(newcomer, [stage.inbox.url()])
    await make_queue(url, queued, tenant, [ids.parse(ids.WEBHOOK, webhook) for webhook in webhooks])
    await _claims(stage, url, queued)
    async with stage.hookpost(url) as server:
        await _drain(stage, server, queued)
        order = Order(shape="unary", tenant=newcomer, seconds=stage.seconds(SECONDS), rate=100)
        await stage.measure(f"unary 100/s beside {queued:,} queued", server, order)


async def _claims(stage: Stage, url: str, queued: int) -> None:
    database = await Database.open(url)
    deliveries = Deliveries(database, lease=1.0)  # so that the server may take what was claimed here
    cursor, times, claimed = START, [], 0
    try:
        for _ in range(CLAIMS):
            began = time.monotonic_ns()
            claims, cursor = await deliveries.claim(cursor, Wanted(room=ROOM, room_each=ROOM_EACH))
            times.append((time.monotonic_ns() - began) // 1000)
            claimed += len(claims)
    finally:
        await database.close()
    times.sort()
    stage.add(
        f"claims of up to {ROOM} from {queued:,}", "hookpost",
        **{"claimed": claimed, "claim p50 ms": percentile(times, 0.5), "claim p99 ms": percentile(times, 0.99)},
    )  # fmt: skip


async def _drain(stage: Stage, server: Hookpost, queued: int) -> None:
    """What comes out within some seconds; the queue outlasts them, unless the scale is small."""
    pids = stage.pids(server)
    forget_peak(pids[0])
    mark, before = stage.inbox.tally.count, [cpu_seconds(pid) for pid in pids]
    began = time.monotonic()
    await asyncio.sleep(max(LEAST_SECONDS, stage.seconds(SECONDS)))
    seconds = time.monotonic() - began
    cpu = [cpu_seconds(pid) - b for pid, b in zip(pids, before, strict=True)]
    came = [arrival.identity for arrival in stage.inbox.tally.since(mark)]
    costs = zip(row.CPU, cpu, strict=False)  # there is no load
    stage.add(
        f"draining {queued:,}", "hookpost", **{
            row.RECEIVED: len(came) / seconds,
            row.DOUBLED: len(came) - len(set(came)),
            **{name: seconds / max(1, len(came)) * 1e6 for name, seconds in costs},
            row.MEMORY: peak_memory(pids[0]) / 1e6,
        },
    )  # fmt: skip
