"""Why a signature does not fit: tries what usually goes wrong on a receiver's side until one of it explains the case.

Pure: headers, body and secrets come in, a finding for each scheme comes out. The tables say what is tried:
`doctor_body.DAMAGES` for the body, `doctor_keys.KEYS` for the secret; faults of the headers are here.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from hookpost_server.cli.doctor_body import DAMAGES, reordered
from hookpost_server.cli.doctor_keys import HEX, KEYS, STANDARD, from_base64, key_of
from hookpost_server.cli.verdict import DEFAULT_HEADER, TOLERANCE

DRIFT, LARGE = 3600, 32 << 10  # seconds around webhook-timestamp that are searched; bytes of body above which fewer are


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What a receiver has in hand. Names of headers are in lower case; the first secret is the one it uses."""

    headers: Mapping[str, str]
    body: bytes
    secrets: Sequence[str]
    now: float
    tolerance: float = TOLERANCE
    header: str = DEFAULT_HEADER


@dataclass(frozen=True, slots=True)
class Finding:
    """What one scheme came to. `cause` is "ok", "absent" or names what is wrong; texts are for people."""

    scheme: str
    cause: str
    what: str
    cure: str = ""

    @property
    def right(self) -> bool:
        return self.cause == "ok"


_AROUND = Finding(HEX, "header-form", "The signature has something around it", "Compare the 64 hex digits alone")
_BASE64 = Finding(
    HEX,
    "base64-for-hex",
    "The hex signature's header holds base64",
    "Compute it as 64 lower-case hex digits: hexdigest(), digest('hex')",
)


def examine(case: Case) -> list[Finding]:
    """One finding for each scheme."""
    return [_examine_hex(case), _examine_standard(case)]


def verifies(findings: Sequence[Finding]) -> bool:
    """At least one scheme is right and none is wrong; a sender may use one of them alone."""
    return any(each.right for each in findings) and all(each.right or each.cause == "absent" for each in findings)


def _examine_hex(case: Case) -> Finding:
    given = case.headers.get(case.header)
    if given is None:
        return Finding(HEX, "absent", f"There is no header {case.header}")
    text = given.strip()
    bare = text.removeprefix("sha256=").strip("\"'")
    signature = _hex(bare)
    form = None if bare == text else _AROUND
    if signature is None:
        signature, form = _digest(bare.removeprefix("v1,")), _BASE64
    if signature is None:
        return Finding(
            HEX,
            "header-garbled",
            f"{case.header} is not 64 hex digits but {_shown(text)}",
            "Pass the header on unchanged; a proxy or a log may have cut or rewritten it",
        )
    found = _search(HEX, case, [signature], lambda body: body) or _unexplained(HEX, case)
    return form if found.right and form else found


def _examine_standard(case: Case) -> Finding:
    names = ("webhook-id", "webhook-timestamp", "webhook-signature")
    missing = [name for name in names if not case.headers.get(name, "").strip()]
    if len(missing) == len(names):
        return Finding(STANDARD, "absent", "There is none of the headers " + ", ".join(names))
    if missing:
        return Finding(
            STANDARD,
            "header-missing",
            f"There is no {' and no '.join(missing)}, but the other headers of the scheme are there",
            "Pass all three headers on; proxies and gateways often need a list of headers to let through",
        )
    message_id, timestamp, given = (case.headers[name].strip() for name in names)
    if not re.fullmatch(r"\d{9,11}", timestamp, re.ASCII):
        unit = "milliseconds" if re.fullmatch(r"\d{12,14}", timestamp, re.ASCII) else "something else"
        return Finding(
            STANDARD,
            "timestamp-garbled",
            f"webhook-timestamp is {_shown(timestamp)}: {unit} instead of seconds since 1970",
            "Pass the header on unchanged",
        )
    entries = re.findall(r"v1,([^\s,]+)", given)
    signatures = [signature for entry in entries if (signature := _hex(entry) or _digest(entry))]
    if not signatures:
        return Finding(
            STANDARD,
            "header-garbled",
            f"webhook-signature is not a list of v1,<base64> but {_shown(given)}",
            "Pass the header on unchanged, v1, included",
        )

    prefix = f"{message_id}.{timestamp}.".encode()
    found = _search(STANDARD, case, signatures, lambda body: prefix + body)
    if found is None:
        return _other_content(case, signatures, message_id, int(timestamp)) or _unexplained(STANDARD, case)
    if found.right and all(map(_hex, entries)):
        return Finding(
            STANDARD,
            "hex-for-base64",
            "webhook-signature holds the signature in hex instead of base64",
            "Compute it as base64 after v1,: base64.b64encode(digest), digest('base64')",
        )
    age = case.now - int(timestamp)
    if found.right and abs(age) > case.tolerance:
        return Finding(
            STANDARD,
            "clock",
            f"The signature fits, but the request is {_minutes(age)}; allowed are {_span(case.tolerance)}",
            "Set the clock (NTP) of whichever side is wrong; for a request that was saved, say by --now when it came",
        )
    return found


