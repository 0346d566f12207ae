"""Webhooks' verbs, one after another and against each other."""

from __future__ import annotations

import asyncio
import dataclasses
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from hookpost_server.domain import errors, event, ids
from hookpost_server.domain.delivery import State as DeliveryState
from hookpost_server.domain.envelope import Format
from hookpost_server.domain.secret import Secret
from hookpost_server.domain.signing import MAX_KEYS
from hookpost_server.domain.url import UrlRules
from hookpost_server.domain.webhook import Settings, SettingsRules, State
from hookpost_server.store.database import Database
from hookpost_server.store.deliveries import Deliveries
from hookpost_server.store.delivery_log import Filter
from hookpost_server.store.events import Events
from hookpost_server.store.expiry import Expiry
from hookpost_server.store.replays import Replays
from hookpost_server.store.suspensions import Suspensions
from hookpost_server.store.webhooks import Webhooks
from tests.keys import RING

from . import making
from .making import KEY, SECRET, TENANT

LAST = UUID(int=2**128 - 1)
FULL = making.settings(
    name="Bestellungen – 注文 'quoted'",
    url="https://example.com/a?b=c",
    event_types=("User.Created", "Role.*", "*"),
    headers={"Authorization": "Bearer t", "x-team": 'a"b'},
    retry_policy=making.retries(1.5, 86400),
    timeout=29.5,
    payload_format=Format.CLOUDEVENTS,
    max_in_flight=1000,
    rate_limit=0.1,
    labels={"team": "核", "env": ""},
)


def renamed(name: str) -> Callable[[Settings], Settings]:
    return lambda settings: dataclasses.replace(settings, name=name)


async def subscriptions(sql: asyncpg.Connection, webhook_id: UUID) -> list[str]:
    rows = await sql.fetch("select pattern from subscriptions where webhook_id = $1 order by pattern", webhook_id)
    return [row["pattern"] for row in rows]


async def test_what_is_created_is_what_is_read(webhooks: Webhooks, sql: asyncpg.Connection) -> None:
    made = await webhooks.create(TENANT, FULL, KEY)
    assert made.settings == FULL
    assert (made.tenant_id, made.state, made.state_reason, made.version) == (TENANT, State.ACTIVE, "", 1)
    assert [key.secret.reveal() for key in made.keys] == [SECRET]
    assert made.keys[0].expire_time is None
    assert await webhooks.get(TENANT, made.id) == made
    assert await webhooks.get_many([made.id, UUID(int=1)]) == {made.id: made}
    assert await webhooks.versions([made.id, UUID(int=1)]) == {made.id: 1}
    assert await subscriptions(sql, made.id) == ["*", "Role.*", "User.Created"]


async def test_another_tenants_webhook_is_not_there(webhooks: Webhooks, suspensions: Suspensions) -> None:
    made = await making.webhook(webhooks, "a")
    for act in (
        webhooks.get("b", made.id),
        webhooks.update("b", made.id, renamed("x")),
        webhooks.enable("b", made.id),
        webhooks.disable("b", made.id, ""),
        webhooks.delete("b", made.id),
        webhooks.rotate_key("b", made.id, KEY, 0),
    ):
        with pytest.raises(errors.NotFound, match=re.escape(ids.text(ids.WEBHOOK, made.id))):
            await act
    await suspensions.suspend("b", made.id, "no")
    assert await webhooks.get("a", made.id) == made
    assert await webhooks.list("b", before=LAST) == []


async def test_a_request_id_makes_one_webhook(webhooks: Webhooks) -> None:
    first = await webhooks.create(TENANT, FULL, KEY, request_id="r", digest=b"same")
    repeated = await webhooks.create(TENANT, FULL, Secret("whsec_other"), request_id="r", digest=b"same")
    assert repeated == first
    with pytest.raises(errors.RequestIdReused):
        await webhooks.create(TENANT, FULL, KEY, request_id="r", digest=b"other")
    elsewhere = await webhooks.create("b", FULL, KEY, request_id="r", digest=b"other")
    assert elsewhere.id != first.id
    assert making.ids_of(await webhooks.list(TENANT, before=LAST)) == [first.id]


