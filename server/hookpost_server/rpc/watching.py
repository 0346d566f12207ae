"""Resume tokens of WatchDeliveries: a position in the change feed, bound to the watch it came from."""

from __future__ import annotations

from hookpost.v1 import delivery_service_pb2

from ..domain import errors
from . import paging


def token(request: delivery_service_pb2.WatchDeliveriesRequest, position: int) -> str:
    """Continues this watch after a position."""
    return paging.token(_bound(request), position.to_bytes(8, "big"))


def position(request: delivery_service_pb2.WatchDeliveriesRequest) -> int | None:
    """Where the watch goes on; None: from now on. Raises InvalidFields for a token of another watch."""
    if not request.resume_token:
        return None
    bound = _bound(request)
    bound.page_token = request.resume_token
    try:
        last = paging.position(bound)
    except errors.InvalidFields:
        last = None
    if last is None or len(last) != 8:
        raise errors.InvalidFields.one(
            "resume_token", "is not a resume_token of this call with these other fields; begin without one"
        )
    return int.from_bytes(last, "big")


def _bound(request: delivery_service_pb2.WatchDeliveriesRequest) -> delivery_service_pb2.ListDeliveriesRequest:
    """What a token is bound to: tenant and filter, as for a list."""
    return delivery_service_pb2.ListDeliveriesRequest(tenant_id=request.tenant_id, filter=request.filter)
