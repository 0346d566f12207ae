"""A schema as rows of a tree."""

from __future__ import annotations

import json
from typing import Any

from hookpost_server.console.schema_view import MOST_ROWS, Row, rows
from hookpost_server.domain import catalogue


def told(schema: Any) -> list[tuple[int, str, str]]:
    return [(row.level, row.name, row.type) for row in rows(json.dumps(schema))[0]]


def test_members_items_and_patterns() -> None:
    schema = {
        "properties": {
            "a": {"type": ["string", "null"]},
            "b": {"items": {"type": "object", "properties": {"c": True}}},
        },
        "patternProperties": {"^x": {"type": "integer"}},
        "additionalProperties": {"type": "boolean"},
    }  # fmt: skip
    assert told(schema) == [
        (0, "a", "string | null"),
        (0, "b", ""),
        (1, "[]", "object"),
        (2, "c", ""),
        (0, "/^x/", "integer"),
        (0, "*", "boolean"),
    ]


def test_references_and_parts_are_seen_through() -> None:
    schema = {
        "$defs": {
            "id": {"type": "string", "description": "An id."},
            "base": {"properties": {"id": {"$ref": "#/$defs/id"}}},
        },
        "allOf": [{"$ref": "#/$defs/base"}],
        "properties": {"other": {"$ref": "#/$defs/id", "description": "Another."}},
        "required": ["other"],
    }  # fmt: skip
    assert rows(json.dumps(schema))[0] == [
        Row(0, "other", "string", True, "Another.", ""),
        Row(0, "id", "string", False, "An id.", ""),
    ]


def test_choices_are_numbered() -> None:
    assert told({"anyOf": [{"type": "object", "properties": {"a": {}}}, {"type": "null"}]}) == [
        (0, "anyOf 1", "object"),
        (1, "a", ""),
        (0, "anyOf 2", "null"),
    ]


def test_rules() -> None:
    schema = {"properties": {"a": {"enum": ["x", 1], "format": "date-time", "minimum": 0, "const": "y"}}}
    assert rows(json.dumps(schema))[0][0].rules == 'const: "y", enum: ["x", 1], format: date-time, minimum: 0'


def test_circles_end() -> None:
    assert told({"$defs": {"n": {"properties": {"n": {"$ref": "#/$defs/n"}}}}, "$ref": "#/$defs/n"}) == [
        (0, "n", "object")
    ]
    assert told({"$ref": "#"}) == []
    assert told({"allOf": [{"$ref": "#"}], "properties": {"a": {"$ref": "#"}}}) == [(0, "a", "object")]
    assert told({"properties": {"a": {"$ref": "#/nowhere"}}}) == [(0, "a", "")]


def test_what_is_forbidden_or_odd_is_left_out() -> None:
    assert told({"properties": {"a": False, "b": 1}, "required": "b", "items": "x"}) == []
    assert told(True) == []


def test_it_is_bounded() -> None:
    wide = {"properties": {f"m{number}": {"type": "string"} for number in range(MOST_ROWS + 1)}}
    found, left_out = rows(json.dumps(wide))
    assert len(found) == MOST_ROWS and left_out
    deep: dict[str, Any] = {}
    for _ in range(200):
        deep = {"properties": {"a": deep}}
    assert len(told(deep)) < 20
    # Each level refers twice to the next: a tree of 2^40 rows, if nobody stopped.
    doubling = {f"d{n}": {"properties": {side: {"$ref": f"#/$defs/d{n + 1}"} for side in "ab"}} for n in range(40)}
    assert rows(json.dumps({"$defs": doubling | {"d40": {}}, "$ref": "#/$defs/d0"}))[1]


def test_parts_of_parts_are_bounded() -> None:
    """What holds for one value may be said in 2^40 ways, too."""
    parts = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}, {"$ref": f"#/$defs/d{n + 1}"}]} for n in range(40)}
    assert rows(json.dumps({"$defs": parts | {"d40": {"type": "string"}}, "$ref": "#/$defs/d0"})) == ([], True)


def test_the_whole_catalogue_has_rows() -> None:
    for entry in (*catalogue.builtin(), *catalogue.operational()):
        found, left_out = rows(entry.schema)
        assert found and not left_out, entry.name
