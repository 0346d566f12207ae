"""What requests were made from: one truth for who signs and who shows, and for how long it is kept."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from hookpost_server.domain import sealing
from hookpost_server.domain.secret import Secret
from hookpost_server.domain.webhook import Settings
from hookpost_server.store.composers import Composers
from hookpost_server.store.database import Database
from hookpost_server.store.deliveries import Deliveries
from hookpost_server.store.events import Events
from hookpost_server.store.revisions import Revision, Revisions
from hookpost_server.store.webhooks import Webhooks
from tests.keys import RING

from . import making
from .making import SECRET, TENANT

EXPIRE = "update signing_keys set expire_time = $1 where expire_time is not null"


@pytest.fixture
def revisions(database: Database) -> Revisions:
    return Revisions(database, RING)


def secrets(revision: Revision) -> list[str]:
    return [key.secret.reveal() for key in revision.keys]


async def test_keys_are_as_they_were_to_expire(webhooks: Webhooks, revisions: Revisions) -> None:
    """A later rotation cuts an overlap short, but not in the revisions before it."""
    made = await making.webhook(webhooks, headers={"X-Team": "crm"})
    await webhooks.rotate_key(TENANT, made.id, Secret("second-second-second"), 3600)
    await webhooks.disable(TENANT, made.id, "")
    await webhooks.rotate_key(TENANT, made.id, Secret("third-third-third"), 0)
    third, second, first = await revisions.of(TENANT, made.id)
    assert [each.version for each in (first, second, third)] == [1, 2, 4]
    assert second.settings == Settings(headers={"X-Team": "crm"})
    assert secrets(first) == [SECRET]
    assert secrets(second) == ["second-second-second", SECRET]
    assert secrets(third) == ["third-third-third"]
    now = datetime.now(UTC)
    assert [key.secret.reveal() for key in second.keys_at(now)] == ["second-second-second", SECRET]
    assert [key.secret.reveal() for key in second.keys_at(now + timedelta(hours=2))] == ["second-second-second"]


async def test_the_engine_gets_a_version_and_its_keys(webhooks: Webhooks, sql: asyncpg.Connection) -> None:
    """Of a rotation that comes amid the reading it sees all or nothing."""
    made = await making.webhook(webhooks)
    async with sql.transaction():
        await sql.execute("lock table signing_keys in access exclusive mode")
        reading = asyncio.create_task(webhooks.get_many([made.id]))
        await until_locked(sql)
        another = making.sealed(b"another-key-by-now", made.id, sealing.SECRET)
        await sql.execute("update signing_keys set secret = $1", another)
        await sql.execute("update webhooks set version = 2, update_time = clock_timestamp()")
    assert await reading == {made.id: made}


async def until_locked(sql: asyncpg.Connection) -> None:
    """Within a transaction pg_locks is read anew each time, unlike the activity."""

    async def waiting() -> bool:
        return bool(await sql.fetchval("select exists (select from pg_locks where not granted)"))

    await making.until(waiting)


async def test_a_key_is_kept_while_an_attempt_that_it_may_have_signed_is(
    webhooks: Webhooks, revisions: Revisions, events: Events, deliveries: Deliveries, sql: asyncpg.Connection
) -> None:
    made = await making.webhook(webhooks)
    await webhooks.rotate_key(TENANT, made.id, Secret("second-second-second"), 3600)
    await making.queue(events, making.event())
    await deliveries.record([making.record(await making.claim_one(deliveries))])

    async def expired(ago: timedelta) -> int:
        await sql.execute(EXPIRE, datetime.now(UTC) - ago)
        return await revisions.forget_keys()

    assert await expired(timedelta(0)) == 0
    assert await expired(timedelta(minutes=59)) == 0
    await sql.execute("delete from attempts")
    assert await expired(timedelta(minutes=59)) == 0  # an outcome may not have been written yet
    assert await expired(timedelta(minutes=61)) == 1
    assert [secrets(each) for each in await revisions.of(TENANT, made.id)] == [["second-second-second", ""], [""]]
    assert await expired(timedelta(days=9)) == 0  # the one in force stays


async def test_an_old_attempt_keeps_an_old_key(
    webhooks: Webhooks, revisions: Revisions, events: Events, deliveries: Deliveries, sql: asyncpg.Connection
) -> None:
    made = await making.webhook(webhooks)
    await webhooks.rotate_key(TENANT, made.id, Secret("second-second-second"), 3600)
    old, new = making.event(), making.event()
    await making.queue(events, old, new)
    await deliveries.record([making.record(claim) for claim in await making.claim_all(deliveries)])
    await sql.execute(EXPIRE, old.occur_time - timedelta(minutes=59))
    assert await revisions.forget_keys() == 0
    await sql.execute(EXPIRE, old.occur_time - timedelta(minutes=61))
    assert await revisions.forget_keys() == 1


async def test_servers_that_are_set_up_alike_share_a_composer(database: Database) -> None:
    composers = Composers(database)
    noted = await asyncio.gather(*(composers.note("Hookpost/1", "a-signature") for _ in range(5)))
    other = await composers.note("Hookpost/1", "b-signature")
    assert len(set(noted)) == 1
    assert await composers.all() == {noted[0].id: noted[0], other.id: other}
    assert 0 not in await composers.all()
