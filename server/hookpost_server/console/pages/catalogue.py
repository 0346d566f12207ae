"""The catalogue: event types by group, each with its schema as a tree, its example and who subscribes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from aiohttp import web

from ...domain import asyncapi, errors, event, ids
from ...domain.event_type import EventType
from .. import schema_view
from ..body_view import view
from ..picker import picker
from ..route import get
from ..visit import Visit

MOST = 100_000  # types of one document
PAGE = 1000
SHOWN_WEBHOOKS = 20
LAST = UUID(int=2**128 - 1)


async def show(visit: Visit) -> web.Response:
    """All types, or those whose name, group or description has the words that are looked for."""
    query = visit.query.get("q", "").strip()[:128]
    words = query.lower().split()
    types = await visit.parts.event_types.choices()
    found = [
        each for each in types if all(word in f"{each.name} {each.group} {each.description}".lower() for word in words)
    ]
    return visit.page("catalogue.html", groups=picker(found, ()).groups, query=query, count=len(found))


async def event_type(visit: Visit) -> web.Response:
    """One type."""
    name = visit.request.match_info["name"]
    if event.check_type(name):
        raise errors.NotFound("event type", name[: event.MAX_TYPE])
    found = await visit.parts.event_types.get(name)
    subscribed = await visit.parts.webhooks.list(
        visit.tenant_id, before=LAST, patterns=event.patterns(name), limit=SHOWN_WEBHOOKS + 1
    )
    rows, left_out = schema_view.rows(found.json_schema) if found.json_schema else ([], False)
    return visit.page(
        "event_type.html",
        type=found,
        rows=rows,
        left_out=left_out,
        example=view(found.example.encode()),
        subscribed=[(each, ids.text(ids.WEBHOOK, each.id)) for each in subscribed[:SHOWN_WEBHOOKS]],
        further=len(subscribed) > SHOWN_WEBHOOKS,
        node=visit.parts.node,
    )


async def schema(visit: Visit) -> web.Response:
    """A type's JSON Schema as a file."""
    found = await visit.parts.event_types.get(visit.request.match_info["name"][: event.MAX_TYPE])
    if not found.json_schema:
        raise web.HTTPNotFound
    return _file(found.json_schema, f"{found.name}.schema.json")


async def as_asyncapi(visit: Visit) -> web.Response:
    """The catalogue as an AsyncAPI document."""
    return await _document(
        visit, "asyncapi.json", lambda types: asyncapi.document(types, visit.parts.rules.signature_header.lower())
    )


async def as_json(visit: Visit) -> web.Response:
    """The catalogue as a JSON array."""
    return await _document(visit, "event-types.json", asyncapi.plain)


async def _document(visit: Visit, name: str, make: Callable[[Sequence[EventType]], Any]) -> web.Response:
    types: list[EventType] = []
    while len(types) < MOST:
        page = await visit.parts.event_types.list(after=types[-1].name if types else "", group="", limit=PAGE)
        types += page
        if len(page) < PAGE:
            break
    return _file(json.dumps(make(types), ensure_ascii=False, indent=2) + "\n", name)


def _file(text: str, name: str) -> web.Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return web.Response(text=text, content_type="application/json", charset="utf-8", headers=headers)


ROUTES = [
    get("/catalogue", show),
    get("/catalogue/asyncapi.json", as_asyncapi),
    get("/catalogue/event-types.json", as_json),
    get("/catalogue/types/{name}", event_type),
    get("/catalogue/types/{name}/schema.json", schema),
]
