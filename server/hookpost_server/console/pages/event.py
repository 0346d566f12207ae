"""One event: its payload, where it went, and which webhooks did not get it and why."""

from __future__ import annotations

from aiohttp import web

from ...actions import dry_run
from ...domain import ids
from ...store.delivery_log import Filter
from ..body_view import view
from ..delivery_rows import Rows
from ..request_filter import FIRST, LAST
from ..route import get
from ..visit import Visit

SIZE = 50  # deliveries of a page
MOST_OTHERS = 50  # webhooks without a delivery that are told about


async def show(visit: Visit) -> web.Response:
    """Deliveries in pages; the webhooks that got nothing are judged as they are now."""
    event = await visit.parts.events.get(visit.tenant_id, visit.identity(ids.EVENT))
    filter = Filter(since=FIRST, before=LAST, event_id=event.id)
    deliveries, _ = await visit.parts.deliveries.list(visit.tenant_id, filter, limit=dry_run.MOST)
    sent = {each.webhook_id for each in deliveries}
    others = [each for each in await dry_run.verdicts(visit.parts.webhooks, event) if each.webhook.id not in sent]
    page = _number(visit.query.get("page", ""), 1 + max(0, len(deliveries) - 1) // SIZE)
    return visit.page(
        "event.html",
        event=event,
        id=ids.text(ids.EVENT, event.id),
        create_time=ids.time_of(event.id),
        fan_out=(await visit.parts.records.fan_outs.of(visit.tenant_id, [event.id]))[event.id],
        body=view(event.payload, tidy=visit.query.get("as") != "raw"),
        tidy=visit.query.get("as") != "raw",
        rows=await Rows(visit).of(deliveries[(page - 1) * SIZE : page * SIZE]),
        page=page,
        more=len(deliveries) > page * SIZE,
        others=[(each, ids.text(ids.WEBHOOK, each.webhook.id)) for each in others[:MOST_OTHERS]],
        further=max(0, len(others) - MOST_OTHERS),
    )


def _number(text: str, last: int) -> int:
    return min(int(text), last) if text.isascii() and text.isdigit() and len(text) < 5 and int(text) else 1


async def download(visit: Visit) -> web.Response:
    """The payload, as a file that no browser runs."""
    event = await visit.parts.events.get(visit.tenant_id, visit.identity(ids.EVENT))
    if event.payload_removed:
        raise web.HTTPNotFound
    headers = {"Content-Disposition": f'attachment; filename="{ids.text(ids.EVENT, event.id)}.json"'}
    return web.Response(body=event.payload, content_type="application/octet-stream", headers=headers)


ROUTES = [get("/events/{id}", show), get("/events/{id}/payload", download)]
