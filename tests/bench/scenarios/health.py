"""How long the figures of the last 24 h take."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import asyncpg

from hookpost.v1 import webhook_service_pb2
from hookpost_server.domain import ids

from ..past import make_counters
from ..receipt import percentile
from ..stage import Stage

WEBHOOKS = 50  # of the list, one page
OTHERS = 950  # further webhooks with counters of every minute
ATTEMPTS = 1_000_000  # of the naive design within the 24 h; half of them are the first webhook's
CALLS, QUERIES = 200, 20
_FILL = """
    insert into naive_attempts (webhook_id, status, at)
    select case when n % 2 = 0 then $2::int else $2 + 1 + n % $3 end, case when n % 10 = 0 then 500 else 200 end,
        now() - interval '24 hours' * n / $1
    from generate_series(1, $1::int) n
"""
_COUNT = """
    select count(*), count(*) filter (where status < 300) from naive_attempts
    where webhook_id = $1 and at > now() - interval '24 hours'
"""
_COUNT_ALL = """
    select w.id, count(*), count(*) filter (where a.status < 300) from naive_webhooks w
    join naive_attempts a on a.webhook_id = w.id and a.at > now() - interval '24 hours'
    where w.tenant = $1 group by w.id
"""


async def health(stage: Stage) -> None:
    """24 h health of one webhook (busy every minute), and a list of 50 with health; the naive design counts rows."""
    tenant = stage.tenant()
    url = await stage.database()
    async with stage.hookpost(url) as server:
        webhooks = await server.subscribe(tenant, [stage.inbox.url()] * WEBHOOKS)
        known = [ids.parse(ids.WEBHOOK, webhook) for webhook in webhooks]
        await make_counters(url, tenant, known, others=stage.number(OTHERS))
        one = webhook_service_pb2.GetWebhookHealthRequest(tenant_id=tenant, webhook_id=webhooks[0])
        page = webhook_service_pb2.ListWebhooksRequest(tenant_id=tenant, page_size=WEBHOOKS, include_health=True)
        bare = webhook_service_pb2.ListWebhooksRequest(tenant_id=tenant, page_size=WEBHOOKS)
        await _time(stage, "one webhook", "hookpost", CALLS, lambda: server.webhooks.GetWebhookHealth(one))
        await _time(stage, "list of 50 with health", "hookpost", CALLS, lambda: server.webhooks.ListWebhooks(page))
        await _time(stage, "list of 50 without", "hookpost", CALLS, lambda: server.webhooks.ListWebhooks(bare))
    await _naive(stage, tenant)


async def _naive(stage: Stage, tenant: str) -> None:
    naive = await stage.naive()
    first, *others = await naive.subscribe(tenant, [stage.inbox.url()] * WEBHOOKS)
    connection = await asyncpg.connect(naive.database_url)
    try:
        await connection.execute(_FILL, stage.number(ATTEMPTS), int(first), len(others) + OTHERS)
        await connection.execute("vacuum analyze naive_attempts")
        for case, webhook in (("one webhook with half of all rows", first), ("one webhook", others[0])):
            await _time(
                stage, case, "naive", QUERIES, lambda webhook=webhook: connection.fetchrow(_COUNT, int(webhook))
            )
        await _time(stage, "list of 50 with health", "naive", QUERIES, lambda: connection.fetch(_COUNT_ALL, tenant))
    finally:
        await connection.close()


async def _time(stage: Stage, case: str, design: str, calls: int, call: Callable[[], Awaitable[object]]) -> None:
    times = []
    for _ in range(calls):
        began = time.monotonic_ns()
        await call()
        times.append((time.monotonic_ns() - began) // 1000)
    first, *rest = times
    rest.sort()
    figures = {"first ms": first / 1000, "p50 ms": percentile(rest, 0.5), "p99 ms": percentile(rest, 0.99)}
    stage.add(case, design, **figures)
