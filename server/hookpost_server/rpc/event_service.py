"""hookpost.v1.EventService: the door for events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from hookpost.v1 import event_service_pb2, event_service_pb2_grpc

from ..actions import dry_run
from ..actions.waiting import FirstAttempts
from ..domain import errors, event, ids
from ..domain.event import Event
from ..domain.trace import Spans
from ..store.delivery_log import DeliveryLog, Filter
from ..store.event_types import EventTypes
from ..store.events import Events
from ..store.group_commit import GroupCommit
from ..store.webhooks import Webhooks
from . import bounds, convert, fields, paging, tracing
from .budget import MAX_WAIT
from .context import Context
from .emit_stream import EmitStream, emit_response, not_for_many
from .intake import Intake
from .meter import Meter
from .times import from_duration

MAX_BATCH_BYTES = 32 * 1024 * 1024
MAX_PAGE_BYTES = 2 * 1024 * 1024  # of payloads in one page of events
LAST = UUID(int=2**128 - 1)
FIRST = UUID(int=0)


class EventService(event_service_pb2_grpc.EventServiceServicer):
    """The comments in event_service.proto say what each call promises."""

    def __init__(
        self,
        intake: Intake,
        group_commit: GroupCommit,
        events: Events,
        deliveries: DeliveryLog,
        webhooks: Webhooks,
        event_types: EventTypes,
        first_attempts: FirstAttempts,
        meter: Meter,
        spans: Spans,
    ) -> None:
        self._meter = meter
        self._spans = spans
        self._intake = intake
        self._webhooks = webhooks
        self._event_types = event_types
        self._first_attempts = first_attempts
        self._group_commit = group_commit
        self._events = events
        self._deliveries = deliveries
        self._streams: set[EmitStream] = set()

    def end_streams(self) -> None:
        """At shutdown: what was read is still answered, then each stream ends with UNAVAILABLE."""
        for stream in self._streams:
            stream.end(errors.ShuttingDown())

    async def EmitEvent(
        self, request: event_service_pb2.EmitEventRequest, context: Context
    ) -> event_service_pb2.EmitEventResponse:
        with self._spans("EmitEvent", tracing.given(context)) as traceparent:
            return await self._emit(request, traceparent)

    async def _emit(
        self, request: event_service_pb2.EmitEventRequest, traceparent: str | None
    ) -> event_service_pb2.EmitEventResponse:
        timeout = 0.0
        if request.HasField("wait"):
            timeout = from_duration(request.wait.timeout)
            if not 0 < timeout <= MAX_WAIT:
                raise errors.InvalidFields.one("wait.timeout", f"must be more than 0 s and at most {MAX_WAIT:g} s")
        accepted = await self._intake.event(request, enforce=not request.dry_run, traceparent=traceparent)
        if request.dry_run:
            return await self._dry_run(accepted)
        emitted = await self._group_commit.emit(accepted)
        answer = emit_response(emitted)
        if timeout:
            for delivery, attempt in await self._first_attempts.of(accepted.tenant_id, emitted.event_id, timeout):
                answer.deliveries.add(
                    delivery=convert.delivery(delivery),
                    attempt=None if attempt is None else convert.attempt(attempt),
                )
            bounds.fit(each.attempt for each in answer.deliveries if each.HasField("attempt"))
        return answer

    async def _dry_run(self, candidate: Event) -> event_service_pb2.EmitEventResponse:
        found = await dry_run.verdicts(self._webhooks, candidate)
        return event_service_pb2.EmitEventResponse(
            delivery_count=sum(verdict.matched for verdict in found),
            matches=[
                event_service_pb2.Match(
                    webhook_id=ids.text(ids.WEBHOOK, verdict.webhook.id),
                    webhook_name=verdict.webhook.settings.name,
                    matched=verdict.matched,
                    reason=verdict.reason,
                )
                for verdict in found
            ],
            schema_violations=await self._event_types.violations(candidate.type, candidate.payload),
        )

    async def BatchEmitEvents(
        self, request: event_service_pb2.BatchEmitEventsRequest, context: Context
    ) -> event_service_pb2.BatchEmitEventsResponse:
        with self._spans("BatchEmitEvents", tracing.given(context)) as traceparent:
            return await self._emit_batch(request, traceparent)

    async def _emit_batch(
        self, request: event_service_pb2.BatchEmitEventsRequest, traceparent: str | None
    ) -> event_service_pb2.BatchEmitEventsResponse:
        if request.ByteSize() > MAX_BATCH_BYTES:
            raise errors.LimitExceeded(f"a batch must be at most 32 MiB, this one is {request.ByteSize():,} bytes")
        with fields.Faults() as faults:
            tenant_id = faults.read("", fields.tenant, request)
            if not 1 <= (count := len(request.requests)) <= event.MAX_BATCH:
                faults.note("requests", f"must have 1 to {event.MAX_BATCH} entries, has {count:,}")
        accepted: list[Event] = []
        unknown: errors.EventTypeUnknown | None = None
        with fields.Faults() as faults:
            for index, each in enumerate(request.requests):
                prefix = f"requests[{index}]."
                for name in not_for_many(each):
                    faults.note(prefix + name, "is not for batches")
                try:
                    accepted.append(
                        await self._intake.event(each, tenant_id=tenant_id, prefix=prefix, traceparent=traceparent)
                    )
                except errors.InvalidFields as error:
                    faults.found += error.violations
                except errors.EventTypeUnknown as error:
                    unknown = unknown or error
        if unknown:
            raise unknown
        results = await self._group_commit.emit_all(accepted)
        return event_service_pb2.BatchEmitEventsResponse(responses=[emit_response(result) for result in results])

    async def StreamEmitEvents(
        self, request_iterator: AsyncIterator[event_service_pb2.StreamEmitEventsRequest], context: Any
    ) -> AsyncIterator[event_service_pb2.StreamEmitEventsResponse]:
        stream = EmitStream(self._intake, self._group_commit, self._meter)
        self._streams.add(stream)
        try:
            async with asyncio.TaskGroup() as group:
                reader = group.create_task(stream.read(request_iterator))
                try:
                    async for results in stream.results():
                        yield event_service_pb2.StreamEmitEventsResponse(results=results)
                except GeneratorExit:
                    # The caller has gone. A task group would wrap this in a group of exceptions, which closes nothing.
                    stream.broken = None
                reader.cancel()  # no more is read when the stream was ended here
        finally:
            self._streams.discard(stream)
        if stream.broken is not None:
            raise stream.broken

    async def GetEvent(
        self, request: event_service_pb2.GetEventRequest, context: Context
    ) -> event_service_pb2.GetEventResponse:
        tenant_id, event_id = fields.named(ids.EVENT, request, "event_id")
        found = await self._events.get(tenant_id, event_id)
        filter = Filter(since=FIRST, before=LAST, event_id=event_id)
        deliveries, _ = await self._deliveries.list(tenant_id, filter, limit=paging.MAX_SIZE)
        return event_service_pb2.GetEventResponse(
            event=convert.event(found), deliveries=[convert.delivery(each) for each in deliveries]
        )

    async def ListEvents(
        self, request: event_service_pb2.ListEventsRequest, context: Context
    ) -> event_service_pb2.ListEventsResponse:
        with fields.Faults() as faults:
            tenant_id = faults.read("", fields.tenant, request)
            size = faults.read(0, paging.size, request)
            since, before = faults.read((FIRST, LAST), time_range, request, FIRST, "")
            before = faults.read(None, paging.id_position, request) or before
            if request.event_type:
                faults.note("event_type", event.check_type(request.event_type))
        found, following = await self._events.list(
            tenant_id, since=since, before=before, event_type=request.event_type, limit=size
        )
        page: list[Event] = []
        length = 0
        for each in found:
            length += len(each.payload)
            if page and length > MAX_PAGE_BYTES:
                following = page[-1].id
                break
            page.append(each)
        return event_service_pb2.ListEventsResponse(
            events=[convert.event(each) for each in page],
            next_page_token="" if following is None else paging.token(request, following.bytes),
        )


def time_range(request: Any, default_since: UUID, prefix: str) -> tuple[UUID, UUID]:
    """`start_time` and `end_time` as bounds of ids. Raises InvalidFields."""
    bounds = {"start_time": default_since, "end_time": LAST}
    for name in bounds:
        if request.HasField(name):
            bounds[name] = ids.first_of(fields.moment(getattr(request, name), prefix + name).timestamp())
    if bounds["start_time"] > bounds["end_time"]:
        begin = "start_time" if request.HasField("start_time") else "start_time, by default 24 h ago: give both"
        raise errors.InvalidFields.one(f"{prefix}end_time", f"must not be before {begin}")
    return bounds["start_time"], bounds["end_time"]