def _search(scheme: str, case: Case, signatures: Sequence[bytes], content: Callable[[bytes], bytes]) -> Finding | None:
    """The likeliest explanation first: nothing wrong, another key, the body, the secret, both."""

    def fits(key: bytes, body: bytes) -> bool:
        return hmac.digest(key, content(body), "sha256") in signatures

    first, *others = case.secrets
    if fits(key_of(scheme, first), case.body):
        return Finding(scheme, "ok", "The signature is right")
    for number, secret in enumerate(others, start=2):
        if fits(key_of(scheme, secret), case.body):
            return Finding(
                scheme,
                "other-key",
                f"It is signed with another key: secret {number} of those given, not the first",
                "The key was rotated, or it is another webhook's; hookpost webhook key ID shows those in force",
            )
    for damage in DAMAGES:
        if any(fits(key_of(scheme, secret), body) for body in damage.undo(case.body) for secret in case.secrets):
            return Finding(scheme, damage.name, damage.what, damage.cure)
    wrong_keys = [(fault, key) for secret in case.secrets for fault in KEYS for key in fault.keys(scheme, secret)]
    for fault, key in wrong_keys:
        if fits(key, case.body):
            return Finding(scheme, fault.name, fault.what, fault.cure)
    for damage in DAMAGES:
        for body in damage.undo(case.body):
            for fault, key in wrong_keys:
                if fits(key, body):
                    what = f"{fault.what}; besides: {damage.what[0].lower()}{damage.what[1:]}"
                    return Finding(scheme, f"{fault.name}+{damage.name}", what, f"{fault.cure}. {damage.cure}")
    return None


def _other_content(case: Case, signatures: Sequence[bytes], message_id: str, timestamp: int) -> Finding | None:
    """The key is right, but the signature is over something else than id.timestamp.body."""
    body = case.body
    contents: dict[str, bytes] = {
        "the body alone": body,
        "timestamp.body, without the id": f"{timestamp}.".encode() + body,
        "id.body, without the timestamp": f"{message_id}.".encode() + body,
        "the delivery's id instead of webhook-id": (
            f"{case.headers.get('hookpost-delivery', '').strip()}.{timestamp}.".encode() + body
        ),
    }
    drift = DRIFT if len(body) < LARGE else 60
    for secret in case.secrets:
        key = key_of(STANDARD, secret)
        for words, content in contents.items():
            if hmac.digest(key, content, "sha256") in signatures:
                return Finding(
                    STANDARD,
                    "content",
                    f"It is a signature over {words}",
                    "Sign webhook-id, a full stop, webhook-timestamp, a full stop, and the body's bytes",
                )
        for other in range(timestamp - drift, timestamp + drift + 1):
            if hmac.digest(key, f"{message_id}.{other}.".encode() + body, "sha256") in signatures:
                return Finding(
                    STANDARD,
                    "timestamp",
                    f"The signature is for the timestamp {other}, but webhook-timestamp says {timestamp}",
                    "Take all three headers from the same request: each attempt has a timestamp of its own",
                )
    return None


def _unexplained(scheme: str, case: Case) -> Finding:
    length = case.headers.get("content-length", "").strip()
    if not case.body:
        return Finding(
            scheme,
            "empty",
            "The body is empty",
            "Something has read the request's stream before; keep the raw bytes when they are read first",
        )
    if length.isascii() and length.isdigit() and int(length) != len(case.body):
        return Finding(
            scheme,
            "length",
            f"The body has {len(case.body)} bytes, but content-length says {length}",
            "The body was cut or rewritten on its way: look at limits and filters of proxies and middleware",
        )
    if reordered(case.body):
        return Finding(
            scheme,
            "reordered",
            "The members are not in the order in which they were sent: the body was parsed and written anew",
            "Verify the raw bytes of the request before anything parses them",
        )
    if "\ufffd".encode() in case.body:
        return Finding(
            scheme,
            "lossy",
            "The body holds U+FFFD, which stands for bytes that could not be decoded: they are lost",
            "Keep the body as bytes instead of decoding it",
        )
    if scheme == STANDARD and _examine_hex(case).right:
        return Finding(
            scheme,
            "other-message",
            "Secret and body are right, as the hex signature shows: webhook-id, webhook-timestamp or webhook-signature "
            "is of another request",
            "Take all three headers from the same request",
        )
    return Finding(
        scheme,
        "unknown",
        "The signature is not of this body with any of these secrets, nor with what usually goes wrong",
        "Is it the right webhook's secret (hookpost webhook key ID)? Is it this request's body, whole and unchanged "
        "(hookpost delivery get ID --requests)?",
    )


def _hex(text: str) -> bytes | None:
    return bytes.fromhex(text) if re.fullmatch(r"[0-9a-fA-F]{64}", text) else None


def _digest(text: str) -> bytes | None:
    """A SHA-256 digest from base64."""
    try:
        digest = from_base64(text)
    except ValueError:
        return None
    return digest if len(digest) == 32 else None


def _shown(text: str) -> str:
    return f'"{text[:40]}{"…" if len(text) > 40 else ""}"'


def _minutes(age: float) -> str:
    return f"{_span(abs(age))} {'old' if age > 0 else 'in the future'}"


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
