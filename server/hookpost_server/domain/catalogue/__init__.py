"""The built-in event types: 31 identity events with the names and payloads that Logto's receivers know, and
Hookpost's own, the operational ones.

Each JSON file beside this one holds one group, and `common.json` what the groups share. A payload is what a
producer gives to EmitEvent: what the envelope adds (`event`, `createdAt`, `hookId`) is not in it.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

_GROUPS = (
    "interaction",
    "user",
    "trusted_device",
    "role",
    "permission",
    "organization",
    "organization_role",
    "organization_permission",
    "security",
)
_DEFS = "#/$defs/"


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """One event type, its texts ready to store and to show."""

    name: str
    group: str
    description: str
    schema: str
    """JSON Schema (draft 2020-12) of the payload, in need of no other document."""
    example: str
    """An anonymous payload, a JSON object."""


@cache
def builtin() -> tuple[CatalogueEntry, ...]:
    """The identity events, group by group."""
    common = _read("common")
    return tuple(entry for name in _GROUPS for entry in _entries(_read(name), common))


@cache
def operational() -> tuple[CatalogueEntry, ...]:
    """The events that Hookpost itself emits."""
    return tuple(_entries(_read("hookpost"), _read("common")))


def _read(name: str) -> dict[str, Any]:
    text = files(__package__).joinpath(f"{name}.json").read_text(encoding="utf-8")
    content: dict[str, Any] = json.loads(text)
    return content


def _entries(group: dict[str, Any], common: dict[str, Any]) -> Iterator[CatalogueEntry]:
    defs = common["$defs"] | group.get("$defs", {})
    for event in group["events"]:
        about = {"title": event["name"], "description": event["description"]}
        schema = common["frame"] | about | event["schema"]
        yield CatalogueEntry(
            name=event["name"],
            group=group["group"],
            description=event["description"],
            schema=_text(schema | {"$defs": _needed(schema, defs)}),
            example=_text(event["example"]),
        )


def _needed(schema: dict[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    """Those of `defs` that the schema refers to, directly or through another."""
    names: set[str] = set()
    unread = [schema]
    while unread:
        new = set(_references(unread.pop())) - names
        names |= new
        unread += [defs[name] for name in new]
    return {name: definition for name, definition in defs.items() if name in names}


def _references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(target := node.get("$ref"), str):
            yield target.removeprefix(_DEFS)
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            yield from _references(child)


def _text(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
