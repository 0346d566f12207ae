"""Payloads against an event type's JSON Schema, draft 2020-12.

Never fetches anything: a `$ref` must stay within the schema. Patterns run on an engine without backtracking, so that
no payload can make one slow; look-around and back-references are refused when the schema is stored. So is a schema
that could take too long, see `schema_cost.py`: a check holds the event loop.
"""

from __future__ import annotations

import json
from functools import lru_cache
from itertools import islice

import jsonschema_rs

from . import schema_cost
from .objections import PATTERNS, Objector
from .schema_tree import Tree

MOST = 10  # violations told of one payload


class Schema:
    """A compiled schema. Raises ValueError with a sentence when the text is none, or one that could take too long."""

    def __init__(self, text: str) -> None:
        try:
            document = json.loads(text)
            tree = Tree(document)
            self._cost = schema_cost.cost(tree)  # first: to compile one that is too dear can take as long
            self._validator = jsonschema_rs.Draft202012Validator(document, offline=True, pattern_options=PATTERNS)
            self._objector = Objector(tree, document)
        except schema_cost.TooDear:
            raise
        except (ValueError, jsonschema_rs.ReferencingError) as error:
            raise ValueError(f"is not a JSON Schema 2020-12: {_first_line(error)}") from None

    def violations(self, payload: bytes) -> list[str]:
        """What the payload breaks, at most MOST sentences such as `data.id: "x" is not of type "integer"`."""
        if (steps := self._cost.of(len(payload))) > schema_cost.MOST:
            most = (schema_cost.MOST - self._cost.once) // self._cost.by_byte
            return [f"is {len(payload):,} bytes; a schema that asks so much of each value is for at most {most:,}"]
        try:
            value = json.loads(payload)
        except ValueError:  # it is JSON, checked at the door; int() takes no more digits than that
            return ["has a number of more than 4,300 digits"]
        if self._validator.is_valid(value):
            return []
        found = self._objector.objections(value, most=schema_cost.MOST // steps)
        return list(islice(dict.fromkeys(islice(found, 10 * MOST)), MOST))


@lru_cache(maxsize=500)
def compiled(text: str) -> Schema:
    """The schema of a text, compiled once."""
    return Schema(text)


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0][:300]
