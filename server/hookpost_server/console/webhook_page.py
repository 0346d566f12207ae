"""The frame of a webhook's pages: its name, state, last 24 hours, id and tabs."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from ..domain import ids
from ..domain.webhook import Webhook
from .visit import Visit

TABS = ("settings", "test", "requests", "health")


async def asked_for(visit: Visit) -> Webhook:
    """The webhook that the path names. Raises NotFound."""
    return await visit.parts.webhooks.get(visit.tenant_id, visit.identity(ids.WEBHOOK))


async def webhook_page(visit: Visit, webhook: Webhook, tab: str, *, status: int = 200, **context: Any) -> web.Response:
    """A tab's page, by the template `webhook_<tab>.html`."""
    health = (await visit.parts.health.of(visit.tenant_id, [webhook.id]))[webhook.id]
    return visit.page(
        f"webhook_{tab}.html",
        status=status,
        webhook=webhook,
        id=ids.text(ids.WEBHOOK, webhook.id),
        health=health,
        tabs=TABS,
        tab=tab,
        **context,
    )
