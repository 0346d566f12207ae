"""A JSON Schema as rows of a tree: members, their types, what they mean."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..domain.schema_tree import Node, Tree

MOST_ROWS = 500
MOST_LEVELS = 12
MOST_STEPS = 5_000  # from a node to what it refers to
SHOWN = 200  # characters of a constraint
_TOLD = (
    *("const", "enum", "format", "pattern", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
    *("multipleOf", "minLength", "maxLength", "minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties"),
)
_BELOW = (("patternProperties", "/{}/"), ("additionalProperties", "*"), ("prefixItems", "[{}]"), ("items", "[]"))
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
    walk = _Walk(Tree(json.loads(schema)))
    try:
        walk.below(walk.tree.root, 0, frozenset())
    except _EnoughError:
        return walk.rows, True
    return walk.rows, False


class _EnoughError(Exception):
    """There are more rows, or it takes more steps to find them, than a page should have."""


class _Walk:
    """Through the schema and what it refers to; `above` are the pointers that lead to a node."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.rows: list[Row] = []
        self._steps = 0

    def below(self, node: Node, level: int, above: frozenset[str]) -> None:
        """The rows for what is inside a node."""
        if level > MOST_LEVELS or node.pointer in above or not isinstance(node.schema, dict):
            return
        above |= {node.pointer}
        wanted = node.schema.get("required")
        required = set(wanted) if isinstance(wanted, list) else set()
        for name, inner in self.tree.under(node, "properties"):
            self._row(inner, level, name, name in required, above)
        for keyword, form in _BELOW:
            for key, inner in self.tree.under(node, keyword):
                self._row(inner, level, form.format(key), False, above)
        for part in self._parts(node):
            self.below(part, level, above)
        for keyword in _CHOICES:
            for key, inner in self.tree.under(node, keyword):
                self._row(inner, level, f"{keyword} {int(key) + 1}", False, above)

    def _row(self, node: Node, level: int, name: str, required: bool, above: frozenset[str]) -> None:
        if node.schema is False:
            return  # forbidden, so there is nothing to tell
        if len(self.rows) == MOST_ROWS:
            raise _EnoughError
        given = self._merged(node, above)
        self.rows.append(Row(level, name, _type(given), required, str(given.get("description", "")), _rules(given)))
        self.below(node, level + 1, above)

    def _merged(self, node: Node, above: frozenset[str]) -> Mapping[str, Any]:
        """With what its parts say; its own words come first."""
        given = node.schema if isinstance(node.schema, dict) else {}
        if node.pointer not in above:
            for part in self._parts(node):
                given = {**self._merged(part, above | {node.pointer}), **given}
        return given

    def _parts(self, node: Node) -> list[Node]:
        """What holds for the very same value, besides the schema itself."""
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise _EnoughError
        try:
            return self.tree.referred(node) + [inner for _, inner in self.tree.under(node, "allOf")]
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
