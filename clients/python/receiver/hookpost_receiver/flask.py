"""For Flask.

@app.post("/hook")
@receives(["whsec_…"])
def hook(event: Event): ...
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from flask import current_app, request

from .refusal import InvalidWebhook, parsed, too_large
from .verification import MAX_SIZE, verify


def receives(keys: str | Sequence[str], **options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Gives the event to the view as its first argument, or answers with the refusal's status. As `verify`."""

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(view)
        def receive(*args: Any, **kwargs: Any) -> Any:
            try:
                event = verify(_body(options.get("max_size", MAX_SIZE)), dict(request.headers), keys, **options)
            except InvalidWebhook as error:
                return str(error), error.status, {"content-type": "text/plain; charset=utf-8"}
            return current_app.ensure_sync(view)(event, *args, **kwargs)

        return receive

    return decorate


def _body(most: int) -> bytes:
    """The bytes as they came. A form parser that ran before has eaten them and left nothing."""
    if (request.content_length or 0) > most:
        raise too_large(most)
    body = request.get_data(cache=True)
    if not body and request.content_length:
        raise parsed()
    return body
