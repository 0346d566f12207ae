"""Receivers that were all down and come back at once."""

from __future__ import annotations

import asyncio
from collections import Counter

from google.protobuf.duration_pb2 import Duration

from hookpost.v1 import webhook_pb2

from ..load import Order
from ..stage import Stage
from ..tally import Arrival

WEBHOOKS, DUE = 20, 10_000
DOWN_SECONDS = 6.0  # after the last event was accepted
DELAYS = (3, 5, 5, 5, 5, 5, 5, 5)  # seconds between attempts
PATIENCE = 30.0


async def herd(stage: Stage) -> None:
    """20 webhooks answer 503 until 10,000 deliveries wait for a retry; then all recover. Times begin there."""
    async with stage.hookpost(await stage.database()) as server:
        tenant = stage.tenant()
        policy = webhook_pb2.RetryPolicy(delays=[Duration(seconds=seconds) for seconds in DELAYS])
        urls = [stage.inbox.url(path="/switch")] * WEBHOOKS
        await server.subscribe(tenant, urls, max_in_flight=16, retry_policy=policy)
        tally, due = stage.inbox.tally, stage.number(DUE, least=100)
        mark, tally.down = tally.count, True
        try:
            order = Order(shape="batch", tenant=tenant, seconds=0, types=(0, WEBHOOKS), events=due, at_once=4)
            sent = await stage.outbox.produce(server.address, order)
            await asyncio.sleep(DOWN_SECONDS)
        finally:
            tally.down = False
        up = tally.count
        await stage.inbox.wait_for(up, sent.numbers, len(sent.times), PATIENCE)
        refused = sum(1 for arrival in tally.since(mark) if arrival.status == 503)
        _report(stage, [a for a in tally.since(up) if a.number in sent.numbers and a.status == 200], due, refused)


def _report(stage: Stage, came: list[Arrival], due: int, refused: int) -> None:
    if not came:
        raise RuntimeError(f"nothing came within {PATIENCE:g} s of the recovery")
    first = came[0].time
    buckets = Counter((arrival.time - first) // 1_000_000 for arrival in came)
    drained = (came[-1].time - first) / 1e6
    identities = {arrival.identity for arrival in came}
    stage.add(
        f"{due:,} due, {WEBHOOKS} webhooks", "hookpost", **{
            "drained s": drained,
            "mean/s": len(came) / max(1.0, drained),
            "peak/s": max(buckets.values()),
            "refused POSTs": refused,
            "lost": due - len(identities),
            "doubled": len(came) - len(identities),
        },
    )  # fmt: skip
