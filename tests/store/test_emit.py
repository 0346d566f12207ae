"""Accepting events: matching, idempotency keys, who owns what."""

from __future__ import annotations

import asyncio
import dataclasses
from uuid import UUID

import asyncpg
import pytest

from hookpost_server.domain import errors, ids
from hookpost_server.store.database import Database
from hookpost_server.store.deliveries import Deliveries
from hookpost_server.store.events import Emitted, Events, Room
from hookpost_server.store.suspensions import Suspensions
from hookpost_server.store.webhooks import Webhooks
from tests.keys import RING

from . import making
from .conftest import LEASE, OpenDatabase
from .making import TENANT

PLENTY = Room(10_000)


async def pairs(sql: asyncpg.Connection) -> set[tuple[UUID, UUID]]:
    """(event, webhook) of every delivery."""
    return {(row["event_id"], row["webhook_id"]) for row in await sql.fetch("select * from deliveries")}


async def test_what_is_emitted_is_what_is_read(events: Events) -> None:
    emitted = making.event(payload=b'{"b":1.0,\n "a":1e2,"u":"\\u00fc"} ', idempotency_key="k")
    accepted = await events.emit([emitted], PLENTY)
    assert accepted.results == [Emitted(emitted.id, 0)]
    assert accepted.claims == []
    assert not accepted.left_in_queue
    assert await events.get(TENANT, emitted.id) == dataclasses.replace(emitted, fingerprint=b"")
    with pytest.raises(errors.NotFound):
        await events.get("other", emitted.id)


async def test_matching(database: Database, events: Events, sql: asyncpg.Connection) -> None:
    webhooks = Webhooks(database, RING, open_types=True)
    patterns = [
        ("User.Created",),
        ("User.*",),
        ("*",),
        ("User.Data.*",),
        ("User.Data.Updated", "Role.*"),
        ("Use.*",),
        ("user.created",),
    ]
    made = {given: (await making.webhook(webhooks, event_types=given)).id for given in patterns}
    expected = {
        "User.Created": [("User.Created",), ("User.*",), ("*",)],
        "User.Data.Updated": [("User.*",), ("*",), ("User.Data.*",), ("User.Data.Updated", "Role.*")],
        "User": [("*",)],
        "Role.Created": [("*",), ("User.Data.Updated", "Role.*")],
        "User_Created": [("*",)],
    }
    emitted = {kind: making.event(kind) for kind in expected}
    accepted = await events.emit(list(emitted.values()), PLENTY)
    assert accepted.results == [Emitted(emitted[kind].id, len(whose)) for kind, whose in expected.items()]
    wanted = {(emitted[kind].id, made[given]) for kind, whose in expected.items() for given in whose}
    assert await pairs(sql) == wanted
    assert {(claim.event.id, claim.webhook_id) for claim in accepted.claims} == wanted


async def test_two_matching_patterns_make_one_delivery(
    webhooks: Webhooks, events: Events, sql: asyncpg.Connection
) -> None:
    await making.webhook(webhooks, event_types=("User.Created", "User.*", "*"))
    accepted = await events.emit([making.event(), making.event("Role.Created")], PLENTY)
    assert [result.delivery_count for result in accepted.results if isinstance(result, Emitted)] == [1, 1]
    assert await sql.fetchval("select count(*) from deliveries") == 2


async def test_inactive_webhooks_and_other_tenants_get_nothing(
    webhooks: Webhooks, suspensions: Suspensions, events: Events
) -> None:
    active, disabled, suspended, deleted = [await making.webhook(webhooks) for _ in range(4)]
    foreign = await making.webhook(webhooks, "other")
    await webhooks.disable(TENANT, disabled.id, "")
    await suspensions.suspend(TENANT, suspended.id, "")
    await webhooks.delete(TENANT, deleted.id)
    here, there, nowhere = making.event(), making.event(tenant_id="other"), making.event(tenant_id="third")
    accepted = await events.emit([here, there, nowhere], PLENTY)
    assert [result.delivery_count for result in accepted.results if isinstance(result, Emitted)] == [1, 1, 0]
    assert {(claim.event, claim.tenant_id, claim.webhook_id) for claim in accepted.claims} == {
        (here, TENANT, active.id),
        (there, "other", foreign.id),
    }


