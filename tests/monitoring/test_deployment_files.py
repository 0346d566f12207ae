"""The dashboard, the alert rules and the table speak of what the server shows, and of all of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import Day
from .scraping import Scrape

pytestmark = pytest.mark.asyncio(loop_scope="module")

FILES = Path(__file__).parents[2] / "server" / "deploy" / "monitoring"
TARGET = {"instance", "job"}  # what Prometheus adds
SELECTOR = re.compile(r"\b((?:hookpost|process)_\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"')
GROUPING = re.compile(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)")


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load((FILES / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def expressions() -> Iterator[str]:
    for rule in alerts():
        yield rule["expr"]
    dashboard = json.loads((FILES / "dashboard.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield target["expr"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["query"]["query"]


def faults(expression: str, scrape: Scrape) -> list[str]:
    """What an expression names that the server does not show."""
    known = scrape.labels
    found, labels = [], set(TARGET)
    for name, matchers in SELECTOR.findall(expression):
        if name not in known:
            found.append(f"{name} in {expression}")
            continue
        labels |= known[name]
        found += [f"{label} of {name}" for label in MATCHER.findall(matchers) if label not in known[name] | TARGET]
    for group in GROUPING.findall(expression):
        found += [f"{each} in {expression}" for each in re.findall(r"\w+", group) if each not in labels]
    return found


async def test_they_name_what_the_server_shows(day: Day) -> None:
    found = list(expressions())
    assert len(found) > 40
    assert [fault for expression in found for fault in faults(expression, day.scrape)] == []


async def test_the_comparison_sees_what_is_wrong(day: Day) -> None:
    for wrong in (
        "rate(hookpost_event_total[5m])",
        'hookpost_events_total{tenant="a"}',
        "sum by (webhook) (hookpost_breakers)",
        "hookpost_queue_wait_seconds",
    ):
        assert faults(wrong, day.scrape), wrong


async def test_each_alert_says_what_to_do() -> None:
    names = [rule["alert"] for rule in alerts()]
    assert len(set(names)) == len(names) > 8
    for rule in alerts():
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert {"summary", "action"} <= rule["annotations"].keys()
        assert len(rule["annotations"]["action"]) > 40


async def test_the_table_lists_every_metric(day: Day) -> None:
    """In the order of the scrape and in its words; what this prints when it fails is the table."""
    rows = []
    for family in day.scrape.families:
        if family.name.startswith("hookpost_"):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            labels = {label for sample in family.samples for label in sample.labels} - {"le"}
            rows.append(f"| `{name}` | {', '.join(sorted(labels))} | {family.type}: {family.documentation} |")
    table = "\n".join(rows)
    written = "\n".join(re.findall(r"^\| `hookpost_.*$", (FILES / "README.md").read_text(), re.MULTILINE))
    assert written == table, f"the table in {FILES.name}/README.md should be:\n{table}"
