"""One measurement, and how the figures are named and shown."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

Value = float | str
# Figures that every flow of events has, in the table's order. Others stand behind them as they come.
EMITTED, RECEIVED = "emitted/s", "received/s"
ANSWER = ("answer p50 ms", "answer p99 ms")
RECEIPT = ("received p50 ms", "received p99 ms")
LOST, DOUBLED = "lost", "doubled"
CPU = ("server µs", "postgres µs", "receiver µs", "load µs")  # CPU time for each delivery received
MEMORY = "server peak MB"
_SPREAD = (EMITTED, RECEIVED)  # shown with least and most
_SUMMED = (LOST, DOUBLED)


@dataclass(frozen=True, slots=True)
class Row:
    """What one round of one case came to."""

    scenario: str
    case: str
    design: str
    figures: dict[str, Value]

    @property
    def place(self) -> tuple[str, str, str]:
        return self.scenario, self.case, self.design


@dataclass(frozen=True, slots=True)
class Merged:
    """The rounds of a case as texts by figure: the median; for rates with (least to most); for faults the sum."""

    scenario: str
    case: str
    design: str
    texts: dict[str, str]


def merge(rows: list[Row]) -> list[Merged]:
    """In the order in which the cases were first measured."""
    rounds: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        rounds.setdefault(row.place, []).append(row)
    merged = []
    for place, group in rounds.items():
        names = dict.fromkeys(name for row in group for name in row.figures)
        merged.append(
            Merged(*place, {name: _text(name, [r.figures[name] for r in group if name in r.figures]) for name in names})
        )
    return merged


def _text(name: str, values: list[Value]) -> str:
    numbers = [value for value in values if not isinstance(value, str)]
    if not numbers:
        return str(values[-1])
    if name in _SUMMED:
        return number(sum(numbers))
    if name in _SPREAD and len(numbers) > 1:
        return f"{number(median(numbers))} ({number(min(numbers))} to {number(max(numbers))})"
    return number(median(numbers))


def number(value: float) -> str:
    """Three digits that mean something: 12,345 · 123 · 12.3 · 1.23."""
    if value == 0 or abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
