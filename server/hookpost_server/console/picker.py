"""The event picker: the catalogue by group, with what covers a whole group, present and future."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..domain.event import is_operational
from ..domain.event_type import EventType

ALL = "*"


@dataclass(frozen=True, slots=True)
class Group:
    """The types of a group, and the pattern that matches all of them and those to come; empty if there is none."""

    name: str
    types: Sequence[EventType]
    pattern: str


@dataclass(frozen=True, slots=True)
class Picker:
    """What can be ticked, and what is chosen that can't."""

    groups: Sequence[Group]
    others: Sequence[str]


def picker(types: Sequence[EventType], chosen: Sequence[str]) -> Picker:
    """For the catalogue's types, by group and name."""
    groups: dict[str, list[EventType]] = {}
    for each in types:
        groups.setdefault(each.group, []).append(each)
    made = [Group(name, members, _pattern(members)) for name, members in groups.items()]
    made.sort(key=lambda group: is_operational(group.types[0].name))  # Hookpost's own come last
    offered = {ALL, *(each.name for each in types), *(group.pattern for group in made)}
    return Picker(made, [name for name in dict.fromkeys(chosen) if name not in offered])


def _pattern(members: Sequence[EventType]) -> str:
    first = {member.name.split(".", 1)[0] for member in members}
    shared = len(members) > 1 and len(first) == 1 and all("." in member.name for member in members)
    return f"{first.pop()}.*" if shared else ""
