"""Which schemas are taken: those that no payload can make slow. A table of shapes on both sides of the limit."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hookpost_server.domain.patterns import states
from hookpost_server.domain.schema import Schema

JsonSchema = dict[str, Any]


def nested(levels: int, keyword: str, ways: int = 2) -> JsonSchema:
    """Each level applies the next one several times to the same value."""
    levels_ = {f"l{n}": {keyword: [{"$ref": f"#/$defs/l{n + 1}"}] * ways} for n in range(levels)}
    return {"$ref": "#/$defs/l0", "$defs": {**levels_, f"l{levels}": {"type": "string"}}}


def chained(levels: int, step: Any) -> JsonSchema:
    """Each level leads to the next one once or more, as `step` makes of its reference."""
    chain = {f"l{n}": step({"$ref": f"#/$defs/l{n + 1}"}) for n in range(levels)}
    return {"$ref": "#/$defs/l0", "$defs": {**chain, f"l{levels}": {}}}


def unevaluated(levels: int) -> JsonSchema:
    """Each level asks the one inside again, to know what it has left."""
    inner: JsonSchema = {"unevaluatedProperties": False}
    for _ in range(levels):
        inner = {"anyOf": [inner], "unevaluatedProperties": False}
    return inner


def recursive(ways: int, keyword: str, reference: str = "$ref") -> JsonSchema:
    way = {"properties": {"c": {reference: "#n"}}, "required": ["c"]}
    return {"$dynamicAnchor": "n", keyword: [way] * ways}


def mutual(kinds: int) -> JsonSchema:
    """Each leads to each."""
    refs = [{"properties": {"c": {"$ref": f"#/$defs/d{n}"}}} for n in range(kinds)]
    return {"$ref": "#/$defs/d0", "$defs": {f"d{n}": {"anyOf": refs} for n in range(kinds)}}


def items(schema: JsonSchema) -> JsonSchema:
    return {"properties": {"a": {"items": schema}}}


SYNTAX_TREE = {
    "$ref": "#/$defs/any",
    "$defs": {
        "any": {"oneOf": [{"$ref": f"#/$defs/{name}"} for name in "abcdefgh"]},
        **{
            name: {
                "properties": {
                    "kind": {"const": name},
                    "left": {"$ref": "#/$defs/any"},
                    "right": {"$ref": "#/$defs/any"},
                },
                "required": ["kind"],
            }
            for name in "abcdefgh"
        },
    },
}
VARIANT = {"properties": {"kind": {"const": "x"}, "id": {"pattern": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"}}}

TAKEN: dict[str, JsonSchema] = {
    "nested anyOf": nested(5, "anyOf"),
    "nested oneOf in items": items(nested(5, "oneOf") | {"$id": "n:n"}),
    "a chain": chained(100, lambda ref: ref),
    "a shared part": chained(100, lambda ref: {"properties": {"a": ref, "b": ref}}),
    "tuples of a shared part": chained(100, lambda ref: {"prefixItems": [ref, ref], "items": ref}),
    "a syntax tree": SYNTAX_TREE,
    "eight ways down": recursive(8, "anyOf"),
    "eight ways down, oneOf": recursive(8, "oneOf"),
    "eight dynamic ways down": recursive(8, "allOf", "$dynamicRef"),
    "each leads to each": mutual(3),
    "thirty variants": items({"oneOf": [VARIANT] * 30}),
    "many members": {"properties": {f"p{n}": {"type": "string"} for n in range(1000)}},
    "many names": {"enum": [f"n{n}" for n in range(5000)]},
    "some numbers": items({"enum": list(range(500))}),
    "a fraction": items({"multipleOf": 0.01}),
    "unique items": {"properties": {"a": {"uniqueItems": True, "items": {"uniqueItems": True}}}},
    "unevaluated": unevaluated(3),
    "an embedded schema": {"$ref": "b", "$defs": {"b": {"$id": "b", "$ref": "#c", "$defs": {"c": {"$anchor": "c"}}}}},
}
TOO_DEAR: dict[str, JsonSchema] = {
    **{f"nested {keyword}": nested(20, keyword) for keyword in ("allOf", "anyOf", "oneOf")},
    "nested in items": items(nested(20, "anyOf") | {"$id": "n:n"}),
    "nested not": chained(20, lambda ref: {"not": {"allOf": [ref, ref]}}),
    "nested conditions": chained(20, lambda ref: {"if": ref, "then": ref, "else": ref}),
    "nested dependents": chained(20, lambda ref: {"dependentSchemas": {"a": ref, "b": ref}}),
    "nested draft 7 dependencies": chained(20, lambda ref: {"dependencies": {"a": ref, "b": ref}}),
    "nested $ref and allOf": chained(20, lambda ref: {**ref, "allOf": [ref]}),
    "nested patterns": chained(20, lambda ref: {"patternProperties": {"a": ref, "b": ref}}),
    "nested names and values": chained(20, lambda ref: {"patternProperties": {"a": ref}, "properties": {"a": ref}}),
    "nested contains": chained(20, lambda ref: {"contains": ref, "items": ref}),
    "nested unevaluated, by references": chained(20, lambda ref: {"anyOf": [ref], "unevaluatedProperties": False}),
    "a hundred ways down": recursive(100, "anyOf"),
    "each leads to each": mutual(12),
    "many numbers": items({"anyOf": [{"const": n} for n in range(1000)]}),
    "many fractions": items({"anyOf": [{"multipleOf": 0.01}] * 50}),
    "many far numbers": items({"enum": [1e300, 1e301, 1e302, 1e303, 1e304]}),
    "a pattern of many states": {"properties": {"a": {"pattern": "([01]*1[01]{500}){9}"}}},
    "a name's pattern": {"patternProperties": {"([01]*1[01]{500}){9}": {}}},
    "nested unevaluated": unevaluated(12),
}
ENDLESS: dict[str, JsonSchema] = {
    "itself": {"$ref": "#"},
    "itself among others": {"allOf": [{"$ref": "#"}]},
    "itself, dynamically": {"$dynamicRef": "#"},
    "each other": {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"anyOf": [{"$ref": "#/$defs/a"}]}}},
    "below, each other": {"properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"not": {"$ref": "#/$defs/a"}}}},
    "also a level down": {"properties": {"a": {"$ref": "#"}}, "anyOf": [{"properties": {"a": {}}}, {"$ref": "#"}]},
}


@pytest.mark.parametrize("schema", TAKEN.values(), ids=TAKEN)
def test_taken(schema: JsonSchema) -> None:
    Schema(json.dumps(schema))


@pytest.mark.parametrize("schema", TOO_DEAR.values(), ids=TOO_DEAR)
def test_too_dear(schema: JsonSchema) -> None:
    with pytest.raises(ValueError, match=r"^could take more than 16 million steps over a payload of 1 KiB: use fewer"):
        Schema(json.dumps(schema))


@pytest.mark.parametrize("schema", ENDLESS.values(), ids=ENDLESS)
def test_endless(schema: JsonSchema) -> None:
    with pytest.raises(ValueError, match="to a value because it applies to that value: remove the reference"):
        Schema(json.dumps(schema))


def test_patterns_that_take_long_to_compile() -> None:
    with pytest.raises(ValueError, match="states in all: use fewer and shorter"):
        Schema(json.dumps({"properties": {f"p{n}": {"pattern": r"^\p{L}{1,50}$"} for n in range(10)}}))


def test_a_chain_without_end_in_sight() -> None:
    with pytest.raises(ValueError, match="shorten the chain"):
        Schema(json.dumps(chained(1500, lambda ref: ref)))


def test_a_reference_out_of_the_schema() -> None:
    """Also to what the validator knows by heart."""
    with pytest.raises(ValueError, match="leads out of the schema"):
        Schema(json.dumps({"$ref": "https://json-schema.org/draft/2020-12/schema"}))


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("", 0),
        ("abc", 3),
        ("^a+$", 1),
        ("a{3}", 3),
        ("a{3,5}b", 6),
        ("a{3,}", 3),
        ("(ab){10}", 20),
        ("((ab){10}c){10}", 210),
        ("[a-z\\]]{2}", 8),
        ("[]a]{2}", 8),
        (".{2}", 8),
        (r"\p{L}{3}", 12),
        (r"\w{0,20}", 80),
        (r"\{3}", 6),
        ("a{1000}{1000}{1000}{1000}", 10**9),
        ("a)(b[", 7),
    ],
)
def test_states(pattern: str, expected: int) -> None:
    assert states(pattern) == expected
