"""What a line of the log looks like, however it is written."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
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


def test_the_table_has_every_line_and_no_other() -> None:
    """A line is a literal of the code; one that is given to a logger at once must be in the table."""
    table = set(re.findall(r"^([a-z_]+\.[a-z_]+) {2}", telemetry.__doc__ or "", re.MULTILINE))
    literals, logged = set(), set()
    for file in Path(telemetry.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            match node:
                case ast.Constant(value=str() as text):
                    literals.add(text)
                case ast.Call(func=ast.Attribute(value=ast.Name(id="log")), args=[ast.Constant(value=str() as text)]):
                    logged.add(text)
    assert len(logged) > 30
    assert logged <= table
    assert table <= literals
