"""A JSON Schema as a tree: its subschemas by pointer, and where its references lead."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin

# Applied to the very value that the schema is applied to; `$ref` and `$dynamicRef` besides.
IN_PLACE = frozenset({"allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas", "dependencies"})
# Applied to the members or items, at most one of these to each; and those of which all may be.
ONE_BELOW = frozenset({"properties", "additionalProperties", "prefixItems", "items", "additionalItems"})
ALL_BELOW = frozenset({"patternProperties", "propertyNames", "contains", "unevaluatedProperties", "unevaluatedItems"})
APPLIED = IN_PLACE | ONE_BELOW | ALL_BELOW


@dataclass(frozen=True, slots=True)
class Node:
    """A place that a schema may be at. `pointer` is from the document's root, `base` the URI of its resource."""

    pointer: str
    base: str
    schema: Any


class Tree:
    """Every object of a schema document; whether one is a schema is for whoever gets there to say."""

    def __init__(self, document: Any) -> None:
        self._nodes: dict[str, Node] = {}
        # Lists, for a document may name two things the same; whoever counts then counts both.
        self._resources: defaultdict[str, list[str]] = defaultdict(list)
        self._anchors: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        self._dynamic: defaultdict[str, list[str]] = defaultdict(list)
        self._resources[""].append("")
        self._read("", "", document)
        self.root = self._nodes[""]

    def _read(self, pointer: str, base: str, value: Any) -> None:
        if isinstance(value, dict):
            if isinstance(name := value.get("$id"), str):
                base = urldefrag(urljoin(base, name)).url
                self._resources[base].append(pointer)
            for keyword in ("$anchor", "$dynamicAnchor"):
                if isinstance(name := value.get(keyword), str):
                    self._anchors[base, name].append(pointer)
            if isinstance(name := value.get("$dynamicAnchor"), str):
                self._dynamic[name].append(pointer)
        self._nodes[pointer] = Node(pointer, base, value)
        for key, inner in _entries(value):
            if isinstance(inner, dict | list | bool):
                self._read(f"{pointer}/{key}", base, inner)

    def reached(self) -> list[Node]:
        """The root and all that applies to a payload because of it."""
        found: dict[str, Node] = {}
        left = [self.root]
        while left:
            node = left.pop()
            if node.pointer not in found:
                found[node.pointer] = node
                left += self.referred(node)
                left += self.all_under(node, APPLIED)
        return list(found.values())

    def under(self, node: Node, keyword: str) -> list[tuple[str, Node]]:
        """The subschemas of a keyword with their names or numbers; with "" for a keyword that holds one."""
        if not isinstance(node.schema, dict) or keyword not in node.schema:
            return []
        value = node.schema[keyword]
        pointer = f"{node.pointer}/{keyword}"
        if isinstance(value, bool) or (isinstance(value, dict) and keyword not in _NAMED):
            return [("", self._nodes[pointer])]
        named = [(key, self._nodes.get(f"{pointer}/{key}")) for key, _ in _entries(value)]
        return [(_plain(key), inner) for key, inner in named if inner and isinstance(inner.schema, dict | bool)]

    def all_under(self, node: Node, keywords: frozenset[str]) -> list[Node]:
        """The subschemas of several keywords."""
        given = node.schema if isinstance(node.schema, dict) else ()
        return [inner for keyword in given if keyword in keywords for _, inner in self.under(node, keyword)]

    def in_place(self, node: Node) -> list[Node]:
        """What applies to the very value that the node applies to. Raises ValueError as `referred` does."""
        return self.referred(node) + self.all_under(node, IN_PLACE)

    def referred(self, node: Node) -> list[Node]:
        """What `$ref` and `$dynamicRef` may lead to. Raises ValueError when that is not within the document."""
        found = []
        for keyword in ("$ref", "$dynamicRef"):
            reference = node.schema.get(keyword) if isinstance(node.schema, dict) else None
            if isinstance(reference, str):
                pointers = self._lookup(node.base, reference, dynamic=keyword == "$dynamicRef")
                targets = [self._nodes[pointer] for pointer in pointers if pointer in self._nodes]
                if not targets:
                    raise ValueError(f'the {keyword} "{reference[:80]}" leads out of the schema')
                found += targets
        return found

    def _lookup(self, base: str, reference: str, *, dynamic: bool) -> list[str]:
        uri, fragment = (base, reference[1:]) if reference.startswith("#") else urldefrag(urljoin(base, reference))
        fragment = unquote(fragment)
        if not fragment or fragment.startswith("/"):
            return [resource + fragment for resource in self._resources.get(uri, [])]
        if dynamic and fragment in self._dynamic:
            return self._dynamic[fragment]
        return self._anchors.get((uri, fragment), [])


_NAMED = ("properties", "patternProperties", "dependentSchemas", "dependencies")


def _entries(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from ((key.replace("~", "~0").replace("/", "~1"), inner) for key, inner in value.items())
    elif isinstance(value, list):
        yield from ((str(index), inner) for index, inner in enumerate(value))


def _plain(key: str) -> str:
    return key.replace("~1", "/").replace("~0", "~")
