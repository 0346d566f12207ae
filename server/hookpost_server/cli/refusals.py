"""A gRPC error in a person's words: its message, every field's violation, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

import grpc
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from hookpost_server.cli.failures import ExitCode, Failure
from hookpost_server.domain.duration import rough

DOMAIN = "hookpost.v1"

_EXIT_CODES = {
    grpc.StatusCode.INVALID_ARGUMENT: ExitCode.USAGE,
    grpc.StatusCode.NOT_FOUND: ExitCode.NOT_FOUND,
    grpc.StatusCode.UNAUTHENTICATED: ExitCode.DENIED,
    grpc.StatusCode.PERMISSION_DENIED: ExitCode.DENIED,
    grpc.StatusCode.UNAVAILABLE: ExitCode.UNREACHABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: ExitCode.UNREACHABLE,
}
_BY_REASON = {
    "EVENT_TYPE_UNKNOWN": "hookpost types list shows all known types; hookpost types create adds one",
    "ETAG_MISMATCH": "somebody changed it in the meantime: get it again, then update with the new etag",
    "IDEMPOTENCY_KEY_REUSED": "the key belongs to event {event_id}; use another --key for another event",
    "REQUEST_ID_REUSED": "a request id may only be repeated with the same content",
    "NAME_TAKEN": "hookpost types update changes the one that exists",
    "DELIVERY_NOT_ENDED": "it is {state}; wait until it has succeeded or failed",
    "PAYLOAD_REMOVED": "HOOKPOST_BODY_RETENTION of the server says how long payloads are kept",
    "EVENT_TYPE_IN_USE": "built-in types stay; for others, first take the type out of the webhooks that name it",
    "TOKEN_EXPIRED": "begin anew without --resume; hookpost delivery list shows what happened in between",
    "UNAUTHENTICATED": "set HOOKPOST_API_KEY to a key of this server that works (hookpost key create makes one)",
    "SCOPE_MISSING": "hookpost key create --scope makes one that may; this key lacks {scope}",
    "TENANT_BOUND": "use a key of every tenant: hookpost key create --tenant '*'",
    "INTERNAL": "a fault of the server's; look for incident {incident} in its log",
    "NOT_SUPPORTED": "this server does not offer that call; is it older than this command?",
    "DEADLINE_EXCEEDED": "the server is too slow at the moment; try again",
}
_BY_CODE = {
    grpc.StatusCode.UNAVAILABLE: "is the server running? start it with: hookpost dev",
    grpc.StatusCode.DEADLINE_EXCEEDED: "nothing answered in time; is --address right?",
    grpc.StatusCode.UNIMPLEMENTED: "what answers there does not speak this part of hookpost.v1; is --address right?",
    grpc.StatusCode.UNAUTHENTICATED: _BY_REASON["UNAUTHENTICATED"],
}
_LISTS = {
    "webhook": "hookpost webhook list",
    "delivery": "hookpost delivery list",
    "event": "hookpost event list",
    "event_type": "hookpost types list",
}


@dataclass(slots=True)
class Details:
    """What google.rpc.Status says beside its code and message."""

    reason: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    violations: list[tuple[str, str]] = field(default_factory=list)
    resource_type: str = ""
    retry_delay: float = 0.0

    @classmethod
    def of(cls, status: status_pb2.Status | None) -> Details:
        details = cls()
        for packed in status.details if status else ():
            info = error_details_pb2.ErrorInfo()
            bad = error_details_pb2.BadRequest()
            resource = error_details_pb2.ResourceInfo()
            retry = error_details_pb2.RetryInfo()
            if packed.Unpack(info) and info.domain == DOMAIN:
                details.reason, details.metadata = info.reason, dict(info.metadata)
            elif packed.Unpack(bad):
                details.violations += [(v.field, v.description) for v in bad.field_violations]
            elif packed.Unpack(resource):
                details.resource_type = resource.resource_type
            elif packed.Unpack(retry):
                details.retry_delay = retry.retry_delay.ToTimedelta().total_seconds()
        return details


def to_failure(error: grpc.Call, address: str) -> Failure:
    """The error of a call to the server at `address`."""
    return explain(error.code(), error.details() or "", Details.of(_status(error)), address)


def retry_delay(error: grpc.Call) -> float:
    """Seconds after which the server wants to be asked again; 0 if it does not say."""
    return Details.of(_status(error)).retry_delay


def explain(code: grpc.StatusCode, message: str, details: Details, address: str) -> Failure:
    """Puts message, violations and hint together."""
    if details.violations:
        message = _violations(message, details.violations)
    elif not details.reason:
        message = _without_reason(code, message, address)
    hint = _hint(code, details)
    if code is grpc.StatusCode.UNAVAILABLE and not details.reason and address.startswith("https://"):
        hint = f"does it speak TLS? {hint}"
    return Failure(message, hint=hint, code=_EXIT_CODES.get(code, ExitCode.FAILED))


def _violations(message: str, violations: list[tuple[str, str]]) -> str:
    """Each on its own line; the message above them only if it says more than they do."""
    lines = [f"{name}: {text}" if name else text for name, text in violations]
    if all(text in message for _, text in violations):
        if len(lines) == 1:
            return lines[0]
        message = "the server refuses these values:"
    return "\n  ".join([message, *lines])


def _without_reason(code: grpc.StatusCode, message: str, address: str) -> str:
    """The library's own errors are written for its programmers."""
    if code is grpc.StatusCode.UNAVAILABLE:
        cause = message.rpartition(": ")[2]
        return f"can't reach a Hookpost server at {address}" + (f" ({cause})" if cause not in ("", "OK") else "")
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return f"the server at {address} did not answer in time"
    return f"{message or 'the server gave no message'} ({code.name}, {address})"


def _hint(code: grpc.StatusCode, details: Details) -> str:
    hints = []
    if details.reason == "RESOURCE_NOT_FOUND":
        kind = details.resource_type.lower().replace(" ", "_")
        if kind == "tenant":
            hints.append("the API key is bound to another tenant; name that one with --tenant or HOOKPOST_TENANT")
        elif kind in _LISTS:
            hints.append(f"{_LISTS[kind]} shows those that exist for this tenant")
    elif details.reason in _BY_REASON:
        hints.append(_BY_REASON[details.reason].format_map(_Known(details.metadata)))
    elif not details.reason and code in _BY_CODE:
        hints.append(_BY_CODE[code])
    if details.retry_delay:
        hints.append(f"try again in {rough(timedelta(seconds=details.retry_delay))}")
    return "; ".join(hints)


class _Known(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return f"({key} not given)"


def _status(error: grpc.Call) -> status_pb2.Status | None:
    try:
        return rpc_status.from_call(error)
    except (ValueError, TypeError, AttributeError):  # details that contradict the status, or none at all
        return None
