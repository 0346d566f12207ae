"""Lists of deliveries: every filter by every way in, pages that show each once, and pages that end early."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

import asyncpg
import pytest

from hookpost_server.domain import errors, ids
from hookpost_server.domain.delivery import Delivery, Outcome, Result, State
from hookpost_server.domain.event import Event
from hookpost_server.domain.webhook import Webhook
from hookpost_server.store.deliveries import Deliveries
from hookpost_server.store.delivery_log import Filter
from hookpost_server.store.events import Events
from hookpost_server.store.webhooks import Webhooks

from . import making
from .making import TENANT

ALL = Filter(since=UUID(int=0), before=UUID(int=2**128 - 1))


@dataclass
class History:
    webhooks: list[Webhook]
    events: list[Event]
    deliveries: list[Delivery]  # newest event first, as a list must show them
    replay_id: UUID
    replayed: set[UUID]


@pytest.fixture
async def history(webhooks: Webhooks, events: Events, deliveries: Deliveries, sql: asyncpg.Connection) -> History:
    """12 events of two types to three webhooks, in every state, and another tenant's; some are of one replay."""
    made = [await making.webhook(webhooks, event_types=given) for given in (("*",), ("*",), ("User.*",))]
    await making.webhook(webhooks, "other")
    emitted = [making.event(("User.Created", "Role.Created", "User.Deleted")[n % 3]) for n in range(12)]
    for event in emitted:
        await making.queue(events, event)
    await making.queue(events, making.event(tenant_id="other"))
    chance = random.Random(3)
    claims = [c for c in await making.claim_all(deliveries) if c.tenant_id == TENANT]
    await deliveries.cancel(claims[:2])
    outcomes: list[Outcome | int] = [200, 204, 404, 410, 500, 302, Outcome(result=Result.TIMED_OUT)]
    await deliveries.record([making.record(c, chance.choice(outcomes)) for c in claims[2:20]])
    await deliveries.record([making.record(c, 503, making.retries(60)) for c in claims[20:22]])
    found = [
        replace(await deliveries.get(TENANT, ids.delivery(event.id, webhook.id)), attempts=())
        for event in emitted
        for webhook in made
        if webhook is not made[2] or event.type.startswith("User.")
    ]
    replay_id, replayed = UUID(int=7), chance.sample([delivery.id for delivery in found], 12)
    await sql.executemany(
        "insert into replay_items (tenant_id, replay_id, delivery_id, claim_count) values ($1, $2, $3, 0)",
        [(TENANT, replay_id, each) for each in replayed],
    )
    ordered = sorted(found, key=lambda delivery: delivery.id, reverse=True)
    return History(made, emitted, ordered, replay_id, set(replayed))


async def pages(
    deliveries: Deliveries, given: Filter, limit: int, scan: int = 20_000, tenant: str = TENANT
) -> list[Delivery]:
    """All pages, one after another."""
    seen: list[Delivery] = []
    for _ in range(100):
        page, following = await deliveries.list(tenant, given, limit=limit, scan=scan)
        assert len(page) <= limit
        seen += page
        if following is None:
            return seen
        assert following < given.before, "no way on"
        given = replace(given, before=following)
    raise AssertionError("no end")


