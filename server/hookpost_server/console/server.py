"""The console's listener."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection

from aiohttp import web

from ..store.known_keys import KnownKeys
from ..store.sessions import Sessions
from .access import Door
from .assets import Assets
from .guard import VISIT, Guard, NotSignedIn, secure
from .pages import PAGES
from .parts import Parts
from .render import Renderer
from .route import Route
from .sign_in import SignIn

MAX_FORM = 1024 * 1024  # bytes
TENANT = "/t/{tenant}"  # the root of another tenant's pages; those of one's own have none


class Console:
    """Answers between `start` and `stop`."""

    def __init__(
        self,
        parts: Parts,
        keys: KnownKeys | None,
        sessions: Sessions,
        *,
        hosts: Collection[str] = (),
        alarm: Callable[[], float | None] = lambda: None,
    ) -> None:
        """Without `keys` nobody signs in. `alarm`: for how many seconds deliveries have stalled; None: they flow."""
        assets = Assets()
        door = Door(keys, sessions)
        self._renderer = Renderer(assets)
        guard = Guard(parts, self._renderer, door, hosts, alarm)
        application = web.Application(middlewares=[guard.middleware], client_max_size=MAX_FORM)
        application.on_response_prepare.append(secure)
        application.router.add_get("/static/{path:.*}", assets.serve)
        SignIn(door).add_to(application)
        for page in PAGES:
            for route in page.ROUTES:
                for root in ("", TENANT):
                    add = application.router.add_get if route.method == "GET" else application.router.add_post
                    add(root + route.path, _handler(route))
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)

    async def start(self, host: str, port: int) -> int:
        """Listens; returns the real port. Raises OSError when the address can't be had."""
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        chosen: int = self._runner.addresses[0][1]
        return chosen

    async def warm_up(self) -> None:
        """Makes ready what the first visitor would wait for."""
        await self._renderer.warm_up()

    async def stop(self) -> None:
        await self._runner.cleanup()


def _handler(route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(request: web.Request) -> web.StreamResponse:
        visit = request[VISIT]
        if route.scope is not None:
            if not visit.signed_in:
                raise NotSignedIn
            if not visit.caller.may(route.scope):
                raise web.HTTPForbidden
        return await route.handler(visit)

    return answer
