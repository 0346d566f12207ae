"""A webhook's deliveries as a file: the same filters as the page, in pages from the database, never all in memory."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Callable, Sequence

from aiohttp import web

from ...domain import ids
from ...domain.delivery import Delivery, State
from ...domain.event import iso_milliseconds
from ..request_filter import RequestFilter
from ..route import get
from ..visit import Visit
from ..webhook_page import asked_for

PAGE = 1000
MOST = 100_000  # rows of one file
TYPES = {"csv": "text/csv", "jsonl": "application/jsonl"}


async def export(visit: Visit) -> web.StreamResponse:
    """Newest first, at most MOST rows."""
    webhook = await asked_for(visit)
    filter = RequestFilter.read(visit.query, visit.parts.now(), webhook.id).filter
    form = "jsonl" if visit.query.get("format") == "jsonl" else "csv"
    write: Callable[[Delivery], str] = _json_line if form == "jsonl" else _csv_line
    name = f"{ids.text(ids.WEBHOOK, webhook.id)}.{form}"
    response = web.StreamResponse(
        headers={
            "Content-Type": f"{TYPES[form]}; charset=utf-8",
            "Content-Disposition": f'attachment; filename="{name}"',
        }
    )
    found, following = await visit.parts.deliveries.list(visit.tenant_id, filter, limit=PAGE)
    await response.prepare(visit.request)
    if form == "csv":
        await response.write(_cells([field for field, _ in FIELDS]).encode())
    written = 0
    while True:
        await response.write("".join(map(write, found)).encode())
        written += len(found)
        if following is None or written >= MOST:
            break
        filter = dataclasses.replace(filter, before=following)
        found, following = await visit.parts.deliveries.list(visit.tenant_id, filter, limit=PAGE)
    await response.write_eof()
    return response


FIELDS: tuple[tuple[str, Callable[[Delivery], str | int | None]], ...] = (
    ("id", lambda each: ids.text(ids.DELIVERY, each.id)),
    ("event_id", lambda each: ids.text(ids.EVENT, each.event_id)),
    ("event_type", lambda each: each.event_type),
    ("webhook_id", lambda each: ids.text(ids.WEBHOOK, each.webhook_id)),
    ("state", lambda each: each.state.name),
    ("attempt_count", lambda each: each.attempt_count),
    ("last_outcome", lambda each: each.last_result and each.last_result.name),
    ("last_status_code", lambda each: each.last_status),
    ("create_time", lambda each: iso_milliseconds(ids.time_of(each.event_id))),
    ("finish_time", lambda each: None if each.finish_time is None else iso_milliseconds(each.finish_time)),
    ("next_attempt_time", lambda each: iso_milliseconds(each.due_time) if each.state is State.PENDING else None),
)


def _json_line(delivery: Delivery) -> str:
    return json.dumps({name: value for name, of in FIELDS if (value := of(delivery)) is not None}) + "\n"


def _csv_line(delivery: Delivery) -> str:
    return _cells([of(delivery) for _, of in FIELDS])


def _cells(values: Sequence[str | int | None]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow([harmless("" if value is None else str(value)) for value in values])
    return line.getvalue()


def harmless(text: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


ROUTES = [get("/webhooks/{id}/requests/export", export)]
