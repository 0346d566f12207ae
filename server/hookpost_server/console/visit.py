"""One request as a page sees it: who asks, for which tenant, in which language, and the ways to answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from multidict import MultiDict, MultiMapping

from ..domain import errors, ids
from ..domain.api_key import Principal
from ..domain.event import DEFAULT_TENANT
from .access import NOBODY
from .parts import Parts
from .render import Renderer
from .texts import Texts

FLASH = "hookpost-flash"  # the cookie that carries one sentence over a redirect
MAX_FLASH = 200  # characters of a value; browsers drop a cookie of more than 4096 bytes, and an emoji takes 14
KINDS = {ids.WEBHOOK: "webhook", ids.DELIVERY: "delivery", ids.EVENT: "event", ids.REPLAY: "replay", ids.KEY: "API key"}


class Visit:
    """Made by the guard for each request it lets through."""

    def __init__(
        self,
        request: web.Request,
        parts: Parts,
        renderer: Renderer,
        texts: Texts,
        csrf: str,
        *,
        open_door: bool,
        alarm: float | None,
    ) -> None:
        """`csrf`: what forms must send back. `open_door`: nobody signs in here. `alarm`: seconds of a stall."""
        self.request = request
        self.parts = parts
        self.texts = texts
        self.caller = NOBODY
        self.csrf = csrf
        self.open_door = open_door
        self.alarm = alarm
        self._renderer = renderer
        named = request.match_info.get("tenant", "")
        self.tenant_id = named or DEFAULT_TENANT
        self._root = f"/t/{named}" if named else ""

    def enter(self, caller: Principal) -> None:
        """Says who visits: without a tenant in the path, it is their own."""
        self.caller = caller
        if not self._root:
            self.go_home()

    def go_home(self) -> None:
        """Turns to the visitor's own tenant, so that links of the page lead somewhere."""
        self._root = ""
        self.tenant_id = self.caller.tenant_id or DEFAULT_TENANT

    @property
    def query(self) -> Mapping[str, str]:
        return self.request.query

    @property
    def path(self) -> str:
        """Where this page is, below the tenant's root."""
        return self.request.path.removeprefix(self._root)

    @property
    def signed_in(self) -> bool:
        return self.caller is not NOBODY

    @property
    def partial(self) -> bool:
        """Whether the script asks for a part of a page."""
        return self.request.headers.get("HX-Request") == "true"

    @property
    def unattended(self) -> bool:
        """Whether the page asks by itself, again and again, though nobody may be looking: a poll, or a stream."""
        headers = self.request.headers
        return "X-Poll" in headers or headers.get("Accept") == "text/event-stream"

    def cookie(self, name: str) -> str:
        return self.request.cookies.get(name, "")

    def url(self, path: str, **query: Any) -> str:
        """A page's address for the same tenant; empty values are left out, lists are repeated."""
        given = {name.removesuffix("_"): value for name, value in query.items() if value not in ("", None, ())}
        return self._root + path + (f"?{urlencode(given, doseq=True)}" if given else "")

    def identity(self, prefix: str, name: str = "id") -> UUID:
        """The id in the path. Raises NotFound for one that can't exist."""
        text = self.request.match_info[name]
        try:
            return ids.parse(prefix, text)
        except ValueError:
            raise errors.NotFound(KINDS[prefix], text) from None

    async def form(self) -> MultiMapping[str]:
        """The fields that were sent; files are no part of any form here. Raises HTTPBadRequest for what is no form."""
        try:
            sent = await self.request.post()
        except (HttpProcessingError, ValueError, LookupError):
            raise web.HTTPBadRequest from None
        fields = MultiDict((name, value) for name, value in sent.items() if isinstance(value, str))
        if any("\0" in value for value in fields.values()):
            raise web.HTTPBadRequest
        return fields

    def page(self, template: str, *, status: int = 200, **context: Any) -> web.Response:
        """A whole page."""
        flash = self._flash()
        body = self._renderer.render(template, self, flash=flash, **context)
        response = web.Response(text=body, status=status, content_type="text/html", charset="utf-8")
        if self.cookie(FLASH):
            response.del_cookie(FLASH, path="/")
        return response

    def part(self, template: str, **context: Any) -> str:
        """A piece of a page, as HTML."""
        return self._renderer.render(template, self, flash="", **context)

    def see(self, path: str, flash: str = "", **values: str) -> web.Response:
        """Sends the browser on to another page, which shows the text of the key `flash` once."""
        response = web.Response(status=303, headers={"Location": path})
        if flash:
            told = {
                name: value if len(value) <= MAX_FLASH else f"{value[:MAX_FLASH]}…" for name, value in values.items()
            }
            response.set_cookie(
                FLASH, json.dumps([flash, told]), path="/", max_age=60, httponly=True, samesite="Strict"
            )
        return response

    def _flash(self) -> str:
        """What the page before wanted to be said; a cookie that makes no sense says nothing."""
        if not (given := self.cookie(FLASH)):
            return ""
        try:
            key, values = json.loads(given)
            if key.startswith("flash."):
                return self.texts(key, **{name: str(value) for name, value in values.items()})
        except (ValueError, TypeError, AttributeError, KeyError, IndexError):
            pass
        return ""
