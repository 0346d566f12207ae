"""The domain's types as messages, and webhooks back."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from google.protobuf import duration_pb2, timestamp_pb2

from hookpost.v1 import delivery_pb2, event_pb2, event_type_pb2, webhook_pb2

from ..domain import envelope, errors, headers, ids, retry
from ..domain.delivery import Attempt, Delivery, State
from ..domain.errors import Violation
from ..domain.event import Event
from ..domain.event_type import EventType
from ..domain.explain import explain, following
from ..domain.health import Health, Point
from ..domain.request import Request
from ..domain.signing import SigningKey
from ..domain.webhook import Webhook
from .times import from_duration, timestamp_of, to_duration, to_timestamp

MAX_BODY_TEXT = 96 * 1024  # bytes of one response body in an answer
WEBHOOK_SETTABLE = (
    "name",
    "url",
    "event_types",
    "headers",
    "retry_policy",
    "timeout",
    "payload_format",
    "max_in_flight",
    "rate_limit",
    "labels",
)
EVENT_TYPE_SETTABLE = ("group", "description", "json_schema", "example", "enforce_schema", "deprecated")


def webhook(found: Webhook) -> webhook_pb2.Webhook:
    settings = found.settings
    return webhook_pb2.Webhook(
        id=ids.text(ids.WEBHOOK, found.id),
        tenant_id=found.tenant_id,
        name=settings.name,
        url=settings.url,
        event_types=settings.event_types,
        headers=headers.shown(settings.headers),
        state=webhook_pb2.WebhookState.ValueType(found.state),
        state_reason=found.state_reason,
        retry_policy=webhook_pb2.RetryPolicy(
            schedule=webhook_pb2.RetrySchedule.ValueType(settings.retry_policy.schedule),
            delays=[to_duration(delay) for delay in settings.retry_policy.delays],
            jitter=settings.retry_policy.jitter,
        ),
        timeout=to_duration(settings.timeout),
        payload_format=webhook_pb2.PayloadFormat.ValueType(settings.payload_format),
        max_in_flight=settings.max_in_flight,
        rate_limit=settings.rate_limit,
        labels=settings.labels,
        signing_keys=[signing_key(key) for key in found.keys],
        create_time=to_timestamp(found.create_time),
        update_time=to_timestamp(found.update_time),
        etag=found.etag,
    )


def signing_key(key: SigningKey) -> webhook_pb2.SigningKey:
    return webhook_pb2.SigningKey(
        id=ids.text(ids.KEY, key.id),
        create_time=to_timestamp(key.create_time),
        expire_time=None if key.expire_time is None else to_timestamp(key.expire_time),
    )


def webhook_settings(message: webhook_pb2.Webhook, names: Collection[str]) -> tuple[dict[str, Any], list[Violation]]:
    """The named fields as the domain's settings, None for one that is not set; and what can't be read at all."""
    given: dict[str, Any] = {}
    faults: list[Violation] = []
    for name in names:
        match name:
            case "event_types":
                given[name] = tuple(message.event_types)
            case "headers" | "labels":
                given[name] = dict(getattr(message, name))
            case "retry_policy":
                try:
                    given[name] = _retry_policy(message)
                except errors.InvalidFields as error:
                    faults += error.violations
            case "timeout":
                given[name] = from_duration(message.timeout) if message.HasField("timeout") else None
            case "payload_format":
                try:
                    given[name] = envelope.Format(message.payload_format) if message.payload_format else None
                except ValueError:
                    faults.append(Violation("webhook.payload_format", "must be FLAT, STANDARD, CLOUDEVENTS or RAW"))
            case "max_in_flight":
                given[name] = message.max_in_flight or None
            case _:
                given[name] = getattr(message, name)
    return given, faults


def _retry_policy(message: webhook_pb2.Webhook) -> retry.RetryPolicy | None:
    if not message.HasField("retry_policy"):
        return None
    policy = message.retry_policy
    try:
        schedule = retry.Schedule(policy.schedule) if policy.schedule else None
    except ValueError:
        raise errors.InvalidFields.one("webhook.retry_policy.schedule", "is not a known schedule") from None
    delays = [from_duration(delay) for delay in policy.delays]
    jitter = policy.jitter if policy.HasField("jitter") else None
    return retry.policy(schedule, delays, jitter, "webhook.retry_policy")


def event(found: Event) -> event_pb2.Event:
    return event_pb2.Event(
        id=ids.text(ids.EVENT, found.id),
        tenant_id=found.tenant_id,
        type=found.type,
        json=found.payload.decode(),
        occur_time=to_timestamp(found.occur_time),
        create_time=timestamp_of(ids.seconds_of(found.id)),
        idempotency_key=found.idempotency_key or "",
        payload_removed=found.payload_removed,
    )


def event_type(found: EventType) -> event_type_pb2.EventType:
    return event_type_pb2.EventType(
        name=found.name,
        group=found.group,
        description=found.description,
        json_schema=found.json_schema,
        example=found.example,
        enforce_schema=found.enforce_schema,
        deprecated=found.deprecated,
        built_in=found.built_in,
        create_time=None if found.create_time is None else to_timestamp(found.create_time),
        update_time=None if found.update_time is None else to_timestamp(found.update_time),
        etag=found.etag,
    )


def health(found: Health) -> webhook_pb2.WebhookHealth:
    def span(seconds: float | None) -> duration_pb2.Duration | None:
        return None if seconds is None else to_duration(seconds)

    def stamp(moment: datetime | None) -> timestamp_pb2.Timestamp | None:
        return None if moment is None else to_timestamp(moment)

    return webhook_pb2.WebhookHealth(
        window=to_duration(found.window),
        request_count=found.requests,
        success_count=found.succeeded,
        success_rate=found.success_rate,
        attempt_count=found.attempts,
        latency_p50=span(found.percentile(0.5)),
        latency_p95=span(found.percentile(0.95)),
        consecutive_failure_count=found.consecutive_failures,
        last_success_time=stamp(found.last_success_time),
        last_failure_time=stamp(found.last_failure_time),
        oldest_pending_time=stamp(found.oldest_pending_time),
    )


def health_point(point: Point) -> webhook_pb2.HealthPoint:
    return webhook_pb2.HealthPoint(
        start_time=to_timestamp(point.start),
        success_count=point.succeeded,
        failure_count=point.failed,
        attempt_count=point.attempts,
    )


def delivery(found: Delivery) -> delivery_pb2.Delivery:
    return delivery_pb2.Delivery(
        id=ids.text(ids.DELIVERY, found.id),
        tenant_id=found.tenant_id,
        event_id=ids.text(ids.EVENT, found.event_id),
        event_type=found.event_type,
        webhook_id=ids.text(ids.WEBHOOK, found.webhook_id),
        state=delivery_pb2.DeliveryState.ValueType(found.state),
        attempt_count=found.attempt_count,
        last_outcome=delivery_pb2.AttemptOutcome.ValueType(found.last_result or 0),
        last_status_code=found.last_status,
        next_attempt_time=to_timestamp(found.due_time) if found.state is State.PENDING else None,
        create_time=timestamp_of(ids.seconds_of(found.event_id)),
        finish_time=None if found.finish_time is None else to_timestamp(found.finish_time),
        attempts=[
            attempt(each, following(found, last=index == len(found.attempts)))
            for index, each in enumerate(found.attempts, start=1)
        ],
    )


def attempt(found: Attempt, following: str = "") -> delivery_pb2.Attempt:
    body, cut = _text(found.body)
    return delivery_pb2.Attempt(
        number=found.number,
        trigger=delivery_pb2.AttemptTrigger.ValueType(found.trigger),
        outcome=delivery_pb2.AttemptOutcome.ValueType(found.result),
        status_code=found.status,
        error_message=found.error,
        url=found.url,
        start_time=to_timestamp(found.start_time),
        latency=to_duration(found.latency),
        response_headers=[delivery_pb2.Header(name=name, value=value) for name, value in found.headers],
        response_body=body,
        response_body_truncated=found.truncated or cut,
        explanation=explain(found, following),
        response_removed=found.removed,
    )


def sent_request(request: Request) -> delivery_pb2.SentRequest:
    return delivery_pb2.SentRequest(
        method="POST",
        url=request.url,
        headers=[delivery_pb2.Header(name=name.lower(), value=value) for name, value in request.headers],
        body=request.body.decode(),
    )


def _text(body: bytes) -> tuple[str, bool]:
    """A body as text, and whether it had to be cut: U+FFFD makes bytes longer, and an answer must stay below 4 MiB."""
    text = body.decode("utf-8", "replace")
    encoded = text.encode()
    if len(encoded) <= MAX_BODY_TEXT:
        return text, False
    return encoded[:MAX_BODY_TEXT].decode("utf-8", "ignore"), True
