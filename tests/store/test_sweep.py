"""What lies in no day's table: keys, replays, changes and health figures that have had their time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from hookpost_server.domain import ids
from hookpost_server.domain.retention import DAY, FOREVER, HEALTH, KEYS, REPLAYS, Lifetime, Lifetimes
from hookpost_server.store import sweep as module
from hookpost_server.store.changes import ChangeFeed
from hookpost_server.store.database import Database
from hookpost_server.store.events import Emitted, Events, Room
from hookpost_server.store.health import HealthFigures
from hookpost_server.store.sweep import Sweep
from hookpost_server.store.webhooks import Webhooks

from . import making, past
from .making import TENANT

WEEK = Lifetimes(Lifetime(7 * DAY))
NOTHING = dict.fromkeys(
    (
        *("idempotency_keys", "replay_items", "other_changes", "webhook_revisions"),
        *("health_minutes", "health_hours", "audit_log"),
    ),
    0,
)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 6)
    monkeypatch.setattr(module, "WEBHOOKS", 3)


async def sweep(sql: asyncpg.Connection, now: float, lifetimes: Lifetimes = WEEK) -> dict[str, int]:
    """What was removed, without the zeros; a second time there is nothing left to do."""
    removed = await Sweep(sql).all(now, lifetimes)
    assert removed.keys() == NOTHING.keys()
    assert await Sweep(sql).all(now, lifetimes) == NOTHING
    return {table: count for table, count in removed.items() if count}


async def test_keys(database: Database, sql: asyncpg.Connection, events: Events) -> None:
    """A key is remembered for its time, then it makes a new event."""
    now = database.now()
    aged = [
        (f"key-{number}", ids.first_of(now - age))
        for number, age in enumerate([KEYS + 1 + n for n in range(20)] + [KEYS - 60, DAY, 0])
    ]
    first = making.event(idempotency_key="key-0")
    await sql.executemany(
        "insert into idempotency_keys (tenant_id, key, event_id, fingerprint) values ('default', $1, $2, $3)",
        [(key, event_id, first.fingerprint) for key, event_id in aged],
    )
    assert await sweep(sql, now) == {"idempotency_keys": 20}
    left = await sql.fetch("select key from idempotency_keys order by event_id")
    assert [row["key"] for row in left] == ["key-20", "key-21", "key-22"]
    forgotten, known = first, making.event(idempotency_key="key-20")
    accepted = await events.emit([forgotten, known], Room(0))
    assert accepted.results == [Emitted(forgotten.id, 0), Emitted(aged[20][1], 0, duplicate=True)]


async def test_replays(database: Database, sql: asyncpg.Connection) -> None:
    now = database.now()
    for age, count in ((REPLAYS + 60, 14), (REPLAYS + 30, 1), (REPLAYS - 60, 3)):
        for _ in range(count):
            await sql.execute(
                "insert into replay_items (tenant_id, replay_id, delivery_id, claim_count) values ('t', $1, $2, 1)",
                ids.first_of(now - age),
                ids.new(now),
            )
    assert await sweep(sql, now) == {"replay_items": 15}
    assert await sql.fetchval("select count(*) from replay_items") == 3


async def test_changes_that_no_watch_can_be_resumed_from(database: Database, sql: asyncpg.Connection) -> None:
    insert = """
        insert into other_changes (tenant_id, delivery_id) select 't', gen_random_uuid() from generate_series(1, $1)
    """
    await sql.execute(insert, 20)
    assert await sweep(sql, database.now()) == {}  # nothing was dropped yet: a watch can begin anywhere
    oldest = await ChangeFeed(database).position()
    await sql.execute("insert into change_horizon (oldest) values ($1)", oldest)
    await sql.execute(insert, 4)
    assert await sweep(sql, database.now()) == {"other_changes": 20}
    assert await sql.fetchval("select min(changed_in) from other_changes") >= oldest
    assert await sql.fetchval("select count(*) from other_changes") == 4


async def test_revisions_of_deleted_webhooks(
    database: Database, sql: asyncpg.Connection, webhooks: Webhooks, events: Events
) -> None:
    """They stay while an entry's requests can be shown, be it ended or still pending."""
    made = [await making.webhook(webhooks) for _ in range(5)]
    for webhook in made:
        for _ in range(4):
            await webhooks.update(TENANT, webhook.id, lambda settings: settings)
    await making.queue(events, making.event())
    kept, with_entry, with_pending, *gone = made
    for webhook in (with_entry, with_pending, *gone):
        await webhooks.delete(TENANT, webhook.id)
    await sql.execute("update deliveries set state = 1, finish_time = null where webhook_id = $1", with_pending.id)
    await sql.execute("delete from deliveries where webhook_id = any($1)", [webhook.id for webhook in (kept, *gone)])
    assert await sweep(sql, database.now()) == {"webhook_revisions": 2 * 5}
    left = await sql.fetch("select distinct webhook_id from webhook_revisions")
    assert {row[0] for row in left} == {kept.id, with_entry.id, with_pending.id}
    await sql.execute("delete from deliveries")  # as retention drops their day
    assert await sweep(sql, database.now()) == {"webhook_revisions": 2 * 5}


