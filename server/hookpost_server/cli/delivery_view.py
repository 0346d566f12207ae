"""How a delivery looks on a terminal: one sentence that says how it went, then its attempts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from hookpost_server.cli import attempt_view
from hookpost_server.cli.output import Column, ago, card, clock, moment, plural, safe, word
from hookpost_server.domain.duration import rough

if TYPE_CHECKING:
    from hookpost.v1.delivery_pb2 import Attempt, Delivery, SentRequest

_BODY = 2000  # characters of an answer's body; -o json shows all


def state(delivery: Delivery) -> str:
    from hookpost.v1.delivery_pb2 import DELIVERY_STATE_PENDING, DeliveryState

    if delivery.state == DELIVERY_STATE_PENDING and delivery.attempt_count:
        return "retrying"
    return word(DeliveryState.Name(delivery.state), "DELIVERY_STATE_")


def last_answer(delivery: Delivery) -> str:
    """The last status, or why there is none: "500", "timed out"."""
    from hookpost.v1.delivery_pb2 import AttemptOutcome

    if delivery.HasField("last_status_code"):
        return str(delivery.last_status_code)
    if not delivery.attempt_count:
        return "-"
    return word(AttemptOutcome.Name(delivery.last_outcome), "ATTEMPT_OUTCOME_")


COLUMNS: Sequence[Column[Delivery]] = (
    Column("DELIVERY", lambda delivery: delivery.id),
    Column("TYPE", lambda delivery: delivery.event_type),
    Column("STATE", state),
    Column("TRIES", lambda delivery: str(delivery.attempt_count)),
    Column("LAST", last_answer),
    Column("ACCEPTED", lambda delivery: ago(delivery.create_time)),
    Column("WEBHOOK", lambda delivery: delivery.webhook_id),
)


def headline(delivery: Delivery) -> str:
    """How it went, in a sentence."""
    from hookpost.v1.delivery_pb2 import DeliveryState as State

    tries = plural(delivery.attempt_count, "attempt")
    answer = last_answer(delivery)
    took = f"{rough(moment(delivery.finish_time) - moment(delivery.create_time))} after the event was accepted"
    match delivery.state:
        case State.DELIVERY_STATE_SUCCEEDED:
            return f"Delivered: answered {answer} at attempt {delivery.attempt_count}, {took}."
        case State.DELIVERY_STATE_FAILED if not delivery.attempt_count:
            return f"Failed without an attempt, {took}."
        case State.DELIVERY_STATE_FAILED:
            return f"Failed after {tries}: {answer} at last, {took}."
        case State.DELIVERY_STATE_CANCELLED:
            return f"Cancelled after {tries}: the webhook was deleted."
    due = f"the next one is due {ago(delivery.next_attempt_time)}" if delivery.HasField("next_attempt_time") else ""
    if delivery.attempt_count:
        return f"Being retried after {tries}, {answer} at last; {due or 'more will follow'}."
    return "Waiting for its first attempt" + (f"; {due}." if due else ".")


def describe(delivery: Delivery) -> str:
    """Everything about one delivery."""
    facts = card(
        [
            ("delivery", delivery.id),
            ("event", f"{delivery.event_id}  {delivery.event_type}"),
            ("webhook", delivery.webhook_id),
            ("state", state(delivery)),
            ("why", delivery.explanation),
            ("accepted", clock(delivery.create_time)),
            ("next try", clock(delivery.next_attempt_time) if delivery.HasField("next_attempt_time") else ""),
            ("ended", clock(delivery.finish_time) if delivery.HasField("finish_time") else ""),
        ]
    )
    return "\n\n".join([headline(delivery), facts, *map(_attempt, delivery.attempts)])


def pending(delivery: Delivery) -> bool:
    from hookpost.v1.delivery_pb2 import DELIVERY_STATE_PENDING

    return delivery.state == DELIVERY_STATE_PENDING


def succeeded(delivery: Delivery) -> bool:
    from hookpost.v1.delivery_pb2 import DELIVERY_STATE_SUCCEEDED

    return delivery.state == DELIVERY_STATE_SUCCEEDED


def line(delivery: Delivery) -> str:
    """One change of a delivery, for a watch."""
    parts = [
        datetime.now().astimezone().strftime("%H:%M:%S"),
        delivery.id,
        safe(delivery.event_type, lines=False),
        state(delivery),
        f"{last_answer(delivery)} at attempt {delivery.attempt_count}" if delivery.attempt_count else "",
        f"next {ago(delivery.next_attempt_time)}" if pending(delivery) and delivery.attempt_count else "",
        delivery.webhook_id,
    ]
    return "  ".join(part for part in parts if part)


def explanation(delivery: Delivery, waits: str = "") -> str:
    """How it went, why each attempt failed, and what happens next; `waits` says what holds it up."""
    paragraphs = [headline(delivery)]
    for attempt in delivery.attempts:
        if not attempt_view.succeeded(attempt):
            when = f"{ago(attempt.start_time)}, after {attempt_view.latency(attempt)}"
            paragraphs.append(
                f"Attempt {attempt.number}, {when}: {attempt_view.answer(attempt)}.\n  {attempt.explanation}"
            )
    if delivery.explanation:
        paragraphs.append(delivery.explanation)
    if waits or not (delivery.explanation and pending(delivery)):  # else it has said what comes next
        paragraphs.append(_next(delivery, waits))
    return safe("\n\n".join(paragraphs))


def _next(delivery: Delivery, waits: str) -> str:
    from hookpost.v1.delivery_pb2 import DeliveryState as State

    match delivery.state:
        case State.DELIVERY_STATE_SUCCEEDED:
            return "Next: nothing; it has arrived."
        case State.DELIVERY_STATE_FAILED:
            return f"Next: nothing by itself. Once the cause is removed: hookpost delivery resend {delivery.id}"
        case State.DELIVERY_STATE_CANCELLED:
            return "Next: nothing; its webhook does not exist any more."
    if waits:
        return f"Next: nothing for now: {waits}"
    return f"Next: attempt {delivery.attempt_count + 1}, due {ago(delivery.next_attempt_time)}."


def _attempt(attempt: Attempt) -> str:
    from hookpost.v1.delivery_pb2 import AttemptOutcome, AttemptTrigger

    outcome = word(AttemptOutcome.Name(attempt.outcome), "ATTEMPT_OUTCOME_")
    status = f"{attempt.status_code}, " if attempt.HasField("status_code") else ""
    trigger = word(AttemptTrigger.Name(attempt.trigger), "ATTEMPT_TRIGGER_")
    body = attempt.response_body[:_BODY].rstrip("\n")
    if len(attempt.response_body) > _BODY or attempt.response_body_truncated:
        body += "\n… (cut; -o json shows all that is kept)"
    facts = [
        ("  began", clock(attempt.start_time)),
        ("  latency", rough(attempt.latency.ToTimedelta())),
        ("  url", attempt.url),
        ("  error", attempt.error_message),
        ("  why", attempt.explanation),
        ("  headers", "\n".join(f"{header.name}: {header.value}" for header in attempt.response_headers)),
        ("  body", "(removed by retention)" if attempt.response_removed else body),
        ("  sent", _sent(attempt.request) if attempt.HasField("request") else ""),
    ]
    return f"Attempt {attempt.number} ({trigger}): {status}{outcome}\n{card(facts)}"


def _sent(request: SentRequest) -> str:
    """As it went over the wire."""
    headers = [f"{header.name}: {header.value}" for header in request.headers]
    return "\n".join([f"{request.method} {request.url}", *headers, "", request.body])
