"""One event for many webhooks."""

from __future__ import annotations

from ..load import Order
from ..stage import Stage

DELIVERIES = 10_000  # of one measurement
WIDTHS = (1, 10, 1000)


async def fan_out(stage: Stage) -> None:
    """The same number of deliveries by events for 1, 10 and 1,000 webhooks each; unary, 16 at once."""
    widths = [stage.number(width) for width in WIDTHS[-1:]]
    widths = [*WIDTHS[:-1], max(*WIDTHS[:-1], *widths)]
    naive, hookposts = await stage.naive(), await stage.hookposts()
    tenants = {width: stage.tenant() for width in widths}
    for width, tenant in tenants.items():
        for server in (naive, *hookposts):
            await server.subscribe(tenant, [stage.inbox.url()] * width, same_type=True)
    for _ in range(stage.options.rounds):
        for width, tenant in tenants.items():
            for server in (naive, *hookposts):
                share = 5 if server is naive else 1  # it would take too long
                events = max(2, stage.number(DELIVERIES) // width // share)
                order = Order(shape="unary", tenant=tenant, seconds=0, events=events, at_once=min(16, events))
                await stage.measure(f"1 event for {width:,}", server, order, fan_out=width)
