"""The bench itself, at a scale that measures nothing: every event comes, and the figures are there."""

from __future__ import annotations

import pytest

from hookpost.v1 import event_service_pb2

from . import row, table
from .__main__ import bench
from .row import Row
from .stage import Options
from .template import Template


@pytest.mark.system
@pytest.mark.timeout(180)
async def test_a_scenario_runs_and_loses_nothing() -> None:
    rows, machine, failed = await bench(Options(scale=0.01, rounds=1), ["throughput"])
    assert failed == []
    assert [r.design for r in rows] == ["naive", "hookpost", "hookpost", "hookpost"]
    for one in rows:
        assert one.figures["events"] > 0
        assert (one.figures[row.LOST], one.figures[row.DOUBLED]) == (0, 0)
        assert 0 < one.figures[row.RECEIPT[0]] <= one.figures[row.RECEIPT[1]]
    assert "receiver" in machine


def test_templates_make_the_requests_that_protobuf_would() -> None:
    template = Template("bench-%-1", range(3, 5), 300)
    batch = event_service_pb2.BatchEmitEventsRequest.FromString(template.batch(2))
    streamed = event_service_pb2.StreamEmitEventsRequest.FromString(template.in_stream())
    one = event_service_pb2.EmitEventRequest.FromString(template.one())
    events = [*batch.requests, streamed.event, one]
    assert batch.tenant_id == "bench-%-1"
    assert {event.tenant_id for event in events} == {"bench-%-1"}
    assert [event.json[:20] for event in events] == [f'{{"n":"{n:012}",' for n in (300, 301, 302, 303)]
    assert {event.type for event in events} == {"Bench.H0003", "Bench.H0004"}
    assert streamed.sequence == 302
    assert template.next == 304


def test_rounds_are_merged_into_medians_ranges_and_sums() -> None:
    rows = [Row("s", "c", "d", {row.RECEIVED: rate, row.LOST: lost, "ms": ms}) for rate, lost, ms in
            [(1000.0, 0, 1.234), (3000.0, 2, 9.9), (2000.0, 1, 5.0)]]  # fmt: skip
    rows.insert(1, Row("s", "other", "d", {row.RECEIVED: 1.0}))
    merged = row.merge(rows)
    assert [m.case for m in merged] == ["c", "other"]
    assert merged[0].texts == {row.RECEIVED: "2,000 (1,000 to 3,000)", row.LOST: "3", "ms": "5"}
    assert table.markdown(merged).splitlines() == [
        "### s",
        "",
        "| case | design | received/s | lost | ms |",
        "| --- | --- | ---: | ---: | ---: |",
        "| c | d | 2,000 (1,000 to 3,000) | 3 | 5 |",
        "| other | d | 1 |  |  |",
    ]
