"""Charts as SVG paths, drawn at the server: no script, in both themes, readable as text beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..domain.health import Point

SPARK_WIDTH, SPARK_HEIGHT = 96, 22


@dataclass(frozen=True, slots=True)
class Bars:
    """Stacked bars as two paths to be stroked: what succeeded below, what failed on top of it."""

    width: int
    height: int
    succeeded: str
    failed: str
    highest: int  # the value at full height
    step: float  # from one bar to the next
    wide: str  # the stroke's width


def bars(points: Sequence[Point], width: int, height: int, gap: float = 1.0) -> Bars:
    """One bar for each point; anything at all can be seen."""
    highest = max((point.succeeded + point.failed for point in points), default=0)
    step = width / max(1, len(points))
    succeeded, failed = [], []
    for index, point in enumerate(points):
        x = _short((index + 0.5) * step)
        top = height - _height(point.succeeded, highest, height)
        if point.succeeded:
            succeeded.append(f"M{x} {height}V{_short(top)}")
        if point.failed:
            failed.append(f"M{x} {_short(top)}V{_short(max(0.0, top - _height(point.failed, highest, height)))}")
    return Bars(width, height, "".join(succeeded), "".join(failed), highest, step, _short(max(0.5, step - gap)))


def spark(points: Sequence[Point]) -> Bars:
    """A chart for a table's cell."""
    return bars(points, SPARK_WIDTH, SPARK_HEIGHT)


@dataclass(frozen=True, slots=True)
class Columns:
    """Plain bars as one path to be stroked."""

    width: int
    height: int
    path: str
    step: float  # from one bar to the next
    wide: str  # the stroke's width


def columns(values: Sequence[int], width: int, height: int) -> Columns:
    """One bar for each value."""
    highest = max(values, default=0)
    step = width / max(1, len(values))
    path = "".join(
        f"M{_short((index + 0.5) * step)} {height}V{_short(height - _height(value, highest, height))}"
        for index, value in enumerate(values)
        if value
    )
    return Columns(width, height, path, step, _short(step - 6))


def _height(value: int, highest: int, height: int) -> float:
    return max(1.5, value / highest * (height - 1)) if value else 0.0


def _short(value: float) -> str:
    return f"{round(value, 1):g}"
