"""How long a call may take: as long as its caller waits, or by a budget of the server's own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

from ..domain import errors
from .context import Context

T = TypeVar("T")

LEAST = 0.01  # seconds that must be left to begin: a commit takes some, and an answer too late is worse than none
USUAL = 10.0  # seconds for a call without a deadline
LONGER = {  # seconds
    "WebhookService/TestWebhook": 320.0,  # a hundred types, ten at once, 30 s each
    "WebhookService/DeleteWebhook": 60.0,  # cancels in steps
    "DeliveryService/ReplayDeliveries": 60.0,
    "DeliveryService/StopReplay": 60.0,
}
MAX_WAIT = 60.0  # seconds that an emit waits for its deliveries, on top


async def within(method: str, request: Any, context: Context, answer: Callable[[Any, Context], Awaitable[T]]) -> T:
    """What `answer` answers in time. Raises DeadlineExceeded."""
    left = cast(float | None, context.time_remaining())  # None without a deadline
    if left is not None:
        if left < LEAST:
            raise errors.DeadlineExceeded("too little time was left to begin; nothing was done")
        return await answer(request, context)
    seconds = LONGER.get(method, USUAL)
    if method == "EventService/EmitEvent" and request.HasField("wait"):
        seconds += MAX_WAIT
    try:
        async with asyncio.timeout(seconds) as limit:
            return await answer(request, context)
    except TimeoutError as error:
        if limit.expired():
            raise errors.DeadlineExceeded(f"the call was ended after {seconds:g} s, as it named no deadline") from error
        raise
