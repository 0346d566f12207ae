"""What a verified request says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

_FLAT = ("event", "createdAt", "hookId")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event, as signed. The same event may come twice: `id` tells, so keep the ids of the last days."""

    id: str  # `webhook-id`: the same for every attempt
    type: str  # from the signed body; empty where it does not say (payload format RAW)
    data: dict[str, Any]  # the payload, without what the envelope adds; Decimal for integers of thousands of digits
    timestamp: datetime | None  # of this attempt; None by the scheme "hex", which signs no time
    occur_time: datetime | None  # when it happened, if the envelope says
    attempt: int | None  # from an unsigned header: for logs only
    delivery_id: str  # likewise
    body: bytes = field(repr=False)  # exactly what was signed


def read(body: bytes, headers: Mapping[str, str], timestamp: datetime | None) -> Event:
    """Takes the body apart. `headers` in lower case. Raises ValueError for what is no JSON object of ours."""
    try:
        content = json.loads(body.decode(), parse_constant=_refuse, parse_int=_whole)
    except RecursionError:
        raise ValueError("the body is nested too deeply") from None
    if not isinstance(content, dict):
        raise ValueError("the body is not a JSON object")
    kind, moment, data = _opened(content)
    attempt = headers.get("hookpost-attempt", "")
    return Event(
        id=headers.get("webhook-id", ""),
        type=kind if isinstance(kind, str) else "",
        data=data if isinstance(data, dict) else {},
        timestamp=timestamp,
        occur_time=_time(moment),
        attempt=int(attempt) if attempt.isascii() and attempt.isdigit() and len(attempt) < 10 else None,
        delivery_id=headers.get("hookpost-delivery", ""),
        body=body,
    )


def _opened(content: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Type, moment and payload, by the payload format that the members show."""
    if all(name in content for name in _FLAT):
        return content["event"], content["createdAt"], {k: v for k, v in content.items() if k not in _FLAT}
    if "specversion" in content:
        return content.get("type"), content.get("time"), content.get("data")
    if content.keys() == {"type", "timestamp", "data"}:
        return content["type"], content["timestamp"], content["data"]
    return "", None, content


def _time(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(text).astimezone(UTC) if isinstance(text, str) else None
    except (ValueError, OverflowError):
        return None


def _whole(digits: str) -> int | Decimal:
    """Python's int takes no more than 4,300 digits of text; Hookpost takes them, so they are no reason to refuse."""
    try:
        return int(digits)
    except ValueError:
        return Decimal(digits)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
