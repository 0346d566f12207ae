"""How a webhook has been doing: counts, percentiles from buckets, and what no data means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

# Upper bounds of the latency buckets, seconds; one more holds what is slower. `store/deliveries.py` counts by these.
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One bucket of a series."""

    start: datetime
    succeeded: int
    failed: int
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The deliveries of a webhook that ended in a window, and its streak."""

    window: float  # seconds
    succeeded: int = 0
    failed: int = 0
    attempts: int = 0
    latencies: Sequence[int] = ()  # attempts by bucket
    consecutive_failures: int = 0
    last_success_time: datetime | None = None
    last_failure_time: datetime | None = None
    oldest_pending_time: datetime | None = None

    @property
    def requests(self) -> int:
        return self.succeeded + self.failed

    @property
    def success_rate(self) -> float | None:
        """0 to 1; None without data, which is neither 0 % nor 100 %."""
        return self.succeeded / self.requests if self.requests else None

    def percentile(self, share: float) -> float | None:
        """Seconds within which this share of the attempts ended, interpolated in its bucket; None without data."""
        total = sum(self.latencies)
        if not total:
            return None
        wanted, below, low = share * total, 0, 0.0
        for bound, count in zip((*BOUNDS, BOUNDS[-1]), self.latencies, strict=False):
            if count and below + count >= wanted:
                return low + (bound - low) * (wanted - below) / count
            below += count
            low = bound
        return BOUNDS[-1]
