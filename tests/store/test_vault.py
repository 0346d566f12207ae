"""Master keys of a database: which it needs, how what is stored gets sealed, how one key is exchanged for another."""

from __future__ import annotations

import asyncio
import itertools
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from hookpost_server import startup
from hookpost_server.domain import errors
from hookpost_server.domain.sealing import SHORTEST, KeyRing, MasterKey
from hookpost_server.domain.secret import Secret
from hookpost_server.store import vault as module
from hookpost_server.store.database import Database
from hookpost_server.store.migrate import MIGRATIONS, migrate
from hookpost_server.store.revisions import Revisions
from hookpost_server.store.vault import Rewrapped, Vault
from hookpost_server.store.webhooks import Webhooks
from tests.keys import RING

from . import making
from .conftest import OpenDatabase
from .making import KEY, SECRET, TENANT

OLD, NEW = RING.keys[0], MasterKey(bytes(32))
OLD_NEW, NEW_OLD, NEW_ONLY = KeyRing([OLD, NEW]), KeyRing([NEW, OLD]), KeyRing([NEW])
PLAIN = "CANARY-of-before"
LAST = UUID(int=2**128 - 1)
SEALED_COLUMNS = {
    "webhooks": ("headers", "request_digest"),
    "webhook_revisions": ("headers",),
    "signing_keys": ("secret",),
}


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 3)


@pytest.fixture
async def own(database_url: str, open_database: OpenDatabase) -> Database:
    """A database of the test's own, known to be sealed with OLD."""
    return await open_database(url=database_url)


