"""Resume tokens of WatchDeliveries: a place in the change feed, bound to the watch it came from."""

from __future__ import annotations

from uuid import UUID

from hookpost.v1 import delivery_service_pb2

from ..domain import errors
from ..store.changes import Place
from . import paging


def token(request: delivery_service_pb2.WatchDeliveriesRequest, place: Place) -> str:
    """Continues this watch after a place."""
    last = place.position.to_bytes(8, "big")
    if place.end:
        last += place.end.to_bytes(8, "big") + place.after.bytes
    return paging.token(_bound(request), last)


def place(request: delivery_service_pb2.WatchDeliveriesRequest) -> Place | None:
    """Where the watch goes on; None: from now on. Raises InvalidFields for a token of another watch."""
    if not request.resume_token:
        return None
    bound = _bound(request)
    bound.page_token = request.resume_token
    try:
        last = paging.position(bound) or b""
    except errors.InvalidFields:
        last = b""
    position, end = int.from_bytes(last[:8], "big"), int.from_bytes(last[8:16], "big")
    if len(last) == 8:
        return Place(position)
    if len(last) == 32 and position < end:
        return Place(position, end, UUID(bytes=last[16:]))
    raise errors.InvalidFields.one(
        "resume_token", "is not a resume_token of this call with these other fields; begin without one"
    )


def _bound(request: delivery_service_pb2.WatchDeliveriesRequest) -> delivery_service_pb2.ListDeliveriesRequest:
    """What a token is bound to: tenant and filter, as for a list."""
    return delivery_service_pb2.ListDeliveriesRequest(tenant_id=request.tenant_id, filter=request.filter)
