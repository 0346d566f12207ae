"""The one line about an attempt."""

from __future__ import annotations

import logging
from typing import Any

import structlog

from ..domain import ids, trace
from ..domain.delivery import Record, Result


class AttemptLog:
    """Writes lines at info for the attempts asked for, at debug for the others. A line costs some 30 µs; one that its
    level keeps out costs next to nothing, since nothing of it is made.
    """

    def __init__(self, attempts: str) -> None:
        """`attempts`: all, failed or none."""
        self._attempts = attempts
        log = structlog.get_logger().bind()  # bound once: the lazy one takes 2 µs to find out what it is
        self._info = log.info if log.is_enabled_for(logging.INFO) else None
        self._debug = log.debug if log.is_enabled_for(logging.DEBUG) else None

    def write(self, record: Record, *, superseded: bool) -> None:
        """A superseded outcome came too late and changed nothing."""
        failed = record.outcome.result is not Result.SUCCEEDED
        level = self._info if self._attempts == "all" or (failed and self._attempts == "failed") else self._debug
        if level is not None:
            level("delivery.superseded" if superseded else "delivery.attempted", **_fields(record))


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
