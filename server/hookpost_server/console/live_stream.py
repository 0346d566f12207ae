"""The live page's stream of server-sent events: changes of deliveries as rows, no more than a reader can follow."""

from __future__ import annotations

import time
from contextlib import aclosing
from dataclasses import dataclass
from uuid import UUID

from aiohttp import web

from ..domain import errors
from ..domain.delivery import Delivery
from ..store.changes import Place
from ..store.delivery_log import Filter
from .delivery_rows import Rows
from .visit import Visit

MOST_STREAMS = 50  # in this process
MOST_ROWS = 25  # a second; the rest is counted
LIFE = 60.0  # seconds; then the browser comes again, and whether it may is looked at anew
RETRY = 4000  # milliseconds until a browser tries again that has lost the connection


class Streams:
    """How many are open."""

    def __init__(self) -> None:
        self._open = 0

    async def run(self, visit: Visit, filter: Filter) -> web.StreamResponse:
        """Until the browser goes, the server stops, or a minute is over. Raises Unavailable for one too many."""
        if self._open >= MOST_STREAMS:
            raise errors.Unavailable("too many live pages are open; close some, or reload this one now and then")
        self._open += 1
        try:
            return await _run(visit, filter)
        finally:
            self._open -= 1


async def _run(visit: Visit, filter: Filter) -> web.StreamResponse:
    # nginx keeps answers back until they are long, unless told not to.
    headers = {"Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no"}
    response = web.StreamResponse(headers=headers)
    await response.prepare(visit.request)
    writer = _Writer(response, visit)
    await writer.raw(f"retry: {RETRY}\n\n")
    try:
        place = read_place(visit.request.headers.get("Last-Event-ID") or visit.query.get("after", ""))
        try:
            await _follow(visit, filter, place, writer)
        except errors.TokenExpired:
            await writer.event("gap", "")
            await _follow(visit, filter, None, writer)
    except ConnectionResetError:
        pass  # the browser has gone
    except (errors.Unavailable, errors.TokenExpired):
        pass  # the browser comes again, and hears it then
    return response


async def _follow(visit: Visit, filter: Filter, place: Place | None, writer: _Writer) -> None:
    end = time.monotonic() + LIFE
    async with aclosing(visit.parts.watches.changes(visit.tenant_id, place, filter)) as changes:
        async for changed, now_at in changes:
            if changed is None:
                await writer.beat(now_at)
            else:
                await writer.changed(changed, now_at)
            if time.monotonic() > end:
                await writer.event("again", "")
                return


@dataclass(slots=True)
class _Writer:
    response: web.StreamResponse
    visit: Visit
    rows: Rows | None = None
    second: int = 0
    sent: int = 0  # rows within that second
    left_out: int = 0

    async def raw(self, text: str) -> None:
        await self.response.write(text.encode())

    async def event(self, name: str, data: str, place: Place | None = None) -> None:
        identity = "" if place is None else f"id: {place_text(place)}\n"
        lines = "\n".join(f"data: {line}" for line in data.splitlines() or [""])
        await self.raw(f"event: {name}\n{identity}{lines}\n\n")

    async def beat(self, place: Place) -> None:
        await self._tell_left_out()
        await self.event("beat", "", place)

    async def changed(self, delivery: Delivery, place: Place) -> None:
        second = int(time.monotonic())
        if second != self.second:
            self.second, self.sent = second, 0
            await self._tell_left_out()
        if self.sent >= MOST_ROWS:
            self.left_out += 1
            return
        self.sent += 1
        self.rows = self.rows or Rows(self.visit)
        row = (await self.rows.of([delivery]))[0]
        await self.event("row", self.visit.part("delivery_row.html", row=row), place)

    async def _tell_left_out(self) -> None:
        if self.left_out:
            await self.event("left-out", str(self.left_out))
            self.left_out = 0


def place_text(place: Place) -> str:
    """For the stream's ids."""
    return f"{place.position}.{place.end}.{place.after.hex}"


def read_place(text: str) -> Place | None:
    """None: from now on; for what is no place, too."""
    try:
        position, end, after = text.split(".")
        found = Place(int(position), int(end), UUID(hex=after))
    except ValueError:
        return None
    sound = 0 <= found.position < 2**63 and 0 <= found.end < 2**63 and (not found.end or found.position < found.end)
    return found if sound else None
