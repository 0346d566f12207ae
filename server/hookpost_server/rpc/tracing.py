"""What a call's metadata says of the trace it belongs to."""

from __future__ import annotations

from ..domain import trace
from .context import Context


def given(context: Context) -> str | None:
    """The caller's `traceparent`; None if there is none, or none that is well formed, or more than one."""
    found = [value for name, value in context.invocation_metadata() or () if name == trace.HEADER]
    return trace.parse(found[0]) if len(found) == 1 and isinstance(found[0], str) else None
