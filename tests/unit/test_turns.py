"""Turns: tenants before webhooks, and half of the slots for one of several."""

from __future__ import annotations

import uuid
from collections import Counter

from hookpost_server.delivery.lane import Lane
from hookpost_server.delivery.turns import Turns


def lanes(turns: Turns, tenant_id: str, count: int) -> list[Lane]:
    made = [Lane(tenant_id, uuid.uuid4()) for _ in range(count)]
    for lane in made:
        turns.offer(lane)
    return made


def taken(turns: Turns, most: int) -> list[Lane]:
    """Starts what may start, each lane being ready again at once."""
    found = []
    while len(found) < most and (lane := turns.next()) is not None:
        turns.take()
        turns.tenant(lane.tenant_id).in_flight += 1
        turns.offer(lane)
        found.append(lane)
    return found


def test_a_tenant_with_many_webhooks_gets_no_more_than_one_with_one() -> None:
    turns = Turns(1000)
    lanes(turns, "a", 200)
    lanes(turns, "b", 1)
    lanes(turns, "c", 3)
    order = [lane.tenant_id for lane in taken(turns, 300)]
    assert Counter(order) == {"a": 100, "b": 100, "c": 100}
    assert order[:6] == ["a", "b", "c"] * 2


def test_the_webhooks_of_a_tenant_take_turns() -> None:
    turns = Turns(100)
    made = lanes(turns, "a", 3)
    lanes(turns, "b", 1)
    order = [lane for lane in taken(turns, 12) if lane.tenant_id == "a"]
    assert order == made * 2


def test_half_of_the_slots_while_another_waits() -> None:
    turns = Turns(64)
    lanes(turns, "a", 100)
    assert len(taken(turns, 30)) == 30
    lanes(turns, "b", 1)
    assert Counter(lane.tenant_id for lane in taken(turns, 34)) == {"a": 2, "b": 32}


def test_alone_it_takes_all_but_a_few() -> None:
    """Whoever comes next finds a slot, though everything under way may hang."""
    turns = Turns(64)
    lanes(turns, "a", 100)
    assert len(taken(turns, 64)) == 60
    (newcomer,) = lanes(turns, "b", 1)
    assert set(taken(turns, 4)) == {newcomer}


def test_few_slots_are_all_used() -> None:
    for slots in range(1, 16):
        turns = Turns(slots)
        lanes(turns, "a", 2)
        assert len(taken(turns, slots)) == slots
        turns = Turns(slots)
        lanes(turns, "a", 2)
        lanes(turns, "b", 2)
        assert len(taken(turns, slots)) == slots


def test_full_tenants_leave_something_free() -> None:
    turns = Turns(64)
    turns.tenant("a").waiting = 1000
    turns.tenant("b").waiting = 20
    assert turns.held(64) == 84
    assert turns.full(128 - 84, 64) == ["a"]
    assert turns.full(20, 64) == ["a", "b"]


def test_a_tenant_with_nothing_is_forgotten() -> None:
    turns = Turns(8)
    turns.tenant("a").in_flight = 1
    turns.tenant("b")
    assert turns.several
    turns.forget("a")
    turns.forget("b")
    assert not turns.several
    assert turns.tenant("a").in_flight == 1
