"""Webhooks: what may be set, and how a change is applied."""

from __future__ import annotations

import dataclasses
import enum
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from . import envelope, errors, event, headers
from .errors import Violation
from .retry import RetryPolicy
from .signing import SigningKey
from .url import UrlRules

MAX_NAME = 256
MAX_EVENT_TYPES = 500
MAX_LABELS = 20
MIN_TIMEOUT, MAX_TIMEOUT, DEFAULT_TIMEOUT = 0.1, 30.0, 10.0  # seconds
MAX_IN_FLIGHT, DEFAULT_IN_FLIGHT = 1000, 16
MIN_RATE, MAX_RATE = 0.1, 10_000.0  # attempts a second
STALE_AFTER = 2.0  # seconds; no attempt begins by settings, or signed by keys, that were checked longer ago
_LABEL_KEY = re.compile(r"[A-Za-z0-9._/-]{1,63}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class State(enum.IntEnum):
    """Whether a webhook receives deliveries; numbers as in the proto and in SQL."""

    ACTIVE = 1
    DISABLED = 2
    SUSPENDED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What callers choose. Header values may be secrets: they never show in a repr."""

    name: str = ""
    url: str = ""
    event_types: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    retry_policy: RetryPolicy = RetryPolicy()
    timeout: float = DEFAULT_TIMEOUT  # seconds
    payload_format: envelope.Format = envelope.Format.FLAT
    max_in_flight: int = DEFAULT_IN_FLIGHT
    rate_limit: float = 0.0  # attempts a second; 0: none
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """A subscription as stored."""

    id: UUID
    tenant_id: str
    settings: Settings
    state: State
    state_reason: str
    version: int
    create_time: datetime
    update_time: datetime
    keys: tuple[SigningKey, ...] = ()  # in force, newest first

    @property
    def etag(self) -> str:
        return f'"{self.version}"'

    def keys_at(self, moment: datetime) -> list[SigningKey]:
        """The keys that sign at a moment, newest first; a webhook read a while ago may hold some that have expired."""
        return [key for key in self.keys if key.expire_time is None or key.expire_time > moment]


@dataclass(frozen=True, slots=True)
class SettingsRules:
    """Checks settings as this server allows them."""

    urls: UrlRules
    signature_header: str
    known_type: Callable[[str], bool]  # whether an exact event type is in the catalogue

    def check(self, settings: Settings, found: Iterable[Violation] = (), prefix: str = "webhook.") -> Settings:
        """The settings, normalised. Raises InvalidFields with every fault, those `found` before included."""
        faults: list[Violation] = list(found)

        def fault(name: str, description: str) -> None:
            faults.append(Violation(f"{prefix}{name}", description))

        if text_fault := check_text(settings.name, MAX_NAME, required=True):
            fault("name", text_fault)
        url = settings.url
        try:
            url = self.urls.check(settings.url)
        except ValueError as error:
            fault("url", str(error))
        event_types = tuple(dict.fromkeys(settings.event_types))
        for path, description in self._check_event_types(event_types):
            fault(path, description)
        faults += headers.check(settings.headers, f"{prefix}headers", self.signature_header)
        if not MIN_TIMEOUT <= settings.timeout <= MAX_TIMEOUT:
            fault("timeout", f"must be from {MIN_TIMEOUT * 1000:g} ms to {MAX_TIMEOUT:g} s")
        if not 1 <= settings.max_in_flight <= MAX_IN_FLIGHT:
            fault("max_in_flight", f"must be from 1 to {MAX_IN_FLIGHT}, or 0 for the default of {DEFAULT_IN_FLIGHT}")
        if settings.rate_limit != 0 and not MIN_RATE <= settings.rate_limit <= MAX_RATE:
            fault("rate_limit", f"must be from {MIN_RATE:g} to {MAX_RATE:g} a second, or 0 for none")
        faults += _check_labels(settings.labels, f"{prefix}labels")
        if faults:
            raise errors.InvalidFields(faults)
        return dataclasses.replace(settings, url=url, event_types=event_types)

    def _check_event_types(self, event_types: Sequence[str]) -> Iterable[tuple[str, str]]:
        if not event_types:
            yield "event_types", 'is required: at least one event type, "Prefix.*" or "*"'
        if len(event_types) > MAX_EVENT_TYPES:
            yield "event_types", f"must have at most {MAX_EVENT_TYPES} entries, has {len(event_types)}"
        for index, pattern in enumerate(event_types[:MAX_EVENT_TYPES]):
            if pattern == "*":
                continue
            name = pattern.removesuffix(".*")
            if name_fault := event.check_type(name):
                yield f"event_types[{index}]", f'{name_fault}; or such words and ".*"; or "*"'
            elif name == pattern and not self.known_type(name):
                yield unknown_type(index, name)


def unknown_type(index: int, name: str) -> tuple[str, str]:
    """The field and what is wrong with it, for an entry of `event_types` that is not in the catalogue."""
    return f"event_types[{index}]", f'"{name}" is not a known event type (see ListEventTypes)'


def check_text(value: str, limit: int, *, required: bool = False) -> str | None:
    """What is wrong with a text for people; None if nothing is."""
    if required and not value.strip():
        return f"is required: 1 to {limit} characters"
    if len(value) > limit:
        return f"must be at most {limit} characters, is {len(value):,}"
    if _CONTROL.search(value):
        return "must not contain control characters"
    return None


def _check_labels(labels: Mapping[str, str], field: str) -> list[Violation]:
    faults = []
    if len(labels) > MAX_LABELS:
        faults.append(Violation(field, f"must have at most {MAX_LABELS} entries, has {len(labels)}"))
    for key, value in labels.items():
        path = f"{field}[{json.dumps(key[:63])}]"
        if not _LABEL_KEY.fullmatch(key):
            faults.append(Violation(path, "key must be 1 to 63 characters of [A-Za-z0-9._/-]"))
        if text_fault := check_text(value, 256):
            faults.append(Violation(path, f"value {text_fault}"))
    return faults


def changed(settings: Settings, given: Mapping[str, Any]) -> Settings:
    """The settings with the given fields replaced; None puts a field back to its default, `***` keeps a header."""
    defaults = Settings()
    if given.get("headers"):
        given = {**given, "headers": headers.kept(given["headers"], settings.headers)}
    return dataclasses.replace(
        settings, **{name: getattr(defaults, name) if value is None else value for name, value in given.items()}
    )


def differing(before: Settings, after: Settings) -> list[str]:
    """The names of the settings in which the two differ."""
    return [
        each.name for each in dataclasses.fields(Settings) if getattr(before, each.name) != getattr(after, each.name)
    ]
