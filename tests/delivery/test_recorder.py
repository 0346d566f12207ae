"""The recorder, with a database that comes and goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import asyncpg
import pytest

from hookpost_server.delivery import recorder as module
from hookpost_server.delivery.recorder import Recorder
from hookpost_server.domain.delivery import Claim, Conclusion, Outcome, Record, Result, State
from hookpost_server.domain.webhook import State as WebhookState
from hookpost_server.store.database import Database
from hookpost_server.store.deliveries import Deliveries
from hookpost_server.store.events import Events
from hookpost_server.store.suspensions import Suspensions
from hookpost_server.store.webhooks import Webhooks
from tests.faults.proxy import Proxy
from tests.store import making
from tests.store.conftest import LEASE, OpenDatabase
from tests.store.making import TENANT, record, retries

from .engine import Engine
from .test_engine import Gate
from .wire import receiving


class Writer:
    """A recorder at work, and what it said that it has written."""

    def __init__(self, database: Database) -> None:
        self.written: list[Record] = []
        self.recorder = Recorder(
            Deliveries(database, lease=LEASE),
            Suspensions(database, Events(database, lease=LEASE)),
            recorded=self._recorded,
        )
        self.task = asyncio.create_task(self.recorder.run())

    def _recorded(self, records: Sequence[Record]) -> None:
        self.written += records

    async def flush(self) -> None:
        self.recorder.stop()
        async with asyncio.timeout(making.PATIENCE):
            await self.task


@pytest.fixture
async def writer(database: Database) -> AsyncIterator[Writer]:
    writer = Writer(database)
    yield writer
    await writer.flush()


@pytest.fixture
async def claims(webhooks: Webhooks, events: Events, deliveries: Deliveries) -> list[Claim]:
    """30 of three webhooks."""
    for _ in range(3):
        await making.webhook(webhooks)
    await making.queue(events, *(making.event() for _ in range(10)))
    return await making.claim_all(deliveries)


async def states(sql: asyncpg.Connection) -> dict[str, int]:
    rows = await sql.fetch("select state, count(*) as n from deliveries group by state")
    return {State(row["state"]).name: row["n"] for row in rows}


async def test_stop_writes_all_that_is_left(
    writer: Writer, claims: list[Claim], sql: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_BATCH", 7)
    for claim in claims:
        writer.recorder.add(record(claim))
    await writer.flush()
    assert await states(sql) == {"SUCCEEDED": 30}
    assert len(writer.written) == 30


@pytest.mark.parametrize(
    ("outcome", "latency"),
    [
        ({"error": "nul \0"}, 0.1),
        ({"error": "half of a pair \ud800"}, 0.1),
        ({"status": 2**15}, 0.1),
        ({"status": 500}, 2.0**31 / 1_000_000),  # the machine slept meanwhile
    ],
    ids=["NUL", "surrogate", "status", "latency"],
)
async def test_an_outcome_that_can_not_be_stored_ends_its_delivery_and_harms_no_other(
    writer: Writer,
    claims: list[Claim],
    sql: asyncpg.Connection,
    deliveries: Deliveries,
    outcome: dict[str, Any],
    latency: float,
) -> None:
    for claim in claims[:10]:
        writer.recorder.add(record(claim))
    bad = Outcome(result=Result.BAD_STATUS, headers=(("x-a", "b"),), body=b"secret", **outcome)
    writer.recorder.add(record(claims[10], bad, retries(0.0), latency=latency))
    for claim in claims[11:]:
        writer.recorder.add(record(claim))
    await making.until(lambda: len(writer.written) == 30)
    assert await states(sql) == {"SUCCEEDED": 29, "FAILED": 1}
    ended = await deliveries.get(TENANT, claims[10].id)
    (attempt,) = ended.attempts
    assert (ended.last_result, attempt.result, attempt.status) == (Result.INTERNAL, Result.INTERNAL, None)
    assert (attempt.error, attempt.headers, attempt.body) == ("the outcome could not be stored", (), b"")


async def test_what_ends_a_delivery_all_the_same_suspends(
    writer: Writer, claims: list[Claim], webhooks: Webhooks
) -> None:
    gone = Outcome(result=Result.BAD_STATUS, status=410, error="\0")
    writer.recorder.add(record(claims[0], gone))
    await making.until(lambda: writer.written)
    assert (await webhooks.get(TENANT, claims[0].webhook_id)).state is WebhookState.SUSPENDED


async def test_a_suspension_that_has_to_wait_keeps_nobody_from_hearing_what_was_written(
    writer: Writer, claims: list[Claim], webhooks: Webhooks, sql: asyncpg.Connection
) -> None:
    """Who waits for an outcome, and the figures, are told once; the webhook is suspended as soon as it can be."""
    gone = claims[0]
    async with sql.transaction():
        await sql.execute("select from webhooks where id = $1 for update", gone.webhook_id)
        writer.recorder.add(record(gone, 410))
        writer.recorder.add(record(claims[1]))
        await making.until(lambda: len(writer.written) == 2)
        assert (await webhooks.get(TENANT, gone.webhook_id)).state is WebhookState.ACTIVE
    await writer.flush()
    assert (await webhooks.get(TENANT, gone.webhook_id)).state is WebhookState.SUSPENDED
    assert len(writer.written) == 2


async def test_an_outcome_that_no_form_of_can_be_stored_is_left(
    writer: Writer, claims: list[Claim], sql: asyncpg.Connection
) -> None:
    """The recorder goes on; the delivery is attempted again after its lease."""
    await sql.execute("update deliveries set attempt_count = 32767 where id = $1", claims[0].id)
    for claim in claims:
        writer.recorder.add(record(claim))
    await making.until(lambda: len(writer.written) == 29)
    assert await states(sql) == {"SUCCEEDED": 29, "PENDING": 1}


async def test_a_retry_of_a_deleted_webhook_is_called_cancelled(
    writer: Writer, claims: list[Claim], webhooks: Webhooks
) -> None:
    doomed, other = claims[0], next(claim for claim in claims if claim.webhook_id != claims[0].webhook_id)
    await webhooks.delete(TENANT, doomed.webhook_id)
    for claim in (doomed, other):
        writer.recorder.add(record(claim, 500, retries(60)))
    await making.until(lambda: len(writer.written) == 2)
    assert {each.claim.id: each.conclusion for each in writer.written} == {
        doomed.id: Conclusion(State.CANCELLED),
        other.id: Conclusion(State.PENDING, 60),
    }


async def test_a_late_outcome_is_not_called_written(
    writer: Writer, claims: list[Claim], deliveries: Deliveries
) -> None:
    await deliveries.record([record(claims[0])])
    writer.recorder.add(record(claims[0], 500, retries(60)))
    writer.recorder.add(record(claims[1]))
    await making.until(lambda: writer.written)
    assert making.ids_of([written.claim for written in writer.written]) == [claims[1].id]


async def test_outcomes_are_kept_while_the_database_is_away(
    open_database: OpenDatabase, proxy: Proxy, claims: list[Claim], sql: asyncpg.Connection
) -> None:
    writer = Writer(await open_database(url=proxy.url))
    writer.recorder.add(record(claims[0]))
    await making.until(lambda: writer.written)
    await proxy.close()
    for claim in claims[1:]:
        writer.recorder.add(record(claim, 500, retries(0.0)))
    await asyncio.sleep(0)
    assert await states(sql) == {"SUCCEEDED": 1, "PENDING": 29}
    await proxy.open()
    await writer.flush()
    assert len(writer.written) == 30
    assert await sql.fetchval("select count(*) from attempts") == 30
    assert await sql.fetchval("select sum(attempts) from health_minutes") == 30


async def test_a_lost_reply_to_the_commit(
    open_database: OpenDatabase, proxy: Proxy, claims: list[Claim], sql: asyncpg.Connection, webhooks: Webhooks
) -> None:
    """The batch comes again, adds nothing twice, and a suspension is not forgotten."""
    writer = Writer(await open_database(url=proxy.url))
    proxy.swallow = b"COMMIT;"
    for claim in claims:
        writer.recorder.add(record(claim, 410 if claim.webhook_id == claims[0].webhook_id else 500, retries(60)))
    await writer.flush()
    assert proxy.lost == 1
    assert await states(sql) == {"FAILED": 10, "PENDING": 20}
    assert await sql.fetchval("select count(*) from attempts") == 30
    assert await sql.fetchval("select sum(attempts) from health_minutes") == 30
    assert await sql.fetchval("select max(attempt_count) from deliveries") == 1
    assert (await webhooks.get(TENANT, claims[0].webhook_id)).state is WebhookState.SUSPENDED


async def test_attempts_wait_while_outcomes_can_not_be_written(
    open_database: OpenDatabase, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, sql: asyncpg.Connection
) -> None:
    """Outcomes in memory are bounded: beyond, no attempt starts; when the database is back, all goes on."""
    monkeypatch.setattr(module, "MAX_WAITING", 3)
    gate = Gate()
    async with receiving(gate) as receiver, Engine(await open_database(url=proxy.url)).running() as engine:
        webhook = await engine.webhook(receiver.url, max_in_flight=3)
        events = await engine.emit(9)
        await receiver.got(3)
        await proxy.close()
        gate.open()
        await making.until(lambda: engine.recorder.full)
        await making.until(lambda: engine.dispatcher.in_flight == 0)
        started = len(receiver.requests)
        await proxy.open()
        assert started <= 5  # the third outcome stops it; two more attempts were under way
        for event in events:
            found = await engine.ended(event, webhook)
            assert (found.state, found.attempt_count) == (State.SUCCEEDED, 1)
        assert len(receiver.requests) == 9


async def test_the_engine_outlives_an_outage(
    open_database: OpenDatabase, proxy: Proxy, sql: asyncpg.Connection
) -> None:
    gate = Gate()
    async with receiving(gate) as receiver, Engine(await open_database(url=proxy.url)).running() as engine:
        webhook = await engine.webhook(receiver.url, retry_policy=retries(0.0))
        events = await engine.emit(12)
        await receiver.got(12)
        await proxy.close()
        gate.open()
        await making.until(lambda: engine.dispatcher.in_flight == 0)
        await proxy.open()
        await making.drop_connections(sql)  # and once more
        for event in events:
            found = await engine.ended(event, webhook)
            assert (found.state, found.attempt_count) == (State.SUCCEEDED, 1)
        (late,) = await engine.emit()
        assert (await engine.ended(late, webhook)).state is State.SUCCEEDED
        assert len(receiver.requests) == 13


async def test_an_outcome_that_comes_after_another_process_took_over(
    database: Database, sql: asyncpg.Connection
) -> None:
    gate = Gate()
    async with receiving(gate) as receiver, Engine(database).running() as first:
        webhook = await first.webhook(receiver.url)
        (event,) = await first.emit()
        await receiver.got(1)
        first.dispatcher.stop()  # it claims no more, as one that hangs
        async with Engine(database).running() as second:
            await sql.execute("update deliveries set due_at = now()")  # the lease is over
            await receiver.got(2)
            gate.open()
            found = await second.ended(event, webhook)
            await making.until(lambda: len(receiver.requests) == 2 and receiver.at_once == 0)
        assert [attempt.number for attempt in found.attempts] == [1]
    assert await sql.fetchval("select count(*) from attempts") == 1
    assert len(first.written) + len(second.written) == 1
    assert {request.header("hookpost-attempt") for request in receiver.requests} == {"1"}
