"""Health as a value: what no data means, and percentiles out of buckets."""

from __future__ import annotations

import bisect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookpost_server.domain.health import BOUNDS, Health

LATENCIES = st.lists(st.floats(0, 60), min_size=1, max_size=200)


def health(**given: object) -> Health:
    return Health(window=60.0, **given)  # type: ignore[arg-type]


def in_buckets(latencies: list[float]) -> list[int]:
    counts = [0] * (len(BOUNDS) + 1)
    for latency in latencies:
        counts[bisect.bisect_right(BOUNDS, latency)] += 1
    return counts


def test_no_data() -> None:
    assert health().success_rate is None
    assert health(latencies=[0] * 13).percentile(0.95) is None


def test_only_attempts_under_way_are_no_data_either() -> None:
    assert health(attempts=3).success_rate is None


@pytest.mark.parametrize(("succeeded", "failed", "rate"), [(1, 0, 1.0), (0, 1, 0.0), (3, 1, 0.75)])
def test_the_rate(succeeded: int, failed: int, rate: float) -> None:
    found = health(succeeded=succeeded, failed=failed)
    assert (found.requests, found.success_rate) == (succeeded + failed, rate)


def test_bounds_rise() -> None:
    assert list(BOUNDS) == sorted(set(BOUNDS))


@given(LATENCIES, st.floats(0.001, 1.0))
def test_a_percentile_lies_in_the_bucket_of_the_exact_one(latencies: list[float], share: float) -> None:
    found = health(latencies=in_buckets(latencies)).percentile(share)
    ranked = sorted(latencies)
    exact = next(value for rank, value in enumerate(ranked, start=1) if rank >= share * len(ranked))
    bucket = bisect.bisect_right(BOUNDS, exact)
    low, high = (0.0, *BOUNDS)[bucket], (*BOUNDS, BOUNDS[-1])[bucket]
    assert found is not None
    assert low <= found <= high or (low > high and found == high)


@given(LATENCIES)
def test_percentiles_rise(latencies: list[float]) -> None:
    found = health(latencies=in_buckets(latencies))
    values = [found.percentile(share / 20) for share in range(1, 21)]
    assert values == sorted(values, key=lambda value: value or 0)


def test_what_is_slower_than_all_bounds() -> None:
    assert health(latencies=[0] * 12 + [5]).percentile(0.5) == BOUNDS[-1]
