"""Around every request: Host, session, CSRF, security headers, and errors as pages.

- Host must be on the allow-list: else a name that an attacker points here (DNS rebinding) would be our origin.
- A session is a random cookie. What a form sends back is made from it, so no other site can know it, and a request
  that changes something must come from our own origin too.
- No page runs or shows anything from another host; nothing inline runs at all.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Awaitable, Callable, Collection
from urllib.parse import urlencode, urlsplit

import structlog
from aiohttp import web

from ..domain import errors, ids
from ..domain.actor import Actor, act_as
from ..domain.event import check_tenant
from .access import Door
from .parts import Parts
from .render import Renderer
from .texts import Catalogue
from .translation import Fault, fault
from .visit import Visit

VISIT = web.RequestKey("visit", Visit)
LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
SAFE = frozenset({"GET", "HEAD"})
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # no-referrer would make browsers send `Origin: null` with our own forms
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_SESSION = re.compile(r"[A-Za-z0-9_-]{43}")
STATUSES: dict[type[errors.HookpostError], int] = {
    errors.InvalidFields: 400,
    errors.NotFound: 404,
    errors.EtagMismatch: 409,
    errors.AlreadyExists: 409,
    errors.EventTypeInUse: 409,
    errors.DeliveryNotEnded: 409,
    errors.PayloadRemoved: 409,
    errors.TokenExpired: 410,
    errors.BacklogFull: 503,
    errors.LimitExceeded: 400,
    errors.Unavailable: 503,
    errors.PermissionDenied: 403,
    errors.TooManyFailures: 429,
}

# Which of the texts `error.…` explains a status.
KINDS = {403: "forbidden", 404: "missing", 405: "missing", 429: "often", 500: "fault", 503: "unavailable"}

log = structlog.get_logger()
Next = Callable[[web.Request], Awaitable[web.StreamResponse]]


class NotSignedIn(Exception):
    """The page needs somebody who has signed in."""


class Guard:
    """The one middleware."""

    def __init__(
        self,
        parts: Parts,
        renderer: Renderer,
        door: Door,
        hosts: Collection[str],
        alarm: Callable[[], float | None],
    ) -> None:
        """`hosts`: names by which the console may be reached besides loopback ones, in lower case, without port."""
        self._parts = parts
        self._renderer = renderer
        self._door = door
        self._hosts = LOOPBACK | set(hosts)
        self._alarm = alarm
        self._catalogue = Catalogue()

    @web.middleware
    async def middleware(self, request: web.Request, handler: Next) -> web.StreamResponse:
        """What aiohttp calls."""
        host = host_of(request)
        if host not in self._hosts:
            return web.Response(status=421, text="This name is not among HOOKPOST_CONSOLE_HOSTS.\n")
        if request.path.startswith("/static/"):
            return await handler(request)
        cookie = session_cookie(host)
        session = request.cookies.get(cookie, "")
        if fresh := not _SESSION.fullmatch(session):
            session = secrets.token_urlsafe(32)
        visit = Visit(
            request,
            self._parts,
            self._renderer,
            self._catalogue.chosen(request.headers.get("Accept-Language", "")),
            csrf_token(session),
            open_door=self._door.open,
            alarm=self._alarm(),
        )
        request[VISIT] = visit
        response = await self._answered(visit, handler, "" if fresh else session)
        if fresh and not response.prepared and cookie not in response.cookies:
            set_session(response, host, session)
        return response

    async def _answered(self, visit: Visit, handler: Next, session: str) -> web.StreamResponse:
        request = visit.request
        try:
            if "%00" in request.raw_path:
                raise web.HTTPBadRequest  # nothing that is stored can have it, and PostgreSQL does not take it
            visit.enter(await self._door.caller(session, used=not visit.unattended))
            act_as(Actor(*_actor(visit), request.remote or "", visit.caller.tenant_id))
            if request.method not in SAFE and not await self._ours(visit):
                return _error(visit, 403, "csrf")
            tenant = request.match_info.get("tenant")
            foreign = visit.signed_in and visit.caller.tenant_id not in (None, tenant)
            if tenant is not None and (foreign or check_tenant(tenant)):
                visit.go_home()
                raise web.HTTPNotFound
            return await handler(request)
        except NotSignedIn:
            return _to_sign_in(visit)
        except errors.HookpostError as error:
            status = next((STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES), 500)
            return _error(visit, status, why=fault(error.message, visit.texts))
        except web.HTTPException as error:
            if error.status < 400:
                raise
            return _error(visit, error.status)
        except Exception as error:
            incident = secrets.token_hex(8)
            log.error("console.fault", incident=incident, path=request.path, exc_info=error)
            return _error(visit, 500, incident=incident)

    async def _ours(self, visit: Visit) -> bool:
        """Whether a request that changes something was made by a page of ours."""
        request = visit.request
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc.lower() != request.host.lower():
            return False
        if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            return False
        given = request.headers.get("X-CSRF-Token") or (await visit.form()).get("csrf", "") or ""
        return hmac.compare_digest(given.encode(), visit.csrf.encode())


async def secure(request: web.Request, response: web.StreamResponse) -> None:
    """Puts the security headers on whatever is about to be sent; pages are never kept by caches."""
    for name, value in HEADERS.items():
        response.headers[name] = value
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers.pop("Server", None)


def csrf_token(session: str) -> str:
    """What forms of a session send back."""
    return hmac.digest(session.encode(), b"hookpost csrf", "sha256").hex()


def session_cookie(host: str) -> str:
    """Beyond loopback only https is a way in, so there the name itself makes browsers keep the cookie to it."""
    return "hookpost-session" if host in LOOPBACK else "__Host-hookpost-session"


def set_session(response: web.StreamResponse, host: str, session: str) -> None:
    """Gives the browser a session; it ends with the browser, or when the server ends it."""
    response.set_cookie(
        session_cookie(host), session, path="/", httponly=True, samesite="Lax", secure=host not in LOOPBACK
    )


def host_of(request: web.Request) -> str:
    """The name in the Host header, without port."""
    return re.sub(r":[0-9]*$", "", request.host.lower())


def _actor(visit: Visit) -> tuple[str, str]:
    """Who acts, for the audit log: by id and by name."""
    if visit.open_door or not visit.signed_in:
        return "anyone", ""
    return ids.text(ids.KEY, visit.caller.id), visit.caller.name


def _error(
    visit: Visit, status: int, kind: str = "", *, why: Fault | None = None, incident: str = ""
) -> web.StreamResponse:
    """`kind`: which of the texts `error.…` explains it, if not the one for the status."""
    kind = kind or KINDS.get(status, "refused")
    return visit.page("error.html", status=status, kind=kind, why=why, incident=incident)


def _to_sign_in(visit: Visit) -> web.Response:
    request = visit.request
    page = urlsplit(request.headers.get("HX-Current-URL", ""))  # that the part is on
    shown = f"{page.path}?{page.query}" if page.query else page.path
    following = shown if visit.partial else request.path_qs if request.method in SAFE else ""
    target = "/sign-in" + (f"?{urlencode({'next': following})}" if following else "")
    if visit.partial:
        return web.Response(status=401, headers={"HX-Redirect": target})
    return visit.see(target)
