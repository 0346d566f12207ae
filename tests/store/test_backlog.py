"""How far behind the queue is: what is due and nobody's, and for how long."""

from __future__ import annotations

import asyncpg
import pytest

from hookpost_server.domain.webhook import State
from hookpost_server.store import backlog as module
from hookpost_server.store.backlog import Backlog, Behind
from hookpost_server.store.cursor import START, Wanted
from hookpost_server.store.database import Database
from hookpost_server.store.deliveries import Deliveries
from hookpost_server.store.events import Events
from hookpost_server.store.webhooks import Webhooks

from . import making


@pytest.fixture
def backlog(database: Database) -> Backlog:
    return Backlog(database)


async def age(sql: asyncpg.Connection, webhook_id: object, seconds: float) -> None:
    await sql.execute(
        "update deliveries set due_at = now() - $2 * interval '1 s' where webhook_id = $1", webhook_id, seconds
    )


async def test_what_a_webhook_has_waiting(
    backlog: Backlog, webhooks: Webhooks, events: Events, sql: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Due or not, and its own only."""
    webhook = await making.webhook(webhooks)
    idle = await making.webhook(webhooks, event_types=("Role.Created",))
    await making.queue(events, *(making.event() for _ in range(3)))
    await sql.execute("update deliveries set due_at = now() + interval '1 h' where webhook_id = $1", webhook.id)
    assert await backlog.of_webhook(making.TENANT, webhook.id) == 3
    assert await backlog.of_webhook("other", webhook.id) == await backlog.of_webhook(making.TENANT, idle.id) == 0
    monkeypatch.setattr(module, "MOST", 2)
    assert await backlog.of_webhook(making.TENANT, webhook.id) == 2


async def test_an_empty_queue(backlog: Backlog) -> None:
    assert await backlog.read() == Behind(0, 0.0)


async def test_what_is_due_over_all_tenants(
    backlog: Backlog, webhooks: Webhooks, events: Events, sql: asyncpg.Connection
) -> None:
    first = await making.webhook(webhooks)
    second = await making.webhook(webhooks, "other")
    await making.queue(events, *(making.event() for _ in range(3)))
    await making.queue(events, making.event(tenant_id="other"))
    await age(sql, first.id, 5)
    await age(sql, second.id, 90)
    behind = await backlog.read()
    assert behind.due == 4
    assert 90 <= behind.oldest < 150
    await age(sql, second.id, -30)  # a retry that is not due yet
    behind = await backlog.read()
    assert behind.due == 3
    assert 5 <= behind.oldest < 65


async def test_webhooks_can_be_left_out(
    backlog: Backlog, webhooks: Webhooks, events: Events, sql: asyncpg.Connection
) -> None:
    first, second = await making.webhook(webhooks), await making.webhook(webhooks)
    await making.queue(events, making.event())
    await age(sql, first.id, 500)
    await age(sql, second.id, 20)
    behind = await backlog.read([first.id])
    assert behind.due == 1 and 20 <= behind.oldest < 80
    assert await backlog.read([first.id, second.id]) == Behind(0, 0.0)


async def test_what_is_claimed_is_not_behind(
    backlog: Backlog, webhooks: Webhooks, events: Events, deliveries: Deliveries
) -> None:
    await making.webhook(webhooks)
    await making.queue(events, making.event(), making.event())
    await deliveries.claim(START, Wanted(room=1, room_each=1))
    assert (await backlog.read()).due == 1


async def test_a_disabled_webhook_waits_on_purpose(
    backlog: Backlog, webhooks: Webhooks, events: Events, sql: asyncpg.Connection
) -> None:
    made = await making.webhook(webhooks)
    await making.queue(events, making.event())
    await sql.execute("update webhooks set state = $2 where id = $1", made.id, int(State.DISABLED))
    assert await backlog.read() == Behind(0, 0.0)


async def test_counting_has_bounds(
    backlog: Backlog, webhooks: Webhooks, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EACH", 2)
    monkeypatch.setattr(module, "MOST", 3)
    for _ in range(2):
        await making.webhook(webhooks)
    await making.queue(events, *(making.event() for _ in range(5)))
    assert (await backlog.read()).due == 3
    monkeypatch.setattr(module, "WEBHOOKS", 1)
    assert (await backlog.read()).due == 2
