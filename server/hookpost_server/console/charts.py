"""Charts as SVG paths, drawn at the server: no script, in both themes, readable as text beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..domain.health import Point

SPARK_WIDTH, SPARK_HEIGHT = 96, 22


@dataclass(frozen=True, slots=True)
class Bars:
    """Stacked bars as two paths: what succeeded below, what failed on top of it."""

    width: int
    height: int
    succeeded: str
    failed: str
    highest: int  # the value at full height
    step: float  # from one bar to the next


def bars(points: Sequence[Point], width: int, height: int, gap: float = 1.0) -> Bars:
    """One bar for each point; anything at all is at least a pixel high."""
    highest = max((point.succeeded + point.failed for point in points), default=0)
    step = width / max(1, len(points))
    succeeded, failed = [], []
    for index, point in enumerate(points):
        x, wide = index * step, max(0.5, step - gap)
        top = height - _height(point.succeeded, highest, height)
        if point.succeeded:
            succeeded.append(f"M{x:.1f} {height}V{top:.1f}h{wide:.1f}V{height}z")
        if point.failed:
            above = max(0.0, top - _height(point.failed, highest, height))
            failed.append(f"M{x:.1f} {top:.1f}V{above:.1f}h{wide:.1f}V{top:.1f}z")
    return Bars(width, height, "".join(succeeded), "".join(failed), highest, step)


def spark(points: Sequence[Point]) -> Bars:
    """A chart for a table's cell."""
    return bars(points, SPARK_WIDTH, SPARK_HEIGHT)


def _height(value: int, highest: int, height: int) -> float:
    return max(1.5, value / highest * (height - 1)) if value else 0.0


@dataclass(frozen=True, slots=True)
class Columns:
    """Plain bars as one path."""

    width: int
    height: int
    path: str
    step: float  # from one bar to the next


def columns(values: Sequence[int], width: int, height: int) -> Columns:
    """One bar for each value."""
    highest = max(values, default=0)
    step = width / max(1, len(values))
    path = "".join(
        f"M{index * step + 3:.1f} {height}V{height - _height(value, highest, height):.1f}h{step - 6:.1f}V{height}z"
        for index, value in enumerate(values)
        if value
    )
    return Columns(width, height, path, step)
