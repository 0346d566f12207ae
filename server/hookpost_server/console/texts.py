"""What the console says, by language: `texts/en.toml` is the one catalogue, `texts/es.toml` its translation."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "texts"
DEFAULT = "en"
LANGUAGES = (DEFAULT, "es")


class Texts:
    """The texts of one language. Called with a key: `t("webhooks.title")`."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._entries = load(language)

    def __call__(self, key: str, **values: Any) -> str:
        """The text with its values; of a text with `one` and `other`, the one that fits the value `n`.

        Raises KeyError for a key that is not in the catalogue: a test proves that there is none such in the code.
        """
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[f"{key}.one" if values["n"] in (1, "1") else f"{key}.other"]
        return entry.format(**values)

    def __contains__(self, key: str) -> bool:
        return key in self._entries


def load(language: str) -> dict[str, str]:
    """The catalogue of a language, keys joined by full stops."""
    with (FOLDER / f"{language}.toml").open("rb") as file:
        return dict(_flat(tomllib.load(file), ""))


def _flat(table: Mapping[str, Any], prefix: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, value in table.items():
        if isinstance(value, str):
            found.append((prefix + name, value))
        else:
            found += _flat(value, f"{prefix}{name}.")
    return found


class Catalogue:
    """All languages, and which one a browser wants."""

    def __init__(self) -> None:
        self._texts = {language: Texts(language) for language in LANGUAGES}

    def chosen(self, accept_language: str) -> Texts:
        """By an Accept-Language header (RFC 9110 §12.5.4): the best of ours, else English."""
        return self._texts[_best(accept_language)]


def _best(accept_language: str) -> str:
    best, best_quality = DEFAULT, 0.0
    for part in accept_language[:512].split(","):
        tag, _, parameter = part.strip().partition(";")
        language = tag.strip().lower().split("-", 1)[0]
        try:
            quality = float(parameter.strip().removeprefix("q=")) if parameter else 1.0
        except ValueError:
            continue
        if language in LANGUAGES and quality > best_quality:
            best, best_quality = language, quality
    return best
