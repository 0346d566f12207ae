"""Claims between tenants: one with many webhooks does not starve one with one, and none of its own is forgotten."""

from __future__ import annotations

from collections import Counter
from uuid import UUID

from hookpost_server.store.cursor import START, Wanted
from hookpost_server.store.deliveries import Deliveries
from hookpost_server.store.events import Events
from hookpost_server.store.webhooks import Webhooks

from . import making


async def many_and_one(webhooks: Webhooks, events: Events, *, many: int = 60, each: int = 4) -> list[UUID]:
    """Tenant "a" has many webhooks with `each` due deliveries, "b" one with 200. Returns those of "a"."""
    made = [(await making.webhook(webhooks, "a")).id for _ in range(many)]
    await making.webhook(webhooks, "b")
    await making.queue(events, *(making.event(tenant_id="a") for _ in range(each)))
    await making.queue(events, *(making.event(tenant_id="b") for _ in range(200)))
    return made


async def test_each_tenant_gets_its_share_of_a_claim(
    webhooks: Webhooks, events: Events, deliveries: Deliveries
) -> None:
    await many_and_one(webhooks, events)
    claims, _ = await deliveries.claim(START, Wanted(room=40, room_each=64, room_tenant=20))
    assert Counter(claim.tenant_id for claim in claims) == {"a": 20, "b": 20}


async def test_a_tenant_that_had_its_share_goes_on_where_it_was_left(
    webhooks: Webhooks, events: Events, deliveries: Deliveries
) -> None:
    made = await many_and_one(webhooks, events)
    cursor, served, rounds = START, list[UUID](), 0
    while len(served) < 240:
        claims, cursor = await deliveries.claim(cursor, Wanted(room=40, room_each=2, room_tenant=20))
        served += [claim.webhook_id for claim in claims if claim.tenant_id == "a"]
        rounds += 1
        assert rounds < 40
    for half in (served[:120], served[120:]):
        assert list(dict.fromkeys(half)) == made
        assert set(Counter(half).values()) == {2}
    await making.claim_all(deliveries)
    for _ in range(5):  # rounds in which nobody had a share end as they began
        claims, cursor = await deliveries.claim(cursor, Wanted(room=1000, room_each=1000))
        assert claims == []
        if cursor == START:
            return
    raise AssertionError(f"{cursor} is not START")


async def test_a_full_tenant_is_passed_over_and_keeps_its_place(
    webhooks: Webhooks, events: Events, deliveries: Deliveries
) -> None:
    made = await many_and_one(webhooks, events)
    first, cursor = await deliveries.claim(START, Wanted(room=100, room_each=2, room_tenant=20))
    assert [claim.webhook_id for claim in first if claim.tenant_id == "a"][-1] == made[9]
    for _ in range(4):
        claims, cursor = await deliveries.claim(cursor, Wanted(room=10, room_each=4, full_tenants=["a"]))
        assert {claim.tenant_id for claim in claims} <= {"b"}
    while not (more := [claim for claim in claims if claim.tenant_id == "a"]):
        claims, cursor = await deliveries.claim(cursor, Wanted(room=10, room_each=4))
    assert more[0].webhook_id == made[10]


async def test_one_that_a_breaker_holds_gets_its_room_until_it_is_changed(
    webhooks: Webhooks, events: Events, deliveries: Deliveries
) -> None:
    held, probed = await making.webhook(webhooks), await making.webhook(webhooks)
    await making.queue(events, *(making.event() for _ in range(5)))
    wanted = Wanted(room=100, room_each=3, held={held.id: (held.version, 0), probed.id: (probed.version, 1)})
    claims, _ = await deliveries.claim(START, wanted)
    assert [claim.webhook_id for claim in claims] == [probed.id]
    await webhooks.update(making.TENANT, held.id, lambda settings: making.settings(name="mended"))
    claims, _ = await deliveries.claim(START, wanted)
    assert Counter(claim.webhook_id for claim in claims) == {held.id: 3, probed.id: 1}
