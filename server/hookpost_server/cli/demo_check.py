"""What the demo must have shown, checked against the server's log and the receiver's memory. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hookpost.v1.delivery_pb2 import DELIVERY_STATE_SUCCEEDED, Delivery
from hookpost_server.cli.delivery_view import last_answer, state
from hookpost_server.cli.output import plural, table
from hookpost_server.cli.receiver import Received
from hookpost_server.cli.script import Script
from hookpost_server.domain.duration import rough

TYPES = 31
RETRIED = "PostSignIn"  # the type whose delivery fails twice
SCRIPT = Script((500, 500, 200))
HEADER = ("x-demo", "hookpost")
_ENVELOPE = ("event", "createdAt", "hookId")


@dataclass(frozen=True, slots=True)
class Line:
    """One event of the demo: what was emitted, its log entries, and the requests that came."""

    event_type: str
    event_id: str
    example: str
    webhook_id: str
    deliveries: Sequence[Delivery]  # with attempts; there must be one
    received: Sequence[Received]

    @property
    def script(self) -> Script:
        return SCRIPT if self.event_type == RETRIED else Script((200,))


def shortfalls(lines: Sequence[Line]) -> list[str]:
    """Everything that is not as promised; empty when the demo has succeeded."""
    faults = [] if len(lines) == TYPES else [f"{len(lines)} built-in event types instead of {TYPES}"]
    return faults + [f"{line.event_type}: {fault}" for line in lines for fault in _faults(line)]


def _faults(line: Line) -> Iterator[str]:
    if len(line.deliveries) != 1:
        yield f"{len(line.deliveries)} log entries instead of one"
        return
    delivery = line.deliveries[0]
    if delivery.state != DELIVERY_STATE_SUCCEEDED:
        yield f"{state(delivery)} after {plural(delivery.attempt_count, 'attempt')}, last: {last_answer(delivery)}"
    wanted = list(line.script.steps)
    logged = [attempt.status_code for attempt in delivery.attempts]
    if logged != wanted or [attempt.number for attempt in delivery.attempts] != list(range(1, len(wanted) + 1)):
        yield f"the log shows attempts {logged} instead of {wanted}"
    if [received.answered for received in line.received] != wanted:
        yield f"the receiver answered {[received.answered for received in line.received]} instead of {wanted}"
    for received in line.received:
        if not received.verdicts.right:
            yield f"signature at attempt {received.attempt}: {received.verdicts}"
        if received.delivery_id != delivery.id or received.event_type != line.event_type:
            yield f"headers name {received.delivery_id} {received.event_type} instead of {delivery.id}"
        if received.headers.get(HEADER[0]) != HEADER[1]:
            yield f"the custom header {HEADER[0]} did not come"
        if not _is_flat(received.body, line):
            yield "the body is not the example as it was emitted"


def _is_flat(body: bytes, line: Line) -> bool:
    """The example's members, between the event's name, its time and the webhook's id."""
    try:
        sent = json.loads(body)
    except ValueError:
        return False
    envelope = [sent.pop(name, None) for name in _ENVELOPE]
    return (
        envelope[0] == line.event_type
        and isinstance(envelope[1], str)
        and envelope[2] == line.webhook_id
        and sent == json.loads(line.example)
    )


def summary(lines: Sequence[Line]) -> str:
    """The table at the end."""
    rows = []
    for line in lines:
        delivery = line.deliveries[0] if line.deliveries else Delivery()
        latency = rough(delivery.attempts[-1].latency.ToTimedelta()) if delivery.attempts else "-"
        statuses = " ".join(str(attempt.status_code or "-") for attempt in delivery.attempts)
        last = line.received[-1].verdicts if line.received else None
        verdicts = (str(last.hex), str(last.standard)) if last else ("-", "-")
        tries = str(delivery.attempt_count)
        rows.append((line.event_type, delivery.id, tries, statuses, state(delivery), *verdicts, latency))
    return table(("TYPE", "DELIVERY", "TRIES", "ANSWERS", "STATE", "HEX", "V1", "LATENCY"), rows)
