"""The audit log: who did what to what, newest first."""

from __future__ import annotations

import json
from dataclasses import dataclass

from aiohttp import web

from ...domain import ids
from ...domain.api_key import Scope
from ...domain.audit import Entry
from ...store.audit import NEWEST
from ..route import get
from ..system_page import realm, system_page
from ..visit import Visit

SIZE = 50  # rows of a page
MOST = 200  # characters of an id to look for, or of an entry's details
PLACES = {ids.WEBHOOK: "/webhooks/{}/settings", ids.DELIVERY: "/deliveries/{}", ids.EVENT: "/events/{}"}


@dataclass(frozen=True, slots=True)
class Row:
    """One entry."""

    entry: Entry
    details: str
    place: str  # a page about what it was done to; empty if there is none


async def show(visit: Visit) -> web.Response:
    """In pages; `target` and `actor` narrow it to an id."""
    wanted = {name: visit.query.get(name, "").strip()[:MOST] for name in ("target", "actor")}
    given = visit.query.get("before", "")
    before = int(given) if given.isascii() and given.isdigit() and len(given) < 19 else NEWEST
    found = await visit.parts.records.audit.list(
        realm(visit), before=before, target=wanted["target"], actor_id=wanted["actor"], limit=SIZE + 1
    )
    return system_page(
        visit,
        "audit",
        rows=[_row(visit, entry) for entry in found[:SIZE]],
        wanted=wanted,
        first_page=before == NEWEST,
        older=str(found[SIZE - 1].id) if len(found) > SIZE else "",
    )


def _row(visit: Visit, entry: Entry) -> Row:
    told = ", ".join(f"{name}: {_plain(value)}" for name, value in entry.details.items())
    place = PLACES.get(entry.target.partition("_")[0], "")
    here = entry.tenant_id == visit.tenant_id and not entry.action.endswith(".deleted")
    return Row(
        entry,
        told if len(told) <= MOST else f"{told[:MOST]}…",
        visit.url(place.format(entry.target)) if place and here else "",
    )


def _plain(value: object) -> str:
    if isinstance(value, list):
        return " ".join(map(_plain, value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


ROUTES = [get("/system/audit", show, Scope.ADMIN)]
