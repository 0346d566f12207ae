"""Claims: fair turns, one owner, leases, fences."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import pytest

from hookpost_server.domain import ids
from hookpost_server.domain.delivery import Claim, State, Trigger
from hookpost_server.store import cursor as module
from hookpost_server.store.cursor import START, Cursor, Wanted
from hookpost_server.store.database import Database
from hookpost_server.store.deliveries import Deliveries
from hookpost_server.store.delivery_log import DeliveryLog
from hookpost_server.store.events import Emitted, Events, Room
from hookpost_server.store.suspensions import Suspensions
from hookpost_server.store.webhooks import Webhooks

from . import making
from .conftest import LEASE, OpenDatabase
from .making import TENANT

FILL = """
    insert into deliveries (tenant_id, id, event_id, webhook_id, type, due_at)
    select $1, (left($2::uuid::text, 24) || lpad(to_hex(n), 12, '0'))::uuid, $2, $3, 'User.Created',
        now() - interval '1 h'
    from generate_series(1, $4) n
"""


async def test_a_claim_is_what_was_emitted(webhooks: Webhooks, events: Events, deliveries: Deliveries) -> None:
    made = await making.webhook(webhooks)
    emitted = making.event(payload=b'{"a": 1.0} ')
    await making.queue(events, emitted)
    claim = await making.claim_one(deliveries)
    assert claim == Claim(
        id=ids.delivery(emitted.id, made.id),
        tenant_id=TENANT,
        webhook_id=made.id,
        webhook_version=1,
        attempt=1,
        claim_count=1,
        trigger=Trigger.SCHEDULED,
        event=emitted,
        deadline=claim.deadline,
    )
    found = await deliveries.get(TENANT, claim.id)
    assert 0 < (found.due_time - datetime.now(UTC)).total_seconds() <= LEASE
    assert await making.claim_all(deliveries) == []


async def test_one_with_a_flood_takes_its_turns_only(
    webhooks: Webhooks, events: Events, deliveries: Deliveries, sql: asyncpg.Connection
) -> None:
    """5,000 rows of one webhook, all older than those of 200 others with one each."""
    flooded = await making.webhook(webhooks, event_types=("Nothing.*",))
    others = [(await making.webhook(webhooks)).id for _ in range(200)]
    await making.queue(events, making.event())
    await backlog_of(sql, events, flooded.id, 5000)
    cursor, served, rounds = START, Counter[UUID](), 0
    while not served.keys() >= set(others):
        claims, cursor = await deliveries.claim(cursor, Wanted(room=60, room_each=4))
        rounds += 1
        assert rounds <= 6
        counts = Counter(claim.webhook_id for claim in claims)
        assert counts[flooded.id] <= 4
        served += counts
    assert all(served[other] == 1 for other in others)


async def backlog_of(sql: asyncpg.Connection, events: Events, webhook_id: UUID, count: int) -> None:
    event = making.event("Some.Other")
    await sql.execute("update webhooks set state = 2 where id <> $1", webhook_id)
    await events.emit([event], Room(0))
    await sql.execute("update webhooks set state = 1")
    await sql.execute(FILL, TENANT, event.id, webhook_id, count)


async def test_tenants_and_their_webhooks_take_turns(
    webhooks: Webhooks, events: Events, deliveries: Deliveries
) -> None:
    for tenant in ("a", "b", "c"):
        for _ in range(3):
            await making.webhook(webhooks, tenant)
    await making.queue(events, *(making.event(tenant_id=tenant) for tenant in "abc" for _ in range(5)))
    claims, cursor = await deliveries.claim(START, Wanted(room=9, room_each=1))
    assert Counter(claim.tenant_id for claim in claims) == {"a": 3, "b": 3, "c": 3}
    assert len({claim.webhook_id for claim in claims}) == 9
    assert (cursor.tenant_id, cursor.webhook_id) == (claims[-1].tenant_id, claims[-1].webhook_id)


async def test_the_cursor_sees_all_and_starts_again(
    webhooks: Webhooks, events: Events, deliveries: Deliveries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TURNS", 3)
    made = [(await making.webhook(webhooks)).id for _ in range(8)]
    await making.queue(events, *(making.event() for _ in range(3)))
    order: list[UUID] = []
    cursor: Cursor = START
    rounds = 0
    while len(order) < 24:
        claims, cursor = await deliveries.claim(cursor, Wanted(room=2, room_each=1))
        order += [claim.webhook_id for claim in claims]
        rounds += cursor.round_complete
        assert rounds < 10
    assert order[:8] == order[8:16] == order[16:] == made
    # With nothing due, each claim looks at TURNS webhooks and the last one says that the round is complete.
    cursor, cursors = START, []
    for _ in range(3):
        claims, cursor = await deliveries.claim(cursor, Wanted(room=2, room_each=1))
        assert claims == []
        cursors.append(cursor)
    assert [following.round_complete for following in cursors] == [False, False, True]


async def test_full_webhooks_are_passed_over(webhooks: Webhooks, events: Events, deliveries: Deliveries) -> None:
    full, free = await making.webhook(webhooks), await making.webhook(webhooks)
    await making.queue(events, making.event(), making.event())
    claims, _ = await deliveries.claim(START, Wanted(room=10, room_each=10, full=[full.id]))
    assert [claim.webhook_id for claim in claims] == [free.id, free.id]


async def test_the_oldest_come_first(
    webhooks: Webhooks, events: Events, deliveries: Deliveries, sql: asyncpg.Connection
) -> None:
    made = await making.webhook(webhooks)
    emitted = [making.event() for _ in range(4)]
    await making.queue(events, *emitted)
    ages = dict(zip((ids.delivery(event.id, made.id) for event in emitted), (10, 40, 20, 30), strict=True))
    for delivery_id, age in ages.items():
        await sql.execute(
            "update deliveries set due_at = now() - make_interval(secs => $2) where id = $1", delivery_id, float(age)
        )
    claims, _ = await deliveries.claim(START, Wanted(room=2, room_each=2))
    assert sorted(ages[claim.id] for claim in claims) == [30, 40]


async def test_what_is_not_due_waits(
    webhooks: Webhooks, events: Events, deliveries: Deliveries, sql: asyncpg.Connection
) -> None:
    await making.webhook(webhooks)
    await making.queue(events, making.event())
    await sql.execute("update deliveries set due_at = now() + interval '1 h'")
    assert await making.claim_all(deliveries) == []
    await sql.execute("update deliveries set due_at = now() - interval '1 ms'")
    assert len(await making.claim_all(deliveries)) == 1


@pytest.mark.case("H4")
async def test_claimers_at_once_share_no_row(
    webhooks: Webhooks, events: Events, open_database: OpenDatabase, sql: asyncpg.Connection
) -> None:
    for _ in range(10):
        await making.webhook(webhooks)
    await making.queue(events, *(making.event() for _ in range(60)))
    await sql.execute("update deliveries set due_at = now() - interval '1 s'")  # all due at the same moment
    claimers = [Deliveries(await open_database(2), lease=LEASE) for _ in range(3)]

    async def drain(claimer: Deliveries) -> list[UUID]:
        taken: list[UUID] = []
        cursor, idle = START, 0
        while idle < 3:
            claims, cursor = await claimer.claim(cursor, Wanted(room=17, room_each=3))
            taken += making.ids_of(claims)
            idle = 0 if claims else idle + 1
        return taken

    taken = await asyncio.gather(*(drain(claimer) for claimer in claimers))
    everything = [delivery_id for one in taken for delivery_id in one]
    assert len(everything) == len(set(everything)) == 600
    assert await sql.fetchval("select count(*) from deliveries where claim_count = 1") == 600


async def test_a_claim_passes_over_rows_that_another_holds(
    webhooks: Webhooks, events: Events, deliveries: Deliveries, sql: asyncpg.Connection
) -> None:
    made = await making.webhook(webhooks)
    emitted = [making.event() for _ in range(3)]
    await making.queue(events, *emitted)
    held = ids.delivery(emitted[0].id, made.id)
    async with sql.transaction():
        await sql.fetch("select from deliveries where id = $1 for update", held)
        assert held not in making.ids_of(await making.claim_all(deliveries))
    assert making.ids_of(await making.claim_all(deliveries)) == [held]


async def test_a_lease_ends(webhooks: Webhooks, events: Events, deliveries: Deliveries, database: Database) -> None:
    await making.webhook(webhooks)
    await making.queue(events, making.event())
    ((first,), _) = await Deliveries(database, lease=0.01).claim(START, Wanted(room=1, room_each=1))

    async def lapsed() -> list[Claim]:
        return await making.claim_all(deliveries)

    (second,) = await making.until(lapsed)
    assert (second.id, second.claim_count, second.attempt) == (first.id, 2, 1)
    assert second.deadline > first.deadline


async def test_who_has_it(
    webhooks: Webhooks, events: Events, deliveries: Deliveries, database: Database, sql: asyncpg.Connection
) -> None:
    """From its claim, or its hand-over at emit, until an outcome, a release or the lease's end."""
    await making.webhook(webhooks)
    (handed_over,) = (await events.emit([making.event()], Room(1))).claims

    async def under_way() -> bool:
        return (await DeliveryLog(database).get(TENANT, handed_over.id)).under_way

    assert await under_way()
    await deliveries.release([handed_over])
    assert not await under_way()
    claim = await making.claim_one(deliveries)
    assert await under_way()
    await deliveries.record([making.record(claim, 500, making.retries(3600))])
    assert not await under_way()
    await sql.execute("update deliveries set due_at = now()")
    claim = await making.claim_one(deliveries)
    assert await under_way()
    await sql.execute("update deliveries set due_at = now()")  # as if the lease had ended
    assert not await under_way()
    await making.claim_one(deliveries)
    await sql.execute("update deliveries set state = 4, finish_time = now()")
    assert not await under_way()


