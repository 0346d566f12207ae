"""Retention's arithmetic: which days of UTC may go, and when."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from hookpost_server.domain import ids, retry
from hookpost_server.domain.retention import (
    DAY,
    FOREVER,
    HEALTH,
    HOUR,
    KEYS,
    REPLAYS,
    Lifetime,
    Lifetimes,
    last_day_over,
)
from hookpost_server.domain.retry import DELAYS, MAX_DELAY, MAX_TOTAL, RetryPolicy, Schedule
from hookpost_server.rpc.delivery_service import MIN_RATE
from hookpost_server.store.replays import MOST

WEEK = Lifetime(7 * DAY)


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("now", "seconds", "day"),
    [
        # A day is over at the midnight that ends it, not a moment before.
        ("2026-05-10T00:00:00", 7 * DAY, date(2026, 5, 2)),
        ("2026-05-09T23:59:59.999", 7 * DAY, date(2026, 5, 1)),
        ("2026-05-10T23:59:59", 7 * DAY, date(2026, 5, 2)),
        ("2026-05-10T01:00:00", HOUR, date(2026, 5, 9)),
        ("2026-05-10T00:59:59", HOUR, date(2026, 5, 8)),
        # Leap days, and the ends of years.
        ("2028-03-02T00:00:00", DAY, date(2028, 2, 29)),
        ("2028-03-01T00:00:00", DAY, date(2028, 2, 28)),
        ("2027-03-02T00:00:00", DAY, date(2027, 2, 28)),
        ("2027-01-02T00:00:00", DAY, date(2026, 12, 31)),
    ],
)
def test_the_last_day_that_is_over(now: str, seconds: float, day: date) -> None:
    assert last_day_over(at(now), seconds) == day


def test_no_id_that_may_be_needed_is_of_a_day_that_may_go() -> None:
    """The ids of a day are those up to its end: none is younger than the lifetime."""
    for hour in range(48):
        now = at("2028-02-29T00:00:00") + hour * HOUR
        day = last_day_over(now, 7 * DAY)
        _, after = ids.of_day(day)
        assert (
            ids.seconds_of(after)
            <= now - 7 * DAY
            < ids.seconds_of(ids.of_day(date.fromordinal(day.toordinal() + 1))[1])
        )


def test_a_days_ids_end_where_the_next_ones_begin() -> None:
    assert ids.of_day(date(2028, 2, 28))[1] == ids.of_day(date(2028, 2, 29))[0]
    assert ids.of_day(date(2028, 2, 29))[1] == ids.of_day(date(2028, 3, 1))[0]
    assert ids.time_of(ids.of_day(date(2028, 2, 29))[0]) == datetime(2028, 2, 29, tzinfo=UTC)


class TestHorizon:
    """No retry policy in use may outlast the entries; a day is added, in which the end can be looked at."""

    now = at("2026-05-20T12:00:00")

    def drop(self, lifetime: Lifetime, *policies: RetryPolicy) -> date | None:
        return Lifetimes(lifetime).last_to_drop(self.now, policies)

    def test_short_policies_change_nothing(self) -> None:
        named = [RetryPolicy(schedule, DELAYS[schedule]) for schedule in DELAYS]
        assert self.drop(WEEK) == self.drop(WEEK, *named) == date(2026, 5, 12)

    def test_the_longest_policy_counts(self) -> None:
        longest = RetryPolicy(Schedule.CUSTOM, [MAX_DELAY] * 7, jitter=0.5)
        assert longest.horizon == MAX_TOTAL  # jitter does not make a delay longer than the longest
        assert self.drop(WEEK, RetryPolicy(), longest) == date(2026, 5, 11)
        assert self.drop(Lifetime(DAY), longest) == date(2026, 5, 11)
        assert self.drop(Lifetime(30 * DAY), longest) == date(2026, 4, 19)

    def test_jitter_counts(self) -> None:
        policy = RetryPolicy(Schedule.CUSTOM, [MAX_DELAY / 2] * 14, jitter=0.5)
        assert policy.horizon == 10.5 * DAY
        assert self.drop(WEEK, policy) == date(2026, 5, 8)

    def test_a_policy_ends_when_its_last_attempt_can_be_due(self) -> None:
        policy = RetryPolicy(Schedule.CUSTOM, [100, 3600, MAX_DELAY], jitter=0.25)
        latest = sum(retry.next_delay(policy, attempt, 1.0, None) or 0 for attempt in (1, 2, 3))
        assert policy.horizon == latest == 125 + 4500 + MAX_DELAY

    def test_for_ever(self) -> None:
        assert self.drop(FOREVER, RetryPolicy()) is None
        assert Lifetimes(FOREVER).last_to_strip(self.now) is None
        assert Lifetimes(FOREVER).hours is None

    def test_bodies(self) -> None:
        assert Lifetimes(WEEK, Lifetime(HOUR)).last_to_strip(self.now) == date(2026, 5, 19)


def test_hours_cover_every_window_of_health_figures() -> None:
    assert Lifetimes(Lifetime(DAY)).hours == HEALTH > 7 * DAY
    assert Lifetimes(Lifetime(30 * DAY)).hours == 30 * DAY


def test_what_is_promised_is_kept() -> None:
    assert KEYS >= DAY  # event_service.proto
    assert REPLAYS > MOST / MIN_RATE  # the longest replay can be stopped to its end


@pytest.mark.parametrize(
    ("text", "seconds", "shown"),
    [
        ("7d", 7 * DAY, "7d"),
        ("168h", 7 * DAY, "7d"),
        ("36h", 36 * HOUR, "36h"),
        ("36500d", 36_500 * DAY, "36500d"),
        ("forever", None, "forever"),
    ],
)
def test_lifetimes_are_read_and_shown(text: str, seconds: float | None, shown: str) -> None:
    lifetime = Lifetime.parse(text)
    assert lifetime.seconds == seconds
    assert str(lifetime) == shown
    assert Lifetime.parse(shown) == lifetime


@pytest.mark.parametrize(
    "text", ["", "7", "0d", "-1d", "1.5d", "7 d", "7D", "7d ", "1w", "٧d", "36501d", "never", "0", "9999999d"]
)
def test_other_words_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match='such as 7d or 36h, up to 36500d, or "forever"'):
        Lifetime.parse(text)
