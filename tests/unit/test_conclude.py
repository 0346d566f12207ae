"""What follows from an attempt, for every attempt there can be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookpost_server.domain.delivery import Conclusion, Outcome, Result, State, answered, conclude
from hookpost_server.domain.retry import DELAYS, RetryPolicy, Schedule

DAY = 86_400.0
EVERY_POLICY = [
    RetryPolicy(),
    RetryPolicy(Schedule.NONE, ()),
    RetryPolicy(Schedule.STANDARD_WEBHOOKS, DELAYS[Schedule.STANDARD_WEBHOOKS]),
    RetryPolicy(Schedule.CUSTOM, (0.0,), 0.0),
    RetryPolicy(Schedule.CUSTOM, (1.0,) * 19, 0.5),
]
NO_ANSWER = [
    Result.INVALID_RESPONSE,
    Result.TIMED_OUT,
    Result.DNS_FAILED,
    Result.CONNECT_FAILED,
    Result.TLS_FAILED,
    Result.CONNECTION_LOST,
]


def is_tried_again(outcome: Outcome) -> bool:
    """The rule as the proto's RetryPolicy gives it."""
    if outcome.status is not None and outcome.result not in NO_ANSWER and outcome.result is not Result.INTERNAL:
        return 500 <= outcome.status <= 599 or outcome.status in (408, 425, 429)
    return outcome.result in NO_ANSWER or outcome.result is Result.INTERNAL


def outcomes() -> list[Outcome]:
    answers = [answered(status) for status in range(100, 600)]
    silent = [Outcome(result=result) for result in Result if result not in (Result.SUCCEEDED, Result.BAD_STATUS)]
    return [*answers, *silent, Outcome(result=Result.INVALID_RESPONSE, status=200)]


@pytest.mark.parametrize("policy", EVERY_POLICY, ids=lambda policy: f"{policy.schedule.name} {len(policy.delays)}")
def test_every_outcome_of_every_attempt(policy: RetryPolicy) -> None:
    for outcome in outcomes():
        for attempt in range(1, 23):
            concluded = conclude(attempt, policy, outcome, 0.0)
            left = attempt < policy.max_attempts and not (outcome.result is Result.INTERNAL and attempt >= 3)
            if outcome.status is not None and 200 <= outcome.status <= 299 and outcome.result is Result.SUCCEEDED:
                wanted = State.SUCCEEDED
            elif is_tried_again(outcome) and left:
                wanted = State.PENDING
            else:
                wanted = State.FAILED
            assert concluded.state is wanted, (outcome, attempt)
            assert (concluded.delay is not None) == (wanted is State.PENDING)
            assert concluded.delay is None or concluded.delay == policy.delays[attempt - 1]
            assert bool(concluded.suspend) == (outcome.status == 410)


@given(
    st.sampled_from(outcomes()),
    st.integers(1, 30),
    st.sampled_from(EVERY_POLICY),
    st.floats(-1, 1),
    st.none() | st.floats(0, 1e15),
)
def test_a_delay_is_set_exactly_while_pending_and_is_bounded(
    outcome: Outcome, attempt: int, policy: RetryPolicy, spread: float, retry_after: float | None
) -> None:
    asked = Outcome(result=outcome.result, status=outcome.status, retry_after=retry_after)
    concluded = conclude(attempt, policy, asked, spread)
    plain = conclude(attempt, policy, outcome, spread)
    assert concluded.state is plain.state
    assert (concluded.delay is None) == (concluded.state is not State.PENDING)
    if concluded.delay is not None and plain.delay is not None:
        obeyed = retry_after is not None and outcome.status in (429, 503)
        assert concluded.delay == (max(plain.delay, min(retry_after, DAY)) if obeyed and retry_after else plain.delay)


@pytest.mark.parametrize(
    ("status", "result"),
    [
        (100, Result.BAD_STATUS),
        (101, Result.BAD_STATUS),
        (199, Result.BAD_STATUS),
        (200, Result.SUCCEEDED),
        (204, Result.SUCCEEDED),
        (299, Result.SUCCEEDED),
        (300, Result.REDIRECTED),
        (304, Result.REDIRECTED),
        (307, Result.REDIRECTED),
        (399, Result.REDIRECTED),
        (400, Result.BAD_STATUS),
        (599, Result.BAD_STATUS),
    ],
)
def test_answers_are_classed_by_status(status: int, result: Result) -> None:
    assert answered(status).result is result


def test_an_answer_is_kept_whole() -> None:
    given = answered(503, headers=(("a", "b"),), body=b"x", truncated=True, retry_after=7.0)
    assert given == Outcome(
        result=Result.BAD_STATUS, status=503, headers=(("a", "b"),), body=b"x", truncated=True, retry_after=7.0
    )


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 400, 401, 404, 409, 413, 422])
def test_refusals_are_final_at_once(status: int) -> None:
    assert conclude(1, RetryPolicy(), answered(status), 0.0) == Conclusion(State.FAILED)


def test_410_ends_the_delivery_and_suspends_the_webhook() -> None:
    concluded = conclude(1, RetryPolicy(), answered(410), 0.0)
    assert concluded == Conclusion(State.FAILED, None, "the receiver answered 410 Gone")


@pytest.mark.parametrize(
    ("status", "delay"), [(429, 60.0), (503, 60.0), (500, 5.0), (502, 5.0), (408, 5.0), (425, 5.0)]
)
def test_whose_retry_after_is_obeyed(status: int, delay: float) -> None:
    concluded = conclude(1, RetryPolicy(jitter=0.0), answered(status, retry_after=60.0), 0.0)
    assert concluded == Conclusion(State.PENDING, delay)


def test_a_refused_address_is_not_tried_again() -> None:
    assert conclude(1, RetryPolicy(), Outcome(result=Result.ADDRESS_REFUSED), 0.0).state is State.FAILED


def test_a_fault_of_ours_is_tried_three_times_whatever_the_policy() -> None:
    policy = RetryPolicy(Schedule.CUSTOM, (1.0,) * 19)
    states = [conclude(attempt, policy, Outcome(result=Result.INTERNAL), 0.0).state for attempt in (1, 2, 3, 4)]
    assert states == [State.PENDING, State.PENDING, State.FAILED, State.FAILED]
