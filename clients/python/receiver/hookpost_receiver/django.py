"""For Django.

@receives(["whsec_…"])
def hook(request: HttpRequest, event: Event) -> HttpResponse: ...
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, RawPostDataException
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from .event import Event
from .refusal import InvalidWebhook, parsed, too_large
from .verification import MAX_SIZE, verify


def receives(keys: str | Sequence[str], **options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Gives the event to the view after the request, or answers with the refusal's status: as `verify`.

    The view may be `async`.
    """

    def verified(request: HttpRequest) -> Event:
        return verify(_body(request, options.get("max_size", MAX_SIZE)), request.headers, keys, **options)

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(view)
        def receive(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            try:
                event = verified(request)
            except InvalidWebhook as error:
                return _refused(error)
            return view(request, event, *args, **kwargs)

        @functools.wraps(view)
        async def receive_async(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            try:
                event = verified(request)
            except InvalidWebhook as error:
                return _refused(error)
            return await view(request, event, *args, **kwargs)

        wrapped = receive_async if inspect.iscoroutinefunction(view) else receive
        decorated: Callable[..., Any] = csrf_exempt(require_POST(wrapped))
        return decorated

    return decorate


def _refused(error: InvalidWebhook) -> HttpResponse:
    return HttpResponse(str(error), status=error.status, content_type="text/plain; charset=utf-8")


def _body(request: HttpRequest, most: int) -> bytes:
    try:
        body: bytes = request.body
        return body
    except RequestDataTooBig:
        raise too_large(most) from None
    except RawPostDataException:
        raise parsed() from None
