"""From page to page: forward by a cursor, back by the trail of cursors that led here, which the address carries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .visit import Visit

MOST = 30  # pages that can be gone back one by one
FIRST = "-"  # stands for the first page, which has no cursor


@dataclass(frozen=True, slots=True)
class Pages:
    """Addresses; empty where there is no such page."""

    newest: str = ""
    newer: str = ""
    older: str = ""


def pages(visit: Visit, path: str, older: str, query: Mapping[str, Any]) -> Pages:
    """`older`: the cursor of the page after this one, empty at the end. `query`: what else the list is asked for."""
    here = visit.query.get("before", "")
    trail = [each for each in visit.query.get("trail", "").split(".") if each][-MOST:] if here else []
    following = ".".join([*trail, here or FIRST][-MOST:])
    return Pages(
        newest=visit.url(path, **query) if here else "",
        newer=_back(visit, path, trail, query),
        older=visit.url(path, **query, before=older, trail=following) if older else "",
    )


def _back(visit: Visit, path: str, trail: list[str], query: Mapping[str, Any]) -> str:
    if not trail:
        return ""
    *rest, last = trail
    if last == FIRST:
        return visit.url(path, **query)
    return visit.url(path, **query, before=last, trail=".".join(rest))
