"""How long an event takes at a steady rate."""

from __future__ import annotations

from ..load import Order
from ..stage import Stage

SECONDS = 4.0
CASES = {
    "unary 200/s": {"shape": "unary", "rate": 200},
    "unary 1,000/s": {"shape": "unary", "rate": 1000},
    "stream 1,000/s": {"shape": "stream", "rate": 1000},
    "batches of 50, 10,000/s": {"shape": "batch", "rate": 10_000},
}


async def latency(stage: Stage) -> None:
    """Emit → received at a steady rate, to one webhook. An event counts from when it was due at the producer."""
    tenant = stage.tenant()
    naive, hookposts = await stage.naive(), await stage.hookposts()
    for server in (naive, *hookposts):
        await server.subscribe(tenant, [stage.inbox.url()])
        await stage.outbox.produce(server.address, Order(shape="unary", tenant=tenant, seconds=stage.seconds(0.5)))
    for _ in range(stage.options.rounds):
        for case, given in CASES.items():
            for server in (naive, *hookposts):
                if server is naive and given["shape"] != "unary":
                    continue  # it has no other
                await stage.measure(case, server, Order(tenant=tenant, seconds=stage.seconds(SECONDS), **given))
