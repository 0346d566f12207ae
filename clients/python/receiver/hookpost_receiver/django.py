"""For Django.

@receives(["whsec_…"])
def hook(request: HttpRequest, event: Event) -> HttpResponse: ...
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, RawPostDataException
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from .refusal import InvalidWebhook, parsed, too_large
from .verification import MAX_SIZE, verify


def receives(keys: str | Sequence[str], **options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Gives the event to the view after the request, or answers with the refusal's status. As `verify`."""

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(view)
        def receive(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            try:
                event = verify(_body(request, options.get("max_size", MAX_SIZE)), request.headers, keys, **options)
            except InvalidWebhook as error:
                return HttpResponse(str(error), status=error.status, content_type="text/plain; charset=utf-8")
            return view(request, event, *args, **kwargs)

        decorated: Callable[..., Any] = csrf_exempt(require_POST(receive))
        return decorated

    return decorate


def _body(request: HttpRequest, most: int) -> bytes:
    try:
        body: bytes = request.body
        return body
    except RequestDataTooBig:
        raise too_large(most) from None
    except RawPostDataException:
        raise parsed() from None
