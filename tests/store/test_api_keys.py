"""API keys: their text is shown once, and lets in whom it shall, as long as it shall."""

from __future__ import annotations

import asyncio
import functools
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from hookpost_server.domain import api_key, errors, ids
from hookpost_server.domain.api_key import ALL_TENANTS, Scope
from hookpost_server.store import api_keys as module
from hookpost_server.store import known_keys
from hookpost_server.store.api_keys import ApiKeys
from hookpost_server.store.database import Database
from hookpost_server.store.known_keys import KnownKeys
from tests.keys import let_in, remembering
from tests.rpc.serving import eventually

LAST = UUID(int=2**128 - 1)


@pytest.fixture
def keys(database: Database) -> ApiKeys:
    return ApiKeys(database)


async def test_a_key_lets_in_whom_it_was_made_for(keys: ApiKeys, database: Database) -> None:
    key, text = await keys.create("acme", "the shop", [Scope.READ, Scope.EVENTS_EMIT, Scope.READ])
    principal = await let_in(database, text)
    assert principal is not None
    assert (principal.id, principal.name, principal.tenant_id) == (key.id, "the shop", "acme")
    assert principal.scopes == {Scope.READ, Scope.EVENTS_EMIT}
    assert principal.may(Scope.READ)
    assert not principal.may(Scope.SECRETS_REVEAL)
    everywhere, text = await keys.create(ALL_TENANTS, "the operators", [Scope.ADMIN])
    principal = await let_in(database, text)
    assert principal is not None
    assert (principal.id, principal.tenant_id) == (everywhere.id, None)
    assert all(principal.may(scope) for scope in Scope)


async def test_the_text_is_nowhere_in_the_database(keys: ApiKeys, sql: asyncpg.Connection) -> None:
    _, text = await keys.create("acme", "n", [Scope.READ])
    secret = text[-43:]
    row = await sql.fetchrow("select k::text as row, digest from api_keys k")
    assert secret not in row["row"]
    assert row["digest"] == api_key.digest(text)
    assert secret not in str(await sql.fetch("select a::text from audit_log a"))


async def test_nobody_else_is_let_in(keys: ApiKeys, database: Database) -> None:
    key, text = await keys.create("acme", "n", [Scope.READ])
    _, other = await keys.create("acme", "m", [Scope.READ])
    wrong = "A" if text[-1] != "A" else "B"
    for given in (
        "",
        "hpk_",
        text[:-1],
        text + "A",
        text[:-1] + wrong,
        text[:31] + other[31:],
        f" {text}",
        text + "\n",
    ):
        assert await let_in(database, given) is None, given
    assert await let_in(database, api_key.new_text(ids.new(1.0))) is None  # well made, but unknown
    await keys.revoke(key.id)
    assert await let_in(database, text) is None


async def test_a_key_expires(keys: ApiKeys, database: Database, sql: asyncpg.Connection) -> None:
    soon = await sql.fetchval("select now() + interval '1 hour'")
    key, text = await keys.create("acme", "n", [Scope.READ], soon)
    assert await let_in(database, text)
    assert key.works(soon.timestamp() - 1)
    assert not key.works(soon.timestamp())
    with pytest.raises(errors.InvalidFields) as caught:
        await keys.create("a/b", "", [], soon - timedelta(hours=2))
    assert [each.field for each in caught.value.violations] == [
        *("api_key.name", "api_key.tenant_id", "api_key.scopes", "api_key.expire_time")
    ]


async def test_revoking(keys: ApiKeys) -> None:
    key, _ = await keys.create("acme", "n", [Scope.READ])
    for tenant in ("other", "ACME"):
        with pytest.raises(errors.NotFound):
            await keys.revoke(key.id, tenant)
    revoked = await keys.revoke(key.id, "acme")
    assert revoked.revoke_time
    assert await keys.revoke(key.id) == revoked
    with pytest.raises(errors.NotFound):
        await keys.revoke(ids.new(1.0))


async def test_lists(keys: ApiKeys) -> None:
    made = [(await keys.create(tenant, "n", [Scope.READ]))[0] for tenant in ("a", "b", ALL_TENANTS, "a")]
    await keys.revoke(made[0].id)
    assert [key.id for key in await keys.list(None, before=LAST, limit=9)] == [key.id for key in reversed(made)]
    assert [key.id for key in await keys.list("a", before=LAST, limit=9)] == [made[3].id, made[0].id]
    assert [key.id for key in await keys.list("a", before=made[3].id, limit=9)] == [made[0].id]
    assert [key.id for key in await keys.list(None, before=LAST, limit=1)] == [made[3].id]


