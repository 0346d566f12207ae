"""Retry policies: what may be asked for, how long is waited, what Retry-After means."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookpost_server.domain import retry
from hookpost_server.domain.errors import InvalidFields
from hookpost_server.domain.retry import RetryPolicy, Schedule

DAY = 86_400.0
NOW = datetime(2026, 8, 21, 10, 0, 0, tzinfo=UTC).timestamp()
POLICIES = st.builds(
    RetryPolicy,
    st.just(Schedule.CUSTOM),
    st.lists(st.floats(0, DAY), max_size=19).map(tuple),
    st.floats(0, 0.5),
)


def faults(schedule: Schedule | None, delays: Sequence[float], jitter: float | None) -> dict[str, str]:
    with pytest.raises(InvalidFields) as caught:
        retry.policy(schedule, delays, jitter, "webhook.retry_policy")
    return {fault.field.removeprefix("webhook.retry_policy."): fault.description for fault in caught.value.violations}


def test_the_default_is_four_attempts() -> None:
    policy = retry.policy(None, [], None, "p")
    assert policy == RetryPolicy() == RetryPolicy(Schedule.DEFAULT, (5, 30, 180), 0.2)
    assert policy.max_attempts == 4


def test_the_preset_of_standard_webhooks_is_the_specifications_example() -> None:
    policy = retry.policy(Schedule.STANDARD_WEBHOOKS, [], None, "p")
    hours = [delay / 3600 for delay in policy.delays]
    assert hours == [5 / 3600, 5 / 60, 0.5, 2, 5, 10, 14, 20, 24]
    assert policy.max_attempts == 10
    assert sum(policy.delays) == 75 * 3600 + 35 * 60 + 5


@pytest.mark.parametrize(
    ("schedule", "delays", "jitter", "policy"),
    [
        pytest.param(Schedule.NONE, [], 0.0, RetryPolicy(Schedule.NONE, (), 0.0), id="none"),
        pytest.param(None, [1, 2.5], None, RetryPolicy(Schedule.CUSTOM, (1, 2.5), 0.2), id="delays mean custom"),
        pytest.param(Schedule.CUSTOM, [0], 0.5, RetryPolicy(Schedule.CUSTOM, (0,), 0.5), id="at once"),
        pytest.param(Schedule.CUSTOM, [DAY], 0, RetryPolicy(Schedule.CUSTOM, (DAY,), 0), id="a day"),
        pytest.param(Schedule.CUSTOM, [DAY] * 7, 0, RetryPolicy(Schedule.CUSTOM, (DAY,) * 7, 0), id="seven days"),
        pytest.param(Schedule.CUSTOM, [1] * 19, 0, RetryPolicy(Schedule.CUSTOM, (1,) * 19, 0), id="19 delays"),
        pytest.param(Schedule.DEFAULT, [5, 30, 180], None, RetryPolicy(), id="a policy sent back as it was answered"),
    ],
)
def test_accepted(
    schedule: Schedule | None, delays: Sequence[float], jitter: float | None, policy: RetryPolicy
) -> None:
    assert retry.policy(schedule, delays, jitter, "p") == policy


@pytest.mark.parametrize(
    ("schedule", "delays", "jitter", "fields"),
    [
        pytest.param(None, [], -0.01, ["jitter"], id="jitter below 0"),
        pytest.param(None, [], 0.51, ["jitter"], id="jitter above 0.5"),
        pytest.param(None, [], float("nan"), ["jitter"], id="jitter NaN"),
        pytest.param(None, [], float("inf"), ["jitter"], id="jitter infinite"),
        pytest.param(Schedule.CUSTOM, [], None, ["delays"], id="custom without delays"),
        pytest.param(None, [1] * 20, None, ["delays"], id="20 delays"),
        pytest.param(None, [-1], None, ["delays[0]"], id="below 0 s"),
        pytest.param(None, [1, DAY + 0.001], None, ["delays[1]"], id="above a day"),
        pytest.param(None, [float("nan")], None, ["delays[0]"], id="delay NaN"),
        pytest.param(None, [*[DAY] * 7, 0.001], None, ["delays"], id="above seven days"),
        pytest.param(Schedule.DEFAULT, [1], None, ["delays"], id="delays beside a named schedule"),
        pytest.param(Schedule.NONE, [5, 30, 180], None, ["delays"], id="another schedule's delays"),
        pytest.param(Schedule.CUSTOM, [-1, 1, -2], 9, ["jitter", "delays[0]", "delays[2]"], id="all at once"),
    ],
)
def test_refused(schedule: Schedule | None, delays: Sequence[float], jitter: float | None, fields: list[str]) -> None:
    found = faults(schedule, delays, jitter)
    assert list(found) == fields
    assert all(description.startswith(("must ", "are for ")) for description in found.values())


@given(POLICIES, st.data())
def test_delays_stay_within_their_jitter(policy: RetryPolicy, data: st.DataObject) -> None:
    attempt = data.draw(st.integers(1, policy.max_attempts + 2))
    spread = data.draw(st.floats(-1, 1))
    delay = retry.next_delay(policy, attempt, spread, None)
    if attempt > len(policy.delays):
        assert delay is None
        return
    planned = policy.delays[attempt - 1]
    assert delay is not None
    assert 0.5 * planned <= planned * (1 - policy.jitter) <= delay <= planned * (1 + policy.jitter)


@pytest.mark.parametrize(
    ("spread", "delay"), [(-1.0, 24.0), (-0.5, 27.0), (0.0, 30.0), (0.5, 33.0), (1.0, 36.0)], ids=str
)
def test_jitter_moves_a_delay_both_ways(spread: float, delay: float) -> None:
    assert retry.next_delay(RetryPolicy(), 2, spread, None) == pytest.approx(delay)


@given(POLICIES, st.data())
def test_retry_after_makes_a_delay_longer_only_and_a_day_at_most(policy: RetryPolicy, data: st.DataObject) -> None:
    attempt = data.draw(st.integers(1, policy.max_attempts + 1))
    spread = data.draw(st.floats(-1, 1))
    wanted = data.draw(st.floats(0, 1e300))
    planned = retry.next_delay(policy, attempt, spread, None)
    delay = retry.next_delay(policy, attempt, spread, wanted)
    if planned is None:
        assert delay is None  # no Retry-After buys a further attempt
    else:
        assert delay == max(planned, min(wanted, DAY))


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        pytest.param("0", 0.0, id="at once"),
        pytest.param("120", 120.0, id="seconds"),
        pytest.param(" 120\t", 120.0, id="white space around"),
        pytest.param("0120", 120.0, id="leading zero"),
        pytest.param("9999999999", 9_999_999_999.0, id="ten digits"),
        pytest.param("Fri, 21 Aug 2026 10:01:30 GMT", 90.0, id="date"),
        pytest.param("Fri, 21 Aug 2026 12:01:30 +0200", 90.0, id="date with an offset"),
        pytest.param("Friday, 21-Aug-26 10:01:30 GMT", 90.0, id="date as in RFC 850"),
        pytest.param("Fri Aug 21 10:01:30 2026", 90.0, id="date as of asctime"),
        pytest.param("Fri, 21 Aug 2026 10:01:30 -0000", 90.0, id="date without a zone"),
        pytest.param("Fri, 21 Aug 2026 09:59:59 GMT", 0.0, id="past date"),
        pytest.param("Thu, 01 Jan 1970 00:00:00 GMT", 0.0, id="1970"),
        pytest.param("Fri, 31 Dec 9999 23:59:59 GMT", 253_402_300_799.0 - NOW, id="year 9999"),
    ],
)
def test_retry_after(value: str, seconds: float) -> None:
    assert retry.parse_retry_after(value, NOW) == seconds


@pytest.mark.parametrize(
    "value",
    [
        *[
            "",
            " ",
            "-1",
            "+1",
            "1.5",
            "1e3",
            "1e309",
            "NaN",
            "inf",
            "0x10",
            "1_0",
            "120, 60",
            "120 s",
            "soon",
            "٣",
            "²",
        ],
        *[
            "21 Aug 2026 10:00",
            "Fri, 21 Aug 2026 10:01:30 GMT (and some more)",
            "99999999999999",
            "9" * 1_000_000,
            "Fri, 32 Aug 2026 10:00:00 GMT",
            "Fri, 21 Aug 2026 25:00:00 GMT",
        ],
        *["Fri, 21 Aug 10000 10:00:00 GMT", "Fri, 21 Aug 2026 10:00:00 +9999", "x" * 30, "\ud800" * 30, "\0" * 25],
    ],
    ids=lambda value: ascii(value[:32]),
)
def test_retry_after_that_makes_no_sense_is_ignored(value: str) -> None:
    assert retry.parse_retry_after(value, NOW) is None


_WORDS = [
    "Fri,",
    "21",
    "Aug",
    "2026",
    "10:00:00",
    "10.00.00",
    "GMT",
    "+0000",
    "-2400",
    "+9959",
    "24:60:61",
    "0",
    "9999",
]
_WORDS += ["Friday,", "21-Aug-26", "31-Feb-99", "(", ")", ",", "::", "--", "1:2", "²:٣", "\ud800", "99999999999", "PM"]


@given(st.lists(st.sampled_from(_WORDS), max_size=8).map(" ".join) | st.text(min_size=15, max_size=45))
def test_no_retry_after_raises(value: str) -> None:
    seconds = retry.parse_retry_after(value, NOW)
    assert seconds is None or 0 <= seconds < 1e12
    delay = retry.next_delay(RetryPolicy(jitter=0), 1, 0, seconds)
    assert delay is not None and 5 <= delay <= DAY
