"""Signing in with an API key, and out. Every sign-in makes a new session: one known before is worth nothing."""

from __future__ import annotations

import secrets

from aiohttp import web

from .access import Door
from .guard import VISIT, host_of, session_cookie, set_session
from .pages.preferences import own_path
from .visit import Visit


class SignIn:
    """Three handlers; they are the door's own, so they are no page module."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def add_to(self, application: web.Application) -> None:
        """Registers the paths, which are the same for every tenant."""
        application.router.add_get("/sign-in", self.show)
        application.router.add_post("/sign-in", self.sign_in)
        application.router.add_post("/sign-out", self.sign_out)

    async def show(self, request: web.Request) -> web.Response:
        """The form; nobody needs it on a server without keys."""
        visit: Visit = request[VISIT]
        if visit.signed_in:
            return visit.see(own_path(visit.query.get("next", "")))
        return visit.page("sign_in.html", next=own_path(visit.query.get("next", "")), refused=False)

    async def sign_in(self, request: web.Request) -> web.Response:
        """The same words for whatever was wrong with the key. Raises TooManyFailures."""
        visit: Visit = request[VISIT]
        sent = await visit.form()
        following, session = own_path(sent.get("next", "") or ""), secrets.token_urlsafe(32)
        if not await self._door.sign_in((sent.get("key", "") or "").strip(), session, request.remote or ""):
            return visit.page("sign_in.html", status=401, next=following, refused=True)
        response = visit.see(following)
        set_session(response, host_of(request), session)
        return response

    async def sign_out(self, request: web.Request) -> web.Response:
        """Ends the session here and at the server."""
        visit: Visit = request[VISIT]
        host = host_of(request)
        await self._door.sign_out(request.cookies.get(session_cookie(host), ""))
        response = visit.see("/sign-in", "flash.signed_out")
        set_session(response, host, secrets.token_urlsafe(32))
        return response
