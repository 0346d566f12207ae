"""For aiohttp's server.

@receives(["whsec_…"])
async def hook(request: web.Request, event: Event) -> web.Response: ...
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiohttp import web

from .event import Event
from .refusal import InvalidWebhook, parsed, too_large
from .verification import verify

Handler = Callable[[web.Request, Event], Awaitable[web.StreamResponse]]


def receives(
    keys: str | Sequence[str], **options: Any
) -> Callable[[Handler], Callable[[web.Request], Awaitable[web.StreamResponse]]]:
    """Gives the event to the handler after the request, or answers with the refusal's status. As `verify`.

    aiohttp's `client_max_size` (1 MiB by default) bounds what is read.
    """

    def decorate(handler: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        @functools.wraps(handler)
        async def receive(request: web.Request) -> web.StreamResponse:
            try:
                event = verify(await _body(request), request.headers, keys, **options)
            except InvalidWebhook as error:
                return web.Response(status=error.status, text=str(error))
            return await handler(request, event)

        return receive

    return decorate


async def _body(request: web.Request) -> bytes:
    try:
        body = await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise too_large(request.client_max_size) from None
    if not body and request.content_length:
        raise parsed()
    return body
