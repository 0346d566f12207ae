"""What a line of the log looks like, however it is written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from hookpost_server import telemetry

FIELDS: list[dict[str, Any]] = [
    {"delivery_id": "dlv_1", "status": None, "latency_ms": 0.1, "type": "Übung.Done"},
    {"error": "half of \ud800", "count": 2**70},
    {"error": ValueError("no"), "bytes": b"\x00"},
]


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.mark.parametrize("form", ["json", "console"])
def test_many_lines_are_as_each_would_be(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.configure("info", form)
    for fields in FIELDS[: 3 if form == "json" else 1]:
        structlog.get_logger().info("deed.done", **fields)
        single = capsys.readouterr().err
        telemetry.write_lines("info", [("deed.done", fields)] * 3)
        many = capsys.readouterr().err.splitlines()
        assert len(many) == 3
        if form == "json":
            one, *_, last = [json.loads(line) for line in (single, *many)]
            assert list(one) == list(last)
            assert one.pop("timestamp") <= last.pop("timestamp")
            assert one == last
            assert last["event"] == "deed.done"
            assert last["level"] == "info"
        else:
            assert "deed.done" in single
            assert "deed.done" in many[-1]
            assert "dlv_1" in many[-1]
