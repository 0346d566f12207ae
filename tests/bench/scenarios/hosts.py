"""Many receivers."""

from __future__ import annotations

from ..inbox import HOSTS
from ..load import Order
from ..stage import Stage

SECONDS = 4.0
NUMBERS = (1, HOSTS)


async def hosts(stage: Stage) -> None:
    """Batches whose events go to 1 or 500 webhooks in turn, each with an address of its own, by plain HTTP and by TLS.

    Connections are made before: each webhook has got an event or two. A handshake costs about 1 ms of CPU.
    """
    naive, hookposts = await stage.naive(), await stage.hookposts()
    for tls in (False, True):
        tenants = {number: stage.tenant() for number in NUMBERS}
        for number, tenant in tenants.items():
            for server in hookposts if tls else (naive, *hookposts):  # the naive one knows no other CA
                await server.subscribe(tenant, [stage.inbox.url(host, tls=tls) for host in range(number)])
                mark = stage.inbox.tally.count
                order = Order(shape="unary", tenant=tenant, seconds=0, types=(0, number), events=2 * number, at_once=16)
                sent = await stage.outbox.produce(server.address, order)
                await stage.inbox.wait_for(mark, sent.numbers, 2 * number, 30)
        for _ in range(stage.options.rounds):
            for number, tenant in tenants.items():
                case = f"{number} {'TLS' if tls else 'plain'}"
                order = Order(
                    shape="batch", tenant=tenant, seconds=stage.seconds(SECONDS), types=(0, number), at_once=4
                )
                for server in hookposts:
                    await stage.measure(f"{case}, batches of 100", server, order)
                if not tls:
                    unary = Order(shape="unary", tenant=tenant, seconds=order.seconds, types=(0, number))
                    await stage.measure(f"{case}, unary", naive, unary)
