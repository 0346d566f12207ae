"""The breaker: when it opens, its probes, how it recovers; and what holds whatever comes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookpost_server.domain.breaker import (
    FIRST_PAUSE,
    JITTER,
    LONGEST_PAUSE,
    LONGEST_RETRY_AFTER,
    THRESHOLD,
    Breaker,
    State,
    is_down,
)
from hookpost_server.domain.delivery import Outcome, Result, answered

FAILED, SUCCEEDED, REFUSED, FAULT = answered(503), answered(200), answered(404), Outcome(result=Result.INTERNAL)


def attempt(breaker: Breaker, outcome: Outcome | None, now: float = 0.0, spread: float = 0.0) -> None:
    breaker.end(breaker.begin(), outcome, now, spread)


def opened(now: float = 0.0) -> Breaker:
    breaker = Breaker()
    for _ in range(THRESHOLD):
        attempt(breaker, FAILED, now)
    return breaker


@pytest.mark.parametrize("status", [500, 503, 408, 425, 429])
def test_what_is_worth_a_retry_is_down(status: int) -> None:
    assert is_down(answered(status))


@pytest.mark.parametrize("status", [200, 301, 400, 401, 404, 410])
def test_whoever_answers_otherwise_is_up(status: int) -> None:
    assert is_down(answered(status)) is False


def test_no_answer_is_down_and_a_fault_of_ours_says_nothing() -> None:
    assert is_down(Outcome(result=Result.TIMED_OUT))
    assert is_down(Outcome(result=Result.CONNECT_FAILED))
    assert is_down(FAULT) is None


def test_it_opens_after_so_many_failures_in_a_row() -> None:
    breaker = Breaker()
    for outcome in [FAILED] * (THRESHOLD - 1) + [REFUSED] + [FAILED] * (THRESHOLD - 1):
        assert breaker.room(0.0) is None
        attempt(breaker, outcome)
    attempt(breaker, FAULT)
    assert breaker.state is State.CLOSED
    attempt(breaker, FAILED)
    assert (breaker.state, breaker.room(0.0)) == (State.OPEN, 0)


def test_one_probe_after_each_pause_and_each_pause_longer() -> None:
    now, breaker, pauses = 100.0, opened(100.0), []
    for _ in range(10):
        assert breaker.room(breaker.until - 0.001) == 0
        pauses.append(breaker.until - now)
        now = breaker.until
        assert breaker.room(now) == 1
        epoch = breaker.begin()
        assert (breaker.state, breaker.room(now + 1e6)) == (State.HALF_OPEN, 0)
        breaker.end(epoch, FAILED, now, 0.0)
    assert pauses == [5, 10, 20, 40, 80, 160, 300, 300, 300, 300]
    assert (pauses[0], pauses[-1]) == (FIRST_PAUSE, LONGEST_PAUSE)


def test_what_was_under_way_when_it_opened_changes_nothing() -> None:
    breaker = Breaker()
    late = [breaker.begin() for _ in range(3)]
    for _ in range(THRESHOLD):
        attempt(breaker, FAILED)
    until = breaker.until
    for epoch, outcome in zip(late, (FAILED, SUCCEEDED, None), strict=True):
        breaker.end(epoch, outcome, 3.0, 0.0)
    assert (breaker.state, breaker.until) == (State.OPEN, until)


def test_a_probe_that_told_nothing_is_made_again() -> None:
    breaker = opened()
    attempt(breaker, None, breaker.until)
    assert (breaker.state, breaker.room(breaker.until)) == (State.OPEN, 1)
    attempt(breaker, FAULT, breaker.until)
    assert breaker.room(breaker.until) == 1


def test_it_recovers_by_doubling() -> None:
    breaker = opened()
    attempt(breaker, SUCCEEDED, breaker.until)
    rooms = []
    while (room := breaker.room(0.0)) is not None:
        rooms.append(room)
        attempt(breaker, SUCCEEDED)
    assert rooms == [2**n for n in range(11)]
    assert breaker.at_rest


def test_while_it_recovers_no_more_are_under_way_than_it_allows() -> None:
    breaker = opened()
    attempt(breaker, SUCCEEDED, breaker.until)
    attempt(breaker, SUCCEEDED)
    first = breaker.begin()
    assert breaker.room(0.0) == 1
    breaker.begin()
    assert breaker.room(0.0) == 0
    breaker.end(first, SUCCEEDED, 0.0, 0.0)
    assert breaker.room(0.0) == 3


def test_a_failure_while_it_recovers_opens_it_again_at_the_first_pause() -> None:
    breaker = opened()
    for _ in range(3):
        attempt(breaker, FAILED, breaker.until)
    now = breaker.until
    attempt(breaker, SUCCEEDED, now)
    attempt(breaker, FAILED, now)
    assert (breaker.state, breaker.until) == (State.OPEN, now + FIRST_PAUSE)


@pytest.mark.parametrize(
    ("outcome", "pause"),
    [
        (answered(503, retry_after=60.0), 60.0),
        (answered(429, retry_after=60.0), 60.0),
        (answered(429, retry_after=1.0), FIRST_PAUSE),
        (answered(500, retry_after=60.0), FIRST_PAUSE),
        (answered(503, retry_after=86400.0), LONGEST_RETRY_AFTER),
    ],
)
def test_retry_after_makes_a_pause_longer_up_to_an_hour(outcome: Outcome, pause: float) -> None:
    breaker = Breaker()
    for _ in range(THRESHOLD):
        attempt(breaker, outcome)
    assert breaker.until == pause


ENDS = st.sampled_from([FAILED, FAILED, FAILED, answered(503, retry_after=1e9), SUCCEEDED, REFUSED, FAULT, None])
STEPS = st.lists(
    st.tuples(st.sampled_from(["begin", "end", "wait"]), st.integers(0, 30), ENDS, st.floats(-1, 1)), max_size=300
)


@given(STEPS)
def test_whatever_comes(steps: list[tuple[str, int, Outcome | None, float]]) -> None:
    """One probe at a time and none in a pause, pauses within their bounds, no more under way than allowed; and
    once the receiver is back it closes."""
    breaker, now = Breaker(), 0.0
    under_way: list[tuple[int, bool]] = []  # (epoch, whether it is the probe)
    probes: set[int] = set()
    for act, number, outcome, spread in steps:
        room = breaker.room(now)
        match act:
            case "begin" if room is None or room > 0:
                probe = breaker.state is State.OPEN
                if probe:
                    assert now >= breaker.until
                    assert not any(is_probe for epoch, is_probe in under_way if epoch == breaker.epoch)
                    probes.add(breaker.epoch)
                under_way.append((breaker.begin(), probe))
            case "end" if under_way:
                epoch, _ = under_way.pop(number % len(under_way))
                before = breaker.epoch
                breaker.end(epoch, outcome, now, spread)
                if breaker.epoch != before:
                    low, high = FIRST_PAUSE * (1 - JITTER), max(LONGEST_PAUSE * (1 + JITTER), LONGEST_RETRY_AFTER)
                    assert low <= breaker.until - now <= high
            case "wait":
                now += number
        current = [epoch for epoch, _ in under_way if epoch == breaker.epoch]
        if breaker.state is State.HALF_OPEN:
            assert len(current) == 1
        if breaker.state is State.OPEN:
            assert not current
        if breaker.allowed is not None:
            assert len(current) <= breaker.allowed
    for epoch, _ in under_way:
        breaker.end(epoch, None, now, 0.0)
    now += 2 * LONGEST_RETRY_AFTER
    for _ in range(20):
        attempt(breaker, SUCCEEDED, now)
    assert breaker.at_rest
