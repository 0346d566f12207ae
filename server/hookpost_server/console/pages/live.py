"""Deliveries as they happen: with the script a stream, without it a page to load again."""

from __future__ import annotations

from aiohttp import web

from ...store.changes import Place
from ..delivery_rows import Rows
from ..live_stream import Streams, place_text
from ..request_filter import STATES, RequestFilter
from ..route import get
from ..visit import Visit

SIZE = 25  # rows at first
RECENT = 500  # events that are looked through for them; a filter may match none

_streams = Streams()


async def show(visit: Visit) -> web.Response:
    """The newest events' deliveries; the stream goes on from the moment before they were read."""
    chosen = RequestFilter.read(visit.query, visit.parts.now())
    place = Place(await visit.parts.records.feed.position())
    found, _ = await visit.parts.deliveries.list(visit.tenant_id, chosen.filter, limit=SIZE, scan=RECENT)
    return visit.page(
        "live.html",
        chosen=chosen,
        rows=await Rows(visit).of(found),
        place=place_text(place),
        states=list(STATES),
        types=list(await visit.parts.event_types.examples()),
    )


async def stream(visit: Visit) -> web.StreamResponse:
    """The same filters as the page; only what changes from `after` on."""
    return await _streams.run(visit, RequestFilter.read(visit.query, visit.parts.now()).filter)


ROUTES = [get("/live", show), get("/live/stream", stream)]
