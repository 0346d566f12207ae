"""A JSON Schema as rows of a tree: members, their types, what they mean."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..domain.schema_tree import Node, Tree

MOST_ROWS = 500
MOST_LEVELS = 12
SHOWN = 200  # characters of a constraint
_TOLD = (
    *("const", "enum", "format", "pattern", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
    *("multipleOf", "minLength", "maxLength", "minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties"),
)
_CHOICES = ("anyOf", "oneOf")


@dataclass(frozen=True, slots=True)
class Row:
    """A member, an item, or one of several choices."""

    level: int
    name: str
    type: str
    required: bool
    description: str
    rules: str  # such as `format: date-time`


def rows(schema: str) -> tuple[list[Row], bool]:
    """The tree of a schema's text, and whether some of it was left out."""
    found: list[Row] = []
    tree = Tree(json.loads(schema))
    for row in _below(tree, tree.root, 0, frozenset()):
        if len(found) == MOST_ROWS:
            return found, True
        found.append(row)
    return found, False


def _below(tree: Tree, node: Node, level: int, above: frozenset[str]) -> Iterator[Row]:
    if level > MOST_LEVELS or node.pointer in above or not isinstance(node.schema, dict):
        return
    above |= {node.pointer}
    wanted = node.schema.get("required")
    required = set(wanted) if isinstance(wanted, list) else set()
    for name, inner in tree.under(node, "properties"):
        yield from _row(tree, inner, level, name, name in required, above)
    for keyword, name in (("patternProperties", "/{}/"), ("additionalProperties", "*"), ("prefixItems", "[{}]")):
        for key, inner in tree.under(node, keyword):
            yield from _row(tree, inner, level, name.format(key), False, above)
    for _, inner in tree.under(node, "items"):
        yield from _row(tree, inner, level, "[]", False, above)
    for part in _parts(tree, node):
        yield from _below(tree, part, level, above)
    for keyword in _CHOICES:
        for key, inner in tree.under(node, keyword):
            yield from _row(tree, inner, level, f"{keyword} {int(key) + 1}", False, above)


def _row(tree: Tree, node: Node, level: int, name: str, required: bool, above: frozenset[str]) -> Iterator[Row]:
    if node.schema is False:
        return  # forbidden, so there is nothing to tell
    given = _merged(tree, node, above)
    yield Row(level, name, _type(given), required, str(given.get("description", "")), _rules(given))
    yield from _below(tree, node, level + 1, above)


def _merged(tree: Tree, node: Node, above: frozenset[str]) -> Mapping[str, Any]:
    """With what its parts say; its own words come first."""
    given = node.schema if isinstance(node.schema, dict) else {}
    if node.pointer not in above and len(above) <= 2 * MOST_LEVELS:
        for part in _parts(tree, node):
            given = {**_merged(tree, part, above | {node.pointer}), **given}
    return given


def _parts(tree: Tree, node: Node) -> list[Node]:
    """What holds for the very same value, besides the schema itself."""
    try:
        return tree.referred(node) + [inner for _, inner in tree.under(node, "allOf")]
    except ValueError:  # a reference that leads nowhere
        return []


def _type(given: Mapping[str, Any]) -> str:
    kind = given.get("type")
    if isinstance(kind, list):
        return " | ".join(map(str, kind))
    return str(kind or ("object" if "properties" in given else ""))


def _rules(given: Mapping[str, Any]) -> str:
    told = []
    for word in _TOLD:
        if word in given:
            value = given[word]
            text = value if isinstance(value, str) and word != "const" else json.dumps(value, ensure_ascii=False)
            told.append(f"{word}: {text}"[:SHOWN])
    return ", ".join(told)
