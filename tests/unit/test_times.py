"""Timestamps and durations, both ways."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from hookpost_server.rpc import times

MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999999), timezones=st.just(UTC))


@given(MOMENTS)
def test_moments_there_and_back(moment: datetime) -> None:
    stamp = times.to_timestamp(moment)
    assert stamp.ToDatetime(tzinfo=UTC) == moment
    assert times.from_timestamp(stamp) == moment


@pytest.mark.parametrize(
    ("moment", "seconds", "nanos"),
    [
        pytest.param(datetime(1970, 1, 1, tzinfo=UTC), 0, 0, id="first"),
        pytest.param(datetime(1969, 12, 31, 23, 59, 59, 999999, UTC), -1, 999_999_000, id="before the first"),
        pytest.param(
            datetime(9999, 12, 31, 23, 59, 59, 999999, UTC), 253_402_300_799, 999_999_000, id="last, to the microsecond"
        ),
        pytest.param(datetime(1970, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))), 0, 0, id="another zone"),
    ],
)
def test_timestamps(moment: datetime, seconds: int, nanos: int) -> None:
    assert times.to_timestamp(moment) == Timestamp(seconds=seconds, nanos=nanos)


@pytest.mark.parametrize(
    ("seconds", "nanos"),
    [(-1, 0), (253_402_300_800, 0), (0, -1), (0, 1_000_000_000), (2**63 - 1, 0), (-(2**63), 0)],
)
def test_timestamps_that_are_refused(seconds: int, nanos: int) -> None:
    with pytest.raises(ValueError, match="must be a time from 1970 to 9999"):
        times.from_timestamp(Timestamp(seconds=seconds, nanos=nanos))


def test_nanoseconds_are_cut() -> None:
    assert times.from_timestamp(Timestamp(seconds=1, nanos=1_999)) == datetime(1970, 1, 1, 0, 0, 1, 1, UTC)


@given(st.integers(0, 4_000_000_000_000))
def test_milliseconds_as_a_timestamp(milliseconds: int) -> None:
    stamp = times.timestamp_of(milliseconds / 1000)
    assert (stamp.seconds, stamp.nanos) == (milliseconds // 1000, milliseconds % 1000 * 1_000_000)


@given(st.integers(0, 10**12))
def test_durations_there_and_back(microseconds: int) -> None:
    span = times.to_duration(microseconds / 1_000_000)
    assert span.ToMicroseconds() == microseconds
    assert times.from_duration(span) == pytest.approx(microseconds / 1_000_000)


def test_negative_durations_stay_negative() -> None:
    assert times.from_duration(Duration(seconds=-1, nanos=-500_000_000)) == -1.5
