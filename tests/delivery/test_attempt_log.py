"""The line of an attempt: who is told what, at which level, and what a level keeps out."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog

from hookpost_server.delivery.attempt_log import AttemptLog
from hookpost_server.domain import ids
from hookpost_server.domain.delivery import Claim, Outcome, Record, Result, Trigger, answered, conclude
from tests.store import making

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def record(outcome: Outcome, attempt: int = 1, **event: Any) -> Record:
    made = making.event(**event)
    accepted = ids.seconds_of(made.id)
    claim = Claim(ids.new(accepted), made.tenant_id, ids.new(accepted), 1, attempt, 1, Trigger.SCHEDULED, made, 0.0)
    start = datetime.fromtimestamp(accepted + 0.25, UTC)
    conclusion = conclude(attempt, making.retries(5.0), outcome, 0.0)
    return Record(claim, outcome, conclusion, "https://example.com/?token=s3cret", start, 0.0125)


GOOD, BAD = answered(200), Outcome(result=Result.TIMED_OUT, error="no answer in 10 s")


@pytest.fixture
def lines() -> Iterator[list[dict[str, Any]]]:
    with structlog.testing.capture_logs() as found:
        yield found


@pytest.mark.parametrize(
    ("attempts", "levels"),
    [("all", ["info", "info"]), ("failed", ["debug", "info"]), ("none", ["debug", "debug"])],
)
def test_the_setting_chooses_the_level(attempts: str, levels: list[str], lines: list[dict[str, Any]]) -> None:
    log = AttemptLog(attempts)
    batch = [record(GOOD), record(BAD)]
    log.write(batch, {each.claim.id for each in batch})
    assert {line["outcome"]: line["log_level"] for line in lines} == dict(
        zip(("succeeded", "timed_out"), levels, strict=True)
    )


def test_all_that_is_known(lines: list[dict[str, Any]]) -> None:
    given = record(BAD, traceparent=f"00-{TRACE}-00f067aa0ba902b7-01")
    AttemptLog("all").write([given], {given.claim.id})
    assert lines == [
        {
            "event": "delivery.attempted",
            "log_level": "info",
            "delivery_id": ids.text(ids.DELIVERY, given.claim.id),
            "event_id": ids.text(ids.EVENT, given.claim.event.id),
            "type": "User.Created",
            "webhook_id": ids.text(ids.WEBHOOK, given.claim.webhook_id),
            "attempt": 1,
            "outcome": "timed_out",
            "status": None,
            "latency_ms": 12.5,
            "state": "pending",
            "queue_wait_ms": 250.0,
            "retry_in": 5.0,
            "error": "no answer in 10 s",
            "trace_id": TRACE,
        }
    ]


@pytest.mark.case("H5")
def test_what_is_not_known_is_left_out(lines: list[dict[str, Any]]) -> None:
    AttemptLog("all").write([record(GOOD, attempt=2)], set())
    assert lines[0]["event"] == "delivery.superseded"
    assert not {"queue_wait_ms", "retry_in", "error", "trace_id"} & lines[0].keys()


def test_a_line_that_its_level_keeps_out_is_not_made() -> None:
    before = structlog.get_config()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO), cache_logger_on_first_use=False
    )
    try:
        log = AttemptLog("failed")
    finally:
        structlog.configure(**before)
    unreadable = dataclasses.replace(record(GOOD), claim=None)  # type: ignore[arg-type]
    log.write([unreadable], set())
    with pytest.raises(AttributeError):
        log.write([dataclasses.replace(unreadable, outcome=BAD)], set())
