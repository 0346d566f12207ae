"""The demo must notice every way to fall short."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from hookpost.v1.delivery_pb2 import DELIVERY_STATE_FAILED, DELIVERY_STATE_SUCCEEDED, Attempt, Delivery
from hookpost_server.cli.demo_check import RETRIED, Line, shortfalls, summary
from hookpost_server.cli.receiver import Received
from hookpost_server.cli.verdict import Verdict, Verdicts

RIGHT = Verdicts(Verdict.RIGHT, Verdict.RIGHT, 0.1)


def line(number: int) -> Line:
    name = RETRIED if number == 0 else f"Type{number}"
    answers = [500, 500, 200] if number == 0 else [200]
    example = {"data": {"id": number}}
    body = json.dumps({"event": name, "createdAt": "2026-08-21T10:00:00.000Z", **example, "hookId": "whk_1"})
    headers = {"hookpost-delivery": f"dlv_{number}", "hookpost-event": name, "x-demo": "hookpost"}
    return Line(
        event_type=name,
        event_id=f"evt_{number}",
        example=json.dumps(example),
        webhook_id="whk_1",
        deliveries=[
            Delivery(
                id=f"dlv_{number}",
                state=DELIVERY_STATE_SUCCEEDED,
                attempt_count=len(answers),
                last_status_code=200,
                attempts=[Attempt(number=n, status_code=status) for n, status in enumerate(answers, 1)],
            )
        ],
        received=[
            Received(0, "POST", "/", CIMultiDictProxy(CIMultiDict(headers)), body.encode(), status, RIGHT)
            for status in answers
        ],
    )


LINES = [line(number) for number in range(31)]


def test_nothing_falls_short() -> None:
    assert shortfalls(LINES) == []
    assert "dlv_0     3      500 500 200  succeeded  ok   ok" in summary(LINES)


def delivery(number: int, **changes: Any) -> Delivery:
    changed = Delivery()
    changed.CopyFrom(LINES[number].deliveries[0])
    for name, value in changes.items():
        setattr(changed, name, value)
    return changed


@pytest.mark.parametrize(
    ("broken", "fault"),
    [
        (replace(LINES[1], deliveries=[]), "0 log entries instead of one"),
        (replace(LINES[1], deliveries=[*LINES[1].deliveries] * 2), "2 log entries instead of one"),
        (replace(LINES[1], deliveries=[delivery(1, state=DELIVERY_STATE_FAILED)]), "failed after 1 attempt, last: 200"),
        (replace(LINES[0], deliveries=LINES[1].deliveries), "the log shows attempts [200] instead of [500, 500, 200]"),
        (replace(LINES[1], received=[]), "the receiver answered [] instead of [200]"),
        (replace(LINES[1], received=[*LINES[1].received] * 2), "the receiver answered [200, 200] instead of [200]"),
        (
            replace(LINES[1], received=[replace(LINES[1].received[0], verdicts=replace(RIGHT, hex=Verdict.WRONG))]),
            "hex WRONG",
        ),
        (replace(LINES[1], example='{"data": {"id": 2}}'), "the body is not the example"),
        (replace(LINES[1], webhook_id="whk_2"), "the body is not the example"),
        (replace(LINES[1], received=LINES[2].received), "headers name dlv_2 Type2 instead of dlv_1"),
    ],
)
def test_what_falls_short_is_named(broken: Line, fault: str) -> None:
    lines = [broken if known.event_id == broken.event_id else known for known in LINES]
    assert any(fault in found for found in shortfalls(lines)), shortfalls(lines)
    summary(lines)


def test_a_missing_type_is_noticed() -> None:
    assert shortfalls(LINES[1:]) == ["30 built-in event types instead of 31"]
