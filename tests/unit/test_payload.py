"""The door for payloads: what is let in, what is not, and in which words."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookpost_server.domain import payload
from hookpost_server.domain.payload import PayloadError

from .samples import CANARY, Node, clean_objects, texts, values

KIB = 1024
RESERVED = {name.encode("utf-16-le") for name in ("event", "createdAt", "hookId")}


def refusal(data: bytes) -> str | None:
    try:
        payload.check(data)
    except PayloadError as error:
        return str(error)
    return None


def nested(levels: int, opener: bytes = b'{"a":', closer: bytes = b"}") -> bytes:
    """An object of `levels` levels."""
    return b'{"a":' + opener * (levels - 1) + b"1" + closer * (levels - 1) + b"}"


def sized(size: int) -> bytes:
    return b'{"a":"' + b"x" * (size - 8) + b'"}'


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"{}", id="empty object"),
        pytest.param(b" \t\r\n{ } \n", id="white space around"),
        pytest.param(b'{"a":1.0,"b":1e2,"c":-0}', id="numbers as written"),
        pytest.param(b'{"a":' + b"9" * 5000 + b"}", id="5,000 digits"),
        pytest.param(b'{"a":1e99999}', id="number beyond a double"),
        pytest.param(b'{"a":"\\u0000"}', id="escaped NUL"),
        pytest.param(b'{"a":"\\ud83d\\ude00"}', id="surrogate pair"),
        pytest.param(b'{"a":"\\\\ud800"}', id="backslash, then ud800"),
        pytest.param('{"ä":"😀\u2028"}'.encode(), id="beyond ASCII"),
        pytest.param(b'{"a":{"event":1,"createdAt":2,"hookId":3}}', id="reserved names below the top"),
        pytest.param(b'{"Event":1,"events":2,"eventId":3}', id="like reserved names"),
        pytest.param(b'{"a":{"b":1},"b":{"a":1}}', id="a name in two objects"),
        pytest.param(nested(64), id="64 levels of objects"),
        pytest.param(nested(64, b"[", b"]"), id="64 levels of arrays"),
        pytest.param(b'{"a":"' + b"{[" * 1000 + b'"}', id="openers in a string"),
        pytest.param(b'{"a":[' + b"[]," * 5000 + b"{}]}", id="wide, not deep"),
        pytest.param(sized(256 * KIB), id="256 KiB"),
    ],
)
def test_accepted(data: bytes) -> None:
    assert refusal(data) is None


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(b"", "must be JSON: Expecting value at line 1 column 1", id="empty"),
        pytest.param(b" ", "must be JSON", id="blank"),
        pytest.param(b"[]", "must be a JSON object", id="array"),
        pytest.param(b"null", "must be a JSON object", id="null"),
        pytest.param(b'"{}"', "must be a JSON object", id="string"),
        pytest.param(b"1", "must be a JSON object", id="number"),
        pytest.param(b"{} {}", "must be JSON: Extra data", id="two objects"),
        pytest.param(b"{}\0", "must be JSON", id="NUL after"),
        pytest.param(b"\xef\xbb\xbf{}", "must be JSON: Expecting value at line 1 column 1", id="BOM"),
        pytest.param("{}".encode("utf-16"), "must be UTF-8", id="UTF-16"),
        pytest.param(b'{"a":"\xff"}', "must be UTF-8; byte 6 is not", id="not UTF-8"),
        pytest.param(b'{"a":"\xed\xa0\x80"}', "must be UTF-8", id="surrogate in UTF-8"),
        pytest.param(b'{"a":"\xc0\x80"}', "must be UTF-8", id="overlong NUL"),
        pytest.param(b'{"a":NaN}', "must not contain NaN", id="NaN"),
        pytest.param(b'{"a":[Infinity]}', "must not contain Infinity", id="Infinity"),
        pytest.param(b'{"a":-Infinity}', "must not contain -Infinity", id="-Infinity"),
        pytest.param(b'{"a":1,"b":2,"a":3}', "must not have the member 'a' twice", id="twice at the top"),
        pytest.param(b'{"x":[{"a":1,"\\u0061":1}]}', "must not have the member 'a' twice", id="twice, escaped, below"),
        pytest.param(b'{"\\ud800":1,"\\ud800":1}', r"must not have the member '\ud800' twice", id="twice, surrogate"),
        pytest.param(b'{"a":"\\ud800"}', "must not contain a lone surrogate", id="lone high"),
        pytest.param(b'{"a":["\\uDFFF"]}', "must not contain a lone surrogate", id="lone low"),
        pytest.param(b'{"\\ude00\\ud83d":1}', "must not contain a lone surrogate", id="pair reversed, in a name"),
        pytest.param(nested(65), "must be nested at most 64 levels deep", id="65 levels of objects"),
        pytest.param(nested(65, b"[", b"]"), "must be nested at most 64 levels deep", id="65 levels of arrays"),
        pytest.param(nested(20_000), "must be nested at most 64 levels deep", id="20,000 levels"),
        pytest.param(b"[" * 100_000, "must be nested at most 64 levels deep", id="100,000 openers"),
        pytest.param(sized(256 * KIB + 1), "must be at most 256 KiB, is 262,145 bytes", id="256 KiB and 1"),
        pytest.param(b'{"event":1}', "must not have the top-level member 'event'", id="event"),
        pytest.param(b'{"a":1,"createdAt":1}', "must not have the top-level member 'createdAt'", id="createdAt"),
        pytest.param(b'{"hook\\u0049d":1}', "must not have the top-level member 'hookId'", id="hookId, escaped"),
        pytest.param(b'{"a":"\n"}', "must be JSON: Invalid control character at line 1 column 7", id="raw line feed"),
        pytest.param(b'{"a', "must be JSON: Unterminated string starting at line 1 column 2", id="cut off"),
        pytest.param(b"{'a':1}", "must be JSON: Expecting property name", id="single quotes"),
        pytest.param(b'{"a":1,}', "must be JSON", id="comma at the end"),
        pytest.param(b'{"a":01}', "must be JSON", id="leading zero"),
        pytest.param(b'{"a":.5}', "must be JSON", id="no whole part"),
        pytest.param(b'{"a":+1}', "must be JSON", id="plus"),
        pytest.param('{"a":١}'.encode(), "must be JSON", id="Arabic digit"),
        pytest.param(b'{"a":1}//x', "must be JSON", id="comment"),
        pytest.param(b'{\xc2\xa0"a":1}', "must be JSON", id="no-break space"),
    ],
)
def test_refused(data: bytes, words: str) -> None:
    assert words in (refusal(data) or "accepted")


def expected(root: Node) -> str | None:
    """What is wrong with a value as written, told without a parser; None if nothing is."""
    nodes = list(root.walk())
    written = [text for node in nodes for text in (*node.names, node.text) if text is not None]
    if root.kind != "object":
        return "an object"
    if any(node.kind == "constant" for node in nodes):
        return "a constant"
    if any(len({name.units for name in node.names}) < len(node.names) for node in nodes):
        return "a name twice"
    if not all(text.is_whole for text in written):
        return "a lone surrogate"
    if root.depth > 64:
        return "deep"
    if any(name.units in RESERVED for name in root.names):
        return "reserved"
    return None


@given(values(faults=True), st.sampled_from([0, 1, 62, 63, 64, 65]), st.sampled_from([("[", "]"), ('{"a":', "}")]))
def test_every_value_is_judged_as_the_rules_say(root: Node, levels: int, wrap: tuple[str, str]) -> None:
    if levels:
        opener, closer = wrap
        kind = "object" if closer == "}" else "array"
        for _ in range(levels):
            root = Node(opener + root.written + closer, kind, (root,))
    assert (refusal(root.written.encode()) is not None) == (expected(root) is not None), expected(root)


@given(clean_objects(), st.text(" \t\r\n", max_size=3), st.text(" \t\r\n", max_size=3))
def test_good_objects_are_accepted(root: Node, before: str, after: str) -> None:
    assert expected(root) is not None or refusal((before + root.written + after).encode()) is None


_STRING = r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"'
_SCALAR = r"true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
_TOKEN = re.compile(rf"(?P<s>{_STRING})|(?P<v>{_SCALAR})|(?P<p>[\[\]{{}},:])|(?P<w>[ \t\n\r]+)")
_REDUCED = re.compile(r"\[(?:[sv](?:,[sv])*)?\]|\{(?:s:[sv](?:,s:[sv])*)?\}")


def is_object(text: str) -> bool:
    """RFC 8259's grammar by reducing tokens: nothing in common with the parser under test."""
    tokens, position = [], 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None or not match.group():
            return False
        position = match.end()
        kind = match.lastgroup
        if kind != "w":
            tokens.append(match.group() if kind == "p" else kind or "")
    reduced = "".join(tokens)
    starts = reduced.startswith("{")
    while (shorter := _REDUCED.sub("v", reduced)) != reduced:
        reduced = shorter
    return starts and reduced == "v"


