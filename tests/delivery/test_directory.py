"""What the engine remembers of webhooks, and the courier's word on which claims are attempted."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator, Sequence
from uuid import UUID

import asyncpg
import pytest

from hookpost_server.delivery import directory as module
from hookpost_server.delivery.courier import Courier
from hookpost_server.delivery.directory import Directory
from hookpost_server.domain import errors
from hookpost_server.domain.delivery import Claim
from hookpost_server.domain.webhook import MAX_TIMEOUT, Settings, Webhook
from hookpost_server.store.database import Database
from hookpost_server.store.deliveries import Deliveries
from hookpost_server.store.events import Events
from hookpost_server.store.suspensions import Suspensions
from hookpost_server.store.webhooks import Webhooks
from tests.faults.proxy import Proxy
from tests.keys import RING
from tests.store import making
from tests.store.conftest import OpenDatabase
from tests.store.making import TENANT

from .engine import Engine


class Counting(Webhooks):
    """The real store, which counts what it is asked."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, RING)
        self.loads: list[int] = []
        self.checks: list[int] = []

    async def get_many(self, webhook_ids: Sequence[UUID]) -> dict[UUID, Webhook | errors.WebhookUnreadable]:
        self.loads.append(len(webhook_ids))
        return await super().get_many(webhook_ids)

    async def versions(self, webhook_ids: Sequence[UUID]) -> dict[UUID, int]:
        self.checks.append(len(webhook_ids))
        return await super().versions(webhook_ids)


@pytest.fixture
def store(database: Database) -> Counting:
    return Counting(database)


@contextlib.asynccontextmanager
async def running(directory: Directory) -> AsyncIterator[Directory]:
    task = asyncio.create_task(directory.run())
    yield directory
    assert not task.done()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def renamed(name: str):  # type: ignore[no-untyped-def]
    def change(settings: Settings) -> Settings:
        return dataclasses.replace(settings, name=name)

    return change


