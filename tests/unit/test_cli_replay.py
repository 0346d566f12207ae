"""What a replay's progress counts, and what it leaves out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from hookpost.v1 import delivery_pb2 as d
from hookpost.v1.delivery_service_pb2 import (
    DeliveryFilter,
    ListDeliveriesRequest,
    ListDeliveriesResponse,
    ReplayDeliveriesResponse,
)
from hookpost_server.cli import replay_progress
from hookpost_server.cli.channel import Remote
from hookpost_server.cli.replay import result
from hookpost_server.cli.replay_progress import Followed
from hookpost_server.domain import ids

BEGAN = datetime(2026, 8, 21, 10, tzinfo=UTC)


class Log:
    """Answers lists from a script: one for each call."""

    tenant = "default"
    deliveries = cast(Any, type("Stub", (), {"ListDeliveries": None}))

    def __init__(self, *pages: list[d.Delivery]) -> None:
        self.pages = list(pages)
        self.requests: list[ListDeliveriesRequest] = []

    def collect(
        self, method: object, request: ListDeliveriesRequest, items: Callable[[Any], Any], limit: int
    ) -> tuple[list[d.Delivery], bool]:
        copy = ListDeliveriesRequest()
        copy.CopyFrom(request)
        self.requests.append(copy)
        return list(items(ListDeliveriesResponse(deliveries=self.pages.pop(0))))[:limit], False


def delivery(name: str, ended: timedelta | None = None) -> d.Delivery:
    found = d.Delivery(id=name)
    if ended is not None:
        found.finish_time.FromDatetime(BEGAN + ended)
    return found


def begun(end: datetime) -> ReplayDeliveriesResponse:
    answer = ReplayDeliveriesResponse(delivery_count=2, replay_id=ids.text(ids.REPLAY, ids.first_of(BEGAN.timestamp())))
    answer.end_time.FromDatetime(end)
    return answer


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_progress.time, "sleep", lambda seconds: None)


def test_only_its_own_deliveries_count() -> None:
    other, first, second = delivery("other"), delivery("first"), delivery("second")
    log = Log([other], [first, other, second], [second, other], [other])
    chosen = DeliveryFilter(webhook_id="w", states=[d.DELIVERY_STATE_FAILED], status_classes=[5], outcomes=[2])
    followed = Followed(cast(Remote, log), chosen)
    assert followed.until_done(begun(datetime.now(UTC)))
    assert log.pages == []
    for request in log.requests:
        assert list(request.filter.states) == [d.DELIVERY_STATE_PENDING]
        assert not request.filter.status_classes
        assert not request.filter.outcomes, "a new attempt changes them"
    assert not log.requests[0].filter.HasField("end_time")
    until = log.requests[1].filter.end_time.ToDatetime(UTC)
    assert timedelta(0) < until - BEGAN <= timedelta(milliseconds=2), "events since then are not its business"
    assert list(chosen.states) == [d.DELIVERY_STATE_FAILED], "the caller's filter stays"

    log.pages = [[delivery("old", timedelta(seconds=-1)), delivery("first", timedelta(seconds=1))]]
    assert followed.failed() == (1, 0)
    log.pages = [[delivery("first", timedelta(0)), delivery("other", timedelta(seconds=1))]]
    assert followed.failed() == (1, 1), "which may have ended, been chosen and failed again, or not"
    assert list(log.requests[-1].filter.states) == [d.DELIVERY_STATE_FAILED]


def test_the_result_says_no_more_than_is_known() -> None:
    assert result(3, 1, 0, done=True) == "Sent 3 deliveries again: 2 succeeded, 1 failed."
    assert result(3, 1, 0, done=False) == "Sent some of 3 deliveries; 1 failed again so far."
    assert "succeeded" not in result(3, 1, 2, done=True)


def test_an_earlier_end_stays() -> None:
    log = Log([], [])
    chosen = DeliveryFilter(webhook_id="w")
    chosen.end_time.FromDatetime(BEGAN - timedelta(hours=1))
    assert Followed(cast(Remote, log), chosen).until_done(begun(datetime.now(UTC)))
    assert log.requests[1].filter.end_time == chosen.end_time


def test_it_gives_up_some_day() -> None:
    log = Log([], [delivery("first")])
    followed = Followed(cast(Remote, log), DeliveryFilter(webhook_id="w"))
    assert not followed.until_done(begun(datetime.now(UTC) - replay_progress.GRACE))
