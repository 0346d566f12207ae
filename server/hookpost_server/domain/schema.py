"""Payloads against an event type's JSON Schema, draft 2020-12.

Never fetches anything: a `$ref` must stay within the schema. Patterns run on an engine without backtracking, so that
no payload can make one slow; look-around and back-references are refused when the schema is stored.
"""

from __future__ import annotations

import json
from functools import lru_cache

import jsonschema_rs

MOST = 10  # violations told of one payload


class Schema:
    """A compiled schema. Raises ValueError with a sentence when the text is none."""

    def __init__(self, text: str) -> None:
        try:
            self._validator = jsonschema_rs.Draft202012Validator(
                json.loads(text), offline=True, pattern_options=jsonschema_rs.RegexOptions()
            )
        except (ValueError, jsonschema_rs.ReferencingError) as error:
            raise ValueError(f"is not a JSON Schema 2020-12: {_first_line(error)}") from None

    def violations(self, payload: bytes) -> list[str]:
        """What the payload breaks, at most MOST sentences such as `data.id: "x" is not of type "integer"`."""
        try:
            value = json.loads(payload)
        except ValueError:  # it is JSON, checked at the door; int() takes no more digits than that
            return ["has a number of more than 4,300 digits"]
        if self._validator.is_valid(value):
            return []
        found = []
        for error in self._validator.iter_errors(value):
            path = ".".join(map(str, error.instance_path))
            found.append(f"{path}: {error.message[:200]}" if path else error.message[:200])
            if len(found) == MOST:
                break
        return found


@lru_cache(maxsize=500)
def compiled(text: str) -> Schema:
    """The schema of a text, compiled once."""
    return Schema(text)


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0][:300]
