"""Texts that must not be shown."""

from __future__ import annotations

from typing import Final, NoReturn

HIDDEN: Final = "***"


class Secret:
    """Shows as `***` wherever it is printed, formatted or logged; only `reveal` gives the text. Is never pickled."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself, for who signs with it or was asked for it."""
        return self._text

    def __repr__(self) -> str:
        return HIDDEN

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __bool__(self) -> bool:
        return bool(self._text)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")