async def test_a_request_id_at_once_makes_one_webhook(webhooks: Webhooks) -> None:
    made = await asyncio.gather(*(webhooks.create(TENANT, FULL, KEY, request_id="r", digest=b"d") for _ in range(8)))
    assert len({webhook.id for webhook in made}) == 1
    assert [len(webhook.keys) for webhook in made] == [1] * 8
    assert len(await webhooks.list(TENANT, before=LAST)) == 1


async def test_list_filters(webhooks: Webhooks, suspensions: Suspensions) -> None:
    a = await making.webhook(webhooks, name="Shop 100%", event_types=("User.Created",), labels={"env": "prod"})
    b = await making.webhook(webhooks, url="https://shop.example/_x", event_types=("User.*",))
    c = await making.webhook(webhooks, labels={"env": "prod", "team": "x"}, event_types=("Role.Created",))
    await webhooks.disable(TENANT, b.id, "")
    await suspensions.suspend(TENANT, c.id, "gone")

    async def found(**filters: object) -> list[UUID]:
        return making.ids_of(await webhooks.list(TENANT, before=LAST, **filters))  # type: ignore[arg-type]

    assert await found() == [c.id, b.id, a.id]
    assert await found(states=[State.ACTIVE]) == [a.id]
    assert await found(states=[State.DISABLED, State.SUSPENDED]) == [c.id, b.id]
    assert await found(patterns=event.patterns("User.Created")) == [b.id, a.id]
    assert await found(patterns=event.patterns("Role.Created")) == [c.id]
    assert await found(labels={"env": "prod"}) == [c.id, a.id]
    assert await found(labels={"env": "prod", "team": "x"}) == [c.id]
    assert await found(query="sHoP") == [b.id, a.id]
    assert await found(query="0%") == [a.id]  # no pattern, but what it says
    assert await found(query="_x") == [b.id]
    assert await found(query="'; drop table webhooks; --") == []
    assert await found(states=[State.DISABLED], labels={"env": "prod"}) == []


async def test_list_pages_show_each_once(webhooks: Webhooks) -> None:
    made = [(await making.webhook(webhooks, name=f"w{n}")).id for n in range(7)]
    seen: list[UUID] = []
    before = LAST
    while page := await webhooks.list(TENANT, before=before, limit=3):
        assert len(page) <= 3
        assert all(len(webhook.keys) == 1 for webhook in page)
        seen += making.ids_of(page)
        before = page[-1].id
        if len(seen) == 3:  # a newcomer belongs to no later page
            await making.webhook(webhooks)
    assert seen == made[::-1]


async def test_update(webhooks: Webhooks, sql: asyncpg.Connection) -> None:
    made = await making.webhook(webhooks, event_types=("User.Created", "Role.*"))
    changed = await webhooks.update(TENANT, made.id, lambda before: FULL, made.etag)
    assert (changed.settings, changed.version) == (FULL, 2)
    assert changed.update_time > made.update_time
    assert await webhooks.get(TENANT, made.id) == changed
    assert await subscriptions(sql, made.id) == ["*", "Role.*", "User.Created"]
    with pytest.raises(errors.EtagMismatch):
        await webhooks.update(TENANT, made.id, renamed("late"), made.etag)
    assert (await webhooks.update(TENANT, made.id, renamed("again"))).version == 3


