"""The list of events: what happened, and to how many webhooks it went."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from aiohttp import web

from ...domain import ids
from ...domain.event import Event
from ...store.fan_out import FanOut
from ..request_filter import RANGES, RequestFilter
from ..route import get
from ..visit import Visit

SIZE = 25  # rows of a page


@dataclass(frozen=True, slots=True)
class Row:
    """One event."""

    event: Event
    id: str
    create_time: datetime
    fan_out: FanOut


async def show(visit: Visit) -> web.Response:
    """Newest first."""
    chosen = RequestFilter.read(visit.query, visit.parts.now())
    since, before = _bounds(chosen)
    first_page = True
    try:
        before = min(before, ids.parse(ids.EVENT, visit.query.get("before", "")))
        first_page = False
    except ValueError:
        pass
    found, following = await visit.parts.events.list(
        visit.tenant_id, since=since, before=before, event_type=chosen.given["event"], limit=SIZE
    )
    fan_outs = await visit.parts.records.fan_outs.of(visit.tenant_id, [each.id for each in found])
    return visit.page(
        "events.html",
        chosen=chosen,
        rows=[Row(each, ids.text(ids.EVENT, each.id), ids.time_of(each.id), fan_outs[each.id]) for each in found],
        older="" if following is None else ids.text(ids.EVENT, following),
        first_page=first_page,
        ranges=[*RANGES, "all", "custom"],
        types=list(await visit.parts.event_types.examples()),
    )


def _bounds(chosen: RequestFilter) -> tuple[UUID, UUID]:
    """An event has its own id, and its deliveries' ids begin like it."""
    filter = chosen.filter
    if filter.event_id is not None:
        return filter.event_id, ids.after(filter.event_id)
    if chosen.given["id"] and not chosen.fault:
        first, last = ids.deliveries_of(filter.since)
        return first, ids.after(last)
    return filter.since, filter.before


ROUTES = [get("/events", show)]
