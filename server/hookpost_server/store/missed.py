"""Which events a webhook should have got, for statements that look through them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Missed:
    """The events that a webhook should have got: `exact` types and `prefixes` ("User." of "User.*"; "" of "*").

    As in `domain/event.patterns`, "" is not a prefix of Hookpost's own types.
    """

    exact: Sequence[str]
    prefixes: Sequence[str]

    @classmethod
    def of(cls, event_types: Sequence[str]) -> Missed:
        """Of a webhook's entries."""
        return cls(
            exact=[pattern for pattern in event_types if not pattern.endswith("*")],
            prefixes=[pattern.removesuffix("*") for pattern in event_types if pattern.endswith("*")],
        )