async def test_webhooks_that_are_stopped_wait_and_those_that_are_gone_come_with_version_0(
    webhooks: Webhooks, suspensions: Suspensions, events: Events, deliveries: Deliveries, sql: asyncpg.Connection
) -> None:
    active, disabled, suspended, gone = [await making.webhook(webhooks) for _ in range(4)]
    await making.queue(events, making.event())
    await webhooks.disable(TENANT, disabled.id, "")
    await suspensions.suspend(TENANT, suspended.id, "")
    await sql.execute("delete from webhooks where id = $1", gone.id)
    versions = {claim.webhook_id: claim.webhook_version for claim in await making.claim_all(deliveries)}
    assert versions == {active.id: 1, gone.id: 0}
    await webhooks.enable(TENANT, disabled.id)
    assert {c.webhook_id: c.webhook_version for c in await making.claim_all(deliveries)} == {disabled.id: 3}


async def test_release_gives_back_at_once_and_only_ones_own(
    webhooks: Webhooks, events: Events, deliveries: Deliveries, sql: asyncpg.Connection
) -> None:
    await making.webhook(webhooks)
    await making.queue(events, *(making.event() for _ in range(5)))
    first = await making.claim_all(deliveries)
    await deliveries.release(first)
    second = await making.claim_all(deliveries)
    assert {claim.id for claim in second} == {claim.id for claim in first}
    assert {claim.claim_count for claim in second} == {2}
    await deliveries.release(first)  # no longer theirs to give
    assert await making.claim_all(deliveries) == []
    await deliveries.record([making.record(second[0])])
    await deliveries.release(second)
    assert len(await making.claim_all(deliveries)) == 4


