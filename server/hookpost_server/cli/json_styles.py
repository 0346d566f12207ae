"""JSON text laid out anew in every style that serialisers have, without parsing: numbers and members stay as read."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence

_TOKEN = re.compile(r'\s*(?:("(?:[^"\\]|\\.)*")|([{}\[\],:])|([^\s{}\[\],:"]+))', re.DOTALL)
_INDENTS = ("", "  ", "    ", "\t")
_SEPARATORS = ((",", ":"), (", ", ": "), (",", ": "))

Tokens = list[str]


def tokens(text: str) -> Tokens | None:
    """The tokens of a JSON text; None if it is none."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return None
    return [next(filter(None, match.groups())) for match in _TOKEN.finditer(text.strip())]


def members(found: Tokens) -> dict[str, Tokens] | None:
    """An object's members by name, each with its tokens, name included; None for what is no object."""
    if found[0] != "{":
        return None
    result: dict[str, Tokens] = {}
    depth, member = 0, Tokens()
    for part in [*found[1:-1], ","]:
        if part == "," and not depth:
            if member:
                result[json.loads(member[0])] = member
            member = []
            continue
        depth += (part in "{[") - (part in "}]")
        member.append(part)
    return result


def object_of(chosen: Sequence[Tokens]) -> Tokens:
    """An object with these members."""
    result = ["{"]
    for number, member in enumerate(chosen):
        result += [",", *member] if number else member
    return [*result, "}"]


def styles(found: Tokens) -> Iterator[str]:
    """Each text once, those of compact serialisers first."""
    seen: set[str] = set()
    for write in (_plain, _ascii, str):
        for escape in (False, True):
            written = [_string(part, write, slash=escape) if part[0] == '"' else part for part in found]
            for indent in _INDENTS:
                for comma, colon in _SEPARATORS:
                    text = _lay_out(written, indent, comma, colon)
                    if text not in seen:
                        seen.add(text)
                        yield text


def _string(part: str, write: Callable[[str], str], *, slash: bool) -> str:
    text = write(part)
    return re.sub(r"(?<!\\)/", r"\\/", text) if slash else text


def _plain(part: str) -> str:
    return json.dumps(json.loads(part), ensure_ascii=False)


def _ascii(part: str) -> str:
    return json.dumps(json.loads(part))


def _lay_out(found: Tokens, indent: str, comma: str, colon: str) -> str:
    pieces: list[str] = []
    depth, before = 0, ""
    for part in found:
        if part in ("}", "]"):
            depth -= 1
            if indent and before not in ("{", "["):
                pieces.append("\n" + indent * depth)
        elif indent and before in ("{", "["):
            pieces.append("\n" + indent * depth)
        if part == ",":
            pieces.append(",\n" + indent * depth if indent else comma)
        elif part == ":":
            pieces.append(colon)
        else:
            pieces.append(part)
        depth += part in ("{", "[")
        before = part
    return "".join(pieces)
