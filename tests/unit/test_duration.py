"""Durations and moments as people type them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookpost_server.domain.duration import format_duration, parse_duration, parse_moment, relative, rough

NOW = datetime(2026, 8, 21, 10, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("10s", 10), ("500ms", 0.5), ("5m", 300), ("1h30m", 5400), ("2d", 172_800), ("0s", 0), ("1.5s", 1.5)],
)
def test_reads(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "10", "s", "-1s", "1 s", "1s ", "1w", "١s", "1e3s", "9" * 30 + "d", "1s" * 30])
def test_refuses(text: str) -> None:
    with pytest.raises(ValueError, match=r"duration|longer"):
        parse_duration(text)


@given(st.integers(0, 10**10))
def test_what_is_written_is_read_back(milliseconds: int) -> None:
    value = timedelta(milliseconds=milliseconds)
    assert parse_duration(format_duration(value)) == value


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(5400, "1h30m"), (180, "3m"), (0.2, "200ms"), (86_400, "1d"), (0, "0s"), (1.25, "1.25s"), (272_100, "3d3h35m")],
)
def test_writes(seconds: float, text: str) -> None:
    assert format_duration(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.012, "12 ms"), (0.9996, "1.0 s"), (1.44, "1.4 s"), (9.97, "10 s"), (42, "42 s"), (200, "3 min"), (7200, "2 h")],
)
def test_rough(seconds: float, text: str) -> None:
    assert rough(timedelta(seconds=seconds)) == text


def test_relative() -> None:
    assert relative(NOW - timedelta(minutes=3), NOW) == "3 min ago"
    assert relative(NOW + timedelta(seconds=12), NOW) == "in 12 s"
    assert relative(NOW, NOW) == "now"


def test_moments() -> None:
    assert parse_moment("24h", NOW) == NOW - timedelta(days=1)
    assert parse_moment("2026-08-21T10:00:00Z", NOW) == NOW
    assert parse_moment("2026-08-21T12:00:00.000+02:00", NOW) == NOW
    with pytest.raises(ValueError, match="time zone"):
        parse_moment("2026-08-21T10:00:00", NOW)
    with pytest.raises(ValueError, match="neither"):
        parse_moment("yesterday", NOW)