@pytest.mark.parametrize("verb", ["create", "update"])
async def test_a_type_deleted_at_the_same_moment_is_an_unknown_one(
    webhooks: Webhooks, sql: asyncpg.Connection, other_sql: asyncpg.Connection, verb: str
) -> None:
    """Nobody subscribes to what is gone; wildcards are no types."""
    await sql.execute("insert into event_types (name, group_name) values ('Order.Paid', 'Order')")
    made = await making.webhook(webhooks, event_types=("Role.*",))
    wanted = making.settings(event_types=("Order.*", "User.Created", "Order.Paid"))
    async with sql.transaction():
        await sql.execute("delete from event_types where name = 'Order.Paid'")
        if verb == "create":
            subscribing = asyncio.create_task(webhooks.create(TENANT, wanted, KEY))
        else:
            subscribing = asyncio.create_task(webhooks.update(TENANT, made.id, lambda before: wanted))
        await making.blocked(other_sql, 1)
    with pytest.raises(errors.InvalidFields) as refused:
        await subscribing
    rules = SettingsRules(UrlRules(), "x", lambda name: name != "Order.Paid")
    with pytest.raises(errors.InvalidFields) as unknown:
        rules.check(wanted)
    assert refused.value.violations == unknown.value.violations
    assert await webhooks.list(TENANT, before=LAST) == [made]
    assert await sql.fetchval("select count(*) from subscriptions where pattern like 'Order%'") == 0


async def test_an_open_catalogue_takes_any_type(database: Database) -> None:
    webhooks = Webhooks(database, RING, open_types=True)
    assert (await making.webhook(webhooks, event_types=("Order.Paid",))).settings.event_types == ("Order.Paid",)


async def test_an_update_that_fails_changes_nothing(webhooks: Webhooks) -> None:
    made = await making.webhook(webhooks)

    def refuse(settings: Settings) -> Settings:
        raise errors.InvalidFields.one("webhook.url", "no")

    with pytest.raises(errors.InvalidFields):
        await webhooks.update(TENANT, made.id, refuse)
    assert await webhooks.get(TENANT, made.id) == made


async def test_of_two_updates_with_one_etag_one_wins(webhooks: Webhooks) -> None:
    made = await making.webhook(webhooks)
    results = await asyncio.gather(
        *(webhooks.update(TENANT, made.id, renamed(f"n{n}"), made.etag) for n in range(6)), return_exceptions=True
    )
    assert sorted(type(result).__name__ for result in results) == ["EtagMismatch"] * 5 + ["Webhook"]
    assert (await webhooks.get(TENANT, made.id)).version == 2


async def test_disable_enable_suspend(webhooks: Webhooks, suspensions: Suspensions) -> None:
    made = await making.webhook(webhooks)
    disabled = await webhooks.disable(TENANT, made.id, "holidays")
    assert (disabled.state, disabled.state_reason, disabled.version) == (State.DISABLED, "holidays", 2)
    assert (await webhooks.disable(TENANT, made.id, "holidays")).version == 2  # nothing changed
    await suspensions.suspend(TENANT, made.id, "410")
    assert (await webhooks.get(TENANT, made.id)).state is State.DISABLED  # a person's word stands
    enabled = await webhooks.enable(TENANT, made.id)
    assert (enabled.state, enabled.state_reason, enabled.version) == (State.ACTIVE, "", 3)
    await suspensions.suspend(TENANT, made.id, "410")
    suspended = await webhooks.get(TENANT, made.id)
    assert (suspended.state, suspended.state_reason, suspended.version) == (State.SUSPENDED, "410", 4)
    assert (await webhooks.enable(TENANT, made.id)).state is State.ACTIVE


async def test_delete_takes_everything_along(
    webhooks: Webhooks, events: Events, deliveries: Deliveries, sql: asyncpg.Connection
) -> None:
    made, kept = await making.webhook(webhooks), await making.webhook(webhooks)
    emitted = [making.event() for _ in range(5)]
    await making.queue(events, *emitted)
    done, *held = sorted(await making.claim_all(deliveries), key=lambda claim: claim.webhook_id != made.id)
    await deliveries.record([making.record(done)])
    await deliveries.release(held)
    with pytest.raises(errors.EtagMismatch):
        await webhooks.delete(TENANT, made.id, '"7"')
    assert await webhooks.delete(TENANT, made.id, made.etag) == 4
    with pytest.raises(errors.NotFound):
        await webhooks.delete(TENANT, made.id)
    for table in ("subscriptions", "signing_keys"):
        assert await sql.fetchval(f"select count(*) from {table} where webhook_id = $1", made.id) == 0
    states = [
        (await deliveries.get(TENANT, ids.delivery(emitted[n].id, webhook.id))).state
        for webhook in (made, kept)
        for n in range(5)
    ]
    cancelled = [DeliveryState.SUCCEEDED] + [DeliveryState.CANCELLED] * 4
    assert sorted(states[:5]) == cancelled
    assert states[5:] == [DeliveryState.PENDING] * 5
    assert (await making.queue(events, making.event())).results[0].delivery_count == 1  # type: ignore[union-attr]


