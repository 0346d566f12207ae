"""Suspensions: who has only failed for too long, once, with one event; and what Enable does about it."""

from __future__ import annotations

import asyncio
import itertools
import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from hookpost_server.domain.suspension import EVENT_TYPE, failing_reason
from hookpost_server.domain.webhook import State
from hookpost_server.store import resumption
from hookpost_server.store.deliveries import Deliveries
from hookpost_server.store.events import Events
from hookpost_server.store.suspensions import Suspensions
from hookpost_server.store.webhooks import Webhooks

from . import making
from .conftest import LEASE, OpenDatabase
from .making import TENANT, record, retries

DAY = 86400.0
AFTER = 5 * DAY
AGE = "update webhook_streaks set failing_since = now() - make_interval(secs => $2) where webhook_id = $1"
BUSY = """
    insert into health_hours (tenant_id, webhook_id, hour, succeeded, failed, attempts, latency_sum)
    select $1, $2, date_trunc('hour', now() - make_interval(days => day)) + interval '1 h', 0, 1, 1, 1
    from unnest($3::int[]) day on conflict do nothing
"""
EVENTS = "select payload from events where type = $1"


async def failing(
    webhooks: Webhooks,
    events: Events,
    deliveries: Deliveries,
    sql: asyncpg.Connection,
    *,
    since: float = AFTER + 60,
    days: tuple[int, ...] = (1, 2, 3, 4),
) -> UUID:
    """A webhook whose attempts have failed since then, on these days before today as well as just now."""
    made = (await making.webhook(webhooks, event_types=("User.*",))).id
    await making.queue(events, making.event())
    await deliveries.record([record(await making.claim_one(deliveries), 503)])
    await sql.execute(AGE, made, since)
    await sql.execute(BUSY, TENANT, made, list(days))
    return made


async def since(sql: asyncpg.Connection, webhook_id: UUID) -> datetime | None:
    found: datetime | None = await sql.fetchval(
        "select failing_since from webhook_streaks where webhook_id = $1", webhook_id
    )
    return found


async def test_the_first_failure_since_the_last_success_is_kept(
    webhooks: Webhooks, events: Events, deliveries: Deliveries, sql: asyncpg.Connection
) -> None:
    """Every attempt counts, one that is tried again too."""
    made = (await making.webhook(webhooks)).id
    statuses = (200, 503, 503, 404, 200, 503)
    found = []
    for status in statuses:
        await making.queue(events, making.event())
        claims = await making.claim_all(deliveries)
        await deliveries.record([record(claims[-1], status, retries(3600.0))])
        found.append(await since(sql, made))
    assert found[0] is None and found[4] is None
    assert found[1] is not None and found[1] == found[2] == found[3]
    assert found[5] is not None and found[5] > found[1]


async def test_within_one_batch_the_order_counts(
    webhooks: Webhooks, events: Events, deliveries: Deliveries, sql: asyncpg.Connection
) -> None:
    made = (await making.webhook(webhooks)).id
    await making.queue(events, *(making.event() for _ in range(4)))
    one, two, three, four = await making.claim_all(deliveries)
    await deliveries.record([record(one, 503), record(two, 200)])
    assert await since(sql, made) is None
    await deliveries.record([record(three, 200), record(four, 503)])
    assert await since(sql, made) is not None


async def test_five_days_of_failures_suspend(
    webhooks: Webhooks, events: Events, deliveries: Deliveries, suspensions: Suspensions, sql: asyncpg.Connection
) -> None:
    made = await failing(webhooks, events, deliveries, sql)
    assert await suspensions.suspend_failing(AFTER) == [made]
    found = await webhooks.get(TENANT, made)
    assert (found.state, found.state_reason) == (State.SUSPENDED, "no attempt succeeded for 5 days")
    (payload,) = [json.loads(row["payload"]) for row in await sql.fetch(EVENTS, EVENT_TYPE)]
    assert (payload["webhookName"], payload["reason"], payload["lastStatus"]) == ("orders", found.state_reason, 503)
    assert payload["lastError"].startswith("The receiver says that it is unavailable")
    assert (datetime.fromisoformat(payload["suspendedAt"]) - datetime.now(UTC)) < timedelta(minutes=1)
    assert "example.com" not in json.dumps(payload)
    assert await suspensions.suspend_failing(AFTER) == []


@pytest.mark.parametrize(
    ("age", "days"),
    [
        pytest.param(AFTER - 60, (1, 2, 3, 4), id="not yet five days"),
        pytest.param(AFTER + 60, (4,), id="one failure at either end"),
        pytest.param(AFTER + 60, (3, 4), id="nothing in between"),
        pytest.param(100 * DAY, (), id="idle since"),
    ],
)
async def test_too_little_to_suspend(
    webhooks: Webhooks,
    events: Events,
    deliveries: Deliveries,
    suspensions: Suspensions,
    sql: asyncpg.Connection,
    age: float,
    days: tuple[int, ...],
) -> None:
    await failing(webhooks, events, deliveries, sql, since=age, days=days)
    assert await suspensions.suspend_failing(AFTER) == []


async def test_one_success_starts_anew(
    webhooks: Webhooks, events: Events, deliveries: Deliveries, suspensions: Suspensions, sql: asyncpg.Connection
) -> None:
    await failing(webhooks, events, deliveries, sql)
    await making.queue(events, making.event())
    await deliveries.record([record(await making.claim_one(deliveries), 200)])
    assert await suspensions.suspend_failing(AFTER) == []


