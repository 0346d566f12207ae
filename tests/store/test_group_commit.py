"""Group commit: shared statements, no lost wake-up, one's fault is one's own, bounds, the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

import asyncpg
import pytest

from hookpost_server.domain import errors
from hookpost_server.domain.delivery import Claim
from hookpost_server.domain.event import Event
from hookpost_server.store import group_commit as module
from hookpost_server.store.database import Database
from hookpost_server.store.events import Accepted, Emitted, Events, Room
from hookpost_server.store.group_commit import GroupCommit
from hookpost_server.store.unanswered import Unanswered
from hookpost_server.store.webhooks import Webhooks
from tests.faults.proxy import Proxy

from . import making
from .conftest import LEASE, OpenDatabase


class Watched(Events):
    """The real store, which notes its statements and can be stopped before each of them."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, lease=LEASE)
        self.batches: list[int] = []
        self.open = asyncio.Event()
        self.open.set()

    async def emit(self, events: Sequence[Event], room: Room) -> Accepted:
        self.batches.append(len(events))
        await self.open.wait()
        return await super().emit(events, room)

    async def emit_atomically(self, events: Sequence[Event], room: Room) -> Accepted:
        self.batches.append(len(events))
        await self.open.wait()
        return await super().emit_atomically(events, room)


@pytest.fixture
def store(database: Database) -> Watched:
    return Watched(database)


@pytest.fixture
def committed() -> list[tuple[list[Claim], bool]]:
    return []


@pytest.fixture
def unanswered() -> list[Event]:
    return []


Start = Callable[..., GroupCommit]


@pytest.fixture
async def start(
    store: Watched, committed: list[tuple[list[Claim], bool]], unanswered: list[Event]
) -> AsyncIterator[Start]:
    """Starts a group commit; stops it at the end, when everything must be committed."""
    running: list[tuple[GroupCommit, asyncio.Task[None]]] = []

    def start_one(max_queued: int = 10_000, room: int = 1000, events: Events = store) -> GroupCommit:
        group = GroupCommit(
            events,
            max_queued=max_queued,
            room=lambda: Room(room),
            committed=lambda claims, left: committed.append((list(claims), left)),
            unanswered=unanswered.extend,
        )
        running.append((group, asyncio.create_task(group.run())))
        return group

    yield start_one
    store.open.set()
    async with asyncio.timeout(making.PATIENCE):
        for group, task in running:
            group.stop()
            await task


async def count(sql: asyncpg.Connection, table: str = "events") -> int:
    number: int = await sql.fetchval(f"select count(*) from {table}")
    return number


async def turns(number: int) -> None:
    """Lets the loop go round that often."""
    for _ in range(number):
        await asyncio.sleep(0)


async def test_many_at_once_share_statements(start: Start, store: Watched, sql: asyncpg.Connection) -> None:
    group = start()
    emitted = [making.event() for _ in range(300)]
    results = await asyncio.gather(*(group.emit(event) for event in emitted))
    assert results == [Emitted(event.id, 0) for event in emitted]
    assert sum(store.batches) == 300
    assert len(store.batches) <= 3
    assert await count(sql) == 300


async def test_nothing_is_answered_with_nothing(start: Start, store: Watched) -> None:
    group = start()
    assert await group.submit([]) == []
    assert await group.emit_all([]) == []
    await group.emit(making.event())
    assert store.batches == [1]


async def test_one_alone_does_not_wait_for_others(start: Start, store: Watched) -> None:
    group = start()
    for _ in range(3):
        await group.emit(making.event())
    assert store.batches == [1, 1, 1]


async def test_what_is_owned_is_handed_over(
    start: Start, webhooks: Webhooks, committed: list[tuple[list[Claim], bool]]
) -> None:
    await making.webhook(webhooks)
    await making.webhook(webhooks)
    group = start(room=1)
    assert (await group.emit(making.event())).delivery_count == 2
    ((claims, left),) = committed
    assert (len(claims), left) == (1, True)


async def test_no_wake_up_is_lost(start: Start) -> None:
    """An event that arrives at any moment of the round before is committed, though nothing else ever arrives."""
    group = start()
    async with asyncio.timeout(making.PATIENCE):
        for moment in range(60):
            first = asyncio.create_task(group.emit(making.event()))
            await turns(moment)
            await group.emit(making.event())
            await first


@pytest.mark.parametrize("moment", [*range(12), 20, 40])
async def test_what_arrives_around_a_stop_is_committed_or_refused(
    start: Start, sql: asyncpg.Connection, moment: int
) -> None:
    group = start()
    emits = [asyncio.create_task(group.emit(making.event()))]
    await turns(moment)
    group.stop()
    with pytest.raises(errors.ShuttingDown):
        await group.emit(making.event())
    async with asyncio.timeout(making.PATIENCE):
        results = await asyncio.gather(*emits, return_exceptions=True)
    kept = [result for result in results if isinstance(result, Emitted)]
    assert await count(sql) == len(kept) >= (1 if moment else 0)


