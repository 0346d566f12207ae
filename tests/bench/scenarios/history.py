"""Whether old rows make new ones slower."""

from __future__ import annotations

from hookpost_server.domain import ids

from ..load import Order
from ..past import make_history
from ..stage import Stage

ROWS = 10_000_000  # events, deliveries and attempts, a third each
SECONDS = 4.0
CASES = {
    "batches of 100, 4 at once": {"shape": "batch", "at_once": 4},
    "unary 200/s": {"shape": "unary", "rate": 200},
}


async def history(stage: Stage) -> None:
    """The same load on an empty database and on one with 10 M rows of the last days."""
    tenant = stage.tenant()
    full = await stage.database()
    async with stage.hookpost(await stage.database()) as young, stage.hookpost(full) as old:
        webhooks = await old.subscribe(tenant, [stage.inbox.url()])
        await young.subscribe(tenant, [stage.inbox.url()])
        known = [ids.parse(ids.WEBHOOK, webhook) for webhook in webhooks]
        rows = await make_history(full, stage.number(ROWS, least=1000), tenant, known)
        for server in (young, old):
            await stage.outbox.produce(server.address, Order(shape="unary", tenant=tenant, seconds=stage.seconds(0.5)))
        for _ in range(stage.options.rounds):
            for case, given in CASES.items():
                order = Order(tenant=tenant, seconds=stage.seconds(SECONDS), **given)
                await stage.measure(f"{case}, empty", young, order)
                await stage.measure(f"{case}, {rows:,} old rows", old, order)
