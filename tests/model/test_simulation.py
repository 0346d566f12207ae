"""The decision core on its own: 100,000 schedules, each lived from its first attempt to its end on a virtual clock.

Every failure names its seed; `Life(random.Random(seed)).live()` makes the same schedule again.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest

from hookpost_server.domain import retry
from hookpost_server.domain.delivery import Conclusion, Outcome, Result, State, Trigger, answered, conclude
from hookpost_server.domain.retry import MAX_DELAY, MAX_DELAYS, MAX_JITTER, MAX_TOTAL, RetryPolicy, Schedule

SCHEDULES = 100_000
START = 1_787_306_400.0  # 2026-08-21, when the virtual clock begins
SLACK = 1e-6  # seconds that summing floats may lose in a week

FINAL_STATUSES = (100, 300, 301, 308, 400, 401, 403, 404, 409, 422, 499)
RETRIED_STATUSES = (408, 425, 429, 500, 502, 503, 504, 599)
RETRIED_RESULTS = (
    Result.INVALID_RESPONSE,
    Result.TIMED_OUT,
    Result.DNS_FAILED,
    Result.CONNECT_FAILED,
    Result.TLS_FAILED,
    Result.CONNECTION_LOST,
)
# How likely a receiver's attempt is to succeed, be gone, be refused for good, fail at our side; else it is retried.
MOODS = ((0.9, 0.02, 0.04, 0.02), (0.3, 0.05, 0.1, 0.1), (0.02, 0.01, 0.01, 0.02), (0.0, 0.0, 0.0, 0.0), (0, 0, 0, 1))
RETRY_AFTER = (
    *("", "0", "1", "59", "120", "3600", "86400", "86401", "9999999999", "-1", "soon"),
    *("Sat, 22 Aug 2026 10:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "Thu, 01 Jan 1970 00:00:00 GMT"),
)


@dataclass
class Life:
    """A delivery from its first attempt, or from its return to the queue, to its end."""

    dice: random.Random
    now: float = START
    attempts: int = 0
    longest: float = 0.0  # seconds that policy, jitter and Retry-After allow in all
    obeyed: bool = False  # whether a Retry-After had a say

    def live(self) -> int:
        """Attempts until nothing follows; what does follow is checked each time. Returns how many there were."""
        policy = self._policy()
        trigger = self.dice.choice((Trigger.SCHEDULED,) * 4 + (Trigger.REDELIVERY, Trigger.REPLAY))
        before = (
            0 if trigger is Trigger.SCHEDULED else self.dice.randint(1, MAX_DELAYS + 3)
        )  # attempts of earlier lives
        most = 1 if trigger is Trigger.REDELIVERY else max(1, policy.max_attempts - before)
        mood = self.dice.choice(MOODS)
        while True:
            self.attempts += 1
            assert self.attempts <= most, "more attempts than the policy has"
            outcome = self._outcome(mood)
            number = before + self.attempts
            conclusion = conclude(number, policy, outcome, self._spread(), trigger)
            self._check(number, policy, outcome, conclusion, last=self.attempts == most)
            if conclusion.delay is None:
                break
            self.now += conclusion.delay
        assert self.now - START <= self.longest + SLACK
        assert self.now - START <= (MAX_DELAYS * MAX_DELAY if self.obeyed else policy.horizon) + SLACK
        return self.attempts

    def _check(self, number: int, policy: RetryPolicy, outcome: Outcome, conclusion: Conclusion, *, last: bool) -> None:
        assert conclusion.state in (State.PENDING, State.SUCCEEDED, State.FAILED)
        assert (conclusion.delay is None) == (conclusion.state is not State.PENDING), (
            "a delay without a further attempt"
        )
        assert bool(conclusion.suspend) == (outcome.status == 410), "410 alone suspends"
        if outcome.result is Result.SUCCEEDED:
            assert conclusion.state is State.SUCCEEDED, "success is final"
            return
        spent = last or (outcome.result is Result.INTERNAL and number >= 3)
        retried = outcome.status in RETRIED_STATUSES or outcome.result in (*RETRIED_RESULTS, Result.INTERNAL)
        assert conclusion.state is (State.PENDING if retried and not spent else State.FAILED)
        if conclusion.delay is None:
            return
        planned = policy.delays[number - 1]
        least = planned * (1 - policy.jitter)
        most = min(planned * (1 + policy.jitter), MAX_DELAY)
        if outcome.status in (429, 503) and outcome.retry_after is not None:
            asked = min(outcome.retry_after, MAX_DELAY)
            least, most = max(least, asked), max(most, asked)
            self.obeyed = True
        assert least - SLACK <= conclusion.delay <= most + SLACK
        assert 0 <= conclusion.delay <= MAX_DELAY
        self.longest += most

    def _policy(self) -> RetryPolicy:
        schedule = self.dice.choice((None, *Schedule))
        jitter = self.dice.choice((None, 0.0, MAX_JITTER, self.dice.uniform(0, MAX_JITTER)))
        delays: list[float] = []
        if schedule is Schedule.CUSTOM:
            longest = self.dice.choice((1.0, 600.0, MAX_TOTAL / MAX_DELAYS, MAX_DELAY))
            for _ in range(self.dice.randint(1, MAX_DELAYS)):
                delay = self.dice.choice((0.0, longest, self.dice.uniform(0, longest)))
                if sum(delays) + delay <= MAX_TOTAL:
                    delays.append(delay)
        return retry.policy(schedule, delays, jitter, "retry_policy")

    def _outcome(self, mood: tuple[float, ...]) -> Outcome:
        succeeded, gone, refused, internal = mood
        chance = self.dice.random()
        if (chance := chance - succeeded) < 0:
            return answered(self.dice.choice((200, 201, 204, 299)), retry_after=self._retry_after())
        if (chance := chance - gone) < 0:
            return answered(410, retry_after=self._retry_after())
        if (chance := chance - refused) < 0:
            if self.dice.random() < 0.1:
                return Outcome(result=Result.ADDRESS_REFUSED)
            return answered(self.dice.choice(FINAL_STATUSES), retry_after=self._retry_after())
        if chance < internal:
            return Outcome(result=Result.INTERNAL)
        if self.dice.random() < 0.3:
            return Outcome(result=self.dice.choice(RETRIED_RESULTS))
        return answered(self.dice.choice(RETRIED_STATUSES), retry_after=self._retry_after())

    def _retry_after(self) -> float | None:
        return retry.parse_retry_after(self.dice.choice(RETRY_AFTER), self.now)

    def _spread(self) -> float:
        return self.dice.choice((-1.0, 1.0, self.dice.uniform(-1, 1)))


@pytest.mark.long
def test_every_schedule_ends_as_its_policy_says() -> None:
    first = random.randrange(2**40)
    lengths: set[int] = set()
    for seed in range(first, first + SCHEDULES):
        try:
            lengths.add(Life(random.Random(seed)).live())
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error}") from error
    assert lengths == set(range(1, MAX_DELAYS + 2)), "the simulation has left out lengths"