def filters(history: History) -> Sequence[tuple[Filter, Callable[[Delivery], bool]]]:
    """Filters, and what they mean."""
    chosen: list[tuple[Filter, Callable[[Delivery], bool]]] = [
        (ALL, lambda d: True),
        (replace(ALL, event_type="User.Created"), lambda d: d.event_type == "User.Created"),
        (replace(ALL, event_type="User.*"), lambda d: False),
        (replace(ALL, states=[State.FAILED]), lambda d: d.state is State.FAILED),
        (replace(ALL, states=[State.PENDING, State.CANCELLED]), lambda d: d.state.name in ("PENDING", "CANCELLED")),
        (replace(ALL, status_classes=[4]), lambda d: (d.last_status or 0) // 100 == 4),
        (replace(ALL, status_classes=[2, 5]), lambda d: (d.last_status or 0) // 100 in (2, 5)),
        (replace(ALL, results=[Result.TIMED_OUT]), lambda d: d.last_result is Result.TIMED_OUT),
        (
            replace(ALL, states=[State.FAILED], event_type="Role.Created", status_classes=[3, 4, 5]),
            lambda d: d.state is State.FAILED and d.event_type == "Role.Created" and (d.last_status or 0) >= 300,
        ),
    ]
    low, high = (ids.deliveries_of(history.events[n].id)[0] for n in (2, 8))
    chosen += [
        (replace(given, since=low, before=high), lambda d, means=means: means(d) and low <= d.event_id < high)  # type: ignore[misc]
        for given, means in chosen[:4]
    ]
    return chosen


async def test_every_filter_by_every_way_in(deliveries: Deliveries, history: History) -> None:
    assert {delivery.state for delivery in history.deliveries} == set(State)
    nobody = UUID(int=5)
    for (given, means), webhook_id, event_id, replay_id in itertools.product(
        filters(history),
        (None, history.webhooks[0].id, history.webhooks[2].id, nobody),
        (None, history.events[3].id, history.events[10].id, nobody),
        (None, history.replay_id),
    ):
        wanted = [
            delivery
            for delivery in history.deliveries
            if means(delivery) and webhook_id in (None, delivery.webhook_id) and event_id in (None, delivery.event_id)
            if replay_id is None or delivery.id in history.replayed
        ]
        asked = replace(given, webhook_id=webhook_id, event_id=event_id, replay_id=replay_id)
        assert await pages(deliveries, asked, 100) == wanted, asked
        assert await pages(deliveries, asked, 100, tenant="third") == []


@pytest.mark.parametrize("way", ["tenant", "webhook", "event", "replay"])
async def test_pages_show_each_once(deliveries: Deliveries, history: History, way: str) -> None:
    given = replace(
        ALL,
        webhook_id=history.webhooks[1].id if way == "webhook" else None,
        event_id=history.events[0].id if way == "event" else None,
        replay_id=history.replay_id if way == "replay" else None,
    )
    everything = await pages(deliveries, given, 100)
    assert len(everything) == {"tenant": 32, "webhook": 12, "event": 3, "replay": 12}[way]
    for limit in (1, 2, 3, 5, 12, 32, 33):
        assert await pages(deliveries, given, limit) == everything, limit


@pytest.mark.parametrize("way", ["tenant", "webhook", "replay"])
async def test_pages_that_end_early_lose_nothing(deliveries: Deliveries, history: History, way: str) -> None:
    """A page ends after `scan` rows that did not match, and the next one goes on right there."""
    webhook_id = history.webhooks[1].id if way == "webhook" else None
    replay_id = history.replay_id if way == "replay" else None
    for given, means in filters(history):
        wanted = [d for d in history.deliveries if means(d) and webhook_id in (None, d.webhook_id)]
        wanted = [d for d in wanted if replay_id is None or d.id in history.replayed]
        for scan, limit in itertools.product((1, 2, 3, 5, 11, 12, 13), (1, 2, 100)):
            asked = replace(given, webhook_id=webhook_id, replay_id=replay_id)
            assert await pages(deliveries, asked, limit, scan) == wanted, (asked, scan, limit)


async def test_a_page_ends_early(deliveries: Deliveries, history: History) -> None:
    """A filter that nothing matches must not read on for ever."""
    for webhook_id in (None, history.webhooks[0].id):
        given = replace(ALL, event_type="No.Such", webhook_id=webhook_id)
        page, following = await deliveries.list(TENANT, given, limit=10, scan=4)
        assert page == []
        assert following is not None
        assert history.events[7].id < following < ids.deliveries_of(history.events[8].id)[1]


async def test_newcomers_belong_to_no_later_page(deliveries: Deliveries, history: History, events: Events) -> None:
    first, following = await deliveries.list(TENANT, ALL, limit=5)
    assert following is not None
    await making.queue(events, making.event())
    rest = await pages(deliveries, replace(ALL, before=following), 5)
    assert first + rest == history.deliveries


async def test_get(deliveries: Deliveries, history: History) -> None:
    for delivery in history.deliveries:
        assert replace(await deliveries.get(TENANT, delivery.id), attempts=()) == delivery
    with pytest.raises(errors.NotFound, match=ids.text(ids.DELIVERY, UUID(int=5))):
        await deliveries.get(TENANT, UUID(int=5))
    with pytest.raises(errors.NotFound):
        await deliveries.get("other", history.deliveries[0].id)
