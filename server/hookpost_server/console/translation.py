"""What the domain tells in English, told in the reader's language: explanations by name, faults of fields and
refusals by words.

What has no translation stays English, and says so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from ..domain.delivery import Attempt, Delivery, Result
from ..domain.explain import FOLLOWING, WAITS, cause_of, explain, following_of, wait_of
from .texts import DEFAULT, Texts, load


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a field, or why something can't be done."""

    text: str
    english: bool = False  # whatever the page's language


def explained(attempt: Attempt, t: Texts, delivery: Delivery | None = None) -> str:
    """Why an attempt failed, and, of a delivery's, what came after it; empty if it succeeded."""
    if attempt.result is Result.SUCCEEDED:
        return ""
    cause = explain(attempt)
    parts = [_domain(t).get(f"cause.{cause_of(attempt)}", cause)]
    if delivery is not None:
        name, values = following_of(delivery, last=attempt is delivery.attempts[-1])
        parts.append(_domain(t).get(f"following.{name}", FOLLOWING[name]).format(**values))
    return " ".join(parts)


def waiting(delivery: Delivery, held_for: float | None, t: Texts) -> str:
    """Why no attempt is made though one is due, or was made; empty when the attempts tell all."""
    name, values = wait_of(delivery, held_for)
    return _domain(t).get(f"wait.{name}", WAITS[name]).format(**values) if name else ""


def fault(english: str, t: Texts) -> Fault:
    """A violation's description, or an error's message."""
    for words, translated in _faults(t.language):
        if found := words.fullmatch(english):
            return Fault(translated.format(*found.groups()))
    return Fault(english, english=t.language != DEFAULT)


def _domain(t: Texts) -> Mapping[str, str]:
    return {} if t.language == DEFAULT else _loaded(t.language)


@cache
def _loaded(language: str) -> dict[str, str]:
    return load(f"domain.{language}")


@cache
def _faults(language: str) -> list[tuple[re.Pattern[str], str]]:
    if language == DEFAULT:
        return []
    told = [(*key.partition("."), text) for key, text in _loaded(language).items()]
    return [(_pattern(words), text) for section, _, words, text in told if section in ("fault", "refusal")]


def _pattern(words: str) -> re.Pattern[str]:
    return re.compile("(.*?)".join(map(re.escape, words.split("{}"))), re.DOTALL)
