"""Bodies as pages show them: text as it is or tidied, anything else as hex, never more than a browser bears."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

MOST_TEXT = 64 * 1024  # bytes shown; the whole body can be downloaded
MOST_HEX = 2 * 1024  # bytes
HEX_ROW = 16  # bytes

_BINARY = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
# Characters that change the direction of what follows: they could make a payload read as what it is not.
_TURNING = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
# JSON may write such a half of a pair as \udXXX; it is no character, and no page can be encoded with it.
_HALF = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class BodyView:
    """What to show of a body."""

    size: int  # bytes, of the whole
    text: str
    kind: str  # empty, text, json or hex
    shown: int  # bytes of the body that the text stands for

    @property
    def cut(self) -> bool:
        return self.shown < self.size


def view(body: bytes, *, tidy: bool = True) -> BodyView:
    """`tidy`: JSON is shown with a line for each member, if it is small enough to be shown whole."""
    if not body:
        return BodyView(0, "", "empty", 0)
    head = body[:MOST_TEXT]
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3 or len(head) == len(body):
            return _hex(body)
        head = head[: error.start]  # the cut went through a character
        text = head.decode()
    if _BINARY.search(text):
        return _hex(body)
    shown, kind = len(head), "text"
    if tidy and shown == len(body) and text.lstrip()[:1] in ("{", "["):
        text, kind = _tidied(text)
    return BodyView(len(body), _TURNING.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", text), kind, shown)


def _tidied(text: str) -> tuple[str, str]:
    try:
        # Numbers stay as they were written.
        value = json.loads(text, parse_int=_Number, parse_float=_Number, parse_constant=_Number)
        return _HALF.sub(lambda found: f"\\u{ord(found[0]):04x}", _dumped(value)), "json"
    except (ValueError, RecursionError):
        return text, "text"


class _Number(str):
    """A number's own digits."""


def _dumped(value: object, indent: str = "") -> str:
    inner = f"{indent}  "
    match value:
        case _Number():
            return str(value)
        case dict() if value:
            rows = [f"{inner}{json.dumps(k, ensure_ascii=False)}: {_dumped(v, inner)}" for k, v in value.items()]
            return "{\n" + ",\n".join(rows) + f"\n{indent}}}"
        case list() if value:
            return "[\n" + ",\n".join(f"{inner}{_dumped(each, inner)}" for each in value) + f"\n{indent}]"
    return json.dumps(value, ensure_ascii=False)


def _hex(body: bytes) -> BodyView:
    head = body[:MOST_HEX]
    rows = []
    for start in range(0, len(head), HEX_ROW):
        row = head[start : start + HEX_ROW]
        plain = "".join(chr(byte) if 32 <= byte < 127 else "·" for byte in row)
        rows.append(f"{start:08x}  {row.hex(' ', 1):<47}  {plain}")
    return BodyView(len(body), "\n".join(rows), "hex", len(head))
