"""What the edge tells of its calls to whoever counts them."""

from __future__ import annotations

from typing import Any, Protocol

from hookpost.v1 import event_service_pb2

from ..domain import errors


class Meter(Protocol):
    """Counts calls and refusals."""

    def called(self, method: str, code: str, seconds: float) -> None:
        """A call ended."""
        ...

    def refused(self, reason: str, events: int) -> None:
        """Events were not accepted."""
        ...


def count_refusal(meter: Meter, request: Any, error: errors.HookpostError) -> None:
    """Tells of the events that were in a refused request, if it had any. A stream's are told one by one."""
    match request:
        case event_service_pb2.EmitEventRequest() if not request.dry_run:
            meter.refused(error.reason, 1)
        case event_service_pb2.BatchEmitEventsRequest():
            meter.refused(error.reason, len(request.requests))
