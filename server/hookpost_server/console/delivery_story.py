"""A delivery told: one sentence, then what happened when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from ..domain import ids
from ..domain.delivery import Attempt, Delivery, Result, State
from ..domain.explain import cause_of
from .figures import span
from .outcomes import of_attempt
from .texts import Texts
from .translation import explained

MOST_STEPS = 5  # attempts on the line: the first and the last ones


@dataclass(frozen=True, slots=True)
class Step:
    """A point on the line of a delivery's life."""

    kind: str  # of ui.badge; empty for what lies between
    text: str
    time: datetime | None
    attempt: int = 0  # its number, if it is one


@dataclass(frozen=True, slots=True)
class Reason:
    """Why attempts failed; successive ones of the same cause are told together."""

    first: int
    last: int
    text: str


def headline(delivery: Delivery, most: int | None, t: Texts) -> str:
    """`most`: attempts that the webhook's policy allows; None once it is deleted."""
    last = delivery.attempts[-1] if delivery.attempts else None
    if delivery.state is State.CANCELLED:
        return t("story.cancelled")
    if last is None:
        if delivery.state is State.FAILED:
            return t("story.expired")
        return t("story.under_way" if delivery.under_way else "story.waiting")
    host = urlsplit(last.url).netloc
    values = {"host": host, "span": span(last.latency), "status": last.status or 0}
    if last.result is Result.SUCCEEDED:
        told = t("story.answered", **values)
    elif last.status is not None:
        told = t("story.refused", **values)
    else:
        told = t(f"failure.{last.result.name.lower()}", **values)
    match delivery.state:
        case State.SUCCEEDED:
            return t("story.succeeded", told=told)
        case State.FAILED:
            return t("story.failed", n=delivery.attempt_count, told=told)
    if most is None:
        return t("story.pending", told=told)
    return t("story.retrying", told=told, next=delivery.attempt_count + 1, most=max(most, delivery.attempt_count + 1))


def steps(delivery: Delivery, t: Texts, *, held: bool) -> list[Step]:
    """From the event's acceptance to the end, or to what comes next. `held`: back, so that its time says nothing."""
    line = [Step("good", t("story.accepted"), ids.time_of(delivery.event_id))]
    attempts = delivery.attempts
    left_out = len(attempts) - MOST_STEPS
    if left_out > 1:
        line += [_step(attempts[0], t), Step("", t("story.left_out", n=left_out), None)]
        attempts = attempts[left_out + 1 :]
    line += [_step(attempt, t) for attempt in attempts]
    if delivery.state is State.PENDING and held:
        line.append(Step("wait", t("story.held"), None))
    elif delivery.state is State.PENDING:
        line.append(Step("wait", t("story.now" if delivery.under_way else "story.next"), delivery.due_time))
    elif delivery.state is State.CANCELLED:
        line.append(Step("off", t("delivery.cancelled"), delivery.finish_time))
    return line


def _step(attempt: Attempt, t: Texts) -> Step:
    verdict = of_attempt(attempt, t)
    return Step(verdict.kind, t("story.attempt", n=attempt.number, result=verdict.text), attempt.start_time,
                attempt.number)  # fmt: skip


def reasons(delivery: Delivery, t: Texts) -> list[Reason]:
    """Newest first."""
    found: list[Reason] = []
    causes: list[str] = []
    for attempt in _failed(delivery.attempts):
        cause = cause_of(attempt)
        text = explained(attempt, t, delivery)
        if causes and causes[-1] == cause and found[-1].last == attempt.number - 1:
            found[-1] = Reason(found[-1].first, attempt.number, text)
        else:
            causes.append(cause)
            found.append(Reason(attempt.number, attempt.number, text))
    return found[::-1]


def _failed(attempts: Sequence[Attempt]) -> list[Attempt]:
    return [attempt for attempt in attempts if attempt.result is not Result.SUCCEEDED]