@pytest.mark.case("H1")
async def test_delete_leaves_what_is_held_to_its_holder(
    webhooks: Webhooks, events: Events, deliveries: Deliveries, sql: asyncpg.Connection
) -> None:
    """An attempt under way ends with its own outcome, but for a retry; a holder that died holds nothing for ever."""
    made = await making.webhook(webhooks)
    await making.queue(events, *(making.event() for _ in range(6)))
    succeeded, refused, failed, dead, given_back, retried = await making.claim_all(deliveries)
    await deliveries.release([given_back])
    await deliveries.record([making.record(retried, 500, making.retries(3600))])
    assert await webhooks.delete(TENANT, made.id) == 2
    ended = ((succeeded, 200), (refused, 404), (failed, 500))
    batch = [making.record(claim, status, making.retries(3600)) for claim, status in ended]
    assert await deliveries.record(batch) == {
        succeeded.id: DeliveryState.SUCCEEDED,
        refused.id: DeliveryState.FAILED,
        failed.id: DeliveryState.CANCELLED,
    }
    found = await deliveries.get(TENANT, failed.id)
    assert [attempt.status for attempt in found.attempts] == [500]
    assert found.finish_time is not None
    assert await making.claim_all(deliveries) == []
    await sql.execute("update deliveries set due_at = now() where state = 1")  # the lease is over
    (left,) = await making.claim_all(deliveries)
    assert (left.id, left.webhook_version) == (dead.id, 0)
    await deliveries.cancel([dead])  # who comes late ends nothing that another holds
    assert (await deliveries.get(TENANT, dead.id)).state is DeliveryState.PENDING
    await deliveries.cancel([left])
    assert (await deliveries.get(TENANT, dead.id)).state is DeliveryState.CANCELLED


@pytest.mark.parametrize("put_off_by", ["enable", "replay"])
async def test_delete_cancels_what_was_held_once_and_put_off_since(
    webhooks: Webhooks,
    events: Events,
    deliveries: Deliveries,
    database: Database,
    sql: asyncpg.Connection,
    put_off_by: str,
) -> None:
    made = await making.webhook(webhooks, rate_limit=0.1)
    await making.queue(events, making.event(), making.event())
    assert len(await making.claim_all(deliveries)) == 2
    await sql.execute("update deliveries set due_at = now() - interval '25 h'")  # their holder died
    if put_off_by == "enable":
        await webhooks.disable(TENANT, made.id, "")
        await webhooks.enable(TENANT, made.id)
    else:
        assert await Expiry(database).expire([made.id]) == 2
        await Replays(database).replay(TENANT, Filter(UUID(int=0), LAST), None, interval=3600)
    assert await sql.fetchval("select count(*) from deliveries where state = 1 and due_at > now() + interval '1 s'")
    assert await webhooks.delete(TENANT, made.id) == 2


@pytest.mark.case("H1")
@pytest.mark.parametrize("first", ["delete", "record"])
async def test_of_a_delete_and_a_retry_at_once_no_retry_is_left(
    webhooks: Webhooks,
    events: Events,
    deliveries: Deliveries,
    sql: asyncpg.Connection,
    other_sql: asyncpg.Connection,
    first: str,
) -> None:
    """Whichever has begun keeps the other waiting."""
    made = await making.webhook(webhooks)
    await making.queue(events, making.event())
    claim = await making.claim_one(deliveries)

    async def record() -> object:
        return await deliveries.record([making.record(claim, 500, making.retries(3600))])

    async def delete() -> object:
        return await webhooks.delete(TENANT, made.id)

    acts = (delete, record) if first == "delete" else (record, delete)
    async with sql.transaction():
        if first == "delete":  # is held up after its first statement, a record after its second
            await sql.execute("select from signing_keys for update")
        else:
            await sql.execute(f"insert into webhook_streaks values ('{TENANT}', '{made.id}', 0)")
        acting = []
        for count, act in enumerate(acts, start=1):
            acting.append(asyncio.ensure_future(act()))
            await making.blocked(other_sql, count)
    results = await asyncio.gather(*acting)
    if first == "delete":
        assert results == [0, {claim.id: DeliveryState.CANCELLED}]
    else:
        assert results == [{claim.id: DeliveryState.PENDING}, 1]
    found = await deliveries.get(TENANT, claim.id)
    assert (found.state, found.attempt_count) == (DeliveryState.CANCELLED, 1)


