"""Disabling, enabling and deleting a webhook; what hurts says beforehand what it will do."""

from __future__ import annotations

from aiohttp import web

from ...domain import ids
from ...domain.api_key import Scope
from ...domain.webhook import Webhook, check_text
from ..route import get, post
from ..visit import Visit

MAX_REASON = 256


async def _named(visit: Visit) -> Webhook:
    """The webhook that the path names, even one that can't be read: it must be possible to get rid of it."""
    return await visit.parts.webhooks.shown(visit.tenant_id, visit.identity(ids.WEBHOOK))


async def _ask(visit: Visit, deed: str) -> web.Response:
    webhook = await _named(visit)
    return visit.page(
        f"webhook_{deed}.html",
        webhook=webhook,
        id=ids.text(ids.WEBHOOK, webhook.id),
        waiting=await visit.parts.backlog.of_webhook(visit.tenant_id, webhook.id),
    )


async def ask_disable(visit: Visit) -> web.Response:
    return await _ask(visit, "disable")


async def disable(visit: Visit) -> web.Response:
    reason = (await visit.form()).get("reason", "").strip()[:MAX_REASON]
    if check_text(reason, MAX_REASON):
        reason = ""
    webhook = await visit.parts.webhooks.disable(visit.tenant_id, visit.identity(ids.WEBHOOK), reason)
    return visit.see(_settings(visit), "flash.disabled", name=webhook.settings.name)


async def enable(visit: Visit) -> web.Response:
    webhook = await visit.parts.webhooks.enable(visit.tenant_id, visit.identity(ids.WEBHOOK))
    visit.parts.wake()
    return visit.see(_settings(visit), "flash.enabled", name=webhook.settings.name)


async def ask_delete(visit: Visit) -> web.Response:
    return await _ask(visit, "delete")


async def delete(visit: Visit) -> web.Response:
    webhook = await _named(visit)
    await visit.parts.webhooks.delete(visit.tenant_id, webhook.id)
    return visit.see(visit.url("/webhooks"), "flash.deleted", name=webhook.settings.name)


def _settings(visit: Visit) -> str:
    return visit.url(f"/webhooks/{visit.request.match_info['id']}/settings")


ROUTES = [
    get("/webhooks/{id}/disable", ask_disable, Scope.WEBHOOKS_WRITE),
    post("/webhooks/{id}/disable", disable, Scope.WEBHOOKS_WRITE),
    post("/webhooks/{id}/enable", enable, Scope.WEBHOOKS_WRITE),
    get("/webhooks/{id}/delete", ask_delete, Scope.WEBHOOKS_WRITE),
    post("/webhooks/{id}/delete", delete, Scope.WEBHOOKS_WRITE),
]
