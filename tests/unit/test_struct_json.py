"""Structs as JSON: whole numbers without a fraction, members in order, nothing that is not JSON."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from google.protobuf import json_format, struct_pb2
from hypothesis import given
from hypothesis import strategies as st

from hookpost_server.domain import payload
from hookpost_server.domain.payload import PayloadError
from hookpost_server.rpc import struct_json

NAMES = st.text(st.characters(exclude_categories=("Cs",)), max_size=6)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=("Cs",)), max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


def struct(value: dict[str, Any]) -> struct_pb2.Struct:
    made = struct_pb2.Struct()
    made.update(value)
    return made


def nested(levels: int, kind: str) -> struct_pb2.Struct:
    root = struct_pb2.Struct()
    value = root.fields["a"]
    for _ in range(levels - 1):
        value = value.struct_value.fields["a"] if kind == "object" else value.list_value.values.add()
    value.number_value = 1
    return root


@given(st.dictionaries(NAMES, VALUES, max_size=4))
def test_the_text_says_what_the_struct_says(value: dict[str, Any]) -> None:
    made = struct_json.dumps(struct(value))
    assert json.loads(made) == value
    assert made == json.dumps(in_order(value), ensure_ascii=False, separators=(",", ":")).encode()
    if not set(value) & set(payload.RESERVED):
        payload.check(made)


def in_order(value: Any) -> Any:
    """Members sorted, whole floats up to 2^53 as integers: what json.dumps then writes is what is wanted."""
    if isinstance(value, dict):
        return {name: in_order(value[name]) for name in sorted(value)}
    if isinstance(value, list):
        return [in_order(item) for item in value]
    if isinstance(value, float) and value.is_integer() and abs(value) <= 2**53:
        return int(value)
    return value


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (1.0, "1"),
        (-17.0, "-17"),
        (1e15, "1000000000000000"),
        (2.0**53, "9007199254740992"),
        (-(2.0**53), "-9007199254740992"),
        (2.0**53 + 2, "9007199254740994.0"),
        (1e16, "1e+16"),
        (1e300, "1e+300"),
        (0.1, "0.1"),
        (5e-324, "5e-324"),
        (1.5, "1.5"),
    ],
)
def test_numbers(number: float, text: str) -> None:
    assert struct_json.dumps(struct({"n": number})) == f'{{"n":{text}}}'.encode()


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf], ids=str)
@pytest.mark.parametrize("where", ["member", "list"])
def test_what_is_no_number_is_refused(number: float, where: str) -> None:
    with pytest.raises(PayloadError, match="must not contain NaN or Infinity"):
        struct_json.dumps(struct({"n": number if where == "member" else [number]}))


@pytest.mark.parametrize("kind", ["object", "list"])
def test_depth(kind: str) -> None:
    payload.check(struct_json.dumps(nested(64, kind)))
    for levels in (65, 90):
        with pytest.raises(PayloadError, match="must be nested at most 64 levels deep"):
            struct_json.dumps(nested(levels, kind))


def test_values_without_a_kind_are_null() -> None:
    made = struct_pb2.Struct()
    made.fields["b"].CopyFrom(struct_pb2.Value())
    made.fields["a"].null_value = struct_pb2.NULL_VALUE
    made.fields["c"].list_value.CopyFrom(struct_pb2.ListValue())
    made.fields["d"].struct_value.CopyFrom(struct_pb2.Struct())
    assert struct_json.dumps(made) == b'{"a":null,"b":null,"c":[],"d":{}}'


def test_an_empty_struct() -> None:
    assert struct_json.dumps(struct_pb2.Struct()) == b"{}"


def test_strings_are_escaped_where_json_asks_for_it_only() -> None:
    made = struct_json.dumps(struct({'"\\\n\0é😀': "\x1f\x7f\u2028</script>"}))
    assert made == '{"\\"\\\\\\n\\u0000é😀":"\\u001f\x7f\u2028</script>"}'.encode()


def test_what_a_person_types_comes_out_the_same() -> None:
    typed = '{"id":42,"price":9.5,"tags":["a",true,null]}'
    assert struct_json.dumps(json_format.Parse(typed, struct_pb2.Struct())) == typed.encode()
