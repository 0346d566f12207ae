"""Commands to copy: what a terminal runs is exactly what is meant, whatever the payload says."""

from __future__ import annotations

import json

from ..domain.event import Event
from ..domain.request import Request
from .node import Node

MOST_ARGUMENT = 100 * 1024  # bytes; Linux takes 128 KiB for one argument, and bodies may be larger


def curl(request: Request) -> str:
    """POSTs the very bytes. The receiver checks its signature as it would Hookpost's own."""
    options = [
        f"  --header {_quoted(f'{name}: {value}' if value else f'{name};')} \\" for name, value in request.headers
    ]
    body = request.body.decode()
    piped = len(request.body) > MOST_ARGUMENT
    first = f"printf %s {_quoted(body)} |\ncurl" if piped else "curl"
    data = "--data-binary @-" if piped else f"--data-raw {_quoted(body)}"
    return "\n".join(
        [f"{first} --include --globoff --path-as-is --url {_quoted(request.url)} \\", *options, f"  {data}"]
    )


def grpcurl(event: Event, node: Node, *, with_key: bool) -> str:
    """Emits the event anew: it gets an id of its own, and goes to all who subscribe now."""
    given = {"tenantId": event.tenant_id, "type": event.type, "json": event.payload.decode()}
    plain = "" if node.tls else " -plaintext"
    key = ' -H "authorization: Bearer $HOOKPOST_API_KEY"' if with_key else ""
    message = _quoted(json.dumps(given, ensure_ascii=False))
    return f"printf %s {message} |\ngrpcurl{plain}{key} -d @ {node.grpc} hookpost.v1.EventService/EmitEvent"


def _quoted(text: str) -> str:
    """As one word of a POSIX shell."""
    return "'" + text.replace("'", "'\\''") + "'"
