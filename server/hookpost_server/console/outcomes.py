"""What became of deliveries and attempts, as a word, a shape and a colour."""

from __future__ import annotations

from dataclasses import dataclass

from ..domain.delivery import Attempt, Delivery, Result, State
from .texts import Texts

SHOWN = 160  # characters of a response's first line


@dataclass(frozen=True, slots=True)
class Verdict:
    """For `ui.badge`."""

    kind: str  # good, fair, bad, wait or off
    text: str


def of_delivery(delivery: Delivery, t: Texts) -> Verdict:
    """Retrying is told apart from failed, and from what has not been tried yet."""
    code = _code(delivery.last_result, delivery.last_status, t)
    match delivery.state:
        case State.SUCCEEDED:
            return Verdict("good", f"{t('delivery.succeeded')} {code}".strip())
        case State.FAILED:
            return Verdict("bad", f"{t('delivery.failed')} {code}".strip())
        case State.CANCELLED:
            return Verdict("off", t("delivery.cancelled"))
    if delivery.attempt_count:
        return Verdict("fair", f"{t('delivery.retrying')} {code}".strip())
    return Verdict("wait", t("delivery.waiting"))


def of_attempt(attempt: Attempt, t: Texts) -> Verdict:
    """One POST."""
    code = _code(attempt.result, attempt.status, t)
    if attempt.result is Result.SUCCEEDED:
        return Verdict("good", code)
    return Verdict("bad", code)


def first_line(attempt: Attempt) -> str:
    """What the receiver answered, or what went wrong, in a line."""
    text = attempt.body[: SHOWN * 4].decode("utf-8", "replace").strip() or attempt.error
    line = text.splitlines()[0] if text else ""
    return line if len(line) <= SHOWN else f"{line[:SHOWN]}…"


def _code(result: Result | None, status: int | None, t: Texts) -> str:
    if status is not None:
        return str(status)
    return "" if result is None else t(f"result.{result.name.lower()}")
