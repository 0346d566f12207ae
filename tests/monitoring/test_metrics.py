"""The figures are those of what was sent, their labels are few, and no id is among them."""

from __future__ import annotations

import pytest

from hookpost_server.domain.delivery import Result
from hookpost_server.rpc.errors import CODES

from .conftest import Day

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_events_by_outcome(day: Day) -> None:
    assert day.scrape.by("hookpost_events_total", "outcome") == {"accepted": 7, "duplicate": 1, "refused": 4}
    assert day.scrape.by("hookpost_events_refused_total", "reason") == {"EVENT_TYPE_UNKNOWN": 2, "FIELD_INVALID": 2}
    assert day.scrape.value("hookpost_commit_events_sum") == 8
    statements = day.scrape.value("hookpost_commit_events_count")
    assert statements == day.scrape.value("hookpost_commit_duration_seconds_count")


async def test_calls_by_method_and_code(day: Day) -> None:
    def calls(method: str, code: str) -> float | None:
        return day.scrape.value("hookpost_rpcs_total", method=f"EventService/{method}", code=code)

    assert (calls("EmitEvent", "OK"), calls("EmitEvent", "NOT_FOUND")) == (5, 2)
    assert (calls("BatchEmitEvents", "OK"), calls("BatchEmitEvents", "INVALID_ARGUMENT")) == (1, 1)
    assert calls("StreamEmitEvents", "OK") == 1
    assert day.scrape.value("hookpost_rpc_duration_seconds_count", method="EventService/EmitEvent") == 7


async def test_attempts_and_what_became_of_the_deliveries(day: Day) -> None:
    def attempts(result: str, answer: str) -> float | None:
        return day.scrape.value("hookpost_attempts_total", result=result, answer=answer)

    assert attempts("succeeded", "2xx") == 14
    assert (attempts("bad_status", "5xx"), attempts("bad_status", "4xx")) == (7, 7)
    assert sum(day.scrape.by("hookpost_attempts_total", "result").values()) == 28
    assert day.scrape.value("hookpost_attempt_duration_seconds_count") == 28
    assert day.scrape.by("hookpost_deliveries_ended_total", "state") == {"succeeded": 14, "failed": 7}
    assert day.scrape.value("hookpost_retries_scheduled_total") == 7
    assert day.scrape.value("hookpost_queue_wait_seconds_count") == 21  # first attempts only
    assert (day.scrape.value("hookpost_claimed_deliveries_total") or 0) >= 7  # retries come from the database


async def test_what_is_idle_is_empty(day: Day) -> None:
    for name in (
        *("commit_queue_events", "commit_queue_bytes", "handed_off_deliveries", "handed_off_bytes"),
        *("attempts_in_flight", "outcomes_waiting", "database_waiters", "backlog_due_deliveries"),
        "backlog_oldest_due_age_seconds",
    ):
        assert day.scrape.value(f"hookpost_{name}") == 0, name
    assert day.scrape.value("hookpost_database_up") == 1
    assert day.scrape.value("hookpost_attempts_in_flight_limit") == 256


async def test_histograms_are_cumulative(day: Day) -> None:
    for family in day.scrape.families:
        if family.type != "histogram":
            continue
        series: dict[str, list[float]] = {}
        for sample in family.samples:
            if sample.name.endswith("_bucket"):
                others = str(sorted((name, value) for name, value in sample.labels.items() if name != "le"))
                series.setdefault(others, []).append(sample.value)
        counts = [sample.value for sample in family.samples if sample.name.endswith("_count")]
        assert [buckets[-1] for buckets in series.values()] == counts, family.name
        assert all(buckets == sorted(buckets) for buckets in series.values()), family.name


async def test_names_follow_prometheus(day: Day) -> None:
    for family in day.scrape.families:
        assert family.name.startswith(("hookpost_", "process_")), family.name
        assert family.documentation
        assert "_ms" not in family.name
        if family.type == "counter":
            assert {sample.name for sample in family.samples} <= {f"{family.name}_total"}


async def test_labels_have_few_values(day: Day) -> None:
    """Each label's values come from a set that the program knows, whatever is sent."""
    known = {
        "outcome": {"accepted", "duplicate", "refused"},
        "answer": {"1xx", "2xx", "3xx", "4xx", "5xx", "none"},
        "result": {result.name.lower() for result in Result},
        "code": {"OK", "CANCELLED", "INTERNAL", *(code.name for code in CODES.values())},
        "state": {"succeeded", "failed", "idle", "used", "open", "half_open", "closed"},
        "reason": {"EVENT_TYPE_UNKNOWN", "FIELD_INVALID"},
    }
    free = {"le", "method", "version", "python"}
    for family in day.scrape.families:
        for sample in family.samples:
            for name, value in sample.labels.items():
                assert name in free or value in known[name], sample
    methods = day.scrape.by("hookpost_rpcs_total", "method")
    assert all(method.partition("/")[0].endswith("Service") for method in methods)
    assert len(day.scrape.text.splitlines()) < 600


async def test_no_id_is_shown(day: Day) -> None:
    text = day.scrape.text.lower()
    assert "canary" not in text
    assert [secret for secret in day.secrets if secret.lower() in text] == []