async def test_nodes_at_once_suspend_once(
    webhooks: Webhooks, events: Events, deliveries: Deliveries, open_database: OpenDatabase, sql: asyncpg.Connection
) -> None:
    made = [await failing(webhooks, events, deliveries, sql)]
    nodes = [await open_database(2) for _ in range(4)]
    stores = [Suspensions(node, Events(node, lease=LEASE)) for node in nodes]
    done = await asyncio.gather(*(store.suspend_failing(AFTER) for store in stores for _ in range(2)))
    assert [webhook_id for found in done for webhook_id in found] == made
    assert len(await sql.fetch(EVENTS, EVENT_TYPE)) == 1


async def test_the_event_and_the_suspension_are_one(
    webhooks: Webhooks, suspensions: Suspensions, sql: asyncpg.Connection
) -> None:
    """An event that can't be stored leaves the webhook active."""
    made = (await making.webhook(webhooks)).id
    await sql.execute(
        "alter table events add constraint no_more check (type <> 'hookpost.webhook.suspended') not valid"
    )
    try:
        with pytest.raises(asyncpg.CheckViolationError):
            await suspensions.suspend(TENANT, made, "410")
    finally:
        await sql.execute("alter table events drop constraint no_more")
    assert (await webhooks.get(TENANT, made)).state is State.ACTIVE


async def test_who_gets_the_event(
    webhooks: Webhooks, deliveries: Deliveries, suspensions: Suspensions, sql: asyncpg.Connection
) -> None:
    """Active webhooks of the tenant that name it: not `*`, not the suspended one itself, not another tenant's."""
    own = ("hookpost.*",)
    exact = (await making.webhook(webhooks, event_types=(EVENT_TYPE,))).id
    broad = (await making.webhook(webhooks, event_types=own)).id
    await making.webhook(webhooks, event_types=("*",))
    await making.webhook(webhooks, "other", event_types=own)
    itself = (await making.webhook(webhooks, event_types=("*", *own))).id
    assert await suspensions.suspend(TENANT, itself, "410")
    assert {claim.webhook_id for claim in await making.claim_all(deliveries)} == {exact, broad}


async def test_suspensions_never_loop(
    webhooks: Webhooks, deliveries: Deliveries, suspensions: Suspensions, sql: asyncpg.Connection
) -> None:
    """Webhooks that are suspended because of this very event: one event each, fewer recipients each time."""
    made = [(await making.webhook(webhooks, event_types=("hookpost.*",))).id for _ in range(4)]
    assert await suspensions.suspend(TENANT, made[0], "410")
    for _ in range(10):
        for claim in await making.claim_all(deliveries):
            await deliveries.record([record(claim, 410)])
            await suspensions.suspend(TENANT, claim.webhook_id, "410")
    assert len(await sql.fetch(EVENTS, EVENT_TYPE)) == 4
    assert await sql.fetchval("select count(*) from deliveries") <= 3 + 2 + 1


async def test_enable_forgives(
    webhooks: Webhooks, events: Events, deliveries: Deliveries, suspensions: Suspensions, sql: asyncpg.Connection
) -> None:
    made = await failing(webhooks, events, deliveries, sql)
    await suspensions.suspend_failing(AFTER)
    await webhooks.enable(TENANT, made)
    assert await since(sql, made) is None
    assert await suspensions.suspend_failing(AFTER) == []


async def test_enable_spreads_what_waits(webhooks: Webhooks, events: Events, sql: asyncpg.Connection) -> None:
    """Evenly, in the order in which it came due; what is not due yet stays where it is."""
    made = (await making.webhook(webhooks, rate_limit=50.0)).id
    for _ in range(2):
        await making.queue(events, *(making.event() for _ in range(100)))
        await sql.execute("update deliveries set due_at = due_at - interval '1 h'")
    await making.queue(events, late := making.event())
    await sql.execute("update deliveries set due_at = now() + interval '1 d' where event_id = $1", late.id)
    before = [row["id"] for row in await sql.fetch("select id from deliveries order by due_at, id")]
    await webhooks.disable(TENANT, made, "")
    await webhooks.enable(TENANT, made)
    rows = await sql.fetch(
        "select id, extract(epoch from due_at - now())::float8 as due from deliveries order by due_at"
    )
    waits = [row["due"] for row in rows[:200]]
    assert rows[200]["due"] > 80_000
    assert waits[-1] - waits[0] == pytest.approx(199 / 50, abs=0.01)
    assert max(b - a for a, b in itertools.pairwise(waits)) < 0.05
    assert {row["id"] for row in rows[:100]} == set(before[:100])
    due = await sql.fetch("select due_at from deliveries order by id")
    await webhooks.enable(TENANT, made)  # it is active: nothing is put off
    assert await sql.fetch("select due_at from deliveries order by id") == due


async def test_enable_spreads_each_once(
    webhooks: Webhooks, events: Events, sql: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Step by step; the first of a step, which are due again by the next one, keep their places."""
    monkeypatch.setattr(resumption, "STEP", 2)
    made = (await making.webhook(webhooks)).id
    await making.queue(events, *(making.event() for _ in range(5)))
    await sql.execute(
        "update deliveries set due_at = now() - interval '1 h' + number * interval '1 s' "
        "from (select id as i, row_number() over (order by id) as number from deliveries) d where id = i"
    )
    before = [row["id"] for row in await sql.fetch("select id from deliveries order by due_at")]
    await webhooks.disable(TENANT, made, "")
    await webhooks.enable(TENANT, made)
    assert [row["id"] for row in await sql.fetch("select id from deliveries order by due_at")] == before


@pytest.mark.parametrize(
    ("seconds", "text"), [(432000.0, "5 days"), (129600.0, "1.5 days"), (21600.0, "6 hours"), (90.0, "1.5 minutes")]
)
def test_the_reason(seconds: float, text: str) -> None:
    assert failing_reason(seconds) == f"no attempt succeeded for {text}"