async def test_delete_cancels_in_steps(
    webhooks: Webhooks, events: Events, monkeypatch: pytest.MonkeyPatch, sql: asyncpg.Connection
) -> None:
    monkeypatch.setattr("hookpost_server.store.webhooks.CANCEL_STEP", 3)
    monkeypatch.setattr("hookpost_server.store.webhooks.CANCEL_MOST", 6)
    made, small = await making.webhook(webhooks), await making.webhook(webhooks, event_types=("Role.*",))
    await making.queue(events, *(making.event() for _ in range(8)), making.event("Role.Created"))
    assert await webhooks.delete(TENANT, made.id) == 6
    assert await sql.fetchval("select count(*) from deliveries where webhook_id = $1 and state = 1", made.id) == 3
    assert await webhooks.delete(TENANT, small.id) == 1


async def test_delete_does_not_wait_for_an_outcome_being_recorded(
    webhooks: Webhooks, events: Events, sql: asyncpg.Connection
) -> None:
    """A record takes its rows by id, delete by due time: were both to wait, they could wait for each other."""
    made = await making.webhook(webhooks)
    emitted = [making.event() for _ in range(3)]
    await making.queue(events, *emitted)
    held = ids.delivery(emitted[1].id, made.id)
    async with sql.transaction():
        assert await sql.fetchval("select id from deliveries where id = $1 for update", held) == held
        assert await webhooks.delete(TENANT, made.id) == 2


async def test_rotate_with_overlap(webhooks: Webhooks) -> None:
    made = await making.webhook(webhooks)
    rotated, secret = await webhooks.rotate_key(TENANT, made.id, Secret("second-second-second"), 3600)
    assert secret.reveal() == "second-second-second"
    assert rotated.version == 2
    assert [key.secret.reveal() for key in rotated.keys] == ["second-second-second", SECRET]
    assert rotated.keys[0].expire_time is None
    expiry = rotated.keys[1].expire_time
    assert expiry is not None
    assert timedelta(minutes=59) < expiry - datetime.now(UTC) < timedelta(minutes=61)
    # A later rotation shortens what is left of an old key, and never lengthens it.
    longer, _ = await webhooks.rotate_key(TENANT, made.id, Secret("third-third-third-third"), 7200)
    assert [key.secret.reveal() for key in longer.keys] == ["third-third-third-third", "second-second-second", SECRET]
    assert longer.keys[2].expire_time == expiry
    shorter, _ = await webhooks.rotate_key(TENANT, made.id, Secret("fourth-fourth-fourth"), 60)
    assert all(key.expire_time and key.expire_time < expiry for key in shorter.keys[1:])


async def test_keys_that_sign_at_once_are_bounded(webhooks: Webhooks) -> None:
    made = await making.webhook(webhooks)
    for number in range(1, MAX_KEYS):
        await webhooks.rotate_key(TENANT, made.id, Secret(f"overlapping-key-{number}"), 3600)
    before = await webhooks.get(TENANT, made.id)
    assert len(before.keys) == MAX_KEYS
    with pytest.raises(errors.LimitExceeded, match="20 keys"):
        await webhooks.rotate_key(TENANT, made.id, KEY, 3600)
    assert await webhooks.get(TENANT, made.id) == before
    rotated, _ = await webhooks.rotate_key(TENANT, made.id, KEY, 0)
    assert [key.secret for key in rotated.keys] == [KEY]


