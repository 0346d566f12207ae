"""What a browser remembers of its owner's taste, which tenant is looked at, and the sheet of keys."""

from __future__ import annotations

from urllib.parse import urlsplit

from aiohttp import web

from ...domain import errors
from ...domain.event import check_tenant
from ..render import THEMES
from ..route import get, post
from ..visit import Visit

YEAR = 365 * 24 * 3600  # seconds


async def keyboard(visit: Visit) -> web.Response:
    """All keys, and the switch for those that are single characters (WCAG 2.1.4)."""
    return visit.page("keyboard.html")


async def remember(visit: Visit) -> web.Response:
    """Theme and keys, as cookies."""
    sent = await visit.form()
    response = visit.see(own_path(sent.get("next", "")))
    if (theme := sent.get("theme", "")) in THEMES:
        response.set_cookie("hookpost-theme", theme, path="/", max_age=YEAR, samesite="Lax", httponly=True)
    elif theme:
        response.del_cookie("hookpost-theme", path="/")
    if (keys := sent.get("keys", "")) == "off":
        response.set_cookie("hookpost-keys", keys, path="/", max_age=YEAR, samesite="Lax", httponly=True)
    elif keys:
        response.del_cookie("hookpost-keys", path="/")
    return response


async def tenant(visit: Visit) -> web.Response:
    """To the webhooks of another tenant."""
    tenant_id = visit.query.get("id", "")
    if fault := check_tenant(tenant_id):
        raise errors.InvalidFields.one("id", fault)
    return visit.see(f"/t/{tenant_id}/webhooks")


def own_path(given: str) -> str:
    """A path of ours to go on to; what leads elsewhere is replaced."""
    try:
        parts = urlsplit(given)
    except ValueError:
        return "/webhooks"
    ours = given.startswith("/") and not given.startswith(("//", "/\\")) and not parts.scheme and not parts.netloc
    return given if ours and "\\" not in given and given.isprintable() else "/webhooks"


ROUTES = [
    get("/keyboard", keyboard, None),
    post("/preferences", remember, None),
    get("/tenant", tenant),
]
