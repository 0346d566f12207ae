"""What several tests of this ring need: an event, a webhook's id, secrets that must not show, JSON texts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from hookpost_server.domain.event import Event

CANARY = "canary-5ec2e7-must-not-show"
WEBHOOK_ID = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
WEBHOOK_TEXT = "whk_01h455vb4pex5vsknk084sn02q"
EVENT_ID = UUID("01890a5d-ac96-774b-8bcd-000000000001")
DELIVERY_ID = UUID("01890a5d-ac96-774b-8bcd-000000000002")
OCCURRED = datetime(2026, 8, 21, 10, 0, 0, 987654, UTC)


def event(payload: bytes, type: str = "User.Created", tenant_id: str = "default") -> Event:
    return Event(id=EVENT_ID, tenant_id=tenant_id, type=type, payload=payload, occur_time=OCCURRED)


@dataclass(frozen=True)
class Text:
    """A JSON string as written, and the UTF-16 units that it stands for."""

    written: str
    units: bytes

    @property
    def is_whole(self) -> bool:
        try:
            self.units.decode("utf-16-le")
        except UnicodeDecodeError:
            return False
        return True


@dataclass(frozen=True)
class Node:
    """A JSON value as written. `children` are the values in it, `names` those of an object's members."""

    written: str
    kind: str  # "object", "array", "string", "scalar", "constant"
    children: tuple[Node, ...] = ()
    names: tuple[Text, ...] = ()
    text: Text | None = None
    inside: str = ""  # of an object: the text of its members

    def walk(self) -> Iterator[Node]:
        yield self
        for child in self.children:
            yield from child.walk()

    @property
    def depth(self) -> int:
        inner = max((child.depth for child in self.children), default=0)
        return inner + 1 if self.kind in ("object", "array") else inner


def _piece(units: list[int], written: str) -> tuple[str, bytes]:
    return written, b"".join(unit.to_bytes(2, "little") for unit in units)


def _raw(character: str) -> tuple[str, bytes]:
    return character, character.encode("utf-16-le")


def _escaped(unit: int, upper: bool) -> tuple[str, bytes]:
    digits = f"{unit:04X}" if upper else f"{unit:04x}"
    return _piece([unit], f"\\u{digits}")


_SHORT = [('\\"', '"'), ("\\\\", "\\"), ("\\/", "/"), ("\\b", "\b"), ("\\f", "\f"), ("\\n", "\n"), ("\\t", "\t")]
_RAW = st.characters(min_codepoint=0x20, exclude_categories=("Cs",), exclude_characters='"\\').map(_raw)
_ESCAPES = st.builds(
    _escaped, st.one_of(st.integers(0, 0xD7FF), st.integers(0xE000, 0xFFFF), st.just(ord("e"))), st.booleans()
) | st.sampled_from(_SHORT).map(lambda pair: _piece([ord(pair[1])], pair[0]))
_SURROGATES = st.builds(_escaped, st.integers(0xD800, 0xDFFF), st.booleans()) | st.sampled_from(
    [_piece([0xD83D, 0xDE00], "\\ud83d\\uDE00"), _piece(list(b"\\ud800"), "\\\\ud800")]
)


def texts(*, lone: bool) -> st.SearchStrategy[Text]:
    """JSON strings, with lone surrogates if wanted."""
    pieces = st.lists(_RAW | _ESCAPES | _SURROGATES if lone else _RAW | _ESCAPES, max_size=6)
    return pieces.map(
        lambda all_: Text('"' + "".join(piece[0] for piece in all_) + '"', b"".join(piece[1] for piece in all_))
    )


_SPACE = st.text(" \t\n\r", max_size=2)
_NUMBERS = st.sampled_from(["0", "-0", "1.0", "1e2", "-12.50E+07", "1E400", "0.1", "123456789012345678901"])
_SCALARS = _NUMBERS | st.integers().map(str) | st.sampled_from(["true", "false", "null"])


def _array(children: list[tuple[str, Node, str]]) -> Node:
    written = "[" + ",".join(before + child.written + after for before, child, after in children) + "]"
    return Node(written, "array", tuple(child for _, child, _ in children))


def _object(members: list[tuple[str, Text, str, Node, str]], end: str) -> Node:
    inside = ",".join(
        f"{before}{name.written}{between}:{child.written}{after}" for before, name, between, child, after in members
    )
    return Node(
        "{" + inside + end + "}",
        "object",
        tuple(member[3] for member in members),
        tuple(member[1] for member in members),
        inside=inside.strip(" \t\n\r"),
    )


def objects(
    children: st.SearchStrategy[Node], names: st.SearchStrategy[Text], **unique: Any
) -> st.SearchStrategy[Node]:
    return st.builds(
        _object, st.lists(st.tuples(_SPACE, names, _SPACE, children, _SPACE), max_size=4, **unique), _SPACE
    )


def values(*, faults: bool) -> st.SearchStrategy[Node]:
    """JSON values as people and machines write them; with faults: repeated names, constants, lone surrogates."""
    scalars = _SCALARS.map(lambda written: Node(written, "scalar"))
    strings = texts(lone=faults).map(lambda text: Node(text.written, "string", text=text))
    leaves = scalars | strings
    names = texts(lone=faults)
    unique: dict[str, Any] = {"unique_by": lambda member: member[1].units}
    if faults:
        leaves |= st.sampled_from(["NaN", "Infinity", "-Infinity"]).map(lambda written: Node(written, "constant"))
        names |= st.sampled_from(["a", "b", "event", "createdAt", "hookId"]).map(
            lambda name: Text(f'"{name}"', name.encode("utf-16-le"))
        )
        unique = {}
    return st.recursive(
        leaves,
        lambda children: (
            st.lists(st.tuples(_SPACE, children, _SPACE), max_size=4).map(_array) | objects(children, names, **unique)
        ),
        max_leaves=8,
    )


def clean_objects() -> st.SearchStrategy[Node]:
    """JSON objects that nothing is wrong with."""
    return objects(values(faults=False), texts(lone=False), unique_by=lambda member: member[1].units)
