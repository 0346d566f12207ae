"""Right after creating: the key to take along, how to verify with it, and a test."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web

from ...domain import ids
from ...domain.api_key import Scope
from ..route import get
from ..visit import Visit
from ..webhook_page import asked_for

FOLDER = Path(__file__).parents[1] / "snippets"
# (name for people, file): each verifies Standard Webhooks' signature with its language's own library.
LANGUAGES = (("Python", "python.txt"), ("TypeScript", "typescript.txt"), ("Go", "go.txt"), ("Java", "java.txt"))


async def show(visit: Visit) -> web.Response:
    """The key itself comes when it is asked for."""
    webhook = await asked_for(visit)
    return visit.page(
        "webhook_created.html",
        webhook=webhook,
        id=ids.text(ids.WEBHOOK, webhook.id),
        secrets={},
        snippets=[(name, (FOLDER / file).read_text()) for name, file in LANGUAGES],
    )


ROUTES = [get("/webhooks/{id}/created", show, Scope.WEBHOOKS_WRITE)]