async def test_there_is_a_bound(keys: ApiKeys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 2)
    assert not await keys.any_works()
    first, _ = await keys.create("a", "n", [Scope.READ])
    assert await keys.any_works()
    await keys.create("a", "n", [Scope.READ])
    with pytest.raises(errors.LimitExceeded):
        await keys.create("a", "n", [Scope.READ])
    await keys.revoke(first.id)
    await keys.create("a", "n", [Scope.READ])


async def test_what_is_remembered_needs_no_sql(
    keys: ApiKeys, database: Database, sql: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_keys, "REFRESH_INTERVAL", 3600)
    _, text = await keys.create("acme", "n", [Scope.READ])
    async with remembering(keys, database) as known:
        assert await known.authenticate(text)
        await sql.execute("alter table api_keys rename to elsewhere")
        try:
            assert await known.authenticate(text)
            assert await known.authenticate(text[:-4] + "AAAA") is None
        finally:
            await sql.execute("alter table elsewhere rename to api_keys")


async def test_what_is_remembered_is_checked_anew(
    keys: ApiKeys, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Revoked elsewhere, it stops working here, by itself; a call that lasts ends."""
    monkeypatch.setattr(known_keys, "REFRESH_INTERVAL", 0.05)
    key, text = await keys.create("acme", "n", [Scope.READ])
    async with remembering(keys, database) as known, asyncio.timeout(10):
        principal = await known.authenticate(text)
        assert principal
        with pytest.raises(errors.Unauthenticated):
            async with known.lasting(principal):
                await keys.revoke(key.id)
                await asyncio.Event().wait()
        assert await known.authenticate(text) is None


async def test_a_call_that_takes_its_time_to_end_disturbs_nobody(
    keys: ApiKeys, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told once, however often the keys are looked at meanwhile; the others go on being let in."""
    monkeypatch.setattr(known_keys, "REFRESH_INTERVAL", 0.05)
    key, text = await keys.create("acme", "n", [Scope.READ])
    _, other = await keys.create("acme", "other", [Scope.READ])
    async with remembering(keys, database) as known, asyncio.timeout(10):
        principal = await known.authenticate(text)
        assert principal
        with pytest.raises(errors.Unauthenticated):
            async with known.lasting(principal):
                await keys.revoke(key.id)
                try:
                    await asyncio.Event().wait()
                finally:
                    for _ in range(3):
                        late, last = await keys.create("acme", "late", [Scope.READ])
                        assert await known.authenticate(last)
                        await keys.revoke(late.id)
                        await eventually(functools.partial(gone, known, last))
        assert await known.authenticate(other)


async def gone(known: KnownKeys, text: str) -> bool | None:
    return None if await known.authenticate(text) else True


async def test_nobody_is_let_in_by_what_was_read_long_ago(
    keys: ApiKeys, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_keys, "REFRESH_INTERVAL", 3600)
    monkeypatch.setattr(known_keys, "STALE_AFTER", 0.0)
    key, text = await keys.create("acme", "n", [Scope.READ])
    async with remembering(keys, database) as known:
        assert await known.authenticate(text)
        await keys.revoke(key.id)
        assert await known.authenticate(text) is None


async def test_the_last_use_is_noted(
    keys: ApiKeys, database: Database, sql: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_keys, "REFRESH_INTERVAL", 0.05)
    _, text = await keys.create("acme", "n", [Scope.READ])
    await keys.create("acme", "unused", [Scope.READ])
    async with remembering(keys, database) as known, asyncio.timeout(10):
        assert await known.authenticate(text)
        await eventually(lambda: sql.fetchval("select last_use_time from api_keys where name = 'n'"))
    assert await sql.fetchval("select last_use_time from api_keys where name = 'unused'") is None
    minute = await sql.fetchval("select last_use_time from api_keys where name = 'n'")
    assert (minute.second, minute.microsecond) == (0, 0)


async def test_a_look_up_that_takes_too_long(
    keys: ApiKeys, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_keys, "LOOK_UP_TIMEOUT", 0.05)
    known = KnownKeys(keys, database)  # nobody looks anything up
    with pytest.raises(errors.DatabaseUnavailable):
        await known.authenticate(api_key.new_text(ids.new(1.0)))


async def test_many_unknown_keys_are_refused_rather_than_queued(
    keys: ApiKeys, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_keys, "MOST_WANTED", 3)
    known = KnownKeys(keys, database)  # nobody looks anything up
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(known.authenticate(api_key.new_text(ids.new(1.0)))) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(errors.BacklogFull):
            await known.authenticate(api_key.new_text(ids.new(1.0)))
        for task in waiting:
            task.cancel()


async def test_an_outage_is_said_to_be_one(keys: ApiKeys, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(_: object) -> None:
        raise errors.DatabaseUnavailable

    _, text = await keys.create("acme", "n", [Scope.READ])
    monkeypatch.setattr(keys, "get_many", away)
    async with remembering(keys, database) as known:
        with pytest.raises(errors.DatabaseUnavailable):
            await known.authenticate(text)
