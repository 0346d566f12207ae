"""What a payload breaks of a schema, in sentences.

The validator's own list of errors is no help: it copies the value for each, and follows every alternative to its end,
which takes hours where a yes or no takes milliseconds. So each part of the schema is asked for a yes or no, from the
top down, and only where no smaller part is at fault is there a sentence. Alternatives are not entered: which of them
was meant is not known.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import jsonschema_rs

from .schema_tree import IN_PLACE, Node, Tree

PATTERNS = jsonschema_rs.RegexOptions()  # without backtracking

_SIMPLE = (
    *("type", "enum", "const", "multipleOf", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
    *("minLength", "maxLength", "pattern", "minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties"),
)
_OTHERS = (
    *sorted(IN_PLACE - {"allOf"}),
    *("$dynamicRef", "patternProperties", "additionalProperties", "propertyNames", "dependentRequired", "contains"),
    *("unevaluatedProperties", "unevaluatedItems"),
)


class Objector:
    """Asks the parts of one schema."""

    def __init__(self, tree: Tree, document: Any) -> None:
        """Raises ValueError or ReferencingError when the document is no schema."""
        self._tree = tree
        start, schema = "#/$defs/schema", document
        if isinstance(document, dict):
            schema = {"$id": "https://schema.invalid/", **document}
            schema.pop("$schema", None)
            start = f"{schema['$id'].rstrip('#')}#"
        # A value under a part's pointer is held against that part: one validator is all of them.
        parts = {node.pointer: {"$ref": start + quote(node.pointer)} for node in tree.reached()}
        self._parts = jsonschema_rs.Draft202012Validator(
            {"$defs": {"schema": schema}, "properties": parts}, offline=True, pattern_options=PATTERNS
        )

    def objections(self, value: Any, most: int) -> Iterator[str]:
        """Sentences about a value that does not fit. Looks into `most` parts; what is below them is not told apart."""
        return _Search(self._tree, self._parts, most).at(self._tree.root, value, "")


class _Search:
    def __init__(self, tree: Tree, parts: jsonschema_rs.Draft202012Validator, most: int) -> None:
        self._tree = tree
        self._parts = parts
        self._left = most

    def at(self, node: Node, value: Any, path: str) -> Iterator[str]:
        """Of a value that does not fit a part."""
        if node.schema is False:
            yield _sentence(path, "is not allowed")
            return
        if not self._left:
            yield _sentence(path, f"{_shown(value)} does not fit")
            return
        self._left -= 1
        told = False
        for inner, member, step in self._smaller(node, value):
            if not self._parts.is_valid({inner.pointer: member}):
                told = True
                yield from self.at(inner, member, f"{path}.{step}".strip(".") if step else path)
        for sentence in _own(node.schema, value):
            told = True
            yield _sentence(path, sentence)
        if not told:
            others = ", ".join(keyword for keyword in _OTHERS if keyword in node.schema)
            yield _sentence(path, f"{_shown(value)} does not fit {others}")

    def _smaller(self, node: Node, value: Any) -> Iterator[tuple[Node, Any, str]]:
        """The parts that must all hold: (part, the value that it is about, the step to it)."""
        under = self._tree.under
        for inner in self._tree.referred(node) if "$dynamicRef" not in node.schema else []:
            yield inner, value, ""
        for _, inner in under(node, "allOf"):
            yield inner, value, ""
        if isinstance(value, dict):
            named = dict(under(node, "properties"))
            rest = [] if "patternProperties" in node.schema else under(node, "additionalProperties")
            for name, member in value.items():
                for inner in [named[name]] if name in named else [each for _, each in rest]:
                    yield inner, member, name
        elif isinstance(value, list):
            first = [inner for _, inner in under(node, "prefixItems")]
            for index, member in enumerate(value):
                for inner in [first[index]] if index < len(first) else [each for _, each in under(node, "items")]:
                    yield inner, member, str(index)


def _own(schema: dict[str, Any], value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (f'"{name}" is a required property' for name in schema.get("required", []) if name not in value)
    for keyword in _SIMPLE:
        if keyword in schema:
            alone = jsonschema_rs.Draft202012Validator({keyword: schema[keyword]}, pattern_options=PATTERNS)
            if not alone.is_valid(value):
                yield from (error.message for error in alone.iter_errors(value))


def _sentence(path: str, what: str) -> str:
    return f"{path}: {what[:200]}" if path else what[:200]


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 100 else f"{text[:100]}…"
