"""How long what is kept: arithmetic of whole days of UTC, which are those of the time inside the ids."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from .retry import RetryPolicy

HOUR = 3600.0  # seconds
DAY = 24 * HOUR
AFTER_RETRIES = DAY  # for which an entry is there to be looked at after the last attempt that a policy can ask for
KEYS = 2 * DAY  # for idempotency keys; the API promises one day
REPLAYS = 7 * DAY  # for which a replay can be stopped: longer than one can take at the lowest rate
HEALTH = 7 * DAY + HOUR  # the longest window of health figures, and the hour in which it begins

_UNITS = {"h": HOUR, "d": DAY}
_LONGEST = 36_500 * DAY


@dataclass(frozen=True, slots=True)
class Lifetime:
    """For how long something is kept: seconds, or None for ever. Written `7d`, `36h`, `forever`."""

    seconds: float | None

    @classmethod
    def parse(cls, text: str) -> Lifetime:
        """Raises ValueError."""
        if text == "forever":
            return FOREVER
        found = re.fullmatch(r"([1-9][0-9]{0,6})([hd])", text)
        if found is None or int(found[1]) * _UNITS[found[2]] > _LONGEST:
            raise ValueError('must be days or hours, such as 7d or 36h, up to 36500d, or "forever"')
        return cls(int(found[1]) * _UNITS[found[2]])

    def __str__(self) -> str:
        if self.seconds is None:
            return "forever"
        return f"{self.seconds / DAY:g}d" if self.seconds % DAY == 0 else f"{self.seconds / HOUR:g}h"


FOREVER = Lifetime(None)


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """For how long entries are kept, the bodies in them, and the audit log."""

    entries: Lifetime
    bodies: Lifetime = FOREVER  # as long as their entries
    audit: Lifetime = FOREVER

    def last_to_drop(self, now: float, policies: Iterable[RetryPolicy]) -> date | None:
        """The last day whose entries may go. No retry policy in use may outlast it, with a day on top."""
        if self.entries.seconds is None:
            return None
        longest = max((policy.horizon for policy in policies), default=0.0)
        return last_day_over(now, max(self.entries.seconds, longest + AFTER_RETRIES))

    @property
    def hours(self) -> float | None:
        """Seconds for which hourly health figures are kept: as long as the entries they count, or None for ever."""
        return None if self.entries.seconds is None else max(self.entries.seconds, HEALTH)

    def last_to_strip(self, now: float) -> date | None:
        """The last day whose bodies may go."""
        return None if self.bodies.seconds is None else last_day_over(now, self.bodies.seconds)


def last_day_over(now: float, seconds: float) -> date:
    """The last day that has been over for at least `seconds`."""
    return datetime.fromtimestamp(now - seconds, UTC).date() - timedelta(days=1)
