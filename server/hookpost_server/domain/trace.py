"""W3C Trace Context: what a `traceparent` must look like, and how a call or an attempt becomes part of a trace.

Tracing is off unless it is set up; a producer's `traceparent` is then passed on to the receivers as it came.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable

HEADER = "traceparent"
_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_KNOWN_FLAGS = 0b11  # sampled, random trace id

# (name, parent) → a context that lasts as long as the work, with the `traceparent` for what the work calls.
Spans = Callable[[str, str | None], contextlib.AbstractContextManager[str | None]]


def unrecorded(name: str, parent: str | None) -> contextlib.AbstractContextManager[str | None]:
    """The Spans of a process that does not trace: the parent is handed on."""
    return contextlib.nullcontext(parent)


def parse(text: str) -> str | None:
    """A well-formed `traceparent` as version 00; None for any other text, which the standard says to ignore."""
    found = _TRACEPARENT.fullmatch(text)
    if found is None:
        return None
    version, trace, parent, flags, more = found.groups()
    if version == "ff" or (version == "00" and more) or int(trace, 16) == 0 or int(parent, 16) == 0:
        return None
    return f"00-{trace}-{parent}-{int(flags, 16) & _KNOWN_FLAGS:02x}"


def trace_id(traceparent: str) -> str:
    """The 32 hex digits that all spans of a trace share."""
    return traceparent[3:35]
