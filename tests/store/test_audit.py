"""The audit log: who did what, in the deed's own transaction, for good."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from hookpost_server.domain.actor import Actor, act_as
from hookpost_server.domain.api_key import ALL_TENANTS, Scope
from hookpost_server.domain.audit import Action
from hookpost_server.store import audit
from hookpost_server.store.api_keys import ApiKeys
from hookpost_server.store.audit import AuditLog
from hookpost_server.store.database import Database


async def note(database: Database, target: str, tenant_id: str = "acme", **details: object) -> None:
    async with database.transaction() as connection:
        await audit.note(connection, tenant_id, Action.WEBHOOK_UPDATED, target, **details)


async def test_an_entry_says_who_and_what(database: Database) -> None:
    async def call() -> None:
        act_as(Actor("key_1", "the shop", "192.0.2.1", "acme"))
        await note(database, "whk_1", fields=["url", "headers"])

    await asyncio.create_task(call())
    await note(database, "whk_2")
    second, first = await AuditLog(database).list(None)
    assert (first.actor, first.tenant_id, first.action, first.target, first.details) == (
        Actor("key_1", "the shop", "192.0.2.1"), "acme", "webhook.updated", "whk_1", {"fields": ["url", "headers"]},
    )  # fmt: skip
    assert first.time.tzinfo
    assert (second.actor, second.details) == (Actor("server"), {})


async def test_pages_and_filters(database: Database) -> None:
    for number in range(5):
        await note(database, f"whk_{number}", tenant_id="ab"[number % 2])
    await ApiKeys(database).create(ALL_TENANTS, "n", [Scope.READ])
    log = AuditLog(database)
    assert [each.target for each in await log.list("a")] == ["whk_4", "whk_2", "whk_0"]
    first = await log.list("a", limit=2)
    assert [each.target for each in await log.list("a", before=first[-1].id, limit=2)] == ["whk_0"]
    assert [each.target for each in await log.list(None, target="whk_3")] == ["whk_3"]
    assert len(await log.list(None, actor_id="server")) == 6
    assert await log.list(None, actor_id="key_1") == []
    assert [each.action for each in await log.list(ALL_TENANTS)] == ["api_key.created"]


async def test_what_is_undone_is_not_noted(database: Database) -> None:
    with pytest.raises(RuntimeError):
        async with database.transaction() as connection:
            await audit.note(connection, "acme", Action.WEBHOOK_DELETED, "whk_1")
            raise RuntimeError
    assert await AuditLog(database).list(None) == []


@pytest.mark.parametrize(
    "statement",
    [
        "update audit_log set target = 'whk_2'",
        "update audit_log set time = time where false or target = 'whk_1'",
        "delete from audit_log",
        "truncate audit_log",
    ],
)
async def test_the_past_stays_as_it_was(database: Database, sql: asyncpg.Connection, statement: str) -> None:
    await note(database, "whk_1")
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
        await sql.execute(statement)
    assert [each.target for each in await AuditLog(database).list(None)] == ["whk_1"]
