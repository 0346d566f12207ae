"""The list of webhooks: search, filters, pages, and how each has been doing."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from aiohttp import web

from ...domain import event, ids
from ...domain.health import Health, Point
from ...domain.webhook import State, Webhook
from ..route import get
from ..visit import Visit

SIZE = 20  # rows of a page
LAST = UUID(int=2**128 - 1)
STATES = {state.name.lower(): state for state in State}


@dataclass(frozen=True, slots=True)
class Row:
    """One webhook with its last 24 hours."""

    webhook: Webhook
    health: Health
    series: list[Point]


async def show(visit: Visit) -> web.Response:
    """Newest first."""
    query, state = visit.query.get("q", "").strip()[:256], visit.query.get("state", "")
    event_type = visit.query.get("event", "").strip()
    parts = visit.parts
    # A type that can't exist matches nothing; the page says so as of any other that nobody subscribes to.
    patterns = [] if not event_type else [event_type] if event.check_type(event_type) else event.patterns(event_type)
    found = await parts.webhooks.list(
        visit.tenant_id,
        before=_before(visit),
        states=[STATES[state]] if state in STATES else [],
        patterns=patterns,
        query=query,
        limit=SIZE + 1,
    )
    shown = [webhook.id for webhook in found[:SIZE]]
    health = await parts.health.of(visit.tenant_id, shown)
    series = await parts.health.series_of_many(visit.tenant_id, shown)
    return visit.page(
        "webhooks.html",
        rows=[Row(webhook, health[webhook.id], series[webhook.id]) for webhook in found[:SIZE]],
        filters={"q": query, "state": state, "event": event_type},
        states=list(STATES),
        types=list(await parts.event_types.examples()),
        older=ids.text(ids.WEBHOOK, shown[-1]) if len(found) > SIZE else "",
    )


def _before(visit: Visit) -> UUID:
    try:
        return ids.parse(ids.WEBHOOK, visit.query.get("before", ""))
    except ValueError:
        return LAST


async def root(visit: Visit) -> web.Response:
    """The console begins with its list."""
    return visit.see(visit.url("/webhooks"))


ROUTES = [get("/", root, scope=None), get("/webhooks", show)]
