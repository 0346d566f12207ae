"""Outcomes: numbers without gaps, fences, counters that equal the log, one order for all."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import pytest

from hookpost_server.domain import errors, ids
from hookpost_server.domain.delivery import Claim, Outcome, Record, Result, State, Trigger, answered
from hookpost_server.domain.retry import RetryPolicy
from hookpost_server.store.cursor import START, Wanted
from hookpost_server.store.database import Database
from hookpost_server.store.deliveries import Deliveries
from hookpost_server.store.events import Events
from hookpost_server.store.webhooks import Webhooks

from . import making
from .conftest import LEASE, OpenDatabase
from .making import TENANT, record

SOON = making.retries(0.0, 0.0, 0.0, 0.0)


async def everything(sql: asyncpg.Connection) -> list[list[tuple[object, ...]]]:
    """All rows that a record can touch."""
    return [
        [tuple(row) for row in await sql.fetch(f"select * from {table} order by 1, 2, 3")]
        for table in ("deliveries", "attempts", "health_minutes", "health_hours", "webhooks")
    ]


async def test_what_is_recorded_is_what_is_read(webhooks: Webhooks, events: Events, deliveries: Deliveries) -> None:
    await making.webhook(webhooks)
    await making.queue(events, making.event())
    claim = await making.claim_one(deliveries)
    outcome = Outcome(
        result=Result.BAD_STATUS,
        status=404,
        error="no such thing – „hier“",
        headers=(("set-cookie", "a=1"), ("set-cookie", "b=2"), ("x-odd", 'é"\\')),
        body=bytes(range(256)),
        truncated=True,
    )
    made = record(claim, outcome, latency=1.234567)
    assert await deliveries.record([made]) == {claim.id: State.FAILED}
    found = await deliveries.get(TENANT, claim.id)
    (attempt,) = found.attempts
    assert (attempt.number, attempt.trigger, attempt.result, attempt.status) == (
        1,
        Trigger.SCHEDULED,
        Result.BAD_STATUS,
        404,
    )
    assert (attempt.error, attempt.url, attempt.start_time) == (outcome.error, made.url, made.start_time)
    assert (attempt.headers, attempt.body, attempt.truncated) == (outcome.headers, outcome.body, True)
    assert attempt.latency == 1.234567
    assert (found.state, found.attempt_count, found.last_result, found.last_status) == (
        State.FAILED,
        1,
        Result.BAD_STATUS,
        404,
    )
    assert found.finish_time is not None


async def test_no_answer_has_no_status(webhooks: Webhooks, events: Events, deliveries: Deliveries) -> None:
    await making.webhook(webhooks)
    await making.queue(events, making.event())
    claim = await making.claim_one(deliveries)
    await deliveries.record([record(claim, Outcome(result=Result.TIMED_OUT, error="timed out"), SOON)])
    found = await deliveries.get(TENANT, claim.id)
    assert (found.state, found.last_result, found.last_status) == (State.PENDING, Result.TIMED_OUT, None)
    assert found.finish_time is None
    assert found.attempts[0].status is None


async def test_attempts_are_numbered_without_gaps(webhooks: Webhooks, events: Events, deliveries: Deliveries) -> None:
    await making.webhook(webhooks)
    await making.queue(events, making.event())
    for number, status in enumerate((500, 503, 429, 200), start=1):
        claim = await making.claim_one(deliveries)
        assert claim.attempt == number
        assert (await deliveries.record([record(claim, status, SOON)])).keys() == {claim.id}
        # A claim that came to nothing takes no number.
        for lost in await making.claim_all(deliveries):
            await deliveries.release([lost])
    found = await deliveries.get(TENANT, claim.id)
    assert [(attempt.number, attempt.status) for attempt in found.attempts] == [(1, 500), (2, 503), (3, 429), (4, 200)]
    assert (found.state, found.attempt_count) == (State.SUCCEEDED, 4)
    assert await making.claim_all(deliveries) == []


async def test_a_retrys_time_is_counted_from_now(
    webhooks: Webhooks, events: Events, deliveries: Deliveries, sql: asyncpg.Connection
) -> None:
    await making.webhook(webhooks)
    await making.queue(events, making.event())
    claim = await making.claim_one(deliveries)
    before = await sql.fetchval("select clock_timestamp()")
    await deliveries.record([record(claim, 500, making.retries(3600))])
    after = await sql.fetchval("select clock_timestamp()")
    due = (await deliveries.get(TENANT, claim.id)).due_time
    assert before.timestamp() + 3600 <= due.timestamp() <= after.timestamp() + 3600


@pytest.mark.case("H5")
async def test_a_late_outcome_writes_nothing_at_all(
    webhooks: Webhooks, events: Events, database: Database, deliveries: Deliveries, sql: asyncpg.Connection
) -> None:
    await making.webhook(webhooks)
    await making.queue(events, making.event(), making.event())
    late, _ = await Deliveries(database, lease=0.0).claim(START, Wanted(room=2, room_each=2))
    current = await making.claim_all(deliveries)
    assert [claim.claim_count for claim in current] == [2, 2]
    before = await everything(sql)
    assert await deliveries.record([record(claim, 200) for claim in late]) == {}
    assert await everything(sql) == before
    # In one batch with others, only these are left out.
    batch = [record(late[0], 200), record(current[1], 500)]
    assert await deliveries.record(batch) == {current[1].id: State.FAILED}
    assert await deliveries.record([record(current[0], 200)]) == {current[0].id: State.SUCCEEDED}
    done = await everything(sql)
    assert await deliveries.record([record(claim, 200) for claim in (*late, *current)]) == {}
    assert await everything(sql) == done


async def test_a_batch_repeated_adds_nothing_twice(
    webhooks: Webhooks, events: Events, deliveries: Deliveries, sql: asyncpg.Connection
) -> None:
    """As after a commit whose answer was lost: successes, failures and retries, all of one batch."""
    for _ in range(3):
        await making.webhook(webhooks)
    await making.queue(events, *(making.event() for _ in range(10)))
    claims = await making.claim_all(deliveries)
    batch = [record(claim, (200, 404, 500)[n % 3], making.retries(0, 3600)) for n, claim in enumerate(claims)]
    assert len(await deliveries.record(batch)) == 30
    before = await everything(sql)
    assert await deliveries.record(batch) == {}
    assert await everything(sql) == before
    # The retries that are due are claimed and come to their second attempt.
    retried = await making.claim_all(deliveries)
    assert {claim.attempt for claim in retried} == {2}
    assert await deliveries.record(batch) == {}


async def test_an_unknown_delivery_is_no_fault(deliveries: Deliveries, sql: asyncpg.Connection) -> None:
    event = making.event()
    ghost = Claim(ids.new(1e9), TENANT, ids.new(1e9), 1, 1, 1, Trigger.SCHEDULED, event, 0.0)
    before = await everything(sql)
    assert await deliveries.record([record(ghost)]) == {}
    assert await deliveries.record([]) == {}
    assert await everything(sql) == before


async def test_another_tenants_claim_is_not_taken(webhooks: Webhooks, events: Events, deliveries: Deliveries) -> None:
    await making.webhook(webhooks)
    await making.queue(events, making.event())
    claim = await making.claim_one(deliveries)
    foreign = Claim(
        claim.id, "other", claim.webhook_id, 1, 1, claim.claim_count, Trigger.SCHEDULED, claim.event, claim.deadline
    )
    assert await deliveries.record([record(foreign)]) == {}
    try:
        await deliveries.get("other", claim.id)
    except errors.NotFound:
        return
    raise AssertionError("another tenant's delivery was shown")


async def test_health_equals_the_log(
    webhooks: Webhooks, events: Events, deliveries: Deliveries, sql: asyncpg.Connection
) -> None:
    """A random history with replays, releases, late outcomes: the counters are what counting the rows gives."""
    chance = random.Random(20260821)
    policy = making.retries(0.0, 0.0)
    for tenant in ("a", "b"):
        for _ in range(4):
            await making.webhook(webhooks, tenant)
    await making.queue(events, *(making.event(tenant_id=chance.choice("ab")) for _ in range(60)))
    old: list[Record] = []
    while claims := await making.claim_all(deliveries, room=70, room_each=20):
        chance.shuffle(claims)
        cut = len(claims) * 3 // 4 + 1
        await deliveries.release(claims[cut:])
        batch = [
            record(claim, chance.choice((200, 200, 404, 500, 503)), policy, latency=chance.random())
            for claim in claims[:cut]
        ]
        for start in range(0, len(batch), 30):
            await deliveries.record(batch[start : start + 30] + chance.sample(old, min(5, len(old))))
        old += batch
        await deliveries.record(chance.sample(old, min(20, len(old))))
    for table, unit in (("health_minutes", "minute"), ("health_hours", "hour")):
        counted = await sql.fetch(
            f"""
            select tenant_id, webhook_id, sum(succeeded) as succeeded, sum(failed) as failed,
                sum(attempts) as attempts, sum(latency_sum) as latency_sum
            from {table} group by tenant_id, webhook_id order by 1, 2
            """
        )
        log = await sql.fetch(
            """
            select d.tenant_id, d.webhook_id, count(distinct d.id) filter (where d.state = 2) as succeeded,
                count(distinct d.id) filter (where d.state = 3) as failed, count(*) as attempts,
                sum(a.latency) as latency_sum
            from deliveries d join attempts a on a.delivery_id = d.id and a.tenant_id = d.tenant_id
            group by d.tenant_id, d.webhook_id order by 1, 2
            """
        )
        assert len(log) == 8
        assert [tuple(row) for row in counted] == [tuple(row) for row in log], unit
    numbers = await sql.fetch(
        "select delivery_id, array_agg(number order by number) as numbers from attempts group by 1"
    )
    assert all(list(row["numbers"]) == list(range(1, len(row["numbers"]) + 1)) for row in numbers)
    assert max(len(row["numbers"]) for row in numbers) == 3
    assert Counter(row["state"] for row in await sql.fetch("select state from deliveries")).keys() == {2, 3}


async def health_rows(sql: asyncpg.Connection, table: str, unit: str, webhook_ids: list[UUID]) -> None:
    """A row of each webhook for now and what comes next, so that a record meets them."""
    await sql.execute(
        f"""
        insert into {table} (tenant_id, webhook_id, {unit}, succeeded, failed, attempts, latency_sum)
        select $1, id, date_trunc('{unit}', now()) + n * interval '1 {unit}', 0, 0, 0, 0
        from unnest($2::uuid[]) id cross join generate_series(0, 2) n on conflict do nothing
        """,
        TENANT,
        webhook_ids,
    )


async def test_counters_are_taken_in_their_order(
    webhooks: Webhooks, events: Events, deliveries: Deliveries, sql: asyncpg.Connection, other_sql: asyncpg.Connection
) -> None:
    """Stopped at the counter in the middle, a record holds those before it and none of those after it."""
    made = sorted([(await making.webhook(webhooks)).id for _ in range(60)])
    for table, unit in (("health_minutes", "minute"), ("health_hours", "hour")):
        await making.queue(events, making.event())
        claims = await making.claim_all(deliveries)
        random.Random(7).shuffle(claims)
        await health_rows(sql, table, unit, made)
        async with sql.transaction():
            await sql.fetch(f"select from {table} where webhook_id = $1 for update", made[30])
            recording = asyncio.create_task(deliveries.record([record(claim) for claim in claims]))
            await making.blocked(other_sql, 1)
            free = {
                row["webhook_id"]
                for row in await other_sql.fetch(
                    f"select webhook_id from {table} where {unit} >= date_trunc('{unit}', now()) for update skip locked"
                )
            }
            per_webhook = await other_sql.fetch(f"select webhook_id, {unit} from {table} for update skip locked")
        await recording
        counts = Counter(row["webhook_id"] for row in per_webhook)
        assert made[30] not in free
        # Of three rows a webhook has, the record holds one.
        assert [counts[webhook_id] for webhook_id in made] == [2] * 30 + [0] + [3] * 29


async def test_deliveries_are_taken_in_their_order(
    webhooks: Webhooks, events: Events, deliveries: Deliveries, sql: asyncpg.Connection, other_sql: asyncpg.Connection
) -> None:
    await making.webhook(webhooks)
    for act in ("record", "release", "cancel"):
        await sql.execute("delete from deliveries")
        await making.queue(events, *(making.event() for _ in range(40)))
        claims = await making.claim_all(deliveries)
        order = sorted(making.ids_of(claims))
        random.Random(7).shuffle(claims)
        async with sql.transaction():
            await sql.fetch("select from deliveries where id = $1 for update", order[20])
            match act:
                case "record":
                    acting: asyncio.Task[object] = asyncio.create_task(deliveries.record([record(c) for c in claims]))
                case "release":
                    acting = asyncio.create_task(deliveries.release(claims))
                case _:
                    acting = asyncio.create_task(deliveries.cancel(claims))
            await making.blocked(other_sql, 1)
            free = await other_sql.fetch("select id from deliveries for update skip locked")
        await acting
        assert {row["id"] for row in free} == set(order[21:]), act


async def test_records_of_overlapping_webhooks_never_deadlock(
    webhooks: Webhooks, events: Events, open_database: OpenDatabase, sql: asyncpg.Connection
) -> None:
    made = [(await making.webhook(webhooks)).id for _ in range(30)]
    await making.queue(events, *(making.event() for _ in range(40)))
    stores = [Deliveries(await open_database(2), lease=LEASE) for _ in range(3)]
    claims = await making.claim_all(stores[0])
    assert len(claims) == 30 * 40
    before = await deadlocks(sql)

    async def write(store: Deliveries, part: list[Claim], seed: int) -> int:
        chance = random.Random(seed)
        chance.shuffle(part)
        written = 0
        for start in range(0, len(part), 20):
            written += len(await store.record([record(claim) for claim in part[start : start + 20]]))
        return written

    written = await asyncio.gather(*(write(store, claims[n::3], n) for n, store in enumerate(stores)))
    assert written == [400, 400, 400]
    assert await deadlocks(sql) == before
    counted = await sql.fetch("select webhook_id, sum(succeeded) as n from health_minutes group by 1")
    assert {row["webhook_id"]: row["n"] for row in counted} == dict.fromkeys(made, 40)


async def deadlocks(sql: asyncpg.Connection) -> int:
    number: int = await sql.fetchval("select deadlocks from pg_stat_database where datname = current_database()")
    return number


async def test_the_clock_of_an_attempt_is_kept(webhooks: Webhooks, events: Events, deliveries: Deliveries) -> None:
    await making.webhook(webhooks)
    await making.queue(events, making.event())
    claim = await making.claim_one(deliveries)
    moment = datetime(2026, 8, 21, 10, 0, 0, 123456, tzinfo=UTC)
    outcome = answered(200)
    policy: RetryPolicy = making.NO_RETRIES
    base = record(claim, outcome, policy)
    await deliveries.record([Record(claim, outcome, base.conclusion, "https://a.example/", moment, 0.0)])
    (attempt,) = (await deliveries.get(TENANT, claim.id)).attempts
    assert (attempt.start_time, attempt.url) == (moment, "https://a.example/")


async def test_an_entry_is_read_as_of_one_moment(
    webhooks: Webhooks, events: Events, deliveries: Deliveries, sql: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An outcome that is recorded between the look at the delivery and the look at its attempts is seen by neither."""
    await making.webhook(webhooks)
    await making.queue(events, making.event())
    claim = await making.claim_one(deliveries)
    waiting = "(select true from pg_advisory_xact_lock(7)) and d.state = 1 and d.claimed"
    monkeypatch.setattr(Deliveries, "GET", Deliveries.GET.replace("d.state = 1 and d.claimed", waiting))
    await sql.execute("select pg_advisory_lock(7)")
    reading = asyncio.create_task(deliveries.get(TENANT, claim.id))
    await making.blocked(sql, 1)
    await deliveries.record([record(claim, 200)])
    await sql.execute("select pg_advisory_unlock(7)")
    found = await reading
    assert (found.state, found.attempt_count, found.attempts) == (State.PENDING, 0, ())
