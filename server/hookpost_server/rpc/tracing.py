"""What a call's metadata says of the trace it belongs to."""

from __future__ import annotations

from ..domain import trace
from .context import Context


def given(context: Context) -> str | None:
    """The caller's `traceparent`; None if there is none that is well formed. Of several, gRPC hands on the last."""
    for name, value in context.invocation_metadata() or ():
        if name == trace.HEADER and isinstance(value, str):
            return trace.parse(value)
    return None
