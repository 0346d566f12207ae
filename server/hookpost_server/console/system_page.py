"""The frame of the pages about the server itself."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from ..domain.api_key import Scope
from .visit import Visit

TABS = {"status": Scope.READ, "keys": Scope.ADMIN, "audit": Scope.ADMIN}
PATHS = {"status": "/system", "keys": "/system/keys", "audit": "/system/audit"}


def system_page(visit: Visit, tab: str, *, status: int = 200, **context: Any) -> web.Response:
    """A tab's page, by the template `system_<tab>.html`; only tabs that the visitor may open are offered."""
    return visit.page(
        f"system_{tab}.html",
        status=status,
        tabs=[(name, PATHS[name]) for name, scope in TABS.items() if visit.caller.may(scope)],
        tab=tab,
        **context,
    )


def realm(visit: Visit) -> str | None:
    """Whose keys and deeds are shown: those of the tenant that is looked at; None: everybody's."""
    return visit.tenant_id if visit.caller.tenant_id is not None or visit.path != visit.request.path else None
