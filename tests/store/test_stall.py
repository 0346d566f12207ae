"""When the console's red band shows: something is due, and nothing is being sent."""

from __future__ import annotations

import asyncio
import contextlib

import asyncpg
import pytest
import structlog

from hookpost_server.monitoring import stall
from hookpost_server.monitoring.stall import Stall
from hookpost_server.store.backlog import Backlog
from hookpost_server.store.database import Database
from hookpost_server.store.events import Events
from hookpost_server.store.webhooks import Webhooks

from . import making


async def seen(stall: Stall) -> float | None:
    """What it says after a second's looks."""
    task = asyncio.ensure_future(stall.run())
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                await making.until(lambda: stall.seconds is not None)
    finally:
        task.cancel()
    return stall.seconds


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stall, "STALLED_AFTER", 0.2)
    monkeypatch.setattr(stall, "INTERVAL", 0.02)


async def test_what_is_a_stall_and_what_is_none(
    database: Database, webhooks: Webhooks, events: Events, sql: asyncpg.Connection
) -> None:
    backlog = Backlog(database)
    webhook = await making.webhook(webhooks)
    assert await seen(Stall(backlog, lambda: 0, list)) is None, "nothing is due"
    await making.queue(events, making.event())
    await sql.execute("update deliveries set due_at = now() - interval '90 s'")
    stalled = Stall(backlog, lambda: 0, list)
    assert 90 <= (await seen(stalled) or 0) < 150
    stalled.recorded()
    assert stalled.seconds is None, "an attempt has ended: they flow"
    assert await seen(Stall(backlog, lambda: 1, list)) is None, "attempts are under way"
    assert await seen(Stall(backlog, lambda: 0, lambda: [webhook.id])) is None, "it is held back on purpose"
    await webhooks.disable(webhook.tenant_id, webhook.id, "")
    assert await seen(Stall(backlog, lambda: 0, list)) is None, "it waits until the webhook is enabled"


async def test_the_log_tells_when_a_stall_begins_and_when_it_ends(
    database: Database, webhooks: Webhooks, events: Events, sql: asyncpg.Connection
) -> None:
    await making.webhook(webhooks)
    await making.queue(events, making.event())
    await sql.execute("update deliveries set due_at = now() - interval '90 s'")
    under_way = 0
    found = Stall(Backlog(database), lambda: under_way, list)
    with structlog.testing.capture_logs() as lines:
        looking = asyncio.create_task(found.run())
        await making.until(lambda: lines)
        under_way = 1
        await making.until(lambda: found.seconds is None)
        await making.until(lambda: len(lines) == 2)
        looking.cancel()
    assert [line["event"] for line in lines] == ["deliveries.stalled", "deliveries.flow"]