async def test_delivery_ids_are_the_domains(webhooks: Webhooks, events: Events, sql: asyncpg.Connection) -> None:
    for _ in range(5):
        await making.webhook(webhooks)
    accepted = await events.emit([making.event() for _ in range(20)], PLENTY)
    assert len(accepted.claims) == 100
    assert all(claim.id == ids.delivery(claim.event.id, claim.webhook_id) for claim in accepted.claims)
    assert {row["id"] for row in await sql.fetch("select id from deliveries")} == {c.id for c in accepted.claims}


async def test_room_decides_what_is_owned(
    webhooks: Webhooks, events: Events, deliveries: Deliveries, sql: asyncpg.Connection
) -> None:
    a, b = await making.webhook(webhooks), await making.webhook(webhooks, event_types=("User.*",))
    accepted = await events.emit([making.event(), making.event()], Room(3))
    assert len(accepted.claims) == 3
    assert accepted.left_in_queue
    for claim in accepted.claims:
        assert (claim.attempt, claim.claim_count, claim.webhook_version) == (1, 1, 1)
    owned = await sql.fetch("select * from deliveries where claim_count = 1 and due_at > now() + interval '40 s'")
    assert {row["id"] for row in owned} == {claim.id for claim in accepted.claims}
    assert all((row["due_at"] - row["due_at"].now(row["due_at"].tzinfo)).total_seconds() <= LEASE for row in owned)
    left = await making.claim_all(deliveries)
    assert len(left) == 1
    assert left[0].id not in {claim.id for claim in accepted.claims}

    full = await events.emit([making.event("Role.Created"), making.event()], Room(10, [a.id]))
    assert [claim.webhook_id for claim in full.claims] == [b.id]
    assert full.left_in_queue
    assert {claim.webhook_id for claim in await making.claim_all(deliveries)} == {a.id}
    whole = await events.emit([making.event()], Room(2))
    assert (len(whole.claims), whole.left_in_queue) == (2, False)


async def test_room_is_taken_in_the_events_order(webhooks: Webhooks, events: Events) -> None:
    await making.webhook(webhooks, event_types=("User.*",))
    unwanted = [making.event("Role.Created") for _ in range(5)]
    emitted = [making.event() for _ in range(20)]
    accepted = await events.emit([*unwanted, *emitted], Room(10))
    assert [claim.event for claim in accepted.claims] == emitted[:10]


async def test_an_idempotency_key_counts_once(webhooks: Webhooks, events: Events, sql: asyncpg.Connection) -> None:
    await making.webhook(webhooks)
    first = making.event(idempotency_key="k")
    assert (await events.emit([first], PLENTY)).results == [Emitted(first.id, 1)]
    again = making.event(idempotency_key="k")
    repeated = await events.emit([again], PLENTY)
    assert repeated.results == [Emitted(first.id, 1, duplicate=True)]
    assert repeated.claims == []
    for other in (
        making.event(idempotency_key="k", payload=b'{"n": 2}'),
        making.event("User.Deleted", idempotency_key="k"),
    ):
        (refused,) = (await events.emit([other], PLENTY)).results
        assert isinstance(refused, errors.IdempotencyKeyReused)
        assert refused.metadata == {"idempotency_key": "k", "event_id": ids.text(ids.EVENT, first.id)}
    foreign = making.event(tenant_id="other", idempotency_key="k", payload=b"{}")
    assert (await events.emit([foreign], PLENTY)).results == [Emitted(foreign.id, 0)]
    assert {row["id"] for row in await sql.fetch("select id from events")} == {first.id, foreign.id}


