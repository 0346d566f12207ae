"""The receiver's doctor: each thing that goes wrong, done to a request that is right, is named."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import pytest

from hookpost_server.cli import json_styles
from hookpost_server.cli.doctor import Case, Finding, examine, verifies
from hookpost_server.cli.doctor_body import DAMAGES
from hookpost_server.cli.doctor_keys import HEX, KEYS, STANDARD
from hookpost_server.cli.verdict import DEFAULT_HEADER

KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
PLAIN = "a-secret-that-was-brought-along"
NOW = 1_790_000_000
ID = "evt_01k3pzv3mgfqtsw1nbd4z0k2xr"
BODY = (
    '{"event":"User.Created","createdAt":"2026-08-21T10:00:00.000Z",'
    '"data":{"name":"Jürgen","path":"a/b","price":1.0,"tags":[]},"hookId":"whk_1"}'
).encode()
PRETTY_BODY = json.dumps(json.loads(BODY), indent=2, ensure_ascii=False).encode()


def raw(key: str) -> bytes:
    return base64.b64decode(key.removeprefix("whsec_")) if key.startswith("whsec_") else key.encode()


def digest(key: bytes, content: bytes) -> bytes:
    return hmac.new(key, content, hashlib.sha256).digest()


def v1(key: bytes, body: bytes, *, prefix: str = f"{ID}.{NOW}.") -> str:
    return "v1," + base64.b64encode(digest(key, prefix.encode() + body)).decode()


def signed(body: bytes = BODY, key: str = KEY) -> dict[str, str]:
    return {
        "webhook-id": ID,
        "webhook-timestamp": str(NOW),
        "webhook-signature": v1(raw(key), body),
        "hookpost-delivery": "dlv_1",
        DEFAULT_HEADER: digest(key.encode(), body).hex(),
    }


def diagnose(
    headers: dict[str, str], body: bytes = BODY, *secrets: str, now: float = NOW + 1
) -> tuple[Finding, Finding]:
    case = Case(headers=headers, body=body, secrets=secrets or (KEY,), now=now)
    first, second = examine(case)
    assert (first.scheme, second.scheme) == (HEX, STANDARD)
    return first, second


def causes(*arguments: Any, **named: Any) -> tuple[str, str]:
    first, second = diagnose(*arguments, **named)
    assert first.cause in ("ok", "absent") or first.cure
    assert second.cause in ("ok", "absent") or second.cure
    return first.cause, second.cause


def test_a_right_request() -> None:
    assert causes(signed()) == ("ok", "ok")
    assert causes(signed(key=PLAIN), BODY, PLAIN) == ("ok", "ok")
    rotated = signed()
    rotated["webhook-signature"] = f"v1a,ignored {v1(raw(OTHER), BODY)} {rotated['webhook-signature']}"
    assert causes(rotated) == ("ok", "ok")


def with_newline(body: bytes) -> bytes:
    return body + b"\n"


def python_default(body: bytes) -> bytes:
    return json.dumps(json.loads(body)).encode()


DAMAGED: dict[str, list[Callable[[bytes], bytes]]] = {
    "newline-added": [with_newline, lambda body: body + b"\r\n"],
    "space": [lambda body: b"  " + body + b"\n\n"],
    "bom": [lambda body: b"\xef\xbb\xbf" + body],
    "re-serialised": [
        python_default,
        lambda body: json.dumps(json.loads(body), ensure_ascii=False).encode(),
        lambda body: json.dumps(json.loads(body), separators=(",", ":")).encode(),
        lambda body: json.dumps(json.loads(body), indent=2).encode(),
        lambda body: json.dumps(json.loads(body), indent=4, ensure_ascii=False).encode(),
        lambda body: json.dumps(json.loads(body), indent="\t").encode(),
        lambda body: json.dumps(json.loads(body)).encode() + b"\n",
        lambda body: body.replace(b"/", b"\\/"),  # PHP
    ],
    "sorted": [
        lambda body: json.dumps(json.loads(body), sort_keys=True).encode(),
        lambda body: json.dumps(json.loads(body), sort_keys=True, indent=2, ensure_ascii=False).encode(),
    ],
    "quoted": [lambda body: json.dumps(body.decode()).encode()],
    "latin-1": [lambda body: body.decode("latin-1").encode(), lambda body: body.decode("cp1252").encode()],
    "encoding": [lambda body: body.decode().encode("latin-1"), lambda body: body.decode().encode("utf-16")],
}


@pytest.mark.parametrize(
    ("cause", "damage"), [(cause, damage) for cause, damages in DAMAGED.items() for damage in damages]
)
def test_what_happened_to_the_body(cause: str, damage: Callable[[bytes], bytes]) -> None:
    assert causes(signed(), damage(BODY)) == (cause, cause)


def test_what_happens_to_a_body_in_lines() -> None:
    crlf = PRETTY_BODY.replace(b"\n", b"\r\n")
    assert causes(signed(PRETTY_BODY), crlf) == ("line-ends", "line-ends")
    assert causes(signed(crlf), PRETTY_BODY) == ("line-ends", "line-ends")
    assert causes(signed(BODY + b"\n"), BODY) == ("newline-removed", "newline-removed")
    assert causes(signed(PRETTY_BODY), BODY) == ("re-serialised", "re-serialised"), "JSON.stringify(JSON.parse(body))"


def test_every_damage_is_tested() -> None:
    assert {damage.name for damage in DAMAGES} == {*DAMAGED, "newline-removed", "line-ends"}


BARE = KEY.removeprefix("whsec_")
MISUSED: list[tuple[str, str, dict[str, bytes]]] = [  # cause, the secret given, what was signed with by scheme
    ("secret-space", KEY + "\n", {HEX: KEY.encode(), STANDARD: raw(KEY)}),
    ("secret-space", f' "{KEY}"', {HEX: KEY.encode(), STANDARD: raw(KEY)}),
    ("secret-prefix", BARE, {HEX: KEY.encode(), STANDARD: raw(KEY)}),
    ("scheme", KEY, {HEX: raw(KEY), STANDARD: KEY.encode()}),
    ("secret-bare", KEY, {HEX: BARE.encode(), STANDARD: BARE.encode()}),
    ("secret-decoded", BARE[:-1] + "A", {HEX: base64.b64decode(BARE[:-1] + "A")}),
]


@pytest.mark.parametrize(("cause", "secret", "keys"), MISUSED)
def test_what_happened_to_the_secret(cause: str, secret: str, keys: dict[str, bytes]) -> None:
    headers = signed()
    headers[DEFAULT_HEADER] = digest(keys[HEX], BODY).hex()
    headers["webhook-signature"] = v1(keys.get(STANDARD, raw(KEY)), BODY)
    first, second = causes(headers, BODY, secret)
    assert first == cause
    assert second == cause or STANDARD not in keys


def test_every_misuse_is_tested() -> None:
    assert {fault.name for fault in KEYS} == {cause for cause, _, _ in MISUSED}


def test_the_secret_and_the_body() -> None:
    first, _ = diagnose(signed(), with_newline(BODY), KEY + " ")
    assert first.cause == "secret-space+newline-added"
    assert "besides: a newline was added" in first.what


def test_a_form_that_is_not_all_that_is_wrong() -> None:
    headers = changed(hookpost_signature_sha_256=f"sha256={HEX_DIGEST.hex()}")
    assert causes(headers, with_newline(BODY)) == ("newline-added", "newline-added")


def test_another_of_the_secrets() -> None:
    first, second = diagnose(signed(key=OTHER), BODY, KEY, OTHER)
    assert first.cause == second.cause == "other-key"
    assert "secret 2" in first.what


def changed(**headers: str | None) -> dict[str, str]:
    given = signed() | {name.replace("_", "-"): value for name, value in headers.items()}
    return {name: value for name, value in given.items() if value is not None}


HEX_DIGEST = digest(KEY.encode(), BODY)
HEX_ONLY: dict[str, None] = dict.fromkeys(("webhook_id", "webhook_timestamp", "webhook_signature"))


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (changed(hookpost_signature_sha_256=None), ("absent", "ok")),
        (changed(**HEX_ONLY), ("ok", "absent")),
        (changed(webhook_id=None), ("ok", "header-missing")),
        (changed(webhook_timestamp=""), ("ok", "header-missing")),
        (changed(webhook_timestamp=str(NOW * 1000)), ("ok", "timestamp-garbled")),
        (changed(webhook_timestamp="2026-08-21"), ("ok", "timestamp-garbled")),
        (changed(webhook_signature="v1"), ("ok", "header-garbled")),
        (changed(webhook_signature=v1(raw(KEY), BODY)[:-9]), ("ok", "header-garbled")),
        (changed(hookpost_signature_sha_256=HEX_DIGEST.hex()[:-1]), ("header-garbled", "ok")),
        (changed(hookpost_signature_sha_256=f"sha256={HEX_DIGEST.hex()}"), ("header-form", "ok")),
        (changed(hookpost_signature_sha_256=base64.b64encode(HEX_DIGEST).decode()), ("base64-for-hex", "ok")),
        (
            changed(webhook_signature="v1," + digest(raw(KEY), f"{ID}.{NOW}.".encode() + BODY).hex()),
            ("ok", "hex-for-base64"),
        ),
        (changed(webhook_signature=v1(raw(KEY), BODY, prefix="")), ("ok", "content")),
        (changed(webhook_signature=v1(raw(KEY), BODY, prefix=f"{NOW}.")), ("ok", "content")),
        (changed(webhook_signature=v1(raw(KEY), BODY, prefix=f"{ID}.")), ("ok", "content")),
        (changed(webhook_signature=v1(raw(KEY), BODY, prefix=f"dlv_1.{NOW}.")), ("ok", "content")),
        (changed(webhook_timestamp=str(NOW - 30)), ("ok", "timestamp")),
        (changed(webhook_id="evt_another"), ("ok", "other-message")),
    ],
)
def test_what_happened_to_the_headers(headers: dict[str, str], expected: tuple[str, str]) -> None:
    assert causes(headers) == expected


@pytest.mark.parametrize(
    ("seconds", "words"), [(7 * 60, "7.0 min old"), (-3600, "60.0 min in the future"), (301, "5.0 min old")]
)
def test_the_clock(seconds: int, words: str) -> None:
    first, second = diagnose(signed(), now=NOW + seconds)
    assert (first.cause, second.cause) == ("ok", "clock")
    assert words in second.what
    assert diagnose(signed(), now=NOW + 300)[1].right


@pytest.mark.parametrize(
    ("body", "length", "cause"),
    [
        (b"", "", "empty"),
        (json.dumps({"z": 1} | json.loads(BODY)).encode(), "", "reordered"),
        (BODY[:-10], str(len(BODY)), "length"),
        (BODY.decode("ascii", "replace").encode(), "", "lossy"),
        (BODY.replace(b"Created", b"Deleted"), str(len(BODY)), "unknown"),
    ],
)
def test_what_can_not_be_undone(body: bytes, length: str, cause: str) -> None:
    assert causes(signed() | {"content-length": length}, body) == (cause, cause)


def test_verdict() -> None:
    assert verifies(diagnose(signed()))
    assert verifies(diagnose(changed(**HEX_ONLY))), "one scheme alone is enough"
    assert not verifies(diagnose(changed(webhook_id=None))), "but half a scheme is not"
    assert not verifies(diagnose({})), "and none is none"
    assert not verifies(diagnose(signed(), now=NOW + 3600))


@pytest.mark.parametrize(
    "text", ['{"a":[{},[],""," \\" ,{}"],"b":{"c":-1.50e+3,"":null}}', "[]", "{}", '"x"', "1.0", '[[["a:b"]]]']
)
def test_styles_are_the_same_json(text: str) -> None:
    found = json_styles.tokens(text)
    assert found
    styles = list(json_styles.styles(found))
    assert text in styles
    assert json.dumps(json.loads(text), indent=2) in styles or "e+3" in text, "as Python writes it"
    assert all(json.loads(style) == json.loads(text) for style in styles)
    assert all("-1.50e+3" in style for style in styles) == ("e+3" in text), "numbers stay as they were"


def test_what_is_no_json_has_no_styles() -> None:
    assert json_styles.tokens("{") is None
    assert json_styles.tokens("[" * 100_000) is None
