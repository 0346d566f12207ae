"""Events as a caller gives them, and as they go over the wire."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hookpost.v1 import event_service_pb2

Payload = Mapping[str, Any] | str | bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event to emit.

    `payload`: a JSON object. A mapping is written compactly; text or bytes go out exactly as they are. At most 256 KiB.
    `idempotency_key`: 1 to 255 printable characters; made if not given, once for each call, so that its retries
    can't accept the event twice. Give your own (an order's id) to be safe against a crash of the caller too.
    `occur_time`: when it happened, with its time zone; by default when it is accepted.
    """

    type: str
    payload: Payload
    tenant_id: str = ""
    idempotency_key: str = ""
    occur_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Emitted:
    """An event that the server has committed."""

    event_id: str
    delivery_count: int  # webhooks that it goes to
    duplicate: bool  # the key was known: this is what the first call was answered


def request_of(event: Event) -> event_service_pb2.EmitEventRequest:
    """Raises ValueError for a payload that is no JSON, or a time without its zone."""
    request = event_service_pb2.EmitEventRequest(
        type=event.type,
        tenant_id=event.tenant_id,
        json=_json(event.payload),
        idempotency_key=event.idempotency_key or uuid.uuid4().hex,
    )
    if event.occur_time is not None:
        if event.occur_time.tzinfo is None:
            raise ValueError("occur_time must have a time zone: datetime.now(UTC)")
        request.occur_time.FromDatetime(event.occur_time)
    return request


def emitted(response: event_service_pb2.EmitEventResponse) -> Emitted:
    """What callers see of a response."""
    return Emitted(response.event_id, response.delivery_count, response.duplicate)


def _json(payload: Payload) -> str:
    if isinstance(payload, bytes):
        return payload.decode()
    if isinstance(payload, str):
        return payload
    return json.dumps(payload, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
