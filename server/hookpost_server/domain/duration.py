"""Durations and moments as people type and read them: "500ms", "1h30m", "3 min ago"."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

_UNITS = {"ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}  # microseconds
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", re.ASCII)
_WHOLE = re.compile(rf"(?:{_PART.pattern})+", re.ASCII)
_LONGEST = timedelta(days=36_500)


def parse_duration(text: str) -> timedelta:
    """Reads numbers with units, e.g. "10s", "500ms", "1h30m", "2d". Raises ValueError."""
    if not _WHOLE.fullmatch(text) or len(text) > 40:
        raise ValueError(f'"{text[:40]}" is not a duration such as 500ms, 10s, 5m, 1h30m or 2d')
    microseconds = sum(Decimal(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    if microseconds > _LONGEST // timedelta(microseconds=1):
        raise ValueError(f'"{text}" is longer than 100 years')
    return timedelta(microseconds=int(microseconds))


def format_duration(value: timedelta) -> str:
    """The shortest text that parse_duration reads back, to the millisecond: "1h30m", "1.5s", "200ms"."""
    milliseconds = round(value / timedelta(milliseconds=1))
    if milliseconds < 1000:
        return f"{milliseconds}ms" if milliseconds else "0s"
    seconds, milliseconds = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    last = f"{seconds}.{milliseconds:03}".rstrip("0").rstrip(".") if milliseconds else str(seconds)
    parts = ((str(days), "d"), (str(hours), "h"), (str(minutes), "m"), (last, "s"))
    return "".join(number + unit for number, unit in parts if number != "0")


def rough(value: timedelta) -> str:
    """About how long, for reading: "12 ms", "1.4 s", "3 min", "5 h", "2 d"."""
    seconds = value.total_seconds()
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    for limit, divisor, unit in ((60, 1, "s"), (3600, 60, "min"), (86_400, 3600, "h")):
        if seconds < limit:
            return f"{seconds:.1f} s" if unit == "s" and seconds < 9.95 else f"{seconds / divisor:.0f} {unit}"
    return f"{seconds / 86_400:.0f} d"


def relative(moment: datetime, now: datetime) -> str:
    """ "3 min ago", "in 12 s" or "now"."""
    distance = now - moment
    if abs(distance) < timedelta(seconds=1):
        return "now"
    return f"{rough(distance)} ago" if distance > timedelta(0) else f"in {rough(-distance)}"


def parse_moment(text: str, now: datetime) -> datetime:
    """Reads an RFC 3339 time with its zone, or a duration, meaning that long ago. Raises ValueError."""
    if _WHOLE.fullmatch(text):
        return now - parse_duration(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f'"{text[:40]}" is neither a time such as 2026-08-21T10:00:00Z nor a duration such as 24h'
        ) from None
    if moment.tzinfo is None:
        raise ValueError(f'"{text}" needs a time zone: add Z for UTC, or +02:00')
    return moment.astimezone(UTC)
