"""Emit requests as events: the checks at the door, and the same for unary, batch and stream."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from hookpost.v1 import event_service_pb2

from ..domain import errors, event, ids, payload
from ..domain.errors import Violation
from ..domain.event import Event
from ..store.event_types import KnownTypes
from . import struct_json
from .times import from_timestamp


class Intake:
    """Turns requests into events, or raises what is wrong with them."""

    def __init__(self, known_types: KnownTypes, now: Callable[[], float]) -> None:
        self._known_types = known_types
        self._now = now

    async def event(
        self,
        request: event_service_pb2.EmitEventRequest,
        *,
        tenant_id: str | None = None,
        prefix: str = "",
        enforce: bool = True,
        traceparent: str | None = None,
    ) -> Event:
        """Raises InvalidFields with paths below `prefix`, or EventTypeUnknown. `tenant_id`: the batch's.

        Without `enforce`, a payload may break its type's schema: a dry run tells instead of refusing.
        """
        faults: list[Violation] = []
        tenant = request.tenant_id or tenant_id or event.DEFAULT_TENANT
        if fault := event.check_tenant(tenant):
            faults.append(Violation(f"{prefix}tenant_id", fault))
        elif tenant_id is not None and tenant != tenant_id:
            faults.append(Violation(f"{prefix}tenant_id", f'must be empty or the batch\'s, "{tenant_id}"'))
        name = request.type
        if not name:
            faults.append(Violation(f"{prefix}type", "is required"))
        elif fault := event.check_emitted_type(name):
            faults.append(Violation(f"{prefix}type", fault))
        data = b""
        given = request.WhichOneof("payload")
        try:
            data = _payload(request, given)
        except payload.PayloadError as error:
            faults.append(Violation(f"{prefix}{given or 'json'}", str(error)))
        occur_time = None
        if request.HasField("occur_time"):
            try:
                occur_time = from_timestamp(request.occur_time)
            except ValueError as error:
                faults.append(Violation(f"{prefix}occur_time", str(error)))
        key = request.idempotency_key
        if key and (fault := event.check_idempotency_key(key)):
            faults.append(Violation(f"{prefix}idempotency_key", fault))
        if faults:
            raise errors.InvalidFields(faults)
        if not self._known_types.sure_of(name):
            await self._known_types.require(name)
        if enforce and (enforced := self._known_types.enforced_schema(name)):
            field = f"{prefix}{given}"
            if broken := enforced.violations(data):
                raise errors.InvalidFields(Violation(field, f"does not fit the schema: {each}") for each in broken)
        now = self._now()
        return Event(
            id=ids.new(now),
            tenant_id=tenant,
            type=name,
            payload=data,
            occur_time=occur_time or datetime.fromtimestamp(now, UTC),
            idempotency_key=key or None,
            fingerprint=event.fingerprint(name, data, occur_time) if key else b"",
            traceparent=traceparent,
        )


def _payload(request: event_service_pb2.EmitEventRequest, given: str | None) -> bytes:
    match given:
        case "json":
            data = request.json.encode()
        case "data":
            data = struct_json.dumps(request.data)
        case _:
            raise payload.PayloadError(
                "is required: a JSON object as `json` or as `data`; {} if there is nothing to say"
            )
    payload.check(data)
    return data
