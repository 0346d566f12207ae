"""Numbers, spans and moments as a reader of a language expects them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ..domain.duration import rough
from ..domain.health import Health
from .texts import Texts

NONE = "–"
COUNTED_BACK = 24 * 3600.0  # seconds
_SPANISH = str.maketrans(",.", ".,")
GOOD, FAIR = 0.99, 0.90  # success rates from which on a webhook is well, or so-so


def number(value: float, t: Texts, digits: int = 0) -> str:
    """1,204 in English, 1.204 in Spanish."""
    text = f"{value:,.{digits}f}"
    return text.translate(_SPANISH) if t.language == "es" else text


def percent(part: int, whole: int, t: Texts) -> str:
    """To two decimals as Logto shows it, and 0 or 100 only when it is exactly that; a dash without data."""
    if not whole:
        return NONE
    if part in (0, whole):
        return f"{100 if part else 0} %"
    share = min(max(part / whole, 0.0001), 0.9999) * 100
    return f"{number(share, t, 2)} %"


def grade(health: Health) -> str:
    """good, fair, bad, or none without data."""
    rate = health.success_rate
    if rate is None:
        return "none"
    return "good" if rate >= GOOD else "fair" if rate >= FAIR else "bad"


def span(seconds: float | None) -> str:
    """About how long: "12 ms", "3 min"; a dash for nothing."""
    return NONE if seconds is None else rough(timedelta(seconds=seconds))


def ago(moment: datetime, now: float, t: Texts) -> str:
    """ "3 min ago", "in 12 s" or "now"; the time itself once days are more than a reader wants to count back."""
    seconds = now - moment.timestamp()
    if seconds > COUNTED_BACK:
        return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    if abs(seconds) < 1:
        return t("time.now")
    return t("time.ago", span=span(seconds)) if seconds > 0 else t("time.ahead", span=span(-seconds))


def exact(moment: datetime) -> str:
    """ "2026-11-22 00:46:46 UTC"."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
