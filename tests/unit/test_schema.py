"""Payloads against JSON Schema: what is told, what is refused, and what must never be slow or leave the house."""

from __future__ import annotations

import json
import socket
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookpost_server.domain.catalogue import builtin
from hookpost_server.domain.schema import MOST, Schema, compiled


def violations(schema: dict[str, Any] | bool, payload: str) -> list[str]:
    return Schema(json.dumps(schema)).violations(payload.encode())


@pytest.mark.parametrize(
    ("schema", "payload", "expected"),
    [
        ({}, "{}", []),
        (True, '{"a": 1}', []),
        (False, "{}", ["False schema does not allow {}"]),
        ({"required": ["a"]}, "{}", ['"a" is a required property']),
        ({"properties": {"a": {"type": "integer"}}}, '{"a": "x"}', ['a: "x" is not of type "integer"']),
        ({"properties": {"a": {"type": "integer"}}}, '{"a": 1.0}', []),
        (
            {"properties": {"a": {"items": {"minimum": 2}}}},
            '{"a": [3, 1]}',
            ["a.1: 1 is less than the minimum of 2"],
        ),
        ({"$defs": {"t": {"type": "string"}}, "properties": {"a": {"$ref": "#/$defs/t"}}}, '{"a": "x"}', []),
        (
            {"$defs": {"t": {"type": "string"}}, "properties": {"a": {"$ref": "#/$defs/t"}}},
            '{"a": 1}',
            ['a: 1 is not of type "string"'],
        ),
        ({"properties": {"a": {"pattern": "^[a-z]+$"}}}, '{"a": "abc"}', []),
    ],
)
def test_what_is_told(schema: dict[str, Any] | bool, payload: str, expected: list[str]) -> None:
    assert violations(schema, payload) == expected


def test_not_more_than_people_read() -> None:
    found = violations({"additionalProperties": {"type": "string"}}, json.dumps({f"k{n}": n for n in range(100)}))
    assert len(found) == MOST
    (long,) = violations({"properties": {"a": {"type": "integer"}}}, json.dumps({"a": "x" * 10_000}))
    assert len(long) < 250


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "objct"},
        {"properties": []},
        {"minimum": "1"},
        {"pattern": "("},
        {"pattern": "(?=a)b"},
        {"pattern": "(?<!a)b"},
        {"pattern": r"(a)\1"},
        {"pattern": "a{1000}{1000}{1000}"},
        {"patternProperties": {"(": {}}},
        {"$ref": "#/$defs/nothing"},
        {"$ref": "file:///etc/passwd"},
        {"$id": "https://example.com/a.json", "properties": {"a": {"$ref": "b.json"}}},
    ],
    ids=json.dumps,
)
def test_what_is_no_schema(schema: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="is not a JSON Schema 2020-12"):
        Schema(json.dumps(schema))


def test_nothing_is_fetched() -> None:
    """Not even asked for: whoever listens there hears nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        with pytest.raises(ValueError, match="is not a JSON Schema 2020-12"):
            Schema(json.dumps({"$ref": f"http://127.0.0.1:{listener.getsockname()[1]}/x.json"}))
        with pytest.raises(BlockingIOError):
            listener.accept()


@pytest.mark.parametrize("pattern", ["^(a+)+$", "^(a|a)*$", "^(a|aa)+$", "(x+x+)+y", r"^(([a-z])+.)+[A-Z]([a-z])+$"])
def test_no_payload_makes_a_pattern_slow(pattern: str) -> None:
    """With backtracking, each of these would outlast the test's own limit."""
    schema = Schema(json.dumps({"properties": {"a": {"pattern": pattern}}}))
    for text in ("a" * 50_000 + "!", "x" * 50_000):
        assert schema.violations(json.dumps({"a": text}).encode())


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"allOf": [{"$ref": "#"}]},
        {"$dynamicRef": "#"},
        {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
    ],
    ids=json.dumps,
)
def test_a_schema_that_refers_to_itself(schema: dict[str, Any]) -> None:
    """It asks for nothing; above all it ends."""
    assert violations(schema, "{}") == []


def test_a_tree_as_deep_as_a_payload_may_be() -> None:
    schema = {"properties": {"a": {"$ref": "#"}, "n": {"type": "integer"}}}
    deep = '{"a":' * 63 + '{"n": "x"}' + "}" * 63
    (found,) = violations(schema, deep)
    assert found.endswith('.a.n: "x" is not of type "integer"')


def test_a_number_that_is_too_long() -> None:
    """It is JSON and was let in at the door; here it is told and is no fault of ours."""
    assert violations({}, f'{{"a": {"1" * 5000}}}') == ["has a number of more than 4,300 digits"]
    with pytest.raises(ValueError, match="is not a JSON Schema 2020-12"):
        Schema(f'{{"maximum": {"1" * 5000}}}')


def test_compiled_once() -> None:
    assert compiled('{"required": ["a"]}') is compiled('{"required": ["a"]}')


@pytest.mark.parametrize("entry", [entry for entry in builtin() if entry.schema], ids=lambda entry: entry.name)
def test_the_catalogues_examples_fit(entry: Any) -> None:
    assert Schema(entry.schema).violations(entry.example.encode()) == []


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-5, 5) | st.sampled_from(["", "a", "ab", "ü"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
SIMPLE = st.one_of(
    st.builds(lambda kind: {"type": kind}, st.sampled_from(["string", "integer", "number", "array", "object", "null"])),
    st.builds(lambda low: {"minimum": low}, st.integers(-5, 5)),
    st.builds(lambda size: {"minLength": size}, st.integers(0, 3)),
    st.builds(lambda size: {"maxItems": size}, st.integers(0, 3)),
    st.builds(lambda value: {"enum": [value, "a", 1]}, VALUES),
    st.builds(lambda name: {"required": [name]}, st.sampled_from("abc")),
)
SCHEMAS = st.recursive(
    SIMPLE,
    lambda inner: st.one_of(
        st.builds(lambda one, two: {"properties": {"a": one, "b": two}}, inner, inner),
        st.builds(lambda one: {"items": one}, inner),
        st.builds(lambda one, two: {"anyOf": [one, two]}, inner, inner),
        st.builds(lambda one: {"not": one}, inner),
    ),
    max_leaves=6,
)


@given(SCHEMAS, st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3))
def test_as_another_implementation_has_it(schema: dict[str, Any], payload: dict[str, Any]) -> None:
    expected = jsonschema.Draft202012Validator(schema).is_valid(payload)
    assert (not violations(schema, json.dumps(payload))) == expected