_NOISE = st.sampled_from([*'{}[],:"\\ \n\t0123456789+-.eEtrufalsn/', "\x0b", "\x00", "\x7f", "\u00a0", "é", "null"])


@given(clean_objects(), st.data())
def test_what_is_accepted_is_json_by_the_grammar(root: Node, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(root.written)))
    end = data.draw(st.integers(at, min(at + 2, len(root.written))))
    text = root.written[:at] + data.draw(st.just("") | _NOISE) + root.written[end:]
    refused = refusal(text.encode())
    if not is_object(text):
        assert refused is not None
    elif refused is not None:
        assert re.search("twice|surrogate|top-level", refused), refused


@given(st.binary(max_size=40))
def test_any_bytes_have_a_defined_answer(data: bytes) -> None:
    assert refusal(data) is None or refusal(data).startswith("must ")  # type: ignore[union-attr]


@given(texts(lone=True))
def test_every_refusal_can_be_sent(name: object) -> None:
    written = name.written.encode()  # type: ignore[attr-defined]
    message = refusal(b"{%b:1,%b:2}" % (written, written))
    assert message is not None and message.encode()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(f'{{"password":"{CANARY}","a":NaN}}', id="NaN"),
        pytest.param(f'{{"password":"{CANARY}\n"}}', id="control character"),
        pytest.param(f'{{"password":"{CANARY}","event":1}}', id="reserved"),
        pytest.param(f'{{"password":"{CANARY}","a":1,"a":2}}', id="twice"),
        pytest.param(f'"{CANARY}"', id="no object"),
        pytest.param(f'{{"password":"{CANARY}\\ud800"}}', id="surrogate"),
        pytest.param(f'{{"password":"{CANARY}"', id="cut off"),
    ],
)
def test_values_never_show(data: str) -> None:
    assert CANARY not in (refusal(data.encode()) or CANARY)


def test_a_long_name_is_cut() -> None:
    name = b"n" * 100_000
    assert len(refusal(b'{"%b":1,"%b":1}' % (name, name)) or "x" * 200) < 200


def test_an_object_with_a_limit_of_its_own() -> None:
    assert payload.parse_object(b'{"event":[1.0]}', 15) == {"event": ["1.0"]}
    with pytest.raises(PayloadError, match="must be at most 1 KiB, is 1,025 bytes"):
        payload.parse_object(sized(1025), 1024)
    with pytest.raises(PayloadError, match="twice"):
        payload.parse_object(b'{"a":1,"a":1}', 1024)
