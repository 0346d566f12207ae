"""How much goes through."""

from __future__ import annotations

from ..load import Order
from ..stage import Stage

SECONDS = 4.0
SHAPES = {
    "unary, 64 at once": {"shape": "unary", "at_once": 64},
    "stream, 1,000 unanswered": {"shape": "stream", "at_once": 1000},
    "batches of 100, 4 at once": {"shape": "batch", "at_once": 4},
}


async def throughput(stage: Stage) -> None:
    """As many events as a closed loop gets through, to one webhook: unary, stream and batch beside the naive unary."""
    tenant = stage.tenant()
    naive, hookposts = await stage.naive(), await stage.hookposts()
    for server in (naive, *hookposts):
        await server.subscribe(tenant, [stage.inbox.url()])
        await stage.outbox.produce(server.address, Order(shape="unary", tenant=tenant, seconds=stage.seconds(0.5)))
    for _ in range(stage.options.rounds):
        for case, given in SHAPES.items():
            for server in (naive, *hookposts):
                if server is naive and given["shape"] != "unary":
                    continue  # it has no other
                await stage.measure(case, server, Order(tenant=tenant, seconds=stage.seconds(SECONDS), **given))
