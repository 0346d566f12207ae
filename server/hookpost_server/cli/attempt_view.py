"""How an attempt looks in a table, and failures in words: for tests, waiting emits and explanations."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from hookpost_server.cli.output import word
from hookpost_server.domain.duration import rough

if TYPE_CHECKING:
    from hookpost.v1.delivery_pb2 import Attempt

_LINE = 60  # characters of an answer's body in a table
_NAMED = 3  # of many with the same failure


def answer(attempt: Attempt) -> str:
    """The status, or why there is none: "500", "timed out"."""
    from hookpost.v1.delivery_pb2 import AttemptOutcome

    if attempt.HasField("status_code"):
        return str(attempt.status_code)
    return word(AttemptOutcome.Name(attempt.outcome), "ATTEMPT_OUTCOME_")


def latency(attempt: Attempt) -> str:
    return rough(attempt.latency.ToTimedelta())


def first_line(attempt: Attempt) -> str:
    """The first line of the answer's body that says something, else the technical cause; cut to fit a table."""
    lines = (line.strip() for line in attempt.response_body.splitlines())
    text = next((line for line in lines if line), "") or attempt.error_message
    return text if len(text) <= _LINE else text[: _LINE - 1] + "…"


def succeeded(attempt: Attempt) -> bool:
    from hookpost.v1.delivery_pb2 import ATTEMPT_OUTCOME_SUCCEEDED

    return attempt.outcome == ATTEMPT_OUTCOME_SUCCEEDED


def in_words(failures: Iterable[tuple[str, str]]) -> list[str]:
    """From (name, explanation): each explanation once, with whom it concerns."""
    by_text: dict[str, list[str]] = {}
    for name, text in failures:
        by_text.setdefault(text, []).append(name)
    return [f"{_some(names)}: {text}" for text, names in by_text.items()]


def _some(names: list[str]) -> str:
    if len(names) <= _NAMED + 1:
        return ", ".join(names)
    return f"{', '.join(names[:_NAMED])} and {len(names) - _NAMED} more"
