"""hookpost.v1.DeliveryService."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

from hookpost.v1 import delivery_service_pb2, delivery_service_pb2_grpc

from ..actions.sent import SentRequests
from ..actions.watching import Watches
from ..domain import event, ids
from ..domain.delivery import Result, State
from ..domain.explain import explain_wait
from ..store.delivery_log import DeliveryLog, Filter
from ..store.missed import Missed
from ..store.replays import Replays
from ..store.webhooks import Webhooks
from . import bounds, convert, fields, paging, watching
from .context import Context
from .event_service import FIRST, LAST, time_range
from .times import timestamp_of

MIN_RATE, MAX_RATE, DEFAULT_RATE = 0.1, 1000.0, 20.0  # deliveries of a replay made due a second
DEFAULT_RANGE = 24 * 3600.0  # seconds


class DeliveryService(delivery_service_pb2_grpc.DeliveryServiceServicer):
    """The comments in delivery_service.proto say what each call promises."""

    def __init__(
        self,
        deliveries: DeliveryLog,
        webhooks: Webhooks,
        replays: Replays,
        sent: SentRequests,
        watches: Watches,
        *,
        now: Callable[[], float],
        wake: Callable[[], None],
        held_for: Callable[[UUID], float | None],
    ) -> None:
        """`wake` tells the engine that deliveries have become due.

        `held_for` answers for how many seconds a webhook's deliveries are held back here; None: they are not.
        """
        self._deliveries = deliveries
        self._webhooks = webhooks
        self._replays = replays
        self._sent = sent
        self._watches = watches
        self._now = now
        self._wake = wake
        self._held_for = held_for

    async def GetDelivery(
        self, request: delivery_service_pb2.GetDeliveryRequest, context: Context
    ) -> delivery_service_pb2.GetDeliveryResponse:
        found = await self._deliveries.get(*fields.named(ids.DELIVERY, request, "delivery_id"))
        message = convert.delivery(found)
        message.explanation = explain_wait(found, self._held_for(found.webhook_id))
        if request.include_requests:
            for attempt, sent in zip(message.attempts, await self._sent.of(found), strict=True):
                if sent is not None:
                    attempt.request.CopyFrom(convert.sent_request(sent))
        bounds.fit(reversed(message.attempts))
        return delivery_service_pb2.GetDeliveryResponse(delivery=message)

    async def ListDeliveries(
        self, request: delivery_service_pb2.ListDeliveriesRequest, context: Context
    ) -> delivery_service_pb2.ListDeliveriesResponse:
        with fields.Faults() as faults:
            tenant_id = faults.read("", fields.tenant, request)
            size = faults.read(0, paging.size, request)
            filter = self._filter(request, faults)
            if (start := faults.read(None, paging.id_position, request)) is not None:
                filter = replace(filter, before=start)
        found, following = await self._deliveries.list(tenant_id, filter, limit=size)
        return delivery_service_pb2.ListDeliveriesResponse(
            deliveries=[convert.delivery(each) for each in found],
            next_page_token="" if following is None else paging.token(request, following.bytes),
        )

    async def RedeliverDelivery(
        self, request: delivery_service_pb2.RedeliverDeliveryRequest, context: Context
    ) -> delivery_service_pb2.RedeliverDeliveryResponse:
        found = await self._replays.redeliver(*fields.named(ids.DELIVERY, request, "delivery_id"))
        self._wake()
        return delivery_service_pb2.RedeliverDeliveryResponse(delivery=convert.delivery(found))

    async def ReplayDeliveries(
        self, request: delivery_service_pb2.ReplayDeliveriesRequest, context: Context
    ) -> delivery_service_pb2.ReplayDeliveriesResponse:
        with fields.Faults() as faults:
            tenant_id = faults.read("", fields.tenant, request)
            filter = self._filter(request, faults)
            given = request.filter
            if not (given.webhook_id or given.event_id or given.replay_id):
                faults.note("filter.webhook_id", "is required, or filter.event_id, or filter.replay_id")
            if State.PENDING in filter.states:
                faults.note("filter.states", "must not have PENDING: it is being tried already")
            if request.include_missed and not filter.webhook_id:
                faults.note("filter.webhook_id", "is required with include_missed")
            if request.include_missed and given.replay_id:
                faults.note("filter.replay_id", "is not for include_missed: a replay has missed nothing")
            if request.rate and not MIN_RATE <= request.rate <= MAX_RATE:
                faults.note("rate", f"must be from {MIN_RATE:g} to {MAX_RATE:g} a second, or 0 for {DEFAULT_RATE:g}")
        filter = replace(filter, states=filter.states or [State.FAILED])
        missed = await self._missed(tenant_id, filter) if request.include_missed else None
        if request.dry_run:
            total = await self._replays.count(tenant_id, filter, missed)
            return delivery_service_pb2.ReplayDeliveriesResponse(delivery_count=total)
        rate = request.rate or DEFAULT_RATE
        replay_id, total = await self._replays.replay(tenant_id, filter, missed, interval=1 / rate)
        if not total:
            return delivery_service_pb2.ReplayDeliveriesResponse()
        self._wake()
        return delivery_service_pb2.ReplayDeliveriesResponse(
            delivery_count=total,
            end_time=timestamp_of(self._now() + (total - 1) / rate),
            replay_id=ids.text(ids.REPLAY, replay_id),
        )

    async def _missed(self, tenant_id: str, filter: Filter) -> Missed | None:
        if filter.webhook_id is None:
            return None
        return Missed.of((await self._webhooks.get(tenant_id, filter.webhook_id)).settings.event_types)

    async def StopReplay(
        self, request: delivery_service_pb2.StopReplayRequest, context: Context
    ) -> delivery_service_pb2.StopReplayResponse:
        stopped = await self._replays.stop(*fields.named(ids.REPLAY, request, "replay_id"))
        return delivery_service_pb2.StopReplayResponse(stopped_count=stopped)

    async def WatchDeliveries(
        self, request: delivery_service_pb2.WatchDeliveriesRequest, context: Context
    ) -> AsyncIterator[delivery_service_pb2.WatchDeliveriesResponse]:
        with fields.Faults() as faults:
            tenant_id = faults.read("", fields.tenant, request)
            filter = self._filter(request, faults)
            for name in ("start_time", "end_time"):
                if request.filter.HasField(name):
                    faults.note(f"filter.{name}", "is not for watching")
            begin = faults.read(None, watching.place, request)
        async for changed, place in self._watches.changes(tenant_id, begin, filter):
            yield delivery_service_pb2.WatchDeliveriesResponse(
                delivery=None if changed is None else convert.delivery(changed),
                resume_token=watching.token(request, place),
            )

    def _filter(self, request: Any, faults: fields.Faults) -> Filter:
        given = request.filter
        webhook_id = event_id = replay_id = None
        if given.webhook_id:
            webhook_id = faults.read(None, fields.identity, ids.WEBHOOK, given.webhook_id, "filter.webhook_id")
        if given.event_id:
            event_id = faults.read(None, fields.identity, ids.EVENT, given.event_id, "filter.event_id")
        if given.replay_id:
            replay_id = faults.read(None, fields.identity, ids.REPLAY, given.replay_id, "filter.replay_id")
        if given.event_type:
            faults.note("filter.event_type", event.check_type(given.event_type))
        if any(not 1 <= status_class <= 5 for status_class in given.status_classes):
            faults.note("filter.status_classes", "must be from 1 to 5, e.g. 5 for 5xx")
        default_since = FIRST if event_id or replay_id else ids.first_of(self._now() - DEFAULT_RANGE)
        since, before = faults.read((FIRST, LAST), time_range, given, default_since, "filter.")
        return Filter(
            since=since,
            before=before,
            webhook_id=webhook_id,
            event_id=event_id,
            event_type=given.event_type,
            states=faults.read([], fields.numbers, State, given.states, "filter.states"),
            status_classes=list(given.status_classes),
            results=faults.read([], fields.numbers, Result, given.outcomes, "filter.outcomes"),
            replay_id=replay_id,
        )
