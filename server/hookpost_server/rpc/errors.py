"""Domain errors as google.rpc.Status: the one place that knows gRPC's codes."""

from __future__ import annotations

import secrets
from datetime import timedelta

import grpc
import structlog
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from hookpost.v1 import error_reason_pb2, event_service_pb2

from ..domain import errors
from .context import Context

DOMAIN = "hookpost.v1"
# Clients refuse trailers of more than 8 KiB, and the message is in them twice.
MAX_MESSAGE = 400  # bytes on the wire, where a character beyond ASCII takes up to twelve
MAX_VIOLATIONS = 6656  # bytes

CODES: dict[type[errors.HookpostError], grpc.StatusCode] = {
    errors.InvalidFields: grpc.StatusCode.INVALID_ARGUMENT,
    errors.NotFound: grpc.StatusCode.NOT_FOUND,
    errors.EtagMismatch: grpc.StatusCode.ABORTED,
    errors.AlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
    errors.EventTypeInUse: grpc.StatusCode.FAILED_PRECONDITION,
    errors.PayloadRemoved: grpc.StatusCode.FAILED_PRECONDITION,
    errors.DeliveryNotEnded: grpc.StatusCode.FAILED_PRECONDITION,
    errors.WebhookUnreadable: grpc.StatusCode.INTERNAL,
    errors.SealBroken: grpc.StatusCode.INTERNAL,
    errors.MasterKeyRetired: grpc.StatusCode.INTERNAL,
    errors.TokenExpired: grpc.StatusCode.OUT_OF_RANGE,
    errors.BacklogFull: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.LimitExceeded: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.Unavailable: grpc.StatusCode.UNAVAILABLE,
    errors.DeadlineExceeded: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    errors.TooManyFailures: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.PermissionDenied: grpc.StatusCode.PERMISSION_DENIED,
    errors.NotSupported: grpc.StatusCode.UNIMPLEMENTED,
}

log = structlog.get_logger()


def code_of(error: errors.HookpostError) -> grpc.StatusCode:
    """By the nearest ancestor that has a code."""
    return next((CODES[kind] for kind in type(error).__mro__ if kind in CODES), grpc.StatusCode.INTERNAL)


def internal(error: BaseException) -> errors.HookpostError:
    """What a caller is told of a bug: a number to look for in the log, and nothing else."""
    incident = secrets.token_hex(8)
    log.error("rpc.fault", incident=incident, exc_info=error)
    return errors.HookpostError(f"internal error; the server's log has it as incident {incident}", incident=incident)


def to_status(error: errors.HookpostError) -> status_pb2.Status:
    """The status with all its details."""
    details = [error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=dict(error.metadata))]
    match error:
        case errors.InvalidFields():
            bad = error_details_pb2.BadRequest()
            for violation in error.violations:
                if bad.ByteSize() > MAX_VIOLATIONS:
                    break
                bad.field_violations.add(field=violation.field[:200], description=violation.description[:200])
            details.append(bad)
        case errors.NotFound() | errors.NameTaken():
            details.append(
                error_details_pb2.ResourceInfo(
                    resource_type=error.kind, resource_name=error.name[:128], description=error.message[:200]
                )
            )
        case errors.BacklogFull() | errors.Unavailable() | errors.TooManyFailures():
            retry = duration_pb2.Duration()
            retry.FromTimedelta(timedelta(seconds=error.retry_delay))
            details.append(error_details_pb2.RetryInfo(retry_delay=retry))
    packed = []
    for detail in details:
        packed.append(any_pb2.Any())
        packed[-1].Pack(detail)
    return status_pb2.Status(code=code_of(error).value[0], message=_short(error.message), details=packed)


async def abort(context: Context, error: errors.HookpostError) -> None:
    """Ends the call with the error. Always raises."""
    status = rpc_status.to_status(to_status(error))
    await context.abort(status.code, status.details, status.trailing_metadata)


def to_stream_error(error: errors.HookpostError) -> event_service_pb2.EmitEventError:
    """The same error as one result within a stream."""
    answer = event_service_pb2.EmitEventError(
        code=code_of(error).value[0],
        message=_short(error.message),
        reason=error_reason_pb2.ErrorReason.Value(f"ERROR_REASON_{error.reason}"),
    )
    if isinstance(error, errors.BacklogFull | errors.Unavailable):
        answer.retry_delay.FromTimedelta(timedelta(seconds=error.retry_delay))
    return answer


def _short(message: str) -> str:
    room = MAX_MESSAGE
    for position, character in enumerate(message):
        room -= 1 if character.isascii() else 3 * len(character.encode())  # percent-encoded
        if room < 0:
            return message[:position]
    return message
