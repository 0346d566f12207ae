"""Health: the figures equal the log, whatever happened, and end at the very minute where their window does."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from hookpost_server.domain import ids
from hookpost_server.domain.delivery import Claim, Delivery, Record, State
from hookpost_server.domain.event import Event
from hookpost_server.domain.health import BOUNDS, Health
from hookpost_server.domain.webhook import Webhook
from hookpost_server.store.database import Database
from hookpost_server.store.deliveries import Deliveries
from hookpost_server.store.delivery_log import Filter
from hookpost_server.store.events import Events
from hookpost_server.store.health import DAY, HealthFigures
from hookpost_server.store.replays import Replays
from hookpost_server.store.webhooks import Webhooks

from . import making
from .making import TENANT, record

AGAIN = making.retries(0.0, 0.0)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@pytest.fixture
def health(database: Database) -> HealthFigures:
    return HealthFigures(database)


@pytest.fixture
def replays(database: Database) -> Replays:
    return Replays(database)


async def health_of(health: HealthFigures, webhook: Webhook, window: float = DAY) -> Health:
    return (await health.of(webhook.tenant_id, [webhook.id], window))[webhook.id]


async def minutes(sql: asyncpg.Connection) -> AsyncIterator[datetime]:
    """The current minute, again and again until the block that uses it has begun and ended within one."""
    while True:
        began: datetime = await sql.fetchval("select date_trunc('minute', now())")
        yield began
        if await sql.fetchval("select date_trunc('minute', now())") == began:
            return


async def test_no_data(health: HealthFigures, webhooks: Webhooks) -> None:
    """Neither 0 % nor 100 %, for webhooks that do not exist too."""
    made = await making.webhook(webhooks)
    unknown = ids.new(1.0)
    found = await health.of(TENANT, [made.id, unknown])
    assert found.keys() == {made.id, unknown}
    for one in found.values():
        assert (one.requests, one.attempts, one.consecutive_failures) == (0, 0, 0)
        assert one.success_rate is None
        assert one.percentile(0.5) is None
        assert (one.last_success_time, one.last_failure_time, one.oldest_pending_time) == (None, None, None)
    assert await health.of(TENANT, []) == {}


async def test_a_delivery_still_retried_is_no_failure(
    health: HealthFigures, webhooks: Webhooks, events: Events, deliveries: Deliveries
) -> None:
    webhook = await making.webhook(webhooks)
    emitted = making.event()
    await making.queue(events, emitted)
    await deliveries.record([record(await making.claim_one(deliveries), 500, AGAIN)])
    found = await health_of(health, webhook)
    assert (found.requests, found.success_rate, found.attempts) == (0, None, 1)
    assert (found.consecutive_failures, found.last_failure_time) == (0, None)
    assert found.oldest_pending_time == ids.time_of(emitted.id)
    await deliveries.record([record(await making.claim_one(deliveries), 200, AGAIN)])
    found = await health_of(health, webhook)
    assert (found.requests, found.success_rate, found.attempts) == (1, 1.0, 2)
    assert found.oldest_pending_time is None


async def test_streaks(
    health: HealthFigures, webhooks: Webhooks, events: Events, deliveries: Deliveries, sql: asyncpg.Connection
) -> None:
    """Failures since the last success, also within one batch, in the order in which the attempts ended."""
    webhook = await making.webhook(webhooks)

    async def end(*statuses: int) -> Health:
        await making.queue(events, *(making.event() for _ in statuses))
        claims = await making.claim_all(deliveries)
        random.shuffle(claims)
        await deliveries.record([record(claim, status) for claim, status in zip(claims, statuses, strict=True)])
        return await health_of(health, webhook)

    async def last(state: State) -> datetime:
        when: datetime = await sql.fetchval("select max(finish_time) from deliveries where state = $1", int(state))
        return when

    assert (await end(404, 404)).consecutive_failures == 2
    assert (await end(404)).consecutive_failures == 3
    found = await end(404, 200, 404, 404)
    assert found.consecutive_failures == 2
    assert (found.last_success_time, found.last_failure_time) == (await last(State.SUCCEEDED), await last(State.FAILED))
    assert (await end(404, 404, 200)).consecutive_failures == 0
    assert (await end(404)).consecutive_failures == 1
    found = await end(200)
    assert found.consecutive_failures == 0
    assert (found.last_success_time, found.last_failure_time) == (await last(State.SUCCEEDED), await last(State.FAILED))

    # The last outcome of the batch is late, of an older claim of the first one's delivery: it is not a later success.
    await making.queue(events, making.event(), making.event())
    first, second = await making.claim_all(deliveries)
    late = replace(first, claim_count=first.claim_count - 1)
    await deliveries.record([record(first, 200), record(second, 404), record(late, 200)])
    assert (await health_of(health, webhook)).consecutive_failures == 1


async def test_the_oldest_pending_one(
    health: HealthFigures, webhooks: Webhooks, events: Events, deliveries: Deliveries
) -> None:
    """By acceptance, not by when it is due."""
    webhook = await making.webhook(webhooks)
    emitted = [making.event() for _ in range(5)]
    await making.queue(events, *emitted)
    claims = {claim.event.id: claim for claim in await making.claim_all(deliveries)}
    await deliveries.record([record(claims[emitted[0].id], 500, making.retries(3600.0))])
    assert (await health_of(health, webhook)).oldest_pending_time == ids.time_of(emitted[0].id)
    await deliveries.record([record(claims[emitted[n].id]) for n in (1, 2)])
    assert (await health_of(health, webhook)).oldest_pending_time == ids.time_of(emitted[0].id)


async def test_a_redelivery_that_fails_again_counts_once(
    health: HealthFigures, replays: Replays, webhooks: Webhooks, events: Events, deliveries: Deliveries
) -> None:
    """And one that failed before the last success counts when it fails after it."""
    webhook = await making.webhook(webhooks)

    async def end(status: int) -> UUID:
        await making.queue(events, making.event())
        return await attempt(status)

    async def attempt(status: int) -> UUID:
        claim = await making.claim_one(deliveries)
        await deliveries.record([record(claim, status)])
        return claim.id

    async def again(delivery: UUID, status: int) -> int:
        await replays.redeliver(TENANT, delivery)
        await attempt(status)
        return await streak()

    async def streak() -> int:
        return (await health_of(health, webhook)).consecutive_failures

    old, last = await end(404), await end(404)
    assert await again(last, 404) == await again(old, 500) == 2
    await replays.redeliver(TENANT, last)
    assert await streak() == 1  # it has not failed for good
    await attempt(404)
    assert await streak() == 2
    await end(200)
    assert await again(old, 404) == 1
    assert await again(old, 404) == 1
    assert await again(last, 404) == 2
    assert await again(last, 200) == 0
    assert await again(last, 404) == 1  # one that had succeeded


async def test_a_replays_streak(
    health: HealthFigures, replays: Replays, webhooks: Webhooks, events: Events, deliveries: Deliveries
) -> None:
    """What is replayed leaves the streak, and what a stop takes back returns, unless there was a success since."""
    webhook, other = await making.webhook(webhooks), await making.webhook(webhooks, event_types=("User.*",))
    failed = Filter(ids.first_of(0), UUID(int=2**128 - 1), webhook_id=webhook.id, states=[State.FAILED])

    async def end(*statuses: int) -> None:
        await making.queue(events, *(making.event("Role.Created") for _ in statuses))
        for claim, status in zip(await making.claim_all(deliveries), statuses, strict=True):
            await deliveries.record([record(claim, status)])

    async def streak(one: Webhook = webhook) -> int:
        return (await health_of(health, one)).consecutive_failures

    await making.queue(events, making.event())
    await deliveries.record([record(claim, 404) for claim in await making.claim_all(deliveries)])
    await end(404, 404)
    assert (await streak(), await streak(other)) == (3, 1)
    replay_id, _ = await replays.replay(TENANT, failed, None, interval=3600.0)
    assert (await streak(), await streak(other)) == (0, 1)
    (first,) = await making.claim_all(deliveries)
    await deliveries.record([record(first, 404)])
    assert await streak() == 1
    assert await replays.stop(TENANT, replay_id) == 2
    assert await streak() == 3
    replay_id, _ = await replays.replay(TENANT, failed, None, interval=3600.0)
    (first,) = await making.claim_all(deliveries)
    await deliveries.record([record(first, 200)])
    assert await replays.stop(TENANT, replay_id) == 2
    assert (await streak(), await streak(other)) == (0, 1)


async def test_a_success_recorded_while_one_is_put_back(
    health: HealthFigures,
    replays: Replays,
    webhooks: Webhooks,
    events: Events,
    deliveries: Deliveries,
    sql: asyncpg.Connection,
    other_sql: asyncpg.Connection,
) -> None:
    """The streak has begun anew by then, so nothing is taken from it."""
    webhook = await making.webhook(webhooks)
    await making.queue(events, making.event(), making.event())
    old, _ = claims = await making.claim_all(deliveries)
    await deliveries.record([record(claim, 404) for claim in claims])
    async with sql.transaction():
        # As the recorder does: a success, and a failure after it.
        await sql.execute("update webhook_streaks set failures = 1, last_success_time = clock_timestamp()")
        putting_back = asyncio.create_task(replays.redeliver(TENANT, old.id))
        await making.blocked(other_sql, 1)
    await putting_back
    assert (await health_of(health, webhook)).consecutive_failures == 1


MANY = """
    with made as (select n, lpad(to_hex($1::bigint + n), 12, '0') as time from generate_series(1, $4::int) n)
    insert into deliveries (tenant_id, id, event_id, webhook_id, type, due_at, state, finish_time)
    select $2, (left(time, 8) || '-' || right(time, 4) || '-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
        gen_random_uuid(), $3, 'User.Created', now() + random() * interval '1 h', $5::int,
        case when $5::int <> 1 then now() end
    from made
"""


async def test_the_oldest_of_many_pending_ones_is_found_by_index(
    health: HealthFigures, webhooks: Webhooks, database: Database, sql: asyncpg.Connection
) -> None:
    """Whatever waits and whatever has ended before it: a few pages are read, with statistics and without."""
    webhook, busy = await making.webhook(webhooks), await making.webhook(webhooks)
    ended, pending = (int(database.now() * 1000) - ago for ago in (80_000_000, 40_000_000))
    await sql.execute(MANY, ended, TENANT, busy.id, 20_000, int(State.SUCCEEDED))
    await sql.execute(MANY, ended + 20_000, TENANT, webhook.id, 5_000, int(State.SUCCEEDED))
    await sql.execute(MANY, pending, TENANT, webhook.id, 20_000, int(State.PENDING))
    for analyzed in (False, True):
        if analyzed:
            await sql.execute("analyze deliveries")
        async with database.by_key() as connection:
            (row,) = await connection.fetch(
                f"explain (analyze, buffers, format json) {HealthFigures.OF}",
                TENANT,
                [webhook.id, busy.id],
                timedelta(days=1),
            )
        (plan,) = json.loads(row[0])
        assert plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"] < 100
        found = await health.of(TENANT, [webhook.id, busy.id])
        assert found[webhook.id].oldest_pending_time == datetime.fromtimestamp((pending + 1) / 1000, UTC)
        assert found[busy.id].oldest_pending_time is None


@pytest.mark.parametrize("seed", range(4))
async def test_equal_to_the_log(
    seed: int,
    health: HealthFigures,
    replays: Replays,
    webhooks: Webhooks,
    events: Events,
    deliveries: Deliveries,
    sql: asyncpg.Connection,
) -> None:
    """Retries, late outcomes, redeliveries, replays and their stops in any order: equal to a count(*) after each."""
    chance = random.Random(seed)
    hooks = [await making.webhook(webhooks, event_types=(kind,)) for kind in ("*", "User.*", "Role.Created")]
    claims: list[Claim] = []
    stops: list[UUID] = []
    stopped = 0

    async def emit() -> None:
        made: list[Event] = [making.event(chance.choice(["User.Created", "Role.Created"])) for _ in range(3)]
        await making.queue(events, *made)

    async def attempt() -> None:
        nonlocal claims
        claims += await making.claim_all(deliveries)
        chance.shuffle(claims)
        ready, claims = claims[:4], claims[4:]
        records: list[Record] = [record(claim, chance.choice([200, 200, 404, 500, 500]), AGAIN) for claim in ready]
        for batch in [records] if seed % 2 else [[each] for each in records]:
            await deliveries.record(batch)
        if chance.random() < 0.2:
            await deliveries.record(records)  # the commit's answer was lost

    async def redeliver() -> None:
        ended = [each for each in await log() if each.state in (State.SUCCEEDED, State.FAILED)]
        if ended:
            await replays.redeliver(TENANT, chance.choice(ended).id)

    async def replay() -> None:
        states = chance.choice([[State.FAILED], [State.SUCCEEDED], [State.SUCCEEDED, State.FAILED]])
        chosen = Filter(ids.first_of(0), UUID(int=2**128 - 1), webhook_id=chance.choice(hooks).id, states=states)
        replay_id, _ = await replays.replay(TENANT, chosen, None, interval=chance.choice([0.0, 3600.0]))
        stops.append(replay_id)

    async def stop() -> None:
        nonlocal stopped
        if stops:
            try:
                stopped += await replays.stop(TENANT, stops.pop())
            except Exception as error:  # a replay of nothing
                assert "no replay" in str(error)

    async def log() -> list[Delivery]:
        found, _ = await deliveries.list(TENANT, Filter(ids.first_of(0), UUID(int=2**128 - 1)), limit=1000)
        return found

    for _ in range(60):
        await chance.choice([emit, attempt, attempt, attempt, redeliver, replay, stop])()
        figures = await health.of(TENANT, [hook.id for hook in hooks])
        for hook in hooks:
            counted = await sql.fetchrow(
                """
                select count(*) filter (where state = 2) as succeeded, count(*) filter (where state = 3) as failed,
                    (select count(*) from attempts a join deliveries d on d.id = a.delivery_id
                     where d.webhook_id = $1) as attempts,
                    min(id::text) filter (where state = 1)::uuid as oldest,
                    count(*) filter (where state = 3 and finish_time > coalesce(
                        (select last_success_time from webhook_streaks where webhook_id = $1), '-infinity')) as streak
                from deliveries where webhook_id = $1
                """,
                hook.id,
            )
            found = figures[hook.id]
            assert (found.succeeded, found.failed, found.attempts) == tuple(counted)[:3]
            assert sum(found.latencies) == found.attempts
            assert found.oldest_pending_time == (counted["oldest"] and ids.time_of(counted["oldest"]))
            if seed % 2 == 0:  # else failures and successes of one batch have one time
                assert found.consecutive_failures == counted["streak"]
            by_minute = await health.series(TENANT, hook.id, 3600, by_hour=False)
            assert sum(point.succeeded for point in by_minute) == found.succeeded
    assert (await sql.fetchval("select min(least(succeeded, failed)) from health_minutes")) >= 0
    if seed == 0:
        assert stopped, "no replay was stopped in time: the traffic is too tame"


PAST = """
    with minutes as (
        select $1::timestamptz - n * interval '1 minute' as minute, n + 1 as n from generate_series(0, $2::int) n
    ), by_minute as (
        insert into health_minutes (tenant_id, webhook_id, minute, succeeded, failed, attempts, latency_sum, latencies)
        select $3, $4, minute, n, 2 * n, 3 * n, 0, array_fill(n, array[13]) from minutes
    )
    insert into health_hours (tenant_id, webhook_id, hour, succeeded, failed, attempts, latency_sum, latencies)
    select $3, $4, date_trunc('hour', minute), sum(n), sum(2 * n), sum(3 * n), 0, array_fill(sum(n)::int, array[13])
    from minutes group by date_trunc('hour', minute)
"""


async def test_exact_to_the_minute(
    health: HealthFigures, webhooks: Webhooks, database: Database, sql: asyncpg.Connection
) -> None:
    """Each minute of 27 hours has figures of its own: one too many or too few would show, wherever the seam is."""
    async for now in minutes(sql):
        webhook = await making.webhook(webhooks)
        other = await making.webhook(webhooks)
        await sql.execute("set timezone = 'UTC'")
        for each in (webhook, other):
            await sql.execute(PAST, now, 27 * 60, TENANT, each.id)
        found = {}
        for length in (*range(1, 125), 1439, 1440, 1441, 1500):
            found[length] = await health_of(health, webhook, length * 60.0)
            found[length + 0.5] = await health_of(health, webhook, length * 60.0 + 30)
    for length, figures in found.items():
        # The window begins amid a minute, which does not count; so `length` minutes do, the current one included.
        shortest = sum(range(1, int(length) + 1))
        possible = {shortest, shortest + int(length) + 1} if length % 1 else {shortest}
        assert figures.succeeded in possible, length
        assert (figures.failed, figures.attempts) == (2 * figures.succeeded, 3 * figures.succeeded)
        assert set(figures.latencies) == {figures.succeeded}
        assert len(figures.latencies) == len(BOUNDS) + 1


ONE_MINUTE = "insert into health_minutes values ($1, $2, $3, 1, 2, 3, 0, '{}')"
ONE_HOUR = "insert into health_hours values ($1, $2, $3, 4, 5, 9, 0, '{}')"


async def test_series(health: HealthFigures, webhooks: Webhooks, sql: asyncpg.Connection) -> None:
    """Every bucket of the window is there, the empty ones with zeros, and they add up."""
    async for now in minutes(sql):
        webhook = await making.webhook(webhooks)
        for ago in (0, 3, 59, 60, 61):
            await sql.execute(ONE_MINUTE, TENANT, webhook.id, now - ago * MINUTE)
        hour = now.replace(minute=0)
        for ago in (0, 2, 23, 24):
            await sql.execute(ONE_HOUR, TENANT, webhook.id, hour - ago * HOUR)
        by_minute = await health.series(TENANT, webhook.id, 3600, by_hour=False)
        by_hour = await health.series(TENANT, webhook.id, DAY, by_hour=True)
        week = await health.series(TENANT, webhook.id, 7 * DAY, by_hour=True)
        one = await health.series(TENANT, webhook.id, 60, by_hour=False)
        idle = await making.webhook(webhooks)
        many = await health.series_of_many(TENANT, [webhook.id, idle.id])
        idle_hours = await health.series(TENANT, idle.id, DAY, by_hour=True)
    assert many == {webhook.id: by_hour, idle.id: idle_hours}
    assert [point.start for point in by_minute] == [now - n * MINUTE for n in range(59, -1, -1)]
    full = {now, now - 3 * MINUTE, now - 59 * MINUTE}
    for point in by_minute:
        assert (point.succeeded, point.failed, point.attempts) == ((1, 2, 3) if point.start in full else (0, 0, 0))
    assert [point.start for point in by_hour] == [hour - n * HOUR for n in range(23, -1, -1)]
    full = {hour, hour - 2 * HOUR, hour - 23 * HOUR}
    for point in by_hour:
        assert (point.succeeded, point.failed, point.attempts) == ((4, 5, 9) if point.start in full else (0, 0, 0))
    assert len(week) == 7 * 24
    assert [point.start for point in one] == [now]


async def test_latencies_by_bucket(
    health: HealthFigures, webhooks: Webhooks, events: Events, deliveries: Deliveries
) -> None:
    """Percentiles lie in the bucket of the exact ones, and hours tell the same as minutes."""
    webhook = await making.webhook(webhooks)
    chance = random.Random(7)
    latencies = sorted(chance.choice([0.0001, 0.004, 0.02, 0.3, 3, 20, 40]) * chance.random() for _ in range(300))
    await making.queue(events, *(making.event() for _ in latencies))
    claims = await making.claim_all(deliveries)
    for start in range(0, 300, 100):
        pairs = zip(claims[start : start + 100], latencies[start : start + 100], strict=True)
        await deliveries.record([record(claim, latency=latency) for claim, latency in pairs])
    for window in (60.0 * 59, DAY):
        found = await health_of(health, webhook, window)
        assert sum(found.latencies) == 300
        for share in (0.01, 0.5, 0.9, 0.95, 0.99):
            exact = latencies[max(0, round(share * 300) - 1)]
            low = max((bound for bound in (0.0, *BOUNDS) if bound <= exact), default=0.0)
            high = min((bound for bound in BOUNDS if bound > exact), default=BOUNDS[-1])
            told = found.percentile(share)
            assert told is not None
            assert low <= told <= high


async def test_on_the_bounds(health: HealthFigures, webhooks: Webhooks, events: Events, deliveries: Deliveries) -> None:
    """What takes exactly a bound's time is in the bucket above it, to the microsecond."""
    webhook = await making.webhook(webhooks)
    latencies = [value for bound in BOUNDS for value in (bound - 0.000001, bound)]
    await making.queue(events, *(making.event() for _ in latencies))
    claims = await making.claim_all(deliveries)
    pairs = zip(claims, latencies, strict=True)
    await deliveries.record([record(claim, latency=latency + 1e-7) for claim, latency in pairs])
    assert (await health_of(health, webhook)).latencies == [1, *[2] * (len(BOUNDS) - 1), 1]


async def test_webhooks_and_tenants_are_apart(
    health: HealthFigures, webhooks: Webhooks, events: Events, deliveries: Deliveries
) -> None:
    one = await making.webhook(webhooks, event_types=("User.*",))
    two = await making.webhook(webhooks, event_types=("Role.*",))
    await making.queue(events, *(making.event(kind) for kind in ("User.Created", "Role.Created", "Role.Deleted")))
    await deliveries.record(
        [
            record(
                claim, 200 if claim.webhook_id == one.id else 404, latency=0.001 if claim.webhook_id == one.id else 9
            )
            for claim in await making.claim_all(deliveries)
        ]
    )
    found = await health.of(TENANT, [one.id, two.id])
    assert (found[one.id].succeeded, found[one.id].failed) == (1, 0)
    assert (found[two.id].succeeded, found[two.id].failed) == (0, 2)
    assert (found[one.id].percentile(1.0), found[two.id].percentile(1.0)) == (0.005, 10.0)
    assert {each.requests for each in (await health.of("other", [one.id, two.id])).values()} == {0}
