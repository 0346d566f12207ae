"""Is a request's signature right? Both schemes, as a receiver would check them: over the raw body, in constant time."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

DEFAULT_HEADER = "hookpost-signature-sha-256"
TOLERANCE = 300.0  # seconds, both ways; what every Standard Webhooks library allows
PREFIX = "whsec_"


class Verdict(StrEnum):
    """What a check came to."""

    RIGHT = "ok"
    WRONG = "WRONG"
    MISSING = "missing"
    MALFORMED = "malformed"
    OUT_OF_TIME = "out of time"
    NO_KEY = "not checked: no key"


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Both schemes' verdicts. `age` is how old webhook-timestamp says the request is, in seconds."""

    hex: Verdict
    standard: Verdict
    age: float | None = None

    @property
    def right(self) -> bool:
        return self.hex is Verdict.RIGHT and self.standard is Verdict.RIGHT

    @property
    def unsigned(self) -> bool:
        return self.hex is Verdict.MISSING and self.standard is Verdict.MISSING

    def __str__(self) -> str:
        if self.hex is self.standard is Verdict.NO_KEY:
            return str(Verdict.NO_KEY)
        age = "" if self.age is None else f" ({self.age:.1f} s old)"
        return f"hex {self.hex} · v1 {self.standard}{age}"


def verify(
    headers: Mapping[str, str],
    body: bytes,
    keys: Sequence[str],
    *,
    now: float,
    header: str = DEFAULT_HEADER,
) -> Verdicts:
    """Checks the hex signature in `header` and the Standard Webhooks headers; any of the keys may fit.

    `headers` must find names without case (aiohttp's do) or hold them in lower case.
    """
    age = _age(headers.get("webhook-timestamp", ""), now)
    return Verdicts(_hex(headers.get(header, ""), body, keys), _standard(headers, body, keys, age), age)


def _hex(given: str, body: bytes, keys: Sequence[str]) -> Verdict:
    if not given:
        return Verdict.MISSING
    if not keys:
        return Verdict.NO_KEY
    expected = [hmac.digest(key.encode(), body, "sha256").hex() for key in keys]
    return Verdict.RIGHT if _any_equal(expected, [given]) else Verdict.WRONG


def _standard(headers: Mapping[str, str], body: bytes, keys: Sequence[str], age: float | None) -> Verdict:
    message_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    given = headers.get("webhook-signature", "")
    if not (message_id and timestamp and given):
        return Verdict.MISSING
    entries = [entry.partition(",") for entry in given.split(" ")]
    if age is None or any(not comma or not signature for _, comma, signature in entries):
        return Verdict.MALFORMED
    if not keys:
        return Verdict.NO_KEY
    content = _bytes(f"{message_id}.{timestamp}.") + body
    expected = [base64.b64encode(hmac.digest(standard_key(key), content, "sha256")).decode() for key in keys]
    if not _any_equal(expected, [signature for version, _, signature in entries if version == "v1"]):
        return Verdict.WRONG
    return Verdict.RIGHT if abs(age) <= TOLERANCE else Verdict.OUT_OF_TIME


def standard_key(key: str) -> bytes:
    """Standard Webhooks signs with the bytes that follow `whsec_` in base64; other keys are taken as they are."""
    encoded = key.removeprefix(PREFIX)
    if encoded == key:
        return key.encode()
    try:
        return base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except binascii.Error:
        return key.encode()


def _age(timestamp: str, now: float) -> float | None:
    plain = timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12
    return now - int(timestamp) if plain else None


def _any_equal(expected: Sequence[str], given: Sequence[str]) -> bool:
    # A list, not a generator: every pair is compared, whether or not an earlier one was equal.
    return any([hmac.compare_digest(_bytes(ours), _bytes(theirs)) for ours in expected for theirs in given])  # noqa: C419


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
