"""Which deliveries a page shows, read from its address and written back into it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from ..domain import event, ids
from ..domain.delivery import Result, State
from ..store.delivery_log import Filter

FIRST, LAST = UUID(int=0), UUID(int=2**128 - 1)
STATES = {"succeeded": State.SUCCEEDED, "pending": State.PENDING, "failed": State.FAILED, "cancelled": State.CANCELLED}
CLASSES = {"2xx": 2, "3xx": 3, "4xx": 4, "5xx": 5}
NO_ANSWER = "none"
ANSWERED = (Result.SUCCEEDED, Result.BAD_STATUS, Result.REDIRECTED)
RANGES = {"1h": 3600.0, "24h": 86400.0, "7d": 604_800.0, "30d": 2_592_000.0}  # seconds
DEFAULT_RANGE = "24h"
NAMES = ("state", "event", "code", "range", "from", "to", "id")


@dataclass(frozen=True, slots=True)
class RequestFilter:
    """The fields as they were given, and the key of a text that says why one of them can't be used."""

    given: Mapping[str, str]
    filter: Filter
    fault: str = ""

    @classmethod
    def read(cls, query: Mapping[str, str], now: float, webhook_id: UUID | None = None) -> RequestFilter:
        """`now` in unix seconds; a filter that can't match shows nothing, and says why."""
        given = {name: query.get(name, "").strip()[:200] for name in NAMES}
        given["range"] = given["range"] if given["range"] in (*RANGES, "all", "custom") else DEFAULT_RANGE
        fault = ""
        since, before, event_id = FIRST, LAST, None
        if given["id"]:
            try:
                since, before, event_id = _named(given["id"])
            except ValueError:
                since = before = FIRST
                fault = "requests.bad_id"
        elif given["range"] == "custom":
            try:
                since, before = _moment(given["from"], FIRST), _moment(given["to"], LAST)
            except ValueError:
                since = before = FIRST
                fault = "requests.bad_time"
        elif given["range"] != "all":
            since = ids.first_of(now - RANGES[given["range"]])
        if given["event"] and event.check_type(given["event"]):
            since = before = FIRST
            fault = "requests.bad_event"
        code = given["code"]
        return cls(
            given,
            Filter(
                since=since,
                before=before,
                webhook_id=webhook_id,
                event_id=event_id,
                event_type=given["event"],
                states=[STATES[given["state"]]] if given["state"] in STATES else [],
                status_classes=[CLASSES[code]] if code in CLASSES else [],
                results=[result for result in Result if result not in ANSWERED] if code == NO_ANSWER else [],
            ),
            fault,
        )

    @property
    def query(self) -> dict[str, str]:
        """For `visit.url`: what differs from the default. `from` is a word of Python's, hence the underscore."""
        told = {
            name: value for name, value in self.given.items() if value and (name, value) != ("range", DEFAULT_RANGE)
        }
        if self.given["range"] != "custom":
            told.pop("from", None)
            told.pop("to", None)
        return {f"{name}_" if name == "from" else name: value for name, value in told.items()}

    @property
    def narrowed(self) -> bool:
        """Whether anything but the time range was chosen."""
        return any(self.given[name] for name in ("state", "event", "code", "id"))


def _named(text: str) -> tuple[UUID, UUID, UUID | None]:
    """The bounds for an event's or a delivery's id."""
    if text.startswith(ids.EVENT):
        return FIRST, LAST, ids.parse(ids.EVENT, text)
    delivery_id = ids.parse(ids.DELIVERY, text)
    return delivery_id, ids.after(delivery_id), None


def _moment(text: str, otherwise: UUID) -> UUID:
    """A time of a browser's `datetime-local` field, read as UTC."""
    if not text:
        return otherwise
    moment = datetime.fromisoformat(text)
    return ids.first_of((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
