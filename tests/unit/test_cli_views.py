"""How health, attempts, explanations and dry runs read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hookpost.v1 import delivery_pb2 as d
from hookpost.v1.event_service_pb2 import EmitEventResponse, Match, WaitedDelivery
from hookpost.v1.webhook_pb2 import HealthPoint, Webhook, WebhookHealth
from hookpost_server.cli import attempt_view, emit_view, health_view
from hookpost_server.cli.delivery_filter import OUTCOMES, STATES, build
from hookpost_server.cli.delivery_view import describe, explanation, line
from hookpost_server.cli.failures import Failure
from hookpost_server.cli.listen import wanted
from hookpost_server.cli.replay import amount


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [(0, 5, "0%"), (5, 5, "100%"), (99_999, 100_000, "99.9%"), (1, 100_000, "0.1%"), (1, 2, "50.0%"), (2, 3, "66.7%")],
)
def test_only_all_is_100_percent_and_only_none_is_0(part: int, whole: int, text: str) -> None:
    assert health_view.percent(part, whole) == text


def test_no_data_is_neither_0_nor_100_percent() -> None:
    nothing = Webhook(health=WebhookHealth())
    assert [column.value(nothing) for column in health_view.COLUMNS] == ["–", "–"]
    assert health_view.rows(nothing) == [("last 24 h", "no data")]
    text = health_view.describe(nothing.health, [])
    assert "success rate    no data" in text
    assert "latency         no data" in text
    some = Webhook(health=WebhookHealth(request_count=4, success_count=3, success_rate=0.75))
    assert [column.value(some) for column in health_view.COLUMNS] == ["75.0%", "4"]
    failing = Webhook(health=WebhookHealth(request_count=4, success_rate=0.0))
    assert [column.value(failing) for column in health_view.COLUMNS] == ["0%", "4"]


def test_sparklines() -> None:
    assert health_view.sparkline([0, 1, 4, 8, 1000, 1], 1000) == "·▁▁▁█▁"
    assert health_view.sparkline(range(9), 8) == "·▁▂▃▄▅▆▇█"


def series(count: int) -> list[HealthPoint]:
    points = []
    for number in range(count):
        point = HealthPoint(success_count=number % 2, failure_count=int(number == 0))
        point.start_time.FromDatetime(datetime(2026, 8, 21, tzinfo=UTC) + timedelta(minutes=number))
        points.append(point)
    return points


def test_a_long_series_is_folded_without_losing_a_count() -> None:
    text = health_view.chart(series(180))
    succeeded, failed, note = (row.split("  ", 1)[1].strip() for row in text.splitlines())
    assert len(succeeded) == len(failed) == 60
    assert failed[0] != "·"
    assert set(failed[1:]) == {"·"}
    assert "each column 3 min; the highest is 2" in note
    assert "each column" not in health_view.chart(series(1))


def attempt(**fields: Any) -> d.Attempt:
    return d.Attempt(number=1, outcome=d.ATTEMPT_OUTCOME_BAD_STATUS, **fields)


def test_an_answer_in_a_cell() -> None:
    assert attempt_view.answer(attempt(status_code=500)) == "500"
    assert attempt_view.answer(d.Attempt(outcome=d.ATTEMPT_OUTCOME_TIMED_OUT)) == "timed out"
    assert attempt_view.first_line(attempt(response_body="\n \n  oh no \nmore")) == "oh no"
    assert attempt_view.first_line(attempt(response_body=" ", error_message="refused")) == "refused"
    assert attempt_view.first_line(attempt(response_body="x" * 61)) == "x" * 59 + "…"


def test_the_same_failure_is_explained_once() -> None:
    pairs = [("A", "one"), ("B", "two"), ("C", "one"), ("D", "one"), ("E", "one"), ("F", "one")]
    assert attempt_view.in_words(pairs) == ["A, C, D and 2 more: one", "B: two"]


def delivery(state: d.DeliveryState.ValueType, *attempts: d.Attempt) -> d.Delivery:
    found = d.Delivery(id="dlv_1", event_type="A.B", state=state, attempts=attempts, attempt_count=len(attempts))
    found.next_attempt_time.FromDatetime(datetime.now(UTC) + timedelta(hours=2))
    if attempts:
        found.last_outcome = attempts[-1].outcome
    return found


FAILED = attempt(status_code=500, explanation="It \x1b[31mfailed.")


@pytest.mark.parametrize(
    ("found", "following"),
    [
        (delivery(d.DELIVERY_STATE_PENDING), "Next: attempt 1, due in 2 h."),
        (delivery(d.DELIVERY_STATE_PENDING, FAILED), "Next: attempt 2, due in 2 h."),
        (delivery(d.DELIVERY_STATE_FAILED, FAILED), "hookpost delivery resend dlv_1"),
        (delivery(d.DELIVERY_STATE_SUCCEEDED, FAILED), "Next: nothing; it has arrived."),
        (delivery(d.DELIVERY_STATE_CANCELLED), "its webhook does not exist any more."),
    ],
)
def test_explanations(found: d.Delivery, following: str) -> None:
    text = explanation(found)
    assert text.splitlines()[-1].endswith(following)
    assert ("500.\n  It \\x1b[31mfailed." in text) is bool(found.attempts)
    if found.state == d.DELIVERY_STATE_PENDING:
        assert explanation(found, "its webhook is disabled").endswith("Next: nothing for now: its webhook is disabled")


def test_what_the_server_says_of_a_wait_is_told() -> None:
    """It says what comes next, too; once nothing does, the way to send it again is told."""
    held = delivery(d.DELIVERY_STATE_PENDING, FAILED)
    held.explanation = "Held back. It is tried again in 12 s."
    assert explanation(held).splitlines()[-1] == held.explanation
    assert "why       Held back." in describe(held)
    assert explanation(held, "its webhook is disabled").endswith("Next: nothing for now: its webhook is disabled")
    given_up = delivery(d.DELIVERY_STATE_FAILED)
    given_up.explanation = "Given up without a further attempt."
    first, told, following = explanation(given_up).split("\n\n")
    assert first.startswith("Failed without an attempt, ")
    assert told == given_up.explanation
    assert following.endswith("hookpost delivery resend dlv_1")


def test_a_change_on_one_line() -> None:
    assert line(delivery(d.DELIVERY_STATE_PENDING)).endswith("dlv_1  A.B  pending")
    assert "retrying  bad status at attempt 1  next in 2 h" in line(delivery(d.DELIVERY_STATE_PENDING, FAILED))


def test_the_request_as_sent() -> None:
    sent = d.SentRequest(method="POST", url="http://u/", headers=[d.Header(name="a", value="b")], body='{"c":1}')
    text = describe(delivery(d.DELIVERY_STATE_FAILED, attempt(request=sent)))
    rows = [row.strip() for row in text.splitlines()]
    assert rows[-4:] == ["sent     POST http://u/", "a: b", "", '{"c":1}']


def test_outcomes_are_those_of_the_api() -> None:
    values = {name.removeprefix("ATTEMPT_OUTCOME_").lower().replace("_", "-") for name, _ in d.AttemptOutcome.items()}
    assert set(OUTCOMES) == values - {"unspecified"}
    states = {name.removeprefix("DELIVERY_STATE_").lower() for name, _ in d.DeliveryState.items()}
    assert set(STATES) == states - {"unspecified"}


def test_filter() -> None:
    given: dict[str, Any] = {"webhook": "w", "event": "", "replay": "r", "type_": "A", "state": ("failed",)}
    given |= {"status": ("5xx", "4xx"), "outcome": ("timed-out",)}
    chosen = build(given | {"since": datetime(2026, 8, 21, tzinfo=UTC), "until": None})
    assert (chosen.webhook_id, chosen.replay_id, chosen.event_type) == ("w", "r", "A")
    assert list(chosen.status_classes) == [5, 4]
    assert list(chosen.states) == [d.DELIVERY_STATE_FAILED]
    assert list(chosen.outcomes) == [d.ATTEMPT_OUTCOME_TIMED_OUT]
    assert chosen.start_time.ToJsonString() == "2026-08-21T00:00:00Z"
    assert not chosen.HasField("end_time")


def test_how_much_a_replay_is() -> None:
    assert amount(0, 20) == "0 requests"
    assert amount(1, 20) == "1 request"
    assert amount(121, 20) == "121 requests over about 6.0 s"


def test_dry_run() -> None:
    answer = EmitEventResponse(
        matches=[Match(webhook_id="whk_1", webhook_name="n", matched=True, reason="it does"), Match(reason="no")]
    )
    text = emit_view.matches(answer, "A.B")
    assert text.startswith("A.B would go to 1 webhook; nothing was sent.")
    assert "whk_1    n     yes    it does" in text


def test_a_wait_that_was_too_short_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    good = WaitedDelivery(delivery=delivery(d.DELIVERY_STATE_SUCCEEDED), attempt=d.Attempt(status_code=204))
    slow = WaitedDelivery(delivery=delivery(d.DELIVERY_STATE_PENDING))
    emit_view.check(EmitEventResponse(deliveries=[good]))
    with pytest.raises(Failure, match="1 of 2 deliveries"):
        emit_view.check(EmitEventResponse(deliveries=[good, slow]))
    assert "dlv_1: No answer within the time to wait" in capsys.readouterr().err
    assert "pending  -       -" in emit_view.outcomes(EmitEventResponse(deliveries=[slow]))


def test_listening_to_some_types() -> None:
    assert wanted("User.Created", ())
    assert wanted("User.Created", ("Role.*", "User.*"))
    assert wanted("User.Created", ("*",))
    assert not wanted("User.Created", ("User", "User.Deleted", "U*"))
