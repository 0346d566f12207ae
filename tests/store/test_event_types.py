"""Event types' verbs, the seed, and what the hot path remembers of the catalogue."""

from __future__ import annotations

import asyncio
import dataclasses

import asyncpg
import pytest

from hookpost_server.domain import errors
from hookpost_server.domain.catalogue import builtin, operational
from hookpost_server.domain.event_type import EventType
from hookpost_server.store import event_types as module
from hookpost_server.store.event_types import EventTypes, KnownTypes
from hookpost_server.store.webhooks import Webhooks

from . import making
from .making import KEY, TENANT

MINE = EventType(
    name="Shop.Ordered",
    group="Shop",
    description="An order.",
    json_schema='{"type":"object"}',
    example='{"n": 1.0}',
    enforce_schema=True,
)


async def snapshot(event_types: EventTypes) -> list[EventType]:
    return await event_types.list(after="", group="", limit=1000)


async def test_the_seed_is_the_catalogue_and_can_be_repeated(event_types: EventTypes) -> None:
    first = await snapshot(event_types)
    assert {t.name for t in first} == {entry.name for entry in (*builtin(), *operational())}
    assert len(first) == 31 + 1
    assert all(t.built_in and t.example != "{}" and t.version == 1 for t in first)
    await event_types.seed()
    assert await snapshot(event_types) == first


async def test_nodes_that_seed_at_once_do_not_collide(event_types: EventTypes, sql: asyncpg.Connection) -> None:
    await sql.execute("update event_types set description = 'old'")
    await asyncio.gather(*(event_types.seed() for _ in range(6)))
    assert not any(t.description == "old" for t in await snapshot(event_types))


async def test_the_seed_mends_texts_and_keeps_the_operators_choices(
    event_types: EventTypes, sql: asyncpg.Connection
) -> None:
    name = builtin()[0].name
    before = await event_types.get(name)
    chosen = await event_types.update(name, {"enforce_schema": True, "deprecated": True}, before.etag)
    mine = await event_types.create(MINE)
    await sql.execute("update event_types set description = 'old', example = '{}' where name = $1", name)
    await event_types.seed()
    after = await event_types.get(name)
    assert after == dataclasses.replace(chosen, update_time=after.update_time)
    assert await event_types.get(MINE.name) == mine


async def test_create_get_list(event_types: EventTypes) -> None:
    made = await event_types.create(MINE)
    assert made == dataclasses.replace(MINE, create_time=made.create_time, update_time=made.update_time)
    assert not made.built_in
    assert await event_types.get(MINE.name) == made
    with pytest.raises(errors.NameTaken):
        await event_types.create(dataclasses.replace(MINE, group="Other"))
    with pytest.raises(errors.NameTaken):
        await event_types.create(dataclasses.replace(MINE, name=builtin()[0].name))
    with pytest.raises(errors.NotFound):
        await event_types.get("shop.ordered")
    assert await event_types.list(after="", group="Shop", limit=10) == [made]
    names, after = [], ""
    while page := await event_types.list(after=after, group="", limit=10):
        names += [t.name for t in page]
        after = page[-1].name
    assert names == sorted({entry.name for entry in (*builtin(), *operational())} | {MINE.name})
    known = KnownTypes(event_types, open_names=False)
    await known.refresh()
    assert all(name in known for name in names)


async def test_update(event_types: EventTypes) -> None:
    made = await event_types.create(MINE)
    changed = await event_types.update(MINE.name, {"group": "Store", "deprecated": True}, made.etag)
    assert (changed.group, changed.deprecated, changed.description) == ("Store", True, MINE.description)
    assert (changed.version, changed.create_time) == (2, made.create_time)
    assert await event_types.get(MINE.name) == changed
    with pytest.raises(errors.EtagMismatch):
        await event_types.update(MINE.name, {"group": "late"}, made.etag)
    with pytest.raises(errors.InvalidFields):
        await event_types.update(MINE.name, {"json_schema": "{"}, "")
    with pytest.raises(errors.NotFound):
        await event_types.update("No.Such", {"group": "x"}, "")
    assert await event_types.get(MINE.name) == changed


@pytest.mark.parametrize("field", ["group", "description", "json_schema", "example"])
async def test_what_is_built_in_stays(event_types: EventTypes, field: str) -> None:
    name = builtin()[0].name
    with pytest.raises(errors.EventTypeInUse, match=field):
        await event_types.update(name, {field: "{}"}, "")
    with pytest.raises(errors.EventTypeInUse, match="built in"):
        await event_types.delete(name, "")


async def test_delete_is_refused_while_somebody_subscribes(event_types: EventTypes, webhooks: Webhooks) -> None:
    made = await event_types.create(MINE)
    subscribed = await making.webhook(webhooks, event_types=("Shop.Ordered",))
    await making.webhook(webhooks, event_types=("Shop.*", "*"))  # these do not hold it
    with pytest.raises(errors.EventTypeInUse, match=r'1 webhook subscribes to "Shop\.Ordered"'):
        await event_types.delete(MINE.name, made.etag)
    await webhooks.update(TENANT, subscribed.id, lambda s: dataclasses.replace(s, event_types=("*",)))
    with pytest.raises(errors.EtagMismatch):
        await event_types.delete(MINE.name, '"9"')
    await event_types.delete(MINE.name, made.etag)
    with pytest.raises(errors.NotFound):
        await event_types.delete(MINE.name, "")


@pytest.mark.parametrize("by", ["create", "update"])
async def test_delete_waits_for_a_subscription_under_way(
    event_types: EventTypes, webhooks: Webhooks, sql: asyncpg.Connection, other_sql: asyncpg.Connection, by: str
) -> None:
    """The subscriber is stopped between taking hold of the type and its commit; the delete must see what it did."""
    await event_types.create(MINE)
    other = await making.webhook(webhooks, event_types=("Role.Created",))
    wanted = making.settings(event_types=("Shop.Ordered",))
    async with sql.transaction():
        await sql.execute("lock table subscriptions in share mode")
        subscriber = asyncio.create_task(
            webhooks.create(TENANT, wanted, KEY)
            if by == "create"
            else webhooks.update(TENANT, other.id, lambda _: wanted)
        )
        await making.blocked(other_sql, 1)
        deleter = asyncio.create_task(event_types.delete(MINE.name, ""))
        await making.blocked(other_sql, 2)
    await subscriber
    with pytest.raises(errors.EventTypeInUse):
        await deleter
    assert (await event_types.get(MINE.name)).name == MINE.name


async def test_known_types(event_types: EventTypes, monkeypatch: pytest.MonkeyPatch) -> None:
    known = KnownTypes(event_types, open_names=False)
    await known.require("User.Created")  # asks by itself the first time
    assert "User.Created" in known
    with pytest.raises(errors.EventTypeUnknown) as caught:
        await known.require("user.creatd")
    assert "did you mean User.Created" in caught.value.message
    assert "User.Created" in caught.value.metadata["nearest"]
    assert "Shop.Ordered" not in known
    await event_types.create(MINE)
    await known.require("Shop.Ordered")  # at once, not after a while
    await event_types.delete(MINE.name, "")
    monkeypatch.setattr(module, "STALE_AFTER", 0.0)
    with pytest.raises(errors.EventTypeUnknown):
        await known.require("Shop.Ordered")


async def test_open_names_need_no_catalogue(event_types: EventTypes) -> None:
    known = KnownTypes(event_types, open_names=True)
    await known.require("No.Such")
    assert "No.Such" in known
