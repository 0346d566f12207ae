"""Event types: the catalogue's entries."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from . import errors, event, payload, schema
from .errors import Violation
from .webhook import check_text

MAX_GROUP = 64
MAX_DESCRIPTION = 2000
MAX_SCHEMA = 64 * 1024  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class EventType:
    """A type as stored. `json_schema` is empty or a JSON Schema 2020-12 text, `example` a JSON object's text."""

    name: str
    group: str
    description: str
    json_schema: str = ""
    example: str = "{}"
    enforce_schema: bool = False
    deprecated: bool = False
    built_in: bool = False
    version: int = 1
    create_time: datetime | None = None
    update_time: datetime | None = None

    @property
    def etag(self) -> str:
        return f'"{self.version}"'


def check(given: EventType, prefix: str = "event_type") -> None:
    """Raises InvalidFields with every fault."""
    faults = []
    if fault := (event.check_type if given.built_in else event.check_emitted_type)(given.name):
        faults.append(Violation(f"{prefix}.name", fault))
    if fault := check_text(given.group, MAX_GROUP, required=True):
        faults.append(Violation(f"{prefix}.group", fault))
    if fault := check_text(given.description.replace("\n", " "), MAX_DESCRIPTION):
        faults.append(Violation(f"{prefix}.description", fault))
    compiled = None
    if given.json_schema:
        try:
            payload.parse_object(given.json_schema.encode(), MAX_SCHEMA)
            compiled = schema.compiled(given.json_schema)
        except ValueError as error:
            faults.append(Violation(f"{prefix}.json_schema", str(error)))
    try:
        payload.check(given.example.encode())
        payload.check_object(given.example.encode(), MAX_SCHEMA)
        if compiled and (broken := compiled.violations(given.example.encode())):
            faults.append(Violation(f"{prefix}.example", f"does not fit json_schema: {broken[0]}"))
    except payload.PayloadError as error:
        faults.append(Violation(f"{prefix}.example", str(error)))
    if given.enforce_schema and not given.json_schema:
        faults.append(Violation(f"{prefix}.enforce_schema", "needs a json_schema"))
    if faults:
        raise errors.InvalidFields(faults)


def nearest(name: str, known: Iterable[str], most: int = 3) -> list[str]:
    """The known names most like an unknown one, case aside."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    return [by_lower[match] for match in difflib.get_close_matches(name[:128].lower(), by_lower, n=most, cutoff=0.6)]


def unknown(name: str, known: Iterable[str]) -> errors.EventTypeUnknown:
    """The error for a name that is not among the known ones."""
    return errors.EventTypeUnknown(name, nearest(name, known))
