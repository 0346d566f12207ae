"""Timestamps and durations, both ways, with the checks that well-known types leave to us."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from google.protobuf import duration_pb2, timestamp_pb2

_EPOCH, _SECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(seconds=1)
MAX_SECONDS = 253_402_300_799  # 9999-12-31T23:59:59Z
_LAST = datetime.max.replace(tzinfo=UTC) - timedelta(microseconds=1)  # asyncpg takes datetime.max for infinity


def to_timestamp(moment: datetime) -> timestamp_pb2.Timestamp:
    """Exact: a float of seconds would round the last microseconds of a far year up to the next second."""
    return timestamp_pb2.Timestamp(seconds=(moment - _EPOCH) // _SECOND, nanos=moment.microsecond * 1000)


def timestamp_of(seconds: float) -> timestamp_pb2.Timestamp:
    """Unix seconds, to the millisecond."""
    whole, milliseconds = divmod(round(seconds * 1000), 1000)
    return timestamp_pb2.Timestamp(seconds=whole, nanos=milliseconds * 1_000_000)


def from_timestamp(stamp: timestamp_pb2.Timestamp) -> datetime:
    """To the microsecond. Raises ValueError outside 1970 to 9999."""
    if not 0 <= stamp.seconds <= MAX_SECONDS or not 0 <= stamp.nanos < 1_000_000_000:
        raise ValueError("must be a time from 1970 to 9999")
    return min(_LAST, datetime.fromtimestamp(stamp.seconds, UTC) + timedelta(microseconds=stamp.nanos // 1000))


def to_duration(seconds: float) -> duration_pb2.Duration:
    answer = duration_pb2.Duration()
    answer.FromTimedelta(timedelta(seconds=seconds))
    return answer


def from_duration(span: duration_pb2.Duration) -> float:
    """Seconds; whatever the sign, the caller checks the range."""
    return span.seconds + span.nanos / 1e9