async def test_rotate_at_once_leaves_one_key_in_force(webhooks: Webhooks) -> None:
    made = await making.webhook(webhooks)
    await webhooks.rotate_key(TENANT, made.id, Secret("second-second-second"), 3600)
    rotated, _ = await webhooks.rotate_key(TENANT, made.id, Secret("third-third-third-third"), 0)
    assert [key.secret.reveal() for key in rotated.keys] == ["third-third-third-third"]
    assert await webhooks.get(TENANT, made.id) == rotated
    assert await webhooks.get_many([made.id]) == {made.id: rotated}


async def test_a_request_id_rotates_once(webhooks: Webhooks) -> None:
    made = await making.webhook(webhooks)
    first, secret = await webhooks.rotate_key(TENANT, made.id, Secret("second-second-second"), 3600, request_id="r")
    again, same = await webhooks.rotate_key(TENANT, made.id, Secret("third-third-third-third"), 3600, request_id="r")
    assert (again, same) == (first, secret)
    other, third = await webhooks.rotate_key(TENANT, made.id, Secret("third-third-third-third"), 3600, request_id="s")
    assert third.reveal() == "third-third-third-third"
    assert len(other.keys) == 3


async def test_rotations_at_once_leave_one_current_key(webhooks: Webhooks) -> None:
    made = await making.webhook(webhooks)
    await asyncio.gather(*(webhooks.rotate_key(TENANT, made.id, Secret(f"secret-number-{n:03}"), 60) for n in range(6)))
    keys = (await webhooks.get(TENANT, made.id)).keys
    assert [key.expire_time is None for key in keys] == [True] + [False] * 6


async def test_an_expired_key_is_not_in_force(webhooks: Webhooks, sql: asyncpg.Connection) -> None:
    made = await making.webhook(webhooks)
    rotated, _ = await webhooks.rotate_key(TENANT, made.id, Secret("second-second-second"), 3600)
    # One that is remembered while its key expires …
    later = datetime.now(UTC) + timedelta(hours=2)
    assert [key.secret.reveal() for key in rotated.keys_at(later)] == ["second-second-second"]
    assert len(rotated.keys_at(datetime.now(UTC))) == 2
    # … and one that is read after.
    await sql.execute("update signing_keys set expire_time = now() where expire_time is not null")
    assert [key.secret.reveal() for key in (await webhooks.get(TENANT, made.id)).keys] == ["second-second-second"]


async def test_secrets_show_in_no_repr(webhooks: Webhooks) -> None:
    made = await webhooks.create(TENANT, FULL, KEY)
    assert SECRET not in repr(made)
    assert "Bearer t" not in repr(made)


async def test_one_that_can_not_be_read_is_shown_without_its_secrets(
    webhooks: Webhooks, sql: asyncpg.Connection
) -> None:
    """It can be stopped and deleted; what needs its secrets says why it can't be done, and changes nothing."""
    good, bad = [await webhooks.create(TENANT, FULL, KEY) for _ in range(2)]
    await sql.execute(
        "update webhooks set headers = (select headers from webhooks where id = $1) where id = $2", good.id, bad.id
    )
    for act in (
        webhooks.get(TENANT, bad.id),
        webhooks.update(TENANT, bad.id, lambda settings: settings),
        webhooks.rotate_key(TENANT, bad.id, KEY, 0),
    ):
        with pytest.raises(errors.WebhookUnreadable, match="copied from elsewhere"):
            await act
    shown = dataclasses.replace(bad, settings=dataclasses.replace(FULL, headers={}), keys=())
    assert await webhooks.list(TENANT, before=LAST) == [shown, good]
    found = await webhooks.get_many([good.id, bad.id])
    assert found[good.id] == good
    assert isinstance(found[bad.id], errors.WebhookUnreadable)
    assert (await webhooks.disable(TENANT, bad.id, "")).state is State.DISABLED
    assert (await webhooks.enable(TENANT, bad.id)).settings.headers == {}
    await webhooks.delete(TENANT, bad.id)
    assert await webhooks.list(TENANT, before=LAST) == [good]
