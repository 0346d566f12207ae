"""What a dry run would have done, and what became of an event that was waited for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hookpost_server.cli import attempt_view, delivery_view
from hookpost_server.cli.failures import Failure
from hookpost_server.cli.output import plural, safe, say, table

if TYPE_CHECKING:
    from hookpost.v1.event_service_pb2 import EmitEventResponse, WaitedDelivery


def matches(answer: EmitEventResponse, event_type: str) -> str:
    """Every webhook with whether it would fire, and why or why not."""
    count = sum(match.matched for match in answer.matches)
    first = f"{event_type} would go to {plural(count, 'webhook')}; nothing was sent."
    if not answer.matches:
        return first
    rows = [
        (match.webhook_id, match.webhook_name, "yes" if match.matched else "no", match.reason)
        for match in answer.matches
    ]
    return f"{first}\n\n{table(('WEBHOOK', 'NAME', 'FIRES', 'REASON'), rows)}"


def outcomes(answer: EmitEventResponse) -> str:
    """Each delivery with the answer to its first attempt."""
    headings = ("DELIVERY", "STATE", "STATUS", "LATENCY", "ANSWER", "WEBHOOK")
    return table(headings, [_row(waited) for waited in answer.deliveries])


def _row(waited: WaitedDelivery) -> tuple[str, ...]:
    delivery, attempt = waited.delivery, waited.attempt
    answered: tuple[str, ...] = ("-", "-", "")
    if waited.HasField("attempt"):
        answered = attempt_view.answer(attempt), attempt_view.latency(attempt), attempt_view.first_line(attempt)
    return (delivery.id, delivery_view.state(delivery), *answered, delivery.webhook_id)


def check(answer: EmitEventResponse) -> None:
    """Raises Failure if a delivery has not succeeded, after saying why each one has not."""
    failed = [waited for waited in answer.deliveries if not delivery_view.succeeded(waited.delivery)]
    explanations = (
        (waited.delivery.id, waited.attempt.explanation or "No answer within the time to wait; it goes on by itself.")
        for waited in failed
    )
    for text in attempt_view.in_words(explanations):
        say(safe(text))
    if failed:
        raise Failure(f"{len(failed)} of {len(answer.deliveries)} deliveries did not succeed in time")