async def test_a_retry_is_not_hurried_by_a_late_release(
    webhooks: Webhooks, events: Events, deliveries: Deliveries
) -> None:
    await making.webhook(webhooks)
    await making.queue(events, making.event())
    claim = await making.claim_one(deliveries)
    await deliveries.record([making.record(claim, 500, making.retries(3600))])
    await deliveries.release([claim])
    assert await making.claim_all(deliveries) == []


async def test_cancel(webhooks: Webhooks, events: Events, deliveries: Deliveries) -> None:
    await making.webhook(webhooks)
    await making.queue(events, making.event(), making.event())
    done, waiting = await making.claim_all(deliveries)
    await deliveries.record([making.record(done)])
    before = await deliveries.get(TENANT, done.id)
    await deliveries.cancel([done, waiting])
    assert await deliveries.get(TENANT, done.id) == before
    cancelled = await deliveries.get(TENANT, waiting.id)
    assert cancelled.state.name == "CANCELLED"
    assert cancelled.finish_time is not None
    assert await deliveries.record([making.record(waiting)]) == {}


async def test_emit_and_claim_agree_on_who_owns(webhooks: Webhooks, events: Events, deliveries: Deliveries) -> None:
    """An owned delivery is not claimed by another, and its outcome counts."""
    await making.webhook(webhooks)
    accepted = await events.emit([making.event()], Room(1))
    assert isinstance(accepted.results[0], Emitted)
    assert await making.claim_all(deliveries) == []
    (claim,) = accepted.claims
    assert await deliveries.record([making.record(claim)]) == {claim.id: State.SUCCEEDED}
