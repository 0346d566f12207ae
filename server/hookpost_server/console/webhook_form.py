"""A webhook's settings as fields of a form: shown, read back, and every fault told beside its field.

A header's value that looks like a secret is never written into a page: its field comes empty and says `kept`, and stays
as it is stored unless something is typed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from multidict import MultiMapping

from ..domain import errors, headers, retry
from ..domain.duration import format_duration, parse_duration
from ..domain.envelope import Format
from ..domain.errors import Violation
from ..domain.webhook import Settings
from .texts import Texts
from .translation import Fault, fault

PREFIX = "webhook."
SCHEDULES = {schedule.name.lower(): schedule for schedule in retry.Schedule}
FORMATS = {form.name.lower(): form for form in Format}
MAX_ROWS = headers.MAX_HEADERS + 1
ORDER = ("name", "url", "event_types", "headers", "retry_policy", "timeout", "payload_format", "max_in_flight")
ADVANCED = ("headers", "retry_policy", "timeout", "payload_format", "max_in_flight", "rate_limit", "labels")


Faults = dict[str, list[Fault]]  # by field; a header row's is `headers.2`


@dataclass(frozen=True, slots=True)
class HeaderRow:
    """One custom header."""

    name: str = ""
    value: str = field(default="", repr=False)
    kept: bool = False  # the value is the stored one, which is not shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """All fields, as text."""

    name: str = ""
    url: str = ""
    event_types: Sequence[str] = ()
    more: str = ""  # further entries of event_types, by hand
    headers: Sequence[HeaderRow] = (HeaderRow(),)
    schedule: str = "default"
    delays: str = ""
    jitter: str = ""
    timeout: str = ""
    payload_format: str = "flat"
    max_in_flight: str = ""
    rate_limit: str = ""
    labels: str = ""

    @classmethod
    def of(cls, settings: Settings) -> Form:
        """The fields that show stored settings."""
        policy = settings.retry_policy
        return cls(
            name=settings.name,
            url=settings.url,
            event_types=settings.event_types,
            headers=tuple(
                HeaderRow(name, "", True) if headers.is_secret(name) else HeaderRow(name, value)
                for name, value in settings.headers.items()
            )
            or (HeaderRow(),),
            schedule=policy.schedule.name.lower(),
            delays=", ".join(format_duration(timedelta(seconds=delay)) for delay in policy.delays),
            jitter=f"{policy.jitter * 100:.12g}",
            timeout=format_duration(timedelta(seconds=settings.timeout)),
            payload_format=settings.payload_format.name.lower(),
            max_in_flight=str(settings.max_in_flight),
            rate_limit=f"{settings.rate_limit:.12g}" if settings.rate_limit else "",
            labels="\n".join(f"{key}={value}" for key, value in settings.labels.items()),
        )

    @classmethod
    def read(cls, sent: MultiMapping[str]) -> Form:
        """The fields that a browser sent."""
        rows = zip(
            sent.getall("header-name", []),
            sent.getall("header-value", []),
            sent.getall("header-kept", []),
            strict=False,
        )
        return cls(
            event_types=tuple(sent.getall("event_types", [])),
            headers=tuple(HeaderRow(name.strip(), value.strip(), bool(kept)) for name, value, kept in rows)[:MAX_ROWS]
            or (HeaderRow(),),
            **{
                name: sent.get(name, "").replace("\r\n", "\n").strip()
                for name in (
                    *("name", "url", "more", "schedule", "delays", "jitter", "timeout", "payload_format"),
                    *("max_in_flight", "rate_limit", "labels"),
                )
            },
        )

    def with_row(self) -> Form:
        """With room for one more header."""
        return replace(self, headers=(*self.headers, HeaderRow())[:MAX_ROWS])

    @property
    def patterns(self) -> list[str]:
        """What is ticked and what is typed."""
        return [*self.event_types, *(word for word in re.split(r"[\s,]+", self.more) if word)]

    def given(self, stored: Settings, t: Texts) -> tuple[dict[str, Any], list[Violation], Faults]:
        """What `changed` takes; what can't be read as such; and what is wrong with rows."""
        violations: list[Violation] = []
        found = {name: value for name, value in self._rows(stored).items() if value is not None}
        given: dict[str, Any] = {
            "name": self.name,
            "url": self.url,
            "event_types": tuple(self.patterns),
            "headers": found,
            "payload_format": FORMATS.get(self.payload_format),
            "labels": dict(_pair(line) for line in self.labels.splitlines() if line.strip()),
        }
        for name, read in (
            ("timeout", _seconds),
            ("max_in_flight", int),
            ("rate_limit", float),
            ("retry_policy", self._retry_policy),
        ):
            try:
                text = getattr(self, name, "")
                given[name] = read(text) if text or name == "retry_policy" else None
            except errors.InvalidFields as error:
                violations += error.violations
            except ValueError as error:
                what = str(error) if name == "timeout" else "must be a number"
                violations.append(Violation(PREFIX + name, what))
        return given, violations, self._row_faults(stored, t)

    def _retry_policy(self, _: str) -> retry.RetryPolicy:
        schedule = SCHEDULES.get(self.schedule)
        try:
            jitter = float(self.jitter) / 100 if self.jitter else None
        except ValueError:
            raise errors.InvalidFields.one(f"{PREFIX}retry_policy", "must be a number") from None
        try:
            words = [word for word in re.split(r"[\s,]+", self.delays) if word]
            delays = [_seconds(word) for word in words] if schedule is retry.Schedule.CUSTOM else []
        except ValueError as error:
            raise errors.InvalidFields.one(f"{PREFIX}retry_policy", str(error)) from None
        return retry.policy(schedule, delays, jitter, f"{PREFIX}retry_policy")

    def _rows(self, stored: Settings) -> dict[str, str | None]:
        """Header values by name; None for one that was to be kept but is not stored."""
        return {
            row.name: stored.headers.get(row.name) if row.kept and not row.value else row.value
            for row in self.headers
            if row.name
        }

    def _row_faults(self, stored: Settings, t: Texts) -> Faults:
        """A row without a value is sound only if that is what is stored by its name, or kept."""
        faults: Faults = {}
        seen: set[str] = set()
        for index, row in enumerate(self.headers):
            wrong, kept = "", row.kept and row.name in stored.headers
            if not row.name and row.value:
                wrong = "headers.no_name"
            elif row.name and not row.value and not (kept or stored.headers.get(row.name) == ""):
                wrong = "headers.no_value"
            elif row.name.lower() in seen:
                wrong = "headers.twice"
            if row.name:
                seen.add(row.name.lower())
            if wrong:
                faults[f"headers.{index}"] = [Fault(t(wrong))]
        return faults

    def faults(self, violations: Iterable[Violation], rows: Faults, t: Texts) -> Faults:
        """By field of the form, those of rows included."""
        found: Faults = dict(rows)
        for violation in violations:
            path = violation.field.removeprefix(PREFIX)
            name = re.split(r"[.\[]", path, maxsplit=1)[0]
            if name == "headers" and (index := self._row_of(path)) is not None:
                name = f"headers.{index}"
                if name in rows:
                    continue
            found.setdefault(name, []).append(fault(violation.description, t))
        return {name: found[name] for name in sorted(found, key=_place)}

    def _row_of(self, path: str) -> int | None:
        for index, row in enumerate(self.headers):
            if row.name and path == f'headers["{row.name[:64]}"]':
                return index
        return None


def unfolded(form: Form, faults: Mapping[str, Any]) -> bool:
    """Whether the advanced part has something to show."""
    plain = Form.of(Settings())
    names = ("headers", "schedule", "timeout", "payload_format", "max_in_flight", "rate_limit", "labels")
    differs = any(getattr(form, name) not in ("", getattr(plain, name)) for name in names)
    return differs or any(name.split(".", 1)[0] in ADVANCED for name in faults)


def _place(name: str) -> tuple[int, str]:
    """Where a field stands in the form, so that faults are told from top to bottom."""
    base = name.split(".", 1)[0]
    return (ORDER.index(base) if base in ORDER else len(ORDER)), name


def _seconds(text: str) -> float:
    return parse_duration(text).total_seconds()


def _pair(line: str) -> tuple[str, str]:
    key, _, value = line.partition("=")
    return key.strip(), value.strip()
