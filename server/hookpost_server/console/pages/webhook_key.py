"""A webhook's signing keys: shown when asked for, and rotated with an overlap."""

from __future__ import annotations

from aiohttp import web

from ...actions import rotation
from ...domain import ids, signing
from ...domain.api_key import Scope
from ...domain.secret import Secret
from ..route import get, post
from ..visit import Visit
from ..webhook_page import asked_for

OVERLAPS = {"0": 0.0, "1h": 3600.0, "24h": 86400.0, "7d": signing.MAX_OVERLAP}  # seconds
DEFAULT_OVERLAP = "24h"


async def reveal(visit: Visit) -> web.Response:
    """The keys in force: as text to copy for the script, in the part of the page, or as a page of their own."""
    webhook = await visit.parts.webhooks.reveal_keys(visit.tenant_id, visit.identity(ids.WEBHOOK))
    if visit.request.headers.get("Accept") == "text/plain":
        return web.Response(text=webhook.keys[0].secret.reveal())
    return visit.page(
        "signing_keys.html" if visit.partial else "signing_keys_page.html",
        webhook=webhook,
        id=ids.text(ids.WEBHOOK, webhook.id),
        secrets={key.id: key.secret.reveal() for key in webhook.keys},
    )


async def hide(visit: Visit) -> web.Response:
    """The keys without their secrets."""
    webhook = await asked_for(visit)
    return visit.page("signing_keys_page.html", webhook=webhook, id=ids.text(ids.WEBHOOK, webhook.id), secrets={})


async def ask(visit: Visit) -> web.Response:
    """How long the old key shall go on signing."""
    webhook = await asked_for(visit)
    return visit.page(
        "webhook_rotate.html",
        webhook=webhook,
        id=ids.text(ids.WEBHOOK, webhook.id),
        overlaps=list(OVERLAPS),
        chosen=DEFAULT_OVERLAP,
    )


async def rotate(visit: Visit) -> web.Response:
    """A new key, in force at once."""
    overlap = (await visit.form()).get("overlap", DEFAULT_OVERLAP)
    webhook_id = visit.identity(ids.WEBHOOK)
    chosen = OVERLAPS.get(overlap, OVERLAPS[DEFAULT_OVERLAP])
    await rotation.rotate(visit.parts.webhooks, visit.tenant_id, webhook_id, Secret(signing.new_secret()), chosen)
    settings = visit.url(f"/webhooks/{ids.text(ids.WEBHOOK, webhook_id)}/settings") + "#signing-key"
    return visit.see(settings, "flash.rotated")


ROUTES = [
    get("/webhooks/{id}/signing-key", hide),
    post("/webhooks/{id}/signing-key", reveal, Scope.SECRETS_REVEAL),
    get("/webhooks/{id}/rotate", ask, Scope.SECRETS_REVEAL),
    post("/webhooks/{id}/rotate", rotate, Scope.SECRETS_REVEAL),
]
