"""What came of what was sent: the reckoning behind every row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .outbox import Sent
from .tally import Arrival


@dataclass(frozen=True, slots=True)
class Receipt:
    """Of one run's deliveries that were answered 200; those of other runs do not count."""

    received: int  # different ones
    lost: int  # expected, and not among them
    doubled: int  # requests beyond the first
    seconds: float  # from the first event sent to the last first arrival
    latencies: list[int]  # microseconds from an event's sending to each first arrival, sorted


def reckon(arrivals: Iterable[Arrival], sent: Sent, fan_out: int) -> Receipt:
    """Matches arrivals with events by number, and tells deliveries apart by their ids."""
    numbers = sent.numbers
    requests = latest = 0
    seen: set[int] = set()
    latencies = []
    for identity, time, number, status in arrivals:
        if number not in numbers or status != 200:
            continue
        requests += 1
        if identity not in seen:
            seen.add(identity)
            latest = time
            latencies.append(time - sent.times[number - sent.first])
    return Receipt(
        received=len(seen),
        lost=len(sent.times) * fan_out - len(seen),
        doubled=requests - len(seen),
        seconds=(latest - sent.times[0]) / 1e6 if seen else 0.0,
        latencies=sorted(latencies),
    )


def percentile(microseconds: Sequence[int], share: float) -> float:
    """Of sorted values, in milliseconds; 0 if there are none."""
    return microseconds[min(len(microseconds) - 1, int(len(microseconds) * share))] / 1000 if microseconds else 0.0