async def test_stop_commits_what_is_queued(start: Start, store: Watched, sql: asyncpg.Connection) -> None:
    group = start()
    store.open.clear()
    emits = [asyncio.create_task(group.emit(making.event())) for _ in range(20)]
    await making.until(lambda: store.batches)
    emits += [asyncio.create_task(group.emit(making.event())) for _ in range(20)]
    await turns(2)
    group.stop()
    store.open.set()
    assert len(await asyncio.gather(*emits)) == 40
    assert await count(sql) == 40


async def test_what_was_queued_before_it_ran_at_all_is_committed(store: Watched, sql: asyncpg.Connection) -> None:
    group = GroupCommit(
        store, max_queued=10, room=lambda: Room(0), committed=lambda claims, left: None, unanswered=print
    )
    future = group.submit([making.event()])
    group.stop()
    async with asyncio.timeout(making.PATIENCE):
        await group.run()
    assert len(await future) == 1
    assert await count(sql) == 1


@pytest.mark.parametrize("many", [False, True])
async def test_a_poison_submission_fails_alone(
    start: Start, store: Watched, sql: asyncpg.Connection, many: bool
) -> None:
    group = start()
    store.open.clear()
    blocker = asyncio.create_task(group.emit(making.event()))
    await making.until(lambda: store.batches)
    good = [asyncio.create_task(group.emit(making.event())) for _ in range(5)]
    await turns(2)
    poison = [making.event("nul \0"), making.event()] if many else [making.event("lone \ud800")]
    bad = group.submit(poison)
    good += [asyncio.create_task(group.emit(making.event())) for _ in range(5)]
    await turns(2)
    store.open.set()
    with pytest.raises(asyncpg.PostgresError):
        await bad
    assert all(isinstance(result, Emitted) for result in await asyncio.gather(blocker, *good))
    assert await count(sql) == 11
    assert isinstance(await group.emit(making.event()), Emitted)


async def test_the_queue_is_bounded_by_events(start: Start, store: Watched, sql: asyncpg.Connection) -> None:
    group = start(max_queued=10)
    store.open.clear()
    futures = [group.submit([making.event()])]
    await making.until(lambda: store.batches)
    futures += [group.submit([making.event() for _ in range(3)]) for _ in range(3)]
    with pytest.raises(errors.BacklogFull, match="10 events"):
        group.submit([making.event()])
    store.open.set()
    await asyncio.gather(*futures)
    large = group.submit([making.event() for _ in range(11)])  # fits an empty queue, or it would never fit
    assert len(await large) == 11
    assert await count(sql) == 21


