"""How a webhook's health looks: figures that say so when there is no data, and a series in one line of text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hookpost_server.cli.output import Column, card, clock, plural
from hookpost_server.domain.duration import format_duration, rough

if TYPE_CHECKING:
    from hookpost.v1.webhook_pb2 import HealthPoint, Webhook, WebhookHealth

NO_DATA = "no data"
_NONE, _NEVER = "–", "none"
_BARS = "▁▂▃▄▅▆▇█"
_WIDEST = 60  # characters of a sparkline


def percent(part: int, whole: int) -> str:
    """To a tenth, and 0 % or 100 % only when it is exactly that."""
    if part in (0, whole):
        return "100%" if part else "0%"
    return f"{min(max(part / whole, 0.001), 0.999):.1%}"


def rate(health: WebhookHealth) -> str:
    """The success rate; empty without data."""
    return percent(health.success_count, health.request_count) if health.HasField("success_rate") else ""


COLUMNS: Sequence[Column[Webhook]] = (
    Column("SUCCESS 24H", lambda webhook: rate(webhook.health) or _NONE),
    Column("REQUESTS 24H", lambda webhook: str(webhook.health.request_count or _NONE)),
)


def rows(webhook: Webhook) -> list[tuple[str, str]]:
    """For the card of one webhook."""
    health = webhook.health
    count = plural(health.request_count, "request")
    return [("last 24 h", f"{rate(health)} of {count} succeeded" if rate(health) else NO_DATA)]


def describe(health: WebhookHealth, series: Sequence[HealthPoint]) -> str:
    """All figures, then what succeeded and what failed over time."""

    facts = card(
        [
            ("window", format_duration(health.window.ToTimedelta())),
            ("success rate", rate(health) or NO_DATA),
            ("requests", f"{health.request_count}, of which {health.success_count} succeeded"),
            ("attempts", str(health.attempt_count)),
            ("latency", _latency(health)),
            ("failing", f"{plural(health.consecutive_failure_count, 'delivery')} in a row"),
            ("last success", clock(health.last_success_time) if health.HasField("last_success_time") else _NEVER),
            ("last failure", clock(health.last_failure_time) if health.HasField("last_failure_time") else _NEVER),
            ("oldest pending", clock(health.oldest_pending_time) if health.HasField("oldest_pending_time") else _NEVER),
        ]
    )
    return f"{facts}\n\n{chart(series)}" if series else facts


def _latency(health: WebhookHealth) -> str:
    if not health.HasField("latency_p50"):
        return NO_DATA
    half, most = (rough(each.ToTimedelta()) for each in (health.latency_p50, health.latency_p95))
    return f"half within {half}, 95% within {most}"


def chart(series: Sequence[HealthPoint]) -> str:
    """Two sparklines on one scale."""
    succeeded = _fold([point.success_count for point in series])
    failed = _fold([point.failure_count for point in series])
    top = max(*succeeded, *failed, 1)
    bucket = series[1].start_time.ToDatetime() - series[0].start_time.ToDatetime() if len(series) > 1 else None
    each = f", each column {rough(bucket * _step(len(series)))}" if bucket else ""
    return card(
        [
            ("succeeded", sparkline(succeeded, top)),
            ("failed", sparkline(failed, top)),
            (" ", f"oldest first{each}; the highest is {top}"),
        ]
    )


def sparkline(values: Sequence[int], top: int) -> str:
    """One character for each value; nothing is a dot, so that it differs from little."""
    return "".join(
        "·" if not value else _BARS[min((value * len(_BARS) - 1) // top, len(_BARS) - 1)] for value in values
    )


def _fold(values: Sequence[int]) -> list[int]:
    """Neighbours added up until they fit; the last column may stand for fewer."""
    step = _step(len(values))
    return [sum(values[start : start + step]) for start in range(0, len(values), step)]


def _step(count: int) -> int:
    return -(-count // _WIDEST)
