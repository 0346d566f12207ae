"""What frameworks do to a body, undone: for each, the bodies that the sender may have signed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hookpost_server.cli import json_styles

BOM = b"\xef\xbb\xbf"
_ENVELOPES = (("event", "createdAt", "...", "hookId"), ("type", "timestamp", "data"))
_RAW = "Verify the raw bytes of the request before anything parses them"


@dataclass(frozen=True, slots=True)
class Damage:
    """One thing that happens to a body: in words, what to do about it, and how to undo it."""

    name: str
    what: str
    cure: str
    undo: Callable[[bytes], Iterator[bytes]]


def _newline_added(body: bytes) -> Iterator[bytes]:
    yield from (body.removesuffix(b"\n"), body.removesuffix(b"\r\n"))


def _newline_removed(body: bytes) -> Iterator[bytes]:
    yield from (body + b"\n", body + b"\r\n")


def _line_ends(body: bytes) -> Iterator[bytes]:
    plain = body.replace(b"\r\n", b"\n")
    bare = plain.removesuffix(b"\n")
    yield from (plain, bare, plain.replace(b"\n", b"\r\n"), bare.replace(b"\n", b"\r\n"))


def _bom(body: bytes) -> Iterator[bytes]:
    yield body.removeprefix(BOM) if body.startswith(BOM) else BOM + body


def _space(body: bytes) -> Iterator[bytes]:
    yield body.strip()


def _decoded_as_latin_1(body: bytes) -> Iterator[bytes]:
    for encoding in ("latin-1", "cp1252"):
        try:
            yield body.decode().encode(encoding)
        except UnicodeError:
            continue


def _written_in_another_encoding(body: bytes) -> Iterator[bytes]:
    for encoding in ("latin-1", "utf-16"):
        try:
            yield body.decode(encoding).encode()
        except UnicodeError:
            continue


def _quoted(body: bytes) -> Iterator[bytes]:
    try:
        text = json.loads(body)
    except (ValueError, RecursionError):
        return
    if isinstance(text, str):
        yield _encoded(text)


def _serialised(body: bytes) -> Iterator[bytes]:
    found = _tokens(body)
    if found:
        yield from map(_encoded, json_styles.styles(found))


def _sorted(body: bytes) -> Iterator[bytes]:
    """The members' order is lost, but where those of the envelope belong is known."""
    found = _tokens(body)
    present = (json_styles.members(found) if found else None) or {}
    for names in _ENVELOPES:
        if {name for name in names if name != "..."} <= present.keys():
            others = [member for name, member in present.items() if name not in names]
            ordered = [member for name in names for member in (others if name == "..." else [present[name]])]
            yield from map(_encoded, json_styles.styles(json_styles.object_of(ordered)))


def reordered(body: bytes) -> bool:
    """Whether the envelope's members are not where every envelope has them."""
    found = _tokens(body)
    names = list((json_styles.members(found) if found else None) or ())
    flat = {"event", "createdAt", "hookId"} <= set(names) and [*names[:2], names[-1]] != [
        "event",
        "createdAt",
        "hookId",
    ]
    return flat or (sorted(names) == ["data", "timestamp", "type"] and names != ["type", "timestamp", "data"])


def _tokens(body: bytes) -> json_styles.Tokens | None:
    try:
        return json_styles.tokens(body.removeprefix(BOM).decode())
    except UnicodeDecodeError:
        return None


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


DAMAGES: tuple[Damage, ...] = (
    Damage(
        "newline-added",
        "A newline was added at the end of the body",
        "Verify the request's raw bytes; an editor, echo or a line-wise read adds newlines",
        _newline_added,
    ),
    Damage(
        "newline-removed",
        "The newline at the end of the body was removed",
        "Do not trim or strip the body before verifying it",
        _newline_removed,
    ),
    Damage(
        "space",
        "White space was added around the body",
        "Verify the request's raw bytes, without anything before or after them",
        _space,
    ),
    Damage(
        "line-ends",
        "The body's line ends were changed between LF and CRLF",
        "Read and keep the body as bytes, not in text mode",
        _line_ends,
    ),
    Damage(
        "bom",
        "A byte order mark was added before the body, or taken from it",
        "Read and keep the body as bytes; no 'utf-8-sig'",
        _bom,
    ),
    Damage(
        "re-serialised",
        "The body was parsed and written anew: the same JSON, but other bytes",
        f"{_RAW}: express.raw(), await request.body(), request.get_data(), io.ReadAll(r.Body)",
        _serialised,
    ),
    Damage(
        "sorted",
        "The body was parsed and written anew with its members sorted",
        f"{_RAW}: express.raw(), await request.body(), request.get_data(), io.ReadAll(r.Body)",
        _sorted,
    ),
    Damage(
        "quoted",
        "The body was written as a JSON string: JSON inside of JSON",
        f"{_RAW}; something serialises the text of the body once more",
        _quoted,
    ),
    Damage(
        "latin-1",
        "The body was decoded as Latin-1 and encoded again, so that characters like ü became two",
        "Keep the body as bytes; where it must be text, decode it as UTF-8",
        _decoded_as_latin_1,
    ),
    Damage(
        "encoding",
        "The body is not in UTF-8 any more",
        "Keep the body as bytes; where it must be text, encode it as UTF-8 before verifying",
        _written_in_another_encoding,
    ),
)
