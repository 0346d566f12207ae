"""hookpost.v1.DeliveryService."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from hookpost.v1 import delivery_service_pb2, delivery_service_pb2_grpc

from ..domain import errors, event, ids
from ..domain.delivery import Result, State
from ..store.deliveries import Deliveries, Filter
from . import convert, fields, paging
from .context import Context
from .event_service import FIRST, LAST, time_range

DEFAULT_RANGE = 24 * 3600.0  # seconds


class DeliveryService(delivery_service_pb2_grpc.DeliveryServiceServicer):
    """The comments in delivery_service.proto say what each call promises."""

    def __init__(self, deliveries: Deliveries, now: Callable[[], float]) -> None:
        self._deliveries = deliveries
        self._now = now

    async def GetDelivery(
        self, request: delivery_service_pb2.GetDeliveryRequest, context: Context
    ) -> delivery_service_pb2.GetDeliveryResponse:
        found = await self._deliveries.get(*fields.named(ids.DELIVERY, request, "delivery_id"))
        return delivery_service_pb2.GetDeliveryResponse(delivery=convert.delivery(found))

    async def ListDeliveries(
        self, request: delivery_service_pb2.ListDeliveriesRequest, context: Context
    ) -> delivery_service_pb2.ListDeliveriesResponse:
        with fields.Faults() as faults:
            tenant_id = faults.read("", fields.tenant, request)
            size = faults.read(0, paging.size, request)
            filter = self._filter(request, faults)
        found, following = await self._deliveries.list(tenant_id, filter, limit=size)
        return delivery_service_pb2.ListDeliveriesResponse(
            deliveries=[convert.delivery(each) for each in found],
            next_page_token="" if following is None else paging.token(request, following.bytes),
        )

    async def RedeliverDelivery(
        self, request: delivery_service_pb2.RedeliverDeliveryRequest, context: Context
    ) -> delivery_service_pb2.RedeliverDeliveryResponse:
        raise errors.not_yet("RedeliverDelivery")

    async def ReplayDeliveries(
        self, request: delivery_service_pb2.ReplayDeliveriesRequest, context: Context
    ) -> delivery_service_pb2.ReplayDeliveriesResponse:
        raise errors.not_yet("ReplayDeliveries")

    async def WatchDeliveries(
        self, request: delivery_service_pb2.WatchDeliveriesRequest, context: Context
    ) -> AsyncIterator[delivery_service_pb2.WatchDeliveriesResponse]:
        for _ in (request,):
            raise errors.not_yet("WatchDeliveries")
        yield delivery_service_pb2.WatchDeliveriesResponse()

    def _filter(self, request: delivery_service_pb2.ListDeliveriesRequest, faults: fields.Faults) -> Filter:
        given = request.filter
        webhook_id = event_id = None
        if given.webhook_id:
            webhook_id = faults.read(None, fields.identity, ids.WEBHOOK, given.webhook_id, "filter.webhook_id")
        if given.event_id:
            event_id = faults.read(None, fields.identity, ids.EVENT, given.event_id, "filter.event_id")
        if given.event_type:
            faults.note("filter.event_type", event.check_type(given.event_type))
        if any(not 1 <= status_class <= 5 for status_class in given.status_classes):
            faults.note("filter.status_classes", "must be from 1 to 5, e.g. 5 for 5xx")
        default_since = FIRST if event_id else ids.first_of(self._now() - DEFAULT_RANGE)
        since, before = faults.read((FIRST, LAST), time_range, given, default_since, "filter.")
        return Filter(
            since=since,
            before=faults.read(None, paging.id_position, request) or before,
            webhook_id=webhook_id,
            event_id=event_id,
            event_type=given.event_type,
            states=faults.read([], fields.numbers, State, given.states, "filter.states"),
            status_classes=list(given.status_classes),
            results=faults.read([], fields.numbers, Result, given.outcomes, "filter.outcomes"),
        )
