"""Counters and histograms that cost the hot path a fraction of a microsecond, and gauges that cost it nothing.

prometheus_client's own take a lock for each observation; here one thread, the event loop's, both counts and is scraped.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

Labels = tuple[str, ...]
Reading = float | Mapping[Labels, float] | None


class Counter(Collector):
    """Only goes up. `name` is without `_total`."""

    def __init__(
        self, name: str, documentation: str, labels: Labels = (), *, from_zero: Iterable[Labels] | None = None
    ) -> None:
        """`from_zero`: label values to show before they occur, so that the first occurrence is seen as an increase."""
        self._described = (name, documentation)
        self._labels = labels
        self._values = dict.fromkeys(from_zero or ([] if labels else [()]), 0.0)

    def add(self, labels: Labels = (), amount: float = 1) -> None:
        """`labels`: their values, in order; a value must come from a bounded set."""
        self._values[labels] = self._values.get(labels, 0.0) + amount

    def collect(self) -> Iterable[Metric]:
        family = CounterMetricFamily(*self._described, labels=self._labels)
        for labels, value in self._values.items():
            family.add_metric(labels, value)
        yield family


class Histogram(Collector):
    """Observations by upper bounds, in the unit that the name ends with."""

    def __init__(self, name: str, documentation: str, bounds: Sequence[float], label: str = "") -> None:
        self._described = (name, documentation)
        self._bounds = tuple(bounds)
        self._label = label
        self._series: dict[str, Series] = {}
        if not label:
            self.of("")

    def of(self, value: str) -> Series:
        """The series of one value of the label. Keep it instead of asking for each observation."""
        series = self._series.get(value)
        if series is None:
            series = self._series[value] = Series(self._bounds)
        return series

    def collect(self) -> Iterable[Metric]:
        family = HistogramMetricFamily(*self._described, labels=[self._label] if self._label else [])
        for value, series in self._series.items():
            running, buckets = 0, []
            for bound, count in zip((*map(str, self._bounds), "+Inf"), series.counts, strict=True):
                running += count
                buckets.append((bound, running))
            family.add_metric([value] if self._label else [], buckets, series.sum)
        yield family


class Series:
    """The counts of one histogram for one value of its label."""

    __slots__ = ("_bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self._bounds, value)] += 1
        self.sum += value


class Gauge(Collector):
    """Read when scraped: one value, one for each label, or None when there is nothing to say."""

    def __init__(self, name: str, documentation: str, read: Callable[[], Reading], labels: Labels = ()) -> None:
        self._described = (name, documentation)
        self._labels = labels
        self._read = read

    def collect(self) -> Iterable[Metric]:
        family = GaugeMetricFamily(*self._described, labels=self._labels)
        reading = self._read()
        if isinstance(reading, Mapping):
            for labels, value in reading.items():
                family.add_metric(labels, value)
        elif reading is not None:
            family.add_metric((), reading)
        yield family
