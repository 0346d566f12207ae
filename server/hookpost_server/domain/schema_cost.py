"""How long a schema can take over a payload, bounded when the schema is stored.

A check holds the event loop, so it must be short whatever the payload. A schema of a few hundred bytes can ask for
2^20 steps by references that branch; one that is merely large, for a step each for every value of an array. Counted is
the most that can be asked of one byte of payload: what applies to the same value adds up, of what applies to different
members the dearest counts, a reference costs what it leads to. A reference back, as trees have it, costs its target
once more, for the validator remembers its answer for each object and array; one that leads back without going a level
down asks for nothing that ends, and is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from . import patterns
from .schema_tree import ALL_BELOW, ONE_BELOW, Node, Tree

MOST = 16_000_000  # steps of one check; a step is about 20 ns
MOST_STATES = 40_000  # of all patterns, which is about how long they take to compile
LEAST_PAYLOAD = 1024  # bytes that any schema must take
BIG = 10**12  # as good as endless; keeps the numbers small

_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_NUMBER = 25  # steps for each byte of a number: those of any length are compared exactly
_FAR_NUMBER = 4000  # the same, if its exponent is large
_FRACTION = 500  # `multipleOf` by what is not whole: the numbers become fractions
_UNIQUE = 16  # `uniqueItems`: each value is hashed at most once for each level above it
_UNEVALUATED = 6  # `unevaluated…` asks what is in place again, and is compiled with a copy of it


class TooDear(ValueError):
    """The schema could take too long; the message is for people."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Steps for a value: `once`, and for each byte of it."""

    once: int
    by_byte: int

    def of(self, size: int) -> int:
        """The most for a payload of so many bytes."""
        return self.once + self.by_byte * size

    @property
    def within(self) -> int:
        """For each byte of the value around it: a member takes at least two, with what separates it."""
        return (self.once + 1) // 2 + self.by_byte


def cost(tree: Tree) -> Cost:
    """Raises TooDear, and ValueError for a reference that leads nowhere."""
    try:
        found = _Count(tree).total()
    except RecursionError:
        raise TooDear("has references to references to references …: shorten the chain") from None
    if sum(patterns.size(each) for node in tree.reached() for each in _patterns(node.schema)) > MOST_STATES:
        raise TooDear(
            f"has patterns of more than {MOST_STATES:,} states in all: use fewer and shorter repetitions, above all of "
            r"\p{…}, which counts a hundred times"
        )
    if found.of(LEAST_PAYLOAD) > MOST:
        raise TooDear(
            f"could take more than {MOST // 10**6} million steps over a payload of 1 KiB: use fewer alternatives, "
            "and fewer references in the alternatives of one value"
        )
    return found


class _Count:
    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._known: dict[str, Cost] = {}
        self._in_place: dict[str, Cost] = {}
        self._counting: set[str] = set()
        self._recursive: set[str] = set()
        self._ended: dict[str, bool] = {}

    def total(self) -> Cost:
        whole = self._of(self._tree.root)
        again = sum(self._known[pointer].within for pointer in self._recursive)
        return Cost(whole.once, whole.by_byte + again * len(self._recursive))

    def _of(self, node: Node) -> Cost:
        if node.pointer in self._known:
            return self._known[node.pointer]
        if node.pointer in self._counting:
            self._recursive.add(node.pointer)
            return self._alone(node)
        self._counting.add(node.pointer)
        found = self._known[node.pointer] = self._count(node)
        self._counting.remove(node.pointer)
        return found

    def _count(self, node: Node) -> Cost:
        self._check_that_it_ends(node)
        here = _sum(node.schema, [self._of(inner) for inner in self._tree.in_place(node)])
        below = max(self._below(node, ONE_BELOW), default=0) + sum(self._below(node, ALL_BELOW))
        return Cost(here.once, min(here.by_byte + below, BIG))

    def _alone(self, node: Node) -> Cost:
        """Of a value without members: the validator remembers no answer for it."""
        if node.pointer not in self._in_place:
            same = [self._alone(inner) for inner in self._tree.in_place(node)]
            self._in_place[node.pointer] = _sum(node.schema, same)
        return self._in_place[node.pointer]

    def _below(self, node: Node, keywords: frozenset[str]) -> list[int]:
        return [self._of(inner).within for inner in self._tree.all_under(node, keywords)]

    def _check_that_it_ends(self, node: Node) -> None:
        """Raises TooDear for a schema that applies to a value because it applies to that value."""
        if self._ended.get(node.pointer):
            return
        if node.pointer in self._ended:
            where = f'"#{node.pointer[:80]}"'
            raise TooDear(f"applies {where} to a value because it applies to that value: remove the reference")
        self._ended[node.pointer] = False
        for inner in self._tree.in_place(node):
            self._check_that_it_ends(inner)
        self._ended[node.pointer] = True


def _sum(schema: Any, same: list[Cost]) -> Cost:
    """A schema's own keywords, and what applies to the same value."""
    if not isinstance(schema, dict):
        return Cost(1, 0)
    times = _UNEVALUATED if "unevaluatedProperties" in schema or "unevaluatedItems" in schema else 1
    once = 1 + len(schema) + _dependents(schema) + times * sum(each.once for each in same)
    by_byte = _own(schema) + times * sum(each.by_byte for each in same)
    return Cost(min(once, BIG), min(by_byte, BIG))


def _own(schema: dict[str, Any]) -> int:
    """Steps for each byte, of the keywords that are no schemas."""
    steps = 1 + sum(patterns.states(each) for each in _patterns(schema))
    steps += sum(_scalars(schema[keyword]) for keyword in ("const", "enum", *_BOUNDS) if keyword in schema)
    if "multipleOf" in schema:
        steps += _NUMBER if isinstance(schema["multipleOf"], int) else _FRACTION
    return steps + (_UNIQUE if schema.get("uniqueItems") else 0)


def _patterns(schema: Any) -> list[str]:
    if not isinstance(schema, dict):
        return []
    named = schema.get("patternProperties")
    found = [schema.get("pattern"), *(named if isinstance(named, dict) else ())]
    return [each for each in found if isinstance(each, str)]


def _dependents(schema: dict[str, Any]) -> int:
    given = (schema.get(keyword) for keyword in ("dependentRequired", "dependentSchemas", "dependencies"))
    return sum(2 * len(each) for each in given if isinstance(each, dict))


def _scalars(value: Any) -> int:
    """What it takes to compare with a value. Strings among others are looked up at once."""
    if isinstance(value, dict):
        return 1 + sum(1 + _scalars(inner) for inner in value.values())
    if isinstance(value, list):
        return 1 + sum(_scalars(inner) for inner in value if not isinstance(inner, str))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 1
    return _NUMBER if value == 0 or 1e-20 < abs(value) < 1e20 else _FAR_NUMBER
