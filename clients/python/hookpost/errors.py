"""What a call came to when it did not succeed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2

_DETAILS = "grpc-status-details-bin"
_RETRYABLE = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
    }
)

_LASTING = frozenset({"LIMIT_EXCEEDED", "ETAG_MISMATCH"})  # reasons that the same call meets again


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """What is wrong with one field of the request."""

    field: str  # path, such as `requests[3].json`
    description: str


class HookpostError(Exception):
    """A call that failed. After DEADLINE_EXCEEDED an event may have been accepted: the same key tells when repeated."""

    def __init__(
        self,
        code: grpc.StatusCode,
        message: str,
        reason: str = "",
        violations: tuple[FieldViolation, ...] = (),
        retry_delay: float | None = None,
        idempotency_key: str = "",
    ) -> None:
        super().__init__(f"{code.name}: {message}")
        self.code = code
        self.message = message
        self.reason = reason  # name of an ErrorReason, such as FIELD_INVALID; empty when no server answered
        self.violations = violations
        self.retry_delay = retry_delay  # seconds that the server asks to wait for
        self.idempotency_key = idempotency_key  # of the emit that failed; empty for other calls and for batches

    @property
    def retryable(self) -> bool:
        """Whether the same call, under the same idempotency key, may succeed later."""
        return self.code in _RETRYABLE and self.reason not in _LASTING


def from_rpc(error: Any, idempotency_key: str = "") -> HookpostError:
    """Reads a grpc.RpcError, sync or asyncio, with its details."""
    reason, delay = "", None
    violations: tuple[FieldViolation, ...] = ()
    for packed in _details(error):
        if packed.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
            reason = _unpacked(packed, error_details_pb2.ErrorInfo()).reason
        elif packed.Is(error_details_pb2.BadRequest.DESCRIPTOR):
            bad = _unpacked(packed, error_details_pb2.BadRequest())
            violations = tuple(FieldViolation(each.field, each.description) for each in bad.field_violations)
        elif packed.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
            wait = _unpacked(packed, error_details_pb2.RetryInfo()).retry_delay
            delay = wait.seconds + wait.nanos / 1e9
    return HookpostError(error.code(), error.details() or "", reason, violations, delay, idempotency_key)


def _details(error: Any) -> Any:
    for name, value in error.trailing_metadata() or ():
        if name == _DETAILS:
            return status_pb2.Status.FromString(value).details
    return ()


def _unpacked(packed: Any, message: Any) -> Any:
    packed.Unpack(message)
    return message
