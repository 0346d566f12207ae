"""How much a regular expression can ask for. The engine does not go back, but it may follow each state at each step."""

from __future__ import annotations

import re

MOST = 10**9  # as good as endless; keeps the numbers small

_REPEATED = re.compile(r"\{\s*(\d+)\s*,?\s*(\d*)\s*\}")
_ATOM = re.compile(r"\\[pP]\{[^}]*\}|\[\^?\]?(?:\\.|[^]\\])*\]|\\?.", re.DOTALL)
_UNICODE = re.compile(r"\\[pP]")
_WIDE = 4  # a class, an escape or a dot, which are several states each as bytes
_OF_UNICODE = 100  # what it takes to compile `\\p{…}`, against a character


def states(pattern: str, of_unicode: int = _WIDE) -> int:
    """About how many states a pattern has: its characters, those repeated `{n}` times counted so often."""
    groups = [0]
    last = at = 0
    while at < len(pattern):
        character, end = pattern[at], at + 1
        if repeated := _REPEATED.match(pattern, at):
            times = max(int(given) for given in repeated.groups() if given)
            groups[-1] += last * (times - 1)
            last *= times
            end = repeated.end()
        elif character == "(":
            groups.append(0)
        elif character == ")" and len(groups) > 1:
            last = groups.pop()
            groups[-1] += last
        elif character not in "|*+?^$" and (atom := _ATOM.match(pattern, at)):
            last = of_unicode if _UNICODE.search(atom[0]) else _WIDE if character in "\\.[" else 1
            groups[-1] += last
            end = atom.end()
        groups[-1], last = min(groups[-1], MOST), min(last, MOST)
        at = end
    return min(sum(groups), MOST)


def size(pattern: str) -> int:
    """How long a pattern takes to compile, in about 20 µs."""
    return states(pattern, _OF_UNICODE)