async def test_what_is_asked_for_together_is_loaded_together(store: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STALE_AFTER", 60.0)
    made = [await making.webhook(store) for _ in range(5)]
    async with running(Directory(store)) as directory:
        found = await asyncio.gather(*(directory.get(webhook.id, 1) for webhook in made * 10))
        assert found == made * 10
        assert store.loads == [5]
        assert await directory.get(made[0].id, 1) == made[0]
        assert await directory.get(UUID(int=1), 1) is None
        assert store.loads == [5, 1]


async def test_a_newer_version_is_loaded_at_once(store: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STALE_AFTER", 60.0)
    monkeypatch.setattr(module, "REFRESH_INTERVAL", 60.0)
    made = await making.webhook(store)
    async with running(Directory(store)) as directory:
        assert await directory.get(made.id, 1) == made
        changed = await store.update(TENANT, made.id, renamed("b"))
        assert await directory.get(made.id, 1) == made  # within STALE_AFTER, that is good enough
        assert await directory.get(made.id, 2) == changed
        await store.delete(TENANT, made.id)
        assert await directory.get(made.id, 3) is None


async def test_nothing_stale_is_answered(store: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REFRESH_INTERVAL", 60.0)
    monkeypatch.setattr(module, "STALE_AFTER", 0.0)
    made = await making.webhook(store)
    async with running(Directory(store)) as directory:
        for version in range(1, 4):
            found = await directory.get(made.id, 1)
            assert found is not None
            assert found.version == version
            await store.update(TENANT, made.id, renamed(f"{version}"))


async def test_changes_are_looked_for(store: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    """One query for all that are in use; a change is seen without anybody saying so."""
    monkeypatch.setattr(module, "REFRESH_INTERVAL", 0.02)
    monkeypatch.setattr(module, "STALE_AFTER", 60.0)
    made = [await making.webhook(store) for _ in range(3)]
    async with running(Directory(store)) as directory:
        for webhook in made:
            await directory.get(webhook.id, 1)
        await store.update(TENANT, made[0].id, renamed("b"))
        await store.delete(TENANT, made[1].id)

        async def seen() -> bool:
            first, second = await directory.get(made[0].id, 1), await directory.get(made[1].id, 1)
            return first is not None and first.version == 2 and second is None

        await making.until(seen)
        assert await directory.get(made[2].id, 1) == made[2]
        assert max(store.checks) == 3
        # What nobody asks for is forgotten.
        await making.until(lambda: not directory._entries)


async def test_without_the_database(open_database: OpenDatabase, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """No answer instead of an old one; and it goes on when the database is back."""
    monkeypatch.setattr(module, "REFRESH_INTERVAL", 0.02)
    store = Counting(await open_database(url=proxy.url))
    made = await making.webhook(store)
    async with running(Directory(store)) as directory:
        assert await directory.get(made.id, 1) == made
        await proxy.close()
        monkeypatch.setattr(module, "STALE_AFTER", 0.0)
        for _ in range(2):
            with pytest.raises(errors.DatabaseUnavailable):
                await directory.get(made.id, 1)
        checks = len(store.checks)
        await making.until(lambda: len(store.checks) > checks or not directory._entries)
        await proxy.open()
        assert await directory.get(made.id, 1) == made


class Slow(Counting):
    """Takes `seconds` to read, by a clock of its own."""

    seconds = 0.0
    late = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.late

    async def get_many(self, webhook_ids: Sequence[UUID]) -> dict[UUID, Webhook | errors.WebhookUnreadable]:
        self.late += self.seconds
        return await super().get_many(webhook_ids)


async def test_what_was_read_too_slowly_is_not_gone_by(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key may have been rotated meanwhile, and the caller of that been told that it signs no more."""
    slow = Slow(database)
    made = await making.webhook(slow)
    monkeypatch.setattr(module, "time", slow)
    async with running(Directory(slow)) as directory:
        slow.seconds = 2.0  # after which a rotation has answered
        with pytest.raises(errors.DatabaseUnavailable):
            await directory.get(made.id, 1)
        slow.seconds = 1.0
        assert await directory.get(made.id, 1) == made


async def test_a_caller_that_gives_up_takes_nobody_along(store: Counting, sql: asyncpg.Connection) -> None:
    made = await making.webhook(store)
    async with running(Directory(store)) as directory:
        async with sql.transaction():
            await sql.execute("lock table webhooks in access exclusive mode")
            gone = asyncio.create_task(directory.get(made.id, 1))
            stays = asyncio.create_task(directory.get(made.id, 1))
            await making.until(lambda: store.loads)
            gone.cancel()
            with pytest.raises(asyncio.CancelledError):
                await gone
        assert await stays == made


@pytest.fixture
async def claim(webhooks: Webhooks, events: Events, deliveries: Deliveries) -> Claim:
    await making.webhook(webhooks)
    await making.queue(events, making.event())
    return await making.claim_one(deliveries)


@pytest.fixture
async def courier(database: Database) -> AsyncIterator[Courier]:
    engine = Engine(database)
    async with running(engine.directory):
        yield engine.courier
    await engine.sender.close()


async def test_a_claim_that_may_be_attempted(courier: Courier, claim: Claim, webhooks: Webhooks) -> None:
    assert await courier.webhook_of(claim) == await webhooks.get(TENANT, claim.webhook_id)


async def test_a_claim_whose_lease_is_nearly_over_is_left(
    courier: Courier, claim: Claim, sql: asyncpg.Connection
) -> None:
    """It would end after another process had taken over; and the lease is not touched."""
    before = await sql.fetchrow("select * from deliveries")
    late = dataclasses.replace(claim, deadline=time.monotonic() + MAX_TIMEOUT - 0.5)
    assert await courier.webhook_of(late) is None
    assert await sql.fetchrow("select * from deliveries") == before
    early = dataclasses.replace(claim, deadline=time.monotonic() + MAX_TIMEOUT + 10)
    assert await courier.webhook_of(early) is not None


@pytest.mark.parametrize("act", ["disable", "suspend"])
async def test_a_claim_of_a_stopped_webhook_is_released(
    courier: Courier, claim: Claim, webhooks: Webhooks, suspensions: Suspensions, deliveries: Deliveries, act: str
) -> None:
    await {"disable": webhooks.disable, "suspend": suspensions.suspend}[act](TENANT, claim.webhook_id, "x")
    assert await courier.webhook_of(claim) is None
    assert await making.claim_all(deliveries) == []
    await webhooks.enable(TENANT, claim.webhook_id)
    again = await making.claim_one(deliveries)
    assert (again.id, again.attempt) == (claim.id, 1)


async def test_a_claim_of_a_deleted_webhook_is_cancelled(
    courier: Courier, claim: Claim, sql: asyncpg.Connection, deliveries: Deliveries
) -> None:
    await sql.execute("delete from webhooks")
    assert await courier.webhook_of(claim) is None
    found = await deliveries.get(TENANT, claim.id)
    assert (found.state.name, found.attempt_count) == ("CANCELLED", 0)


async def test_a_claim_without_the_database_is_left(
    open_database: OpenDatabase, proxy: Proxy, claim: Claim, sql: asyncpg.Connection
) -> None:
    engine = Engine(await open_database(url=proxy.url))
    async with running(engine.directory):
        await proxy.close()
        assert await engine.courier.webhook_of(claim) is None
    await engine.sender.close()
    assert await sql.fetchval("select claim_count from deliveries where state = 1 and due_at > now()") == 1
