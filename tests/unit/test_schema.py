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
        (False, "{}", ["is not allowed"]),
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
        ({"additionalProperties": {"type": "string"}}, '{"a": 1, "b": ""}', ['a: 1 is not of type "string"']),
        ({"properties": {"a": {}}, "additionalProperties": False}, '{"a": 1, "b": 2}', ["b: is not allowed"]),
        ({"patternProperties": {"^a": {"type": "string"}}}, '{"a": 1}', ['{"a": 1} does not fit patternProperties']),
        (
            {"properties": {"a": {"prefixItems": [{"type": "string"}], "items": {"type": "null"}}}},
            '{"a": [1, null, 2]}',
            ['a.0: 1 is not of type "string"', 'a.2: 2 is not of type "null"'],
        ),
        ({"allOf": [{"required": ["a"]}, {"required": ["a"]}]}, "{}", ['"a" is a required property']),
        (
            {"properties": {"a": {"anyOf": [{"type": "string"}, {"type": "null"}]}}},
            '{"a": 1}',
            ["a: 1 does not fit anyOf"],
        ),
        ({"not": {"required": ["a"]}, "minProperties": 3}, '{"a": 1}', ['{"a":1} has less than 3 properties']),
        (
            {
                "$id": "https://a.example/b",
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "properties": {"a/b": {"$ref": "c"}},
                "$defs": {"ü %": {"$id": "c", "$ref": "#x", "$defs": {"d": {"$anchor": "x", "type": "null"}}}},
            },
            '{"a/b": 1}',
            ['a/b: 1 is not of type "null"'],
        ),
        (
            {"$dynamicAnchor": "t", "properties": {"a": {"$dynamicRef": "#t"}}, "maxProperties": 1},
            '{"a": {"b": 1, "c": 2}}',
            ['a: {"b": 1, "c": 2} does not fit $dynamicRef'],
        ),
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


def test_a_tree_as_deep_as_a_payload_may_be() -> None:
    schema = {"properties": {"a": {"$ref": "#"}, "n": {"type": "integer"}}}
    deep = '{"a":' * 63 + '{"n": "x"}' + "}" * 63
    (found,) = violations(schema, deep)
    assert found.endswith('.a.n: "x" is not of type "integer"')


@pytest.mark.parametrize("kind", ["allOf", "anyOf", "oneOf"])
def test_no_payload_makes_a_tree_slow(kind: str) -> None:
    """Eight ways down at each of sixty levels; each would be followed to its end if all errors were asked for."""
    ways = [{"properties": {"c": {"$ref": "#"}}, "required": ["c"], "minProperties": n % 2} for n in range(8)]
    assert violations({kind: ways}, '{"c":' * 60 + "{}" + "}" * 60)


def test_no_payload_makes_the_telling_slow() -> None:
    """Each of these would be copied with the whole payload in it."""
    many = json.dumps({f"k{n}": n for n in range(20_000)})
    assert len(violations({"required": [f"x{n}" for n in range(4_000)]}, many)) == MOST
    assert len(violations({"additionalProperties": {"anyOf": [{"type": "string"}] * 20}}, many)) == MOST
    assert len(violations({"propertyNames": {"pattern": "^x"}}, many)) == 1


def test_what_is_too_deep_to_tell() -> None:
    """A large payload is looked into less far."""
    schema = Schema(json.dumps({"properties": {"a": {"$ref": "#"}, "n": {"enum": list(range(90))}}}))
    near = '{"a": {"a": {"n": 99}}, "fill": "%s"}'
    assert schema.violations((near % "").encode())[0].startswith("a.a.n: 99 is not one of")
    (short,) = schema.violations((near % ("x" * 3_000)).encode())
    assert short == 'a: {"a": {"n": 99}} does not fit'


def test_a_payload_too_large_for_its_schema() -> None:
    schema = Schema(json.dumps({"additionalProperties": {"anyOf": [{"const": n} for n in range(400)]}}))
    assert schema.violations(b'{"a": 399}') == []
    (told,) = schema.violations(b'{"a": 399, "b": "%s"}' % (b"x" * 5_000))
    most = int(told.rpartition(" ")[2].replace(",", ""))
    assert schema.violations(b'{"a":399}'.ljust(most)) == []
    assert schema.violations(b'{"a":399}'.ljust(most + 1))


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
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from([-5.0, -0.5, 0.0, 2.5, "", "a", "ab", "ü"]),
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
        st.builds(lambda one, two: {"prefixItems": [one], "items": two}, inner, inner),
        st.builds(lambda one, two: {"properties": {"a": one}, "additionalProperties": two}, inner, inner),
        st.builds(lambda one, two: {"allOf": [one, two]}, inner, inner),
        st.builds(lambda one, two: {"anyOf": [one, two]}, inner, inner),
        st.builds(lambda one: {"not": one}, inner),
    ),
    max_leaves=6,
)


@given(SCHEMAS, st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3))
def test_as_another_implementation_has_it(schema: dict[str, Any], payload: dict[str, Any]) -> None:
    expected = jsonschema.Draft202012Validator(schema).is_valid(payload)
    assert (not violations(schema, json.dumps(payload))) == expected
