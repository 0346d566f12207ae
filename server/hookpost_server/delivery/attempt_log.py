"""The one line about each attempt."""

from __future__ import annotations

import logging
from collections.abc import Container, Sequence
from typing import Any
from uuid import UUID

import structlog

from .. import telemetry
from ..domain import ids, trace
from ..domain.delivery import Record, Result


class AttemptLog:
    """Writes lines at info for the attempts asked for, at debug for the others. One that its level keeps out costs next
    to nothing, since nothing of it is made.
    """

    def __init__(self, attempts: str) -> None:
        """`attempts`: all, failed or none."""
        self._attempts = attempts
        log = structlog.get_logger().bind()
        self._on = {level: log.is_enabled_for(getattr(logging, level.upper())) for level in ("info", "debug")}

    def write(self, records: Sequence[Record], taken: Container[UUID]) -> None:
        """Outcomes of one batch. One that is not among the `taken` came too late and changed nothing."""
        lines: dict[str, list[tuple[str, dict[str, Any]]]] = {"info": [], "debug": []}
        for record in records:
            failed = record.outcome.result is not Result.SUCCEEDED
            level = "info" if self._attempts == "all" or (failed and self._attempts == "failed") else "debug"
            if self._on[level]:
                event = "delivery.attempted" if record.claim.id in taken else "delivery.superseded"
                lines[level].append((event, _fields(record)))
        for level, some in lines.items():
            if some:
                telemetry.write_lines(level, some)


def _fields(record: Record) -> dict[str, Any]:
    claim, outcome = record.claim, record.outcome
    fields = {
        "delivery_id": ids.text(ids.DELIVERY, claim.id),
        "event_id": ids.text(ids.EVENT, claim.event.id),
        "type": claim.event.type,
        "webhook_id": ids.text(ids.WEBHOOK, claim.webhook_id),
        "attempt": claim.attempt,
        "outcome": outcome.result.name.lower(),
        "status": outcome.status,
        "latency_ms": round(record.latency * 1000, 1),
        "state": record.conclusion.state.name.lower(),
    }
    if (wait := record.queue_wait) is not None:
        fields["queue_wait_ms"] = round(wait * 1000, 1)
    if record.conclusion.delay is not None:
        fields["retry_in"] = round(record.conclusion.delay, 1)
    if outcome.error:
        fields["error"] = outcome.error
    if claim.event.traceparent:
        fields["trace_id"] = trace.trace_id(claim.event.traceparent)
    return fields
