"""How a page says where it is found and what its visitor must be allowed to do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from ..domain.api_key import Scope
from .visit import Visit

Handler = Callable[[Visit], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Route:
    """A path below the tenant's root, and who answers it."""

    method: str
    path: str
    handler: Handler
    scope: Scope | None  # None: nobody needs to have signed in


def get(path: str, handler: Handler, scope: Scope | None = Scope.READ) -> Route:
    """A page to look at: it must change nothing."""
    return Route("GET", path, handler, scope)


def post(path: str, handler: Handler, scope: Scope | None) -> Route:
    """A deed."""
    return Route("POST", path, handler, scope)