async def test_one_key_many_times_in_a_batch(webhooks: Webhooks, events: Events, sql: asyncpg.Connection) -> None:
    await making.webhook(webhooks)
    emitted = [making.event(idempotency_key=f"k{n % 3}", payload=b'{"n": %d}' % (n % 2)) for n in range(60, 0, -1)]
    plain = making.event()
    results = (await events.emit([*emitted, plain], PLENTY)).results
    for n, result in enumerate(results[:-1]):
        first = emitted[n % 3]  # of those with this key, the first in the batch is the one that counts
        if emitted[n].payload == first.payload:
            assert result == Emitted(first.id, 1, duplicate=n >= 3)
        else:
            assert isinstance(result, errors.IdempotencyKeyReused)
    assert results[-1] == Emitted(plain.id, 1)
    assert await sql.fetchval("select count(*) from events") == 4
    assert await sql.fetchval("select count(*) from deliveries") == 4


async def test_an_atomic_batch_is_all_or_nothing(webhooks: Webhooks, events: Events, sql: asyncpg.Connection) -> None:
    await making.webhook(webhooks)
    first = making.event(idempotency_key="k")
    await events.emit([first], PLENTY)
    batch = [making.event(), making.event(idempotency_key="new"), making.event("Role.Created", idempotency_key="k")]
    with pytest.raises(errors.IdempotencyKeyReused):
        await events.emit_atomically(batch, PLENTY)
    for table, count in (("events", 1), ("deliveries", 1), ("idempotency_keys", 1)):
        assert await sql.fetchval(f"select count(*) from {table}") == count
    mended = [*batch[:2], making.event(idempotency_key="k")]
    accepted = await events.emit_atomically(mended, PLENTY)
    assert accepted.results == [
        Emitted(batch[0].id, 1),
        Emitted(batch[1].id, 1),
        Emitted(first.id, 1, duplicate=True),
    ]
    assert len(accepted.claims) == 2


async def test_one_key_from_several_connections_at_once(
    events: Events, webhooks: Webhooks, open_database: OpenDatabase, sql: asyncpg.Connection
) -> None:
    await making.webhook(webhooks)
    stores = [Events(await open_database(2), lease=LEASE) for _ in range(4)]
    for turn in range(10):
        emitted = [making.event(idempotency_key=f"k{turn}", payload=b'{"n": %d}' % (n % 2)) for n in range(8)]
        accepted = await asyncio.gather(
            *(store.emit([one], PLENTY) for store, one in zip(stores * 2, emitted, strict=True))
        )
        results = [one.results[0] for one in accepted]
        (winner,) = [r.event_id for r in results if isinstance(r, Emitted) and not r.duplicate]
        same = next(n for n, one in enumerate(emitted) if one.id == winner) % 2
        for n, result in enumerate(results):
            if n % 2 == same:
                assert isinstance(result, Emitted)
                assert (result.event_id, result.delivery_count) == (winner, 1)
            else:
                assert isinstance(result, errors.IdempotencyKeyReused)
    assert await sql.fetchval("select count(*) from events") == 10
    assert await sql.fetchval("select count(*) from deliveries") == 10


async def test_a_key_of_an_emit_under_way_is_waited_for(
    events: Events, sql: asyncpg.Connection, other_sql: asyncpg.Connection
) -> None:
    """The second one's snapshot is older than the first one's commit, and it answers the first one's event."""
    first = making.event(idempotency_key="k")
    async with sql.transaction():
        await sql.execute("insert into idempotency_keys values ('k', $1, $2, $3)", TENANT, first.id, first.fingerprint)
        second = asyncio.create_task(events.emit([making.event(idempotency_key="k")], PLENTY))
        await making.blocked(other_sql, 1)
    assert (await second).results == [Emitted(first.id, 0, duplicate=True)]


