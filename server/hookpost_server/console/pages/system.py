"""How this process does, how much is due, and how long what is kept."""

from __future__ import annotations

from uuid import UUID

from aiohttp import web

from ...domain.webhook import State
from ..route import get
from ..system_page import system_page
from ..visit import Visit

LAST = UUID(int=2**128 - 1)
MOST_SUSPENDED = 100  # counted


async def show(visit: Visit) -> web.Response:
    """A key that is bound to a tenant learns nothing of the others' load."""
    node = visit.parts.node
    suspended = await visit.parts.webhooks.list(
        visit.tenant_id, before=LAST, states=[State.SUSPENDED], limit=MOST_SUSPENDED + 1
    )
    whole = visit.caller.tenant_id is None
    breakers = node.readings.breakers()
    return system_page(
        visit,
        "status",
        node=node,
        whole=whole,
        pool=node.readings.pool(),
        behind=await visit.parts.backlog.read() if whole else None,
        held=sum(count for state, count in breakers.items() if state != "closed"),
        suspended=len(suspended),
        most_suspended=MOST_SUSPENDED,
    )


ROUTES = [get("/system", show)]
