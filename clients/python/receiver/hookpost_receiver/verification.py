"""Signatures, checked as Standard Webhooks 1.0 has it, or as receivers written for Logto do."""

from __future__ import annotations

import base64
import binascii
import contextlib
import hmac
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

from .event import Event, read
from .refusal import InvalidWebhook, Reason, parsed, too_large

TOLERANCE = 300.0  # seconds, both ways; what every Standard Webhooks library allows
MAX_SIZE = 1024 * 1024  # bytes of a body
DEFAULT_HEADER = "hookpost-signature-sha-256"
_PREFIX = "whsec_"
_HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")
# Hookpost writes no white space at the beginning of its envelopes; frameworks that parse a body and write it anew do.
_WRITTEN_ANEW = re.compile(rb'\{(\s+"|"(event|type|specversion)":\s)')


class Scheme(StrEnum):
    """What is checked. Both come with every request."""

    STANDARD = "standard"  # webhook-id, -timestamp, -signature: covers id, time and body
    HEX = "hex"  # hex HMAC of the body alone, as Logto sends: an old request can be sent again by whoever saw it


@runtime_checkable
class _Items(Protocol):
    """Mappings, and what is like one: the headers of `http.server`."""

    def items(self) -> Iterable[tuple[str, Any]]: ...


Headers = _Items | Iterable[tuple[str | bytes, str | bytes]]


def verify(
    body: bytes | str,
    headers: Headers,
    keys: str | Sequence[str],
    *,
    scheme: Scheme | str = Scheme.STANDARD,
    tolerance: float = TOLERANCE,
    header: str = DEFAULT_HEADER,
    max_size: int = MAX_SIZE,
    now: float | None = None,
) -> Event:
    """The event, if the request is authentic and of now. Raises InvalidWebhook, and nothing else, whatever comes in.

    `body`: the bytes as they came, before anything parsed them. `headers`: all of the request's, in capitals or not.
    `keys`: the webhook's signing keys, any of which may fit (after a rotation: new and old). `tolerance` in seconds.
    `header`: of the scheme "hex". `now`: unix seconds, for tests.
    """
    raw = _raw(body)
    if len(raw) > max_size:
        raise too_large(max_size)
    scheme = Scheme(scheme)
    secrets = _secrets(keys, scheme)
    given = _lower(headers)
    timestamp = None
    if scheme is Scheme.HEX:
        _check_hex(raw, given, secrets, header.lower())
    else:
        timestamp = _check_standard(raw, given, secrets)
        age = (time.time() if now is None else now) - timestamp
        if age > tolerance:
            raise InvalidWebhook(Reason.TOO_OLD, f"it was sent {age:.0f} s ago; compare the clocks")
        if age < -tolerance:
            raise InvalidWebhook(Reason.TOO_NEW, f"it was sent {-age:.0f} s ahead of this clock; compare the clocks")
    try:
        return read(raw, given, None if timestamp is None else datetime.fromtimestamp(timestamp, UTC))
    except ValueError as error:
        raise InvalidWebhook(Reason.MALFORMED, f"signed, but not to be read: {error}") from None


def _raw(body: Any) -> bytes:
    if isinstance(body, str):
        return body.encode("utf-8", "surrogatepass")
    if isinstance(body, bytes | bytearray | memoryview):
        return bytes(body)
    raise parsed(f"it is {type(body).__name__}")


def _lower(headers: Headers) -> dict[str, str]:
    """By name in lower case; of one that came more than once, the first."""
    pairs: Iterable[tuple[Any, Any]] = headers.items() if isinstance(headers, _Items) else headers or ()
    given: dict[str, str] = {}
    for name, value in pairs:
        given.setdefault(_text(name).lower(), _text(value))
    return given


def _text(value: Any) -> str:
    """ASGI gives bytes, and some frameworks a list of values."""
    if isinstance(value, list | tuple):
        value = next(iter(value), "")
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return value if isinstance(value, str) else ""


def _secrets(keys: str | Sequence[str], scheme: Scheme) -> list[bytes]:
    given = [key for key in ([keys] if isinstance(keys, str) else keys or ()) if isinstance(key, str) and key]
    if not given:  # or None, of a variable that is not set; or bytes
        raise InvalidWebhook(Reason.NO_KEY, "no signing key was given as text")
    return [_encoded(key) if scheme is Scheme.HEX else _decoded(key) for key in given]


def _encoded(key: str) -> bytes:
    return key.encode("utf-8", "surrogatepass")


def _decoded(key: str) -> bytes:
    """Standard Webhooks signs with what `whsec_` encodes in base64; other keys are taken as they are."""
    if not key.startswith(_PREFIX):
        return _encoded(key)
    encoded = key.removeprefix(_PREFIX)
    with contextlib.suppress(binascii.Error, ValueError):
        if secret := base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True):
            return secret  # an empty one would be known to everybody
    raise InvalidWebhook(Reason.NO_KEY, f'a signing key is not base64 after "{_PREFIX}"')


def _check_hex(body: bytes, headers: Mapping[str, str], secrets: Sequence[bytes], header: str) -> None:
    given = headers.get(header, "")
    if not given:
        raise InvalidWebhook(Reason.MISSING_HEADER, f"{header} is missing")
    _compare([hmac.digest(secret, body, "sha256").hex() for secret in secrets], [given], body)


def _check_standard(body: bytes, headers: Mapping[str, str], secrets: Sequence[bytes]) -> int:
    """Returns the time of the attempt, unix seconds."""
    if missing := [name for name in _HEADERS if not headers.get(name)]:
        hint = f'; for {DEFAULT_HEADER} say scheme="hex"' if DEFAULT_HEADER in headers and len(missing) == 3 else ""
        raise InvalidWebhook(Reason.MISSING_HEADER, f"{', '.join(missing)} missing{hint}")
    message_id, timestamp, given = (headers[name] for name in _HEADERS)
    if not re.fullmatch("[0-9]{1,11}", timestamp, re.ASCII):
        raise InvalidWebhook(Reason.BAD_TIMESTAMP, "webhook-timestamp is not a number of seconds")
    content = f"{message_id}.{timestamp}.".encode("utf-8", "surrogatepass") + body
    expected = ["v1," + base64.b64encode(hmac.digest(secret, content, "sha256")).decode() for secret in secrets]
    _compare(expected, given.split(), body)
    return int(timestamp)


def _compare(expected: Sequence[str], given: Sequence[str], body: bytes) -> None:
    """In constant time for each pair: a list, not a generator, so that every pair is compared."""
    pairs = [(a.encode(), b.encode("utf-8", "surrogatepass")) for a in expected for b in given]
    if any([hmac.compare_digest(ours, theirs) for ours, theirs in pairs]):  # noqa: C419
        return
    if _WRITTEN_ANEW.match(body):
        raise parsed("it was written anew, with white space that Hookpost does not send")
    raise InvalidWebhook(Reason.BAD_SIGNATURE, "no signature fits any of the keys")