async def test_keys_are_taken_in_their_order(
    events: Events, sql: asyncpg.Connection, other_sql: asyncpg.Connection
) -> None:
    """Two emits that take the same keys in different orders would wait for each other."""
    numbers = [(n * 17) % 40 for n in range(40)]
    batch = [making.event(idempotency_key=f"k{n:02}", tenant_id=f"t{n % 3}") for n in numbers]
    async with sql.transaction():
        await sql.execute("insert into idempotency_keys values ('k20', 't2', $1, '')", UUID(int=1))
        emit = asyncio.create_task(events.emit(batch, PLENTY))
        await making.blocked(other_sql, 1)
        taken = []
        await other_sql.execute("set lock_timeout = '30ms'")
        for n in range(40):
            if n != 20:
                try:
                    async with other_sql.transaction():
                        await other_sql.execute(
                            "insert into idempotency_keys values ($1, $2, $3, '')", f"k{n:02}", f"t{n % 3}", UUID(int=2)
                        )
                        raise asyncio.CancelledError  # undo
                except asyncpg.LockNotAvailableError:
                    taken.append(n)
                except asyncio.CancelledError:
                    pass
    await emit
    assert taken == list(range(20))


@pytest.mark.case("H6")
async def test_emit_sees_a_webhook_wholly_or_not_at_all(
    webhooks: Webhooks, events: Events, sql: asyncpg.Connection
) -> None:
    made = await making.webhook(webhooks, event_types=("User.Created",))
    moving = True

    async def move() -> None:
        for n in range(40):
            given = ("User.Created", "Role.Created") if n % 2 else ("Role.Created", "User.Deleted")
            await webhooks.update(TENANT, made.id, lambda s, g=given: dataclasses.replace(s, event_types=g))

    async def emit() -> list[tuple[UUID, UUID]]:
        both = []
        while moving:
            role, other = making.event("Role.Created"), making.event("User.Created")
            deleted = making.event("User.Deleted")
            results = (await events.emit([role, other, deleted], PLENTY)).results
            counts = [result.delivery_count for result in results if isinstance(result, Emitted)]
            assert counts in ([0, 1, 0], [1, 0, 1], [1, 1, 0])
            both.append((role.id, other.id))
        return both

    emitting = asyncio.create_task(emit())
    await move()
    moving = False
    assert await emitting


async def test_list_events(events: Events) -> None:
    kinds = ["User.Created", "Role.Created", "User.Created", "User.Created", "Role.Created", "User.Created"]
    emitted = [making.event(kind) for kind in kinds]
    await events.emit([*emitted, making.event(tenant_id="other")], PLENTY)
    bounds = {"since": UUID(int=0), "before": UUID(int=2**128 - 1)}

    async def pages(event_type: str, limit: int, scan: int = 20_000) -> list[UUID]:
        seen, before = [], bounds["before"]
        for _ in range(20):
            page, following = await events.list(
                TENANT, since=bounds["since"], before=before, event_type=event_type, limit=limit, scan=scan
            )
            assert len(page) <= limit
            seen += making.ids_of(page)
            if following is None:
                return seen
            before = following
        raise AssertionError("no end")

    everything = making.ids_of(emitted)[::-1]
    users = [one.id for one in reversed(emitted) if one.type == "User.Created"]
    for limit in (1, 2, 3, 6, 7):
        assert await pages("", limit) == everything
        for scan in (1, 2, 3, 6, 7):
            assert await pages("User.Created", limit, scan) == users
            assert await pages("No.Such", limit, scan) == []
    page, following = await events.list(TENANT, since=emitted[1].id, before=emitted[4].id, event_type="", limit=10)
    assert (making.ids_of(page), following) == ([emitted[n].id for n in (3, 2, 1)], None)


async def test_a_poison_value_is_the_callers_fault_not_the_databases(events: Events) -> None:
    """What can't be encoded or stored is a bug that came through the door; it must not look like an outage."""
    for poison in ("lone \ud800", "nul \0"):
        with pytest.raises(asyncpg.PostgresError):
            await events.emit([making.event(poison)], PLENTY)