@pytest.fixture
async def own_sql(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


async def fill(store: Webhooks, count: int = 4) -> None:
    for number in range(count):
        made = await store.create(
            TENANT, making.settings(headers={"X": f"{number}"}), KEY, request_id=f"{number}", digest=b"d"
        )
        await store.rotate_key(TENANT, made.id, Secret(f"second-second-{number:04}"), 3600, request_id="r")


async def everything(database: Database, ring: KeyRing) -> list[object]:
    """All that callers can read of it."""
    store = Webhooks(database, ring)
    found: list[object] = []
    for webhook in await store.list(TENANT, before=LAST):
        found += [webhook, await Revisions(database, ring).of(TENANT, webhook.id)]
        found.append(await store.get(TENANT, webhook.id))
    return found


async def sealed_by(sql: asyncpg.Connection) -> set[bytes]:
    found: set[bytes] = set()
    for table, columns in SEALED_COLUMNS.items():
        for column in columns:
            rows = await sql.fetch(f"select distinct substr({column}, 2, 8) from {table} where {column} is not null")
            found |= {row[0] for row in rows}
    return found


async def test_a_database_is_known_by_its_key(own: Database, own_sql: asyncpg.Connection) -> None:
    assert await Vault(own, NEW_ONLY).admit() == [OLD.id]
    assert await own_sql.fetchval("select count(*) from master_keys") == 1
    assert await Vault(own, RING).admit() == []
    assert await Vault(own, OLD_NEW).admit() == []
    assert await own_sql.fetchval("select count(*) from master_keys") == 1  # nothing is sealed with the second one
    assert await Vault(own, NEW_OLD).admit() == []
    assert await Vault(own, RING).admit() == [NEW.id]


async def test_of_two_that_bring_their_keys_to_a_new_database_one_stays(
    own: Database, own_sql: asyncpg.Connection
) -> None:
    await own_sql.execute("delete from master_keys")
    first, second = await asyncio.gather(Vault(own, RING).admit(), Vault(own, NEW_ONLY).admit())
    assert sorted([first, second], key=len) in ([[], [OLD.id]], [[], [NEW.id]])


async def test_rewrap(own: Database, own_sql: asyncpg.Connection) -> None:
    await fill(Webhooks(own, RING))
    before = await everything(own, RING)
    vault = Vault(own, NEW_OLD)
    await vault.admit()
    told: list[int] = []
    done = await vault.rewrap(told.append)
    assert done == Rewrapped(sealed=4 + 4 + 8 + 8, unreadable=0, retired=[OLD.id], needed=[])
    assert told == sorted(told)
    assert told[-1] == done.sealed
    assert await sealed_by(own_sql) == {NEW.id}
    assert await everything(own, NEW_ONLY) == before
    assert await Vault(own, NEW_ONLY).admit() == []
    assert await vault.rewrap(told.append) == Rewrapped(0, 0, [], [])
    # Request ids are known as before.
    store = Webhooks(own, NEW_ONLY)
    again = await store.create(TENANT, making.settings(), Secret("x" * 16), request_id="2", digest=b"d")
    assert again.settings.headers == {"X": "2"}
    with pytest.raises(errors.RequestIdReused):
        await store.create(TENANT, making.settings(), KEY, request_id="2", digest=b"e")
    assert (await store.rotate_key(TENANT, again.id, KEY, 0, request_id="r"))[1] == Secret("second-second-0002")


async def test_a_rewrap_that_was_cut_short_goes_on(own: Database, own_sql: asyncpg.Connection) -> None:
    await fill(Webhooks(own, RING))
    before = await everything(own, RING)
    vault = Vault(own, NEW_OLD)
    await vault.admit()

    def cut(count: int) -> None:
        if count > 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await vault.rewrap(cut)
    assert await sealed_by(own_sql) == {OLD.id, NEW.id}
    assert await everything(own, NEW_OLD) == before  # servers go on meanwhile
    rest = await vault.rewrap(lambda count: None)
    assert 0 < rest.sealed < 24
    assert rest.retired == [OLD.id]
    assert await everything(own, NEW_ONLY) == before


async def test_a_key_stays_needed_while_something_is_sealed_with_it(own: Database, own_sql: asyncpg.Connection) -> None:
    await fill(Webhooks(own, RING), 2)
    (webhook, *_) = await own_sql.fetch("select id, headers from webhooks order by id")
    await own_sql.execute(
        "update webhooks set headers = set_byte(headers, 30, get_byte(headers, 30) # 1) where id = $1", webhook["id"]
    )
    vault = Vault(own, NEW_OLD)
    await vault.admit()
    done = await vault.rewrap(lambda count: None)
    assert (done.unreadable, done.retired, done.needed) == (1, [], [OLD.id])
    assert await Vault(own, NEW_ONLY).admit() == [OLD.id]
    await own_sql.execute("update webhooks set headers = $2 where id = $1", webhook["id"], webhook["headers"])
    assert (await vault.rewrap(lambda count: None)).retired == [OLD.id]


async def test_who_seals_meanwhile_is_waited_for(own: Database, own_sql: asyncpg.Connection) -> None:
    """What a server with the old key first writes while it is retired is seen; later it may not write any more."""
    store = Webhooks(own, RING)
    await fill(store, 1)
    vault = Vault(own, NEW_OLD)
    await vault.admit()
    async with own_sql.transaction():
        await own_sql.execute("lock table event_types in access exclusive mode")  # `create` has held its key by then
        creating = asyncio.create_task(store.create(TENANT, making.settings(), KEY))
        async with own.connection() as looking:
            await making.blocked(looking, 1)
            rewrapping = asyncio.create_task(vault.rewrap(lambda count: None))
            await making.blocked(looking, 2)
    made = await creating
    assert (await rewrapping).needed == [OLD.id]
    assert (await vault.rewrap(lambda count: None)).retired == [OLD.id]
    assert await Webhooks(own, NEW_ONLY).get(TENANT, made.id) == made
    for attempt in (
        store.create(TENANT, making.settings(), KEY),
        store.update(TENANT, made.id, lambda settings: settings),
        store.rotate_key(TENANT, made.id, KEY, 0),
    ):
        with pytest.raises(errors.MasterKeyRetired, match=str(OLD)):
            await attempt


@pytest.fixture
async def unsealed(empty_database_url: str, tmp_path: Path) -> str:
    """A database of the last version that did not seal, with five webhooks, a revision and two keys of each."""
    for file in sorted(MIGRATIONS.glob("*.sql"))[:9]:
        shutil.copy(file, tmp_path)
    connection = await asyncpg.connect(empty_database_url)
    try:
        await migrate(connection, tmp_path)
        for number in range(5):
            webhook_id = UUID(int=number + 1)
            headers = json.dumps({"Authorization": PLAIN}).encode()
            await connection.execute(
                """
                insert into webhooks (tenant_id, id, name, url, event_types, headers, retry_schedule, retry_delays,
                    retry_jitter, timeout, payload_format, max_in_flight, rate_limit, labels, state, request_id,
                    request_digest)
                values ('default', $1, 'w', 'https://example.com/', '{*}', $2, 1, '{}', 0, 10, 1, 16, 0, '{}', 1,
                    $3, $4)
                """,
                *(webhook_id, headers, f"r{number}", bytes([number]) * 32),
            )
            for expire in ("now() + interval '1 h'", "null"):
                await connection.execute(
                    f"""
                    insert into signing_keys (tenant_id, webhook_id, id, secret, expire_time)
                    values ('default', $1, gen_random_uuid(), $2, {expire})
                    """,
                    *(webhook_id, PLAIN.encode()),
                )
            await connection.execute(Revisions.NOTE, webhook_id, TENANT)
    finally:
        await connection.close()
    return empty_database_url


async def test_what_was_stored_before_is_sealed_at_the_start(unsealed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And when that is cut short, by the next start; nothing unsealed can be written from then on."""
    assert PLAIN.encode() in await making.dump(unsealed)
    done = 0

    async def cut(connection: asyncpg.Connection, ring: KeyRing) -> None:
        nonlocal done
        done += 1
        if done == 5:
            raise asyncio.CancelledError

    with monkeypatch.context() as patch:
        patch.setattr(module, "hold", cut)
        with pytest.raises(asyncio.CancelledError):
            async with startup.unlocked(unsealed, RING):
                pass
    assert PLAIN.encode() in await making.dump(unsealed)
    with pytest.raises(startup.MasterKeyError):  # the rest is not for another key
        async with startup.unlocked(unsealed, NEW_ONLY):
            pass
    async with startup.unlocked(unsealed, RING) as database:
        assert PLAIN.encode() not in await making.dump(unsealed)
        store = Webhooks(database, RING)
        found = await store.list(TENANT, before=LAST)
        assert [webhook.settings.headers for webhook in found] == [{"Authorization": PLAIN}] * 5
        assert {key.secret for webhook in found for key in webhook.keys} == {Secret(PLAIN)}
        for number, webhook in enumerate(reversed(found)):
            digest = bytes([number]) * 32
            same = await store.create(TENANT, making.settings(), KEY, request_id=f"r{number}", digest=digest)
            assert same == webhook
            (revision,) = await Revisions(database, RING).of(TENANT, webhook.id)
            assert (revision.settings.headers, revision.keys[0].secret) == ({"Authorization": PLAIN}, Secret(PLAIN))
        async with database.connection() as connection:
            for table, columns in SEALED_COLUMNS.items():
                for column, stored in itertools.product(columns, (SECRET.encode(), bytes([1, *bytes(SHORTEST - 2)]))):
                    with pytest.raises(asyncpg.CheckViolationError):
                        await connection.execute(f"update {table} set {column} = $1", stored)
            assert len(await connection.fetch(Vault.PROVEN)) == 4