async def test_the_queue_is_bounded_by_bytes(start: Start, store: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_QUEUED_BYTES", 1000)
    group = start()
    store.open.clear()
    future = group.submit([making.event(payload=b"x" * 900)])
    with pytest.raises(errors.BacklogFull):
        group.submit([making.event(payload=b"x" * 101)])
    rest = group.submit([making.event(payload=b"x" * 100)])
    store.open.set()
    await future
    await rest
    await group.submit([making.event(payload=b"x" * 1000)])  # what was committed no longer counts


async def test_a_statement_is_bounded(
    start: Start, store: Watched, webhooks: Webhooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        await making.webhook(webhooks, event_types=("User.Created",))
    group = start()
    await group.emit(making.event())  # from now on it knows the fan-out
    store.batches.clear()
    for limit, value, batches in (("MAX_EVENTS", 4, [4, 4, 2]), ("MAX_DELIVERIES", 20, [4, 4, 2])):
        with monkeypatch.context() as patch:
            patch.setattr(module, limit, value)
            await asyncio.gather(*(group.emit(making.event()) for _ in range(10)))
            assert store.batches == batches, limit
            store.batches.clear()
    monkeypatch.setattr(module, "MAX_BYTES", 30)
    await asyncio.gather(*(group.emit(making.event(payload=b"x" * 10)) for _ in range(7)))
    assert store.batches == [3, 3, 1]


async def test_a_batch_with_a_key_is_atomic(start: Start, store: Watched, sql: asyncpg.Connection) -> None:
    group = start()
    first = await group.emit(making.event(idempotency_key="k"))
    store.batches.clear()
    reused = making.event("Role.Created", idempotency_key="k")
    alone, batch = await asyncio.gather(
        group.emit(making.event()), group.emit_all([making.event(), reused]), return_exceptions=True
    )
    assert isinstance(alone, Emitted)
    assert isinstance(batch, errors.IdempotencyKeyReused)
    assert store.batches == [1, 2]
    assert await count(sql) == 2
    results = await group.emit_all([making.event(idempotency_key="k"), making.event(idempotency_key="new")])
    assert [(result.event_id == first.event_id, result.duplicate) for result in results] == [
        (True, True),
        (False, False),
    ]


async def test_a_reused_key_spares_the_others(start: Start) -> None:
    group = start()
    await group.emit(making.event(idempotency_key="k"))
    results = await asyncio.gather(
        group.emit(making.event()),
        group.emit(making.event("Role.Created", idempotency_key="k")),
        group.emit(making.event(idempotency_key="k")),
        return_exceptions=True,
    )
    assert [type(result).__name__ for result in results] == ["Emitted", "IdempotencyKeyReused", "Emitted"]
    in_stream = await group.submit([making.event("Role.Created", idempotency_key="k"), making.event()])
    assert [type(result).__name__ for result in in_stream] == ["IdempotencyKeyReused", "Emitted"]


async def test_a_cancelled_callers_event_is_committed(
    start: Start, store: Watched, webhooks: Webhooks, sql: asyncpg.Connection, committed: list[tuple[list[Claim], bool]]
) -> None:
    await making.webhook(webhooks)
    group = start()
    store.open.clear()
    gone, queued = asyncio.create_task(group.emit(making.event())), asyncio.create_task(group.emit(making.event()))
    await making.until(lambda: store.batches)
    later = asyncio.create_task(group.emit(making.event()))
    await turns(2)
    for task in (gone, later):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    store.open.set()
    await queued
    await group.emit(making.event())
    assert await count(sql) == 4
    assert sum(len(claims) for claims, _ in committed) == 4


async def test_a_database_that_went_away(
    open_database: OpenDatabase, proxy: Proxy, start: Start, sql: asyncpg.Connection
) -> None:
    store = Watched(await open_database(url=proxy.url))
    group = start(events=store)
    await group.emit(making.event())
    await proxy.close()
    store.batches.clear()
    results = await asyncio.gather(*(group.emit(making.event()) for _ in range(3)), return_exceptions=True)
    assert {type(result) for result in results} == {errors.EmitUnanswered}
    assert store.batches == [3]  # not tried one by one: none of them is at fault
    await proxy.open()
    assert isinstance(await group.emit(making.event()), Emitted)
    assert await count(sql) == 2


async def test_a_lost_reply_and_the_key(
    open_database: OpenDatabase, proxy: Proxy, start: Start, sql: asyncpg.Connection
) -> None:
    """Committed, but the answer was lost: the caller hears of an outage, and its key finds the event."""
    store = Watched(await open_database(url=proxy.url))
    group = start(events=store)
    await group.emit(making.event())  # prepares the statement
    proxy.swallow = b"lost-reply"
    lost = making.event(idempotency_key="lost-reply")
    with pytest.raises(errors.DatabaseUnavailable):
        await group.emit(lost)
    assert proxy.lost == 1
    again = await group.emit(making.event(idempotency_key="lost-reply"))
    assert again == Emitted(lost.id, 0, duplicate=True)
    assert await count(sql) == 2


async def test_after_a_lost_reply_the_deliveries_do_not_wait_for_their_lease(
    open_database: OpenDatabase,
    proxy: Proxy,
    start: Start,
    unanswered: list[Event],
    webhooks: Webhooks,
    sql: asyncpg.Connection,
) -> None:
    """Nobody was handed them. Those that somebody claimed since are left alone."""
    for _ in range(2):
        await making.webhook(webhooks)
    database = await open_database(url=proxy.url)
    group = start(events=Watched(database))
    await group.emit(making.event())  # prepares the statement
    kept = await sql.fetch("select id, due_at from deliveries")
    proxy.swallow = b"lost-reply"
    with pytest.raises(errors.DatabaseUnavailable):
        await group.emit(making.event(idempotency_key="lost-reply"))
    (lost,) = unanswered
    leases = "select id, due_at > now() as leased from deliveries where event_id = $1 order by id"
    ours = await sql.fetch(leases, lost.id)
    assert [row["leased"] for row in ours] == [True, True]
    await sql.execute("update deliveries set claim_count = 2 where id = $1", ours[1]["id"])
    release = Unanswered(database, lease=LEASE, released=lambda: None).release
    assert await release([(lost.id, lost.tenant_id)]) == 1
    assert [row["leased"] for row in await sql.fetch(leases, lost.id)] == [False, True]
    assert await sql.fetch("select id, due_at from deliveries where event_id <> $1", lost.id) == kept
    assert await release([(lost.id, lost.tenant_id)]) == 0