async def count(sql: asyncpg.Connection, unit: str, webhook_id: object, at: datetime) -> None:
    await sql.execute(
        f"""
        insert into health_{unit}s (tenant_id, webhook_id, {unit}, succeeded, failed, attempts, latency_sum)
        values ('default', $1, $2, 1, 0, 1, 1000)
        """,
        webhook_id,
        at,
    )


async def test_health_figures(database: Database, sql: asyncpg.Connection, webhooks: Webhooks) -> None:
    """Every window that can be asked for stays as it was."""
    now = datetime.fromtimestamp(database.now(), UTC)
    minute, hour = now.replace(second=0, microsecond=0), now.replace(minute=0, second=0, microsecond=0)
    made = [await making.webhook(webhooks) for _ in range(8)]
    for number, webhook in enumerate(made):
        for n in range(5 * number):  # none for the first, 35 for the last: many batches
            await count(sql, "minute", webhook.id, minute - timedelta(seconds=HEALTH, minutes=n + 1))
        for n in (0, 60, 7 * 24 * 60 - 1, 7 * 24 * 60, 7 * 24 * 60 + 59):
            await count(sql, "minute", webhook.id, minute - timedelta(minutes=n))
        for n in (0, 1, 24, 7 * 24 - 1, 7 * 24, 7 * 24 + 2, 7 * 24 + 3, 30 * 24):
            await count(sql, "hour", webhook.id, hour - timedelta(hours=n))
    figures = HealthFigures(database)
    every = [webhook.id for webhook in made]

    async def all_windows() -> list[object]:
        return [
            [await figures.of(TENANT, every, seconds) for seconds in (60, 3600, DAY, 7 * DAY)],
            await figures.series(TENANT, every[-1], 7 * DAY, by_hour=False),
            await figures.series(TENANT, every[-1], 7 * DAY, by_hour=True),
        ]

    before = await all_windows()
    assert await sweep(sql, database.now(), Lifetimes(FOREVER)) == {"health_minutes": sum(range(0, 40, 5))}
    assert await sweep(sql, database.now(), Lifetimes(Lifetime(DAY))) == {"health_hours": 3 * 8}
    assert await all_windows() == before


async def test_hours_live_as_long_as_their_entries(database: Database, sql: asyncpg.Connection) -> None:
    now = datetime.fromtimestamp(database.now(), UTC)
    for days in (29, 31):
        await count(sql, "hour", past.event(past.day_of(database, 0)).id, now - timedelta(days=days))
    assert await sweep(sql, database.now(), Lifetimes(Lifetime(30 * DAY))) == {"health_hours": 1}


async def test_the_audit_log(database: Database, sql: asyncpg.Connection) -> None:
    """Retention alone may delete from it, and only what is old."""
    for days in range(20):
        await sql.execute(
            "insert into audit_log (tenant_id, time, actor, actor_name, address, action, target, details) "
            "values ('acme', now() - $1::interval, 'server', '', '', 'webhook.created', '', '{}')",
            timedelta(days=days, minutes=1),
        )
    assert await sweep(sql, database.now()) == {}
    assert await sweep(sql, database.now(), Lifetimes(FOREVER, audit=Lifetime(5 * DAY))) == {"audit_log": 15}
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await sql.execute("delete from audit_log")
