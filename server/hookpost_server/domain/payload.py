"""The door for payloads: strict JSON, checked once, kept byte for byte.

`json.loads` alone accepts NaN, duplicate names, lone surrogates and endless nesting: all of them break some receiver
later, where nobody can mend them (RFC 8259 §4, §8; I-JSON, RFC 7493 §2).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any, NoReturn

MAX_BYTES = 256 * 1024
MAX_DEPTH = 64
RESERVED = ("event", "createdAt", "hookId")  # members that the FLAT envelope adds

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


class PayloadError(ValueError):
    """The payload can't be accepted; the message is for people."""


def check(data: bytes) -> None:
    """Accepts a JSON object that every receiver can read. Raises PayloadError."""
    check_object(data, MAX_BYTES)
    top = _parse(data)
    if taken := [name for name in RESERVED if name in top]:
        raise PayloadError(f"must not have the top-level member {taken[0]!r}: Hookpost adds it itself")


def check_object(data: bytes, limit: int) -> None:
    """The size and nothing else; for texts that are parsed right after."""
    if len(data) > limit:
        raise PayloadError(f"must be at most {limit // 1024} KiB, is {len(data):,} bytes")


def _parse(data: bytes) -> dict[str, Any]:
    try:
        value = _DECODER.decode(data.decode())
    except UnicodeDecodeError as error:
        raise PayloadError(f"must be UTF-8; byte {error.start} is not") from None
    except json.JSONDecodeError as error:
        what = error.msg.removesuffix(" at")
        raise PayloadError(f"must be JSON: {what} at line {error.lineno} column {error.colno}") from None
    except RecursionError:
        raise PayloadError(f"must be nested at most {MAX_DEPTH} levels deep") from None
    if not isinstance(value, dict):
        raise PayloadError("must be a JSON object: {…}")
    # The count of openers bounds the depth; only when it is no proof is the tree walked.
    if data.count(b"{") + data.count(b"[") > MAX_DEPTH and _depth(value) > MAX_DEPTH:
        raise PayloadError(f"must be nested at most {MAX_DEPTH} levels deep")
    if _SURROGATE.search(data):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise PayloadError("must not contain a lone surrogate (\\ud800 to \\udfff)") from None
    return value


def parse_object(data: bytes, limit: int) -> dict[str, Any]:
    """A JSON object of at most `limit` bytes, under the same strict rules. Raises PayloadError."""
    check_object(data, limit)
    return _parse(data)


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise PayloadError(f"must not have the member {twice[:80]!r} twice in one object")
    return members


def _no_constant(text: str) -> NoReturn:
    raise PayloadError(f"must not contain {text}: it is not JSON")


# Numbers stay text: their value is the producer's business, and int() refuses long ones.
_DECODER = json.JSONDecoder(object_pairs_hook=_members, parse_constant=_no_constant, parse_int=str, parse_float=str)


def _depth(value: Any) -> int:
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            return depth
        inner: list[Any] = []
        for item in level:
            inner.extend(item.values() if isinstance(item, dict) else item)
        level = [item for item in inner if isinstance(item, dict | list)]
    return depth
