"""When a failed attempt is tried again."""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from . import errors

MAX_DELAYS = 19
MAX_DELAY = 24 * 3600.0  # seconds; also the most that a Retry-After can ask for
MAX_TOTAL = 7 * 24 * 3600.0  # seconds
MAX_JITTER = 0.5
DEFAULT_JITTER = 0.2


class Schedule(enum.IntEnum):
    """Named lists of delays; numbers as in the proto."""

    DEFAULT = 1
    STANDARD_WEBHOOKS = 2
    NONE = 3
    CUSTOM = 4


DELAYS: dict[Schedule, tuple[float, ...]] = {
    Schedule.DEFAULT: (5, 30, 180),
    # Standard Webhooks 1.0, "Deliverability and reliability": the example schedule, 75:35:05 in all.
    Schedule.STANDARD_WEBHOOKS: (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400),
    Schedule.NONE: (),
}


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Delays in seconds before the second, third, … attempt; jitter as a share of each, 0 to 0.5."""

    schedule: Schedule = Schedule.DEFAULT
    delays: Sequence[float] = field(default=DELAYS[Schedule.DEFAULT])
    jitter: float = DEFAULT_JITTER

    @property
    def max_attempts(self) -> int:
        return len(self.delays) + 1

    @property
    def horizon(self) -> float:
        """Seconds to the last attempt at most; a receiver's Retry-After can only make it later."""
        return sum(min(delay * (1 + self.jitter), MAX_DELAY) for delay in self.delays)


def policy(schedule: Schedule | None, delays: Sequence[float], jitter: float | None, field: str) -> RetryPolicy:
    """A policy from what a caller gave. Raises InvalidFields with paths below `field`."""
    faults = []
    jitter = DEFAULT_JITTER if jitter is None else jitter
    if not 0 <= jitter <= MAX_JITTER:
        faults.append(errors.Violation(f"{field}.jitter", f"must be from 0 to {MAX_JITTER}"))
    if schedule is None:
        schedule = Schedule.CUSTOM if delays else Schedule.DEFAULT
    if schedule is not Schedule.CUSTOM:
        named = DELAYS[schedule]
        if delays and tuple(delays) != tuple(named):
            faults.append(errors.Violation(f"{field}.delays", "are for the schedule CUSTOM only"))
        delays = named
    elif not 1 <= len(delays) <= MAX_DELAYS:
        faults.append(errors.Violation(f"{field}.delays", f"must have 1 to {MAX_DELAYS} entries with CUSTOM"))
    for index, delay in enumerate(delays):
        if not 0 <= delay <= MAX_DELAY:
            faults.append(errors.Violation(f"{field}.delays[{index}]", "must be from 0 s to 24 h"))
    if sum(delays) > MAX_TOTAL:
        faults.append(errors.Violation(f"{field}.delays", "must not exceed 7 days in all"))
    if faults:
        raise errors.InvalidFields(faults)
    return RetryPolicy(schedule, tuple(delays), jitter)


def next_delay(policy: RetryPolicy, attempt: int, spread: float, retry_after: float | None) -> float | None:
    """Seconds to wait after attempt number `attempt` has failed; None when attempts are spent.

    `spread` is the chance that came in by the door, -1 to 1. A `retry_after` makes the delay longer, never shorter,
    and 24 h at most.
    """
    if attempt >= policy.max_attempts:
        return None
    delay = min(policy.delays[attempt - 1] * (1 + policy.jitter * spread), MAX_DELAY)
    return delay if retry_after is None else max(delay, min(retry_after, MAX_DELAY))


def parse_retry_after(value: str, now: float) -> float | None:
    """Seconds in a Retry-After header (RFC 9110 §10.2.3: whole seconds or a date); None when it makes no sense."""
    value = value.strip()
    if re.fullmatch(r"[0-9]{1,10}", value):
        return float(value)
    if not 20 <= len(value) <= 40:
        return None
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.fromtimestamp(now, UTC)).total_seconds())
