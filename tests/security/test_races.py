"""Races of delivery state: those of the cases H1 to H8 that no test elsewhere forces; each interleaving is forced."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from uuid import UUID

import asyncpg
import pytest

from hookpost_server.delivery.turns import SPARE
from hookpost_server.domain import ids
from hookpost_server.domain.delivery import State
from hookpost_server.store.cursor import START, Wanted
from hookpost_server.store.database import Database
from hookpost_server.store.deliveries import Deliveries
from hookpost_server.store.events import Emitted, Events, Room
from hookpost_server.store.webhooks import Webhooks
from tests.delivery.engine import Engine
from tests.delivery.wire import Exchange, answering, receiving
from tests.store import making
from tests.store.conftest import (  # noqa: F401
    LEASE,
    OpenDatabase,
    database,
    events,
    open_database,
    other_sql,
    shared_database_url,
    sql,
    webhooks,
)
from tests.store.making import KEY, TENANT, retries


async def test_h4_each_is_claimed_once(
    webhooks: Webhooks,  # noqa: F811
    sql: asyncpg.Connection,  # noqa: F811
    open_database: OpenDatabase,  # noqa: F811
) -> None:
    """10,000 of one webhook, due at the same moment, for two workers of which neither waits for the other."""
    made = await making.webhook(webhooks)
    moment: datetime = await sql.fetchval("select now()")
    first = ids.first_of(moment.timestamp()).int
    rows = [UUID(int=first + number) for number in range(10_000)]
    await sql.copy_records_to_table(
        "events",
        columns=("tenant_id", "id", "type", "payload", "occur_time"),
        records=[(TENANT, row, "User.Created", b"{}", moment) for row in rows],
    )
    await sql.copy_records_to_table(
        "deliveries",
        columns=("tenant_id", "id", "event_id", "webhook_id", "type", "due_at"),
        records=[(TENANT, row, row, made.id, "User.Created", moment) for row in rows],
    )
    claimers = [Deliveries(await open_database(2), lease=LEASE) for _ in range(2)]

    async def drain(claimer: Deliveries) -> list[UUID]:
        taken: list[UUID] = []
        while claims := (await claimer.claim(START, Wanted(room=250, room_each=250)))[0]:
            taken += making.ids_of(claims)
        return taken

    taken = await asyncio.gather(*map(drain, claimers))
    assert Counter(Counter(taken[0] + taken[1]).values()) == {1: 10_000}
    assert all(taken)
    assert await sql.fetchval("select count(*) from deliveries where claim_count = 1") == 10_000


async def emitted(events: Events) -> tuple[int, ...]:  # noqa: F811
    """How many webhooks get an event of each kind, in one statement."""
    batch = [making.event(kind) for kind in ("User.Created", "User.Deleted", "Role.Created")]
    results = (await events.emit(batch, Room(0))).results
    return tuple(result.delivery_count for result in results if isinstance(result, Emitted))


Change = Callable[[Webhooks, UUID], Awaitable[object]]


def subscribing(*kinds: str) -> Change:
    def act(store: Webhooks, webhook_id: UUID) -> Awaitable[object]:
        return store.update(TENANT, webhook_id, lambda settings: dataclasses.replace(settings, event_types=kinds))

    return act


async def creating(store: Webhooks, webhook_id: UUID) -> object:
    kinds = ("User.Created", "Role.Created")
    return await store.create(TENANT, making.settings(event_types=kinds), KEY)


async def deleting(store: Webhooks, webhook_id: UUID) -> object:
    return await store.delete(TENANT, webhook_id)


@pytest.mark.parametrize(
    ("change", "held", "before", "after"),
    [
        # Stopped between the webhook's row and its subscriptions, before either, and between those and its keys.
        (subscribing("Role.Created"), "select from event_types for update", (1, 1, 0), (0, 0, 1)),
        (subscribing("User.Deleted", "Role.Created"), "select from event_types for update", (1, 1, 0), (0, 1, 1)),
        (creating, "select from event_types for update", (1, 1, 0), (2, 1, 1)),
        (deleting, "select from signing_keys for update", (1, 1, 0), (0, 0, 0)),
    ],
    ids=["update", "update some", "create", "delete"],
)
async def test_h6_an_event_sees_all_or_nothing_of_a_change(
    webhooks: Webhooks,  # noqa: F811
    events: Events,  # noqa: F811
    sql: asyncpg.Connection,  # noqa: F811
    other_sql: asyncpg.Connection,  # noqa: F811
    change: Change,
    held: str,
    before: tuple[int, ...],
    after: tuple[int, ...],
) -> None:
    made = await making.webhook(webhooks, event_types=("User.Created", "User.Deleted"))
    async with sql.transaction():
        await sql.execute(held)
        changing = asyncio.ensure_future(change(webhooks, made.id))
        await making.blocked(other_sql, 1)
        assert await emitted(events) == before
    await changing
    assert await emitted(events) == after


@pytest.fixture
async def gate() -> AsyncIterator[asyncio.Event]:
    event = asyncio.Event()
    yield event
    event.set()


async def test_h7_all_webhooks_of_a_tenant_deleted_with_a_thousand_in_flight(
    database: Database,  # noqa: F811
    sql: asyncpg.Connection,  # noqa: F811
    gate: asyncio.Event,
) -> None:
    """There is no call that deletes a tenant: it is what its webhooks are. Nothing comes back, nothing more is sent."""

    async def hold(exchange: Exchange) -> object:
        await gate.wait()
        return await answering(500)(exchange)

    slots = 200
    engine = Engine(database, max_in_flight=slots)
    async with receiving(hold) as receiver, receiving() as other, engine.running():
        kept = await engine.webhook(other.url, tenant_id="other")
        doomed = [
            await engine.webhook(receiver.url, max_in_flight=100, retry_policy=retries(*[0.0] * 10)) for _ in range(2)
        ]
        await engine.emit(500)
        begun = slots - slots // SPARE  # a few are kept from a tenant that has the others
        await receiver.got(begun)
        for webhook in doomed:
            await engine.webhooks.delete(TENANT, webhook.id)
            assert await engine.directory.get(webhook.id, 99) is None  # as any node knows within 2 s
        assert len(receiver.requests) == begun
        gate.set()
        cancelled = "select count(*) from deliveries where tenant_id = $1 and state = $2"

        async def all_cancelled() -> bool:
            return bool(await sql.fetchval(cancelled, TENANT, State.CANCELLED) == 1000)

        await making.until(all_cancelled)
        assert await sql.fetchval("select count(*) from attempts where tenant_id = $1", TENANT) == begun
        for number in range(1, 4):  # the engine goes on, and makes its rounds
            await engine.emit(tenant_id=kept.tenant_id)
            await other.got(number)
        assert await sql.fetchval(cancelled, TENANT, State.CANCELLED) == 1000
        for table in ("webhooks", "subscriptions", "signing_keys"):
            assert await sql.fetchval(f"select count(*) from {table} where tenant_id = $1", TENANT) == 0
        assert len(receiver.requests) == begun
