"""gRPC errors as people read them."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from hookpost_server.cli.failures import ExitCode
from hookpost_server.cli.refusals import Details, explain

CODES = grpc.StatusCode
AT = "127.0.0.1:50051"


def details(*messages: Message) -> Details:
    status = status_pb2.Status()
    for message in messages:
        packed = Any()
        packed.Pack(message)
        status.details.append(packed)
    return Details.of(status)


def info(reason: str, **metadata: str) -> error_details_pb2.ErrorInfo:
    return error_details_pb2.ErrorInfo(reason=reason, domain="hookpost.v1", metadata=metadata)


def bad(*violations: tuple[str, str]) -> error_details_pb2.BadRequest:
    return error_details_pb2.BadRequest(
        field_violations=[
            error_details_pb2.BadRequest.FieldViolation(field=field, description=text) for field, text in violations
        ]
    )


def test_each_violation_has_its_line() -> None:
    found = details(info("FIELD_INVALID"), bad(("webhook.name", "is required"), ("webhook.url", "must be https")))
    failure = explain(CODES.INVALID_ARGUMENT, "webhook.name: is required; webhook.url: must be https", found, AT)
    assert failure.message == (
        "the server refuses these values:\n  webhook.name: is required\n  webhook.url: must be https"
    )
    assert failure.code is ExitCode.USAGE


def test_a_single_violation_is_the_message() -> None:
    found = details(info("FIELD_INVALID"), bad(("webhook.url", "must be https")))
    assert explain(CODES.INVALID_ARGUMENT, "webhook.url: must be https", found, AT).message == (
        "webhook.url: must be https"
    )


def test_a_message_that_says_more_stays() -> None:
    found = details(info("FIELD_INVALID"), bad(("json", "not JSON")))
    assert explain(CODES.INVALID_ARGUMENT, "the event is refused", found, AT).message == (
        "the event is refused\n  json: not JSON"
    )


@pytest.mark.parametrize(
    ("code", "found", "exit_code", "hint"),
    [
        (
            CODES.NOT_FOUND,
            details(info("EVENT_TYPE_UNKNOWN", nearest="A,B")),
            ExitCode.NOT_FOUND,
            "hookpost types list",
        ),
        (
            CODES.NOT_FOUND,
            details(info("RESOURCE_NOT_FOUND"), error_details_pb2.ResourceInfo(resource_type="event type")),
            ExitCode.NOT_FOUND,
            "hookpost types list",
        ),
        (
            CODES.NOT_FOUND,
            details(info("RESOURCE_NOT_FOUND"), error_details_pb2.ResourceInfo(resource_type="webhook")),
            ExitCode.NOT_FOUND,
            "hookpost webhook list",
        ),
        (
            CODES.NOT_FOUND,
            details(info("RESOURCE_NOT_FOUND"), error_details_pb2.ResourceInfo(resource_type="tenant")),
            ExitCode.NOT_FOUND,
            "HOOKPOST_TENANT",
        ),
        (CODES.PERMISSION_DENIED, details(info("TENANT_BOUND", tenant_id="a")), ExitCode.DENIED, "--tenant '*'"),
        (CODES.ABORTED, details(info("ETAG_MISMATCH", etag="2")), ExitCode.FAILED, "etag"),
        (
            CODES.ALREADY_EXISTS,
            details(info("IDEMPOTENCY_KEY_REUSED", idempotency_key="k", event_id="evt_1")),
            ExitCode.FAILED,
            "evt_1",
        ),
        (
            CODES.RESOURCE_EXHAUSTED,
            details(info("BACKLOG_FULL"), error_details_pb2.RetryInfo(retry_delay=Duration(seconds=2))),
            ExitCode.FAILED,
            "try again in 2.0 s",
        ),
        (CODES.UNAUTHENTICATED, details(info("UNAUTHENTICATED")), ExitCode.DENIED, "HOOKPOST_API_KEY"),
        (CODES.PERMISSION_DENIED, details(info("SCOPE_MISSING", scope="READ")), ExitCode.DENIED, "READ"),
        (CODES.INTERNAL, details(info("INTERNAL", incident="42")), ExitCode.FAILED, "incident 42"),
        (CODES.INTERNAL, details(info("INTERNAL")), ExitCode.FAILED, "(incident not given)"),
        (CODES.UNIMPLEMENTED, details(), ExitCode.FAILED, "--address"),
        (CODES.UNAVAILABLE, details(), ExitCode.UNREACHABLE, "start it with: hookpost dev"),
        (CODES.DEADLINE_EXCEEDED, details(), ExitCode.UNREACHABLE, "--address"),
    ],
)
def test_hints_and_exit_codes(code: grpc.StatusCode, found: Details, exit_code: ExitCode, hint: str) -> None:
    failure = explain(code, "what happened", found, AT)
    assert failure.code is exit_code
    assert hint in failure.hint


def test_an_unreachable_server_is_named_with_its_cause() -> None:
    text = (
        "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:1: connect: Connection refused (111)"
    )
    failure = explain(CODES.UNAVAILABLE, text, Details(), AT)
    assert failure.message == f"can't reach a Hookpost server at {AT} (Connection refused (111))"


def test_another_domains_reason_is_not_ours() -> None:
    foreign = error_details_pb2.ErrorInfo(reason="INTERNAL", domain="googleapis.com")
    assert details(foreign).reason == ""
