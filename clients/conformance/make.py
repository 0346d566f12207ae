"""Writes the vectors beside it: `python clients/conformance/make.py`. Signatures are openssl's, not our own code's."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
NOW = 1_900_000_000
KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OLD = "whsec_" + base64.b64encode(bytes(range(32))).decode()
RAW = "a key of one's own: ~!@#$%^&*()"
HEX = "hookpost-signature-sha-256"
WHK = "whk_01h455vb4pex5vsknk084sn02q"
EVT, DLV = "evt_01h455vb4pex5vsknk084sn02q", "dlv_01h455vb4pex5vsknk084sn02q"
PAYLOAD = '"userId":"u1","n":1.0,"big":9007199254740993,"text":"Zoë \\u2028 \U0001f389","tags":[1,{"a":null}]'
DATA = json.loads("{" + PAYLOAD + "}")
MOMENT = "2026-08-21T10:00:00.000Z"
FLAT = f'{{"event":"PostSignIn","createdAt":"{MOMENT}",{PAYLOAD},"hookId":"{WHK}"}}'
STANDARD = f'{{"type":"PostSignIn","timestamp":"{MOMENT}","data":{{{PAYLOAD}}}}}'
CLOUDEVENTS = (
    f'{{"specversion":"1.0","id":"{EVT}","source":"/hookpost/default","type":"PostSignIn","time":"{MOMENT}",'
    f'"datacontenttype":"application/json","data":{{{PAYLOAD}}}}}'
)


def digest(key: bytes, content: bytes) -> bytes:
    """HMAC-SHA256 by openssl."""
    command = ["openssl", "dgst", "-sha256", "-mac", "HMAC", "-macopt", f"hexkey:{key.hex()}", "-binary"]
    return subprocess.run(command, input=content, stdout=subprocess.PIPE, check=True).stdout


def standard(key: str, body: bytes, message_id: str = EVT, timestamp: str = str(NOW)) -> str:
    """An entry of `webhook-signature`."""
    secret = base64.b64decode(key.removeprefix("whsec_")) if key.startswith("whsec_") else key.encode()
    return "v1," + base64.b64encode(digest(secret, f"{message_id}.{timestamp}.".encode() + body)).decode()


def signed(body: bytes | str, key: str = KEY, timestamp: str = str(NOW), **headers: str) -> dict[str, str]:
    """All headers of a request; None takes one away."""
    raw = body.encode() if isinstance(body, str) else body
    made: dict[str, Any] = {
        "content-type": "application/json",
        "webhook-id": EVT,
        "webhook-timestamp": timestamp,
        "webhook-signature": standard(key, raw, timestamp=timestamp),
        HEX: digest(key.encode(), raw).hex(),
        "hookpost-event": "PostSignIn",
        "hookpost-delivery": DLV,
        "hookpost-attempt": "2",
    }
    made |= {name.replace("_", "-"): value for name, value in headers.items()}
    return {name: value for name, value in made.items() if value is not None}


def event(kind: str = "PostSignIn", data: Any = None, moment: str | None = MOMENT, timestamp: int | None = NOW) -> Any:
    """What a receiver must read out of it; times in unix seconds."""
    return {
        "id": EVT,
        "type": kind,
        "data": DATA if data is None else data,
        "timestamp": timestamp,
        "occur_time": 1787306400 if moment else None,
        "attempt": 2,
        "delivery_id": DLV,
    }


def case(name: str, body: bytes | str, headers: dict[str, str], expect: Any, **given: Any) -> dict[str, Any]:
    """One vector, complete in itself."""
    raw = body.encode() if isinstance(body, str) else body
    made = {"name": name, "scheme": "standard", "keys": [KEY], "tolerance": 300, "now": NOW, "header": HEX} | given
    made |= {"headers": headers, "body_base64": base64.b64encode(raw).decode()}
    made["expect"] = {"reason": expect} if isinstance(expect, str) else {"event": expect}
    return made


def verification() -> list[dict[str, Any]]:
    """What must be taken, and what must be refused and why."""
    good = signed(FLAT)
    entry = good["webhook-signature"]
    anew = json.dumps(json.loads(FLAT))
    pretty = json.dumps(json.loads(STANDARD), indent=2)
    empty = '{"event":"A","createdAt":"2026-08-21T10:00:00.000Z","hookId":"' + WHK + '"}'
    plain = {"kind": "nothing of an envelope", "n": [1, 2.5]}
    spaced = '{"kind": "as the caller wrote it", "n": 1}\r\n'
    return [
        case("flat", FLAT, good, event()),
        case("flat without members", empty, signed(empty), event("A", {})),
        case("standard", STANDARD, signed(STANDARD), event()),
        case("cloudevents", CLOUDEVENTS, signed(CLOUDEVENTS), event()),
        case("raw: the type is not taken from a header", json.dumps(plain, separators=(",", ":")),
             signed(json.dumps(plain, separators=(",", ":"))), event("", plain, None)),
        case("raw, with white space of the caller's", spaced, signed(spaced), event("", json.loads(spaced), None)),
        case("names of headers in capitals", FLAT, {name.upper(): value for name, value in good.items()}, event()),
        case("a key of one's own", FLAT, signed(FLAT, RAW), event(), keys=[RAW]),
        case("two keys, the second fits", FLAT, signed(FLAT, OLD), event(), keys=[KEY, OLD]),
        case("two signatures, the second fits", FLAT, signed(FLAT, webhook_signature=f"{standard(OLD, FLAT.encode())} {entry}"), event()),
        case("signatures of another version and rubbish beside a good one", FLAT,
             signed(FLAT, webhook_signature=f"v1a,abc v2,{entry[3:]} v1, , v1 {entry}"), event()),
        case("the oldest that is taken", FLAT, good, event(), now=NOW + 300),
        case("the newest that is taken", FLAT, good, event(), now=NOW - 300),
        case("a wide tolerance", FLAT, good, event(), now=NOW + 86_000, tolerance=86_400),
        case("an attempt that is no number", FLAT, signed(FLAT, hookpost_attempt="x"), event() | {"attempt": None}),
        case("no headers of Hookpost's own", FLAT, signed(FLAT, hookpost_attempt=None, hookpost_delivery=None),
             event() | {"attempt": None, "delivery_id": ""}),
        case("hex", FLAT, good, event(timestamp=None), scheme="hex"),
        case("hex under another name", FLAT, {"Logto-Signature-Sha-256": good[HEX], "webhook-id": EVT, "hookpost-attempt": "2",
             "hookpost-delivery": DLV}, event(timestamp=None), scheme="hex", header="logto-signature-sha-256"),
        case("hex signs no time", FLAT, good, event(timestamp=None), scheme="hex", now=NOW + 10**6),
        case("hex, the second key fits", FLAT, signed(FLAT, RAW), event(timestamp=None), scheme="hex", keys=[KEY, RAW]),
        case("too old", FLAT, good, "too_old", now=NOW + 301),
        case("too new", FLAT, good, "too_new", now=NOW - 301),
        case("too old, and another's key: the signature counts first", FLAT, signed(FLAT, OLD), "bad_signature", now=NOW + 301),
        *(case(f"without {name}", FLAT, {k: v for k, v in good.items() if k != name}, "missing_header")
          for name in ("webhook-id", "webhook-timestamp", "webhook-signature")),
        case("an empty signature", FLAT, signed(FLAT, webhook_signature=""), "missing_header"),
        case("only hex, but standard is asked for", FLAT, {HEX: good[HEX]}, "missing_header"),
        case("hex, but without its header", FLAT, {k: v for k, v in good.items() if k != HEX}, "missing_header", scheme="hex"),
        *(case(f"a timestamp of {text!r}", FLAT, signed(FLAT, timestamp=text), "bad_timestamp")
          for text in ("abc", "-5", "1e9", "1900000000.0", " 1900000000", "9" * 40, "١٢٣")),
        *(case(f"a signature of {text!r}", FLAT, signed(FLAT, webhook_signature=text), "bad_signature")
          for text in ("garbage", "v1,A", "v1", "v1,", "v1,ÿ", entry.replace("v1,", "v1a,"), entry.replace("v1,", "v2,"),
                       entry.lower(), entry[:-1], entry + "=", ", ,")),
        case("another's key", FLAT, good, "bad_signature", keys=[OLD]),
        case("another id", FLAT, signed(FLAT, webhook_id="evt_other"), "bad_signature"),
        case("another body", FLAT.replace("u1", "u2"), good, "bad_signature"),
        case("a line end was added", FLAT + "\n", good, "bad_signature"),
        case("the whsec_ key's text instead of its bytes", FLAT, signed(FLAT) | {
            "webhook-signature": "v1," + base64.b64encode(digest(KEY.encode(), f"{EVT}.{NOW}.{FLAT}".encode())).decode()}, "bad_signature"),
        case("hex in capitals", FLAT, good | {HEX: good[HEX].upper()}, "bad_signature", scheme="hex"),
        case("hex of another body", FLAT, good | {HEX: signed(STANDARD)[HEX]}, "bad_signature", scheme="hex"),
        case("hex that is none", FLAT, good | {HEX: "ÿ"}, "bad_signature", scheme="hex"),
        case("written anew with spaces", anew, good, "body_parsed"),
        case("written anew with line ends", pretty, signed(STANDARD), "body_parsed"),
        case("written anew, by hex", anew, good, "body_parsed", scheme="hex"),
        case("raw, with white space of the caller's, by another's key", spaced, signed(spaced, OLD), "bad_signature"),
        case("no key", FLAT, good, "no_key", keys=[]),
        case("an empty key", FLAT, good, "no_key", keys=[""]),
        case("a key that is not base64", FLAT, good, "no_key", keys=["whsec_%%%%"]),
        case("an empty body, signed", "", signed(""), "malformed"),
        case("not UTF-8, signed", b'{"event":"\xff"}', signed(b'{"event":"\xff"}'), "malformed"),
        case("a list, signed", "[1]", signed("[1]"), "malformed"),
        case("a number that is none, signed", '{"n":NaN}', signed('{"n":NaN}'), "malformed"),
        case("half a document, signed", '{"event":', signed('{"event":'), "malformed"),
        case("a byte too long", FLAT, good, "too_large", max_size=len(FLAT.encode()) - 1),
    ]  # fmt: skip


def signing() -> list[dict[str, Any]]:
    """What a sender must write."""
    bodies = [FLAT, STANDARD, "{}", "é\n\u2028"]
    return [
        {
            "key": key,
            "id": EVT,
            "timestamp": NOW,
            "body": body,
            "standard": standard(key, body.encode()),
            "hex": digest(key.encode(), body.encode()).hex(),
        }
        for key in (KEY, OLD, RAW)
        for body in bodies
    ]


def calls() -> list[dict[str, Any]]:
    """How a client bears itself: what a server answers to emits of the type `Conformance.<name>`, one after the other.

    The event's idempotency key is the same in all calls of a case. `answers`: OK, or a code.
    """

    def one(name: str, answers: list[str], made: int, **expect: Any) -> dict[str, Any]:
        return {"name": name, "type": f"Conformance.{name}", "answers": answers, "calls": made, "expect": expect}

    unavailable = "UNAVAILABLE"
    return [
        one("Accepted", ["OK"], 1, code="OK", duplicate=False),
        one("TwiceAway", [unavailable, unavailable, "OK"], 3, code="OK", duplicate=False),
        one("FourTimesAway", [unavailable] * 4 + ["OK"], 5, code="OK", duplicate=False),
        one("Away", [unavailable] * 9, 5, code=unavailable, reason="DATABASE_UNAVAILABLE", retryable=True),
        one("Full", ["RESOURCE_EXHAUSTED"], 1, code="RESOURCE_EXHAUSTED", reason="BACKLOG_FULL", retryable=True),
        one("TooMuch", ["RESOURCE_EXHAUSTED"], 1, code="RESOURCE_EXHAUSTED", reason="LIMIT_EXCEEDED", retryable=False),
        one("Refused", ["INVALID_ARGUMENT"], 1, code="INVALID_ARGUMENT", reason="FIELD_INVALID", retryable=False,
            violations=[{"field": "json", "description": "must be a JSON object"}]),
        one("Reused", ["ALREADY_EXISTS"], 1, code="ALREADY_EXISTS", reason="IDEMPOTENCY_KEY_REUSED", retryable=False),
        one("Forbidden", ["PERMISSION_DENIED"], 1, code="PERMISSION_DENIED", reason="SCOPE_MISSING", retryable=False),
        one("Slow", ["DEADLINE_EXCEEDED"], 1, code="DEADLINE_EXCEEDED", reason="DEADLINE_EXCEEDED", retryable=True),
    ]  # fmt: skip


def main() -> None:
    for name, cases in (("verification", verification()), ("signing", signing()), ("calls", calls())):
        text = json.dumps({"cases": cases}, indent=1, ensure_ascii=True)
        (HERE / f"{name}.json").write_text(text + "\n")
        print(f"{name}.json: {len(cases)} cases")


if __name__ == "__main__":
    main()
