"""For Starlette and FastAPI.

@app.post("/hook")
async def hook(event: Event = Depends(receiver(["whsec_…"]))): ...
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request

from .event import Event
from .refusal import InvalidWebhook, parsed
from .verification import MAX_SIZE, verify


def receiver(keys: str | Sequence[str], **options: Any) -> Callable[[Request], Awaitable[Event]]:
    """A dependency that gives the event, or answers with the refusal's status. `options`: as of `verify`."""

    async def receive(request: Request) -> Event:
        try:
            return verify(await _body(request, options.get("max_size", MAX_SIZE)), request.headers, keys, **options)
        except InvalidWebhook as error:
            raise HTTPException(error.status, str(error)) from error

    return receive


async def _body(request: Request, most: int) -> bytes:
    """Reads no more than may be there; what somebody read before is refused rather than waited for."""
    if hasattr(request, "_body"):
        return await request.body()
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > most:
                break
    except RuntimeError:  # the stream was read by somebody else
        raise parsed() from None
    request._body = bytes(body)  # as Request.body does, so that it can be read again
    return request._body
