"""Which custom headers a webhook may have. Checked when they are stored and again when they are sent.

The HTTP client passes on empty names, `Host`, and `Transfer-Encoding` next to its own `Content-Length` (a request
smuggler's shape), so the rules are ours. Names: RFC 9110 §5.6.2 tokens.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from .errors import Violation
from .secret import HIDDEN

MAX_HEADERS = 20
MAX_VALUE = 1024
MAX_TOTAL = 8 * 1024  # bytes, names and values
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?|")

# What every request carries beside the hex signature, whose name is a setting.
OWN = frozenset(
    {"webhook-id", "webhook-timestamp", "webhook-signature"}
    | {"hookpost-event", "hookpost-delivery", "hookpost-attempt", "hookpost-test"}
)
OVERRIDABLE = ("content-type", "user-agent")
_DENIED = frozenset(
    {"host", "content-length", "transfer-encoding", "content-encoding", "connection", "keep-alive", "te", "trailer"}
    | {"upgrade", "expect", "cookie", "set-cookie", "accept-encoding", "via", "forwarded", "date"}
    | {"traceparent", "tracestate"}  # the producer's, or an attempt's own
    | {"x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip"}  # look like a client's address
)
_DENIED_PREFIXES = ("webhook-", "hookpost-", "proxy-", "x-forwarded-", "sec-")
_SECRET = re.compile(r"auth|key|token|secret|passw|cookie|credential|signature|session", re.IGNORECASE)


def may_sign(name: str) -> bool:
    """Whether the hex signature's header may have this name (in lower case): nothing else in a request has it."""
    return name not in OWN and name not in OVERRIDABLE and name not in _DENIED


def is_secret(name: str) -> bool:
    """Whether the header's value is kept from answers: its name sounds like a secret's."""
    return _SECRET.search(name) is not None


def shown(headers: Mapping[str, str]) -> dict[str, str]:
    """As answers show them: a secret's value as `***`."""
    return {name: HIDDEN if is_secret(name) else value for name, value in headers.items()}


def kept(given: Mapping[str, str], stored: Mapping[str, str]) -> dict[str, str]:
    """The given ones, where `***` stands for the value that is stored, so that what was read can be written back."""
    return {name: stored.get(name, value) if value == HIDDEN else value for name, value in given.items()}


def check(headers: Mapping[str, str], field: str, signature_header: str) -> list[Violation]:
    """Every fault, with a path such as `webhook.headers["X-Team"]`."""
    faults = []
    if len(headers) > MAX_HEADERS:
        faults.append(Violation(field, f"must have at most {MAX_HEADERS} entries, has {len(headers)}"))
    if sum(len(name) + len(value) for name, value in headers.items()) > MAX_TOTAL:
        faults.append(Violation(field, f"must be at most {MAX_TOTAL // 1024} KiB in all"))
    seen: set[str] = set()
    for name, value in headers.items():
        path = f'{field}["{name[:64]}"]' if name.isprintable() else f"{field}[…]"
        lower = name.lower()
        if not _NAME.fullmatch(name):
            faults.append(Violation(path, "name must be 1 to 64 characters: letters, digits and !#$%&'*+-.^_`|~"))
        elif lower in _DENIED or lower.startswith(_DENIED_PREFIXES) or lower == signature_header:
            faults.append(Violation(path, "this header is Hookpost's own or the connection's; it can't be set"))
        elif lower in seen:
            faults.append(Violation(path, "the name occurs twice; names are compared without case"))
        seen.add(lower)
        if value == HIDDEN:
            faults.append(Violation(path, f'"{HIDDEN}" stands for a stored value, and none is stored by this name'))
        elif len(value) > MAX_VALUE or not _VALUE.fullmatch(value):
            faults.append(
                Violation(path, f"value must be at most {MAX_VALUE} printable ASCII characters, no space at either end")
            )
    return faults
