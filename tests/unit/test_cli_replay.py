"""How a replay is followed to its end, and what is said of it then."""

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
from hookpost_server.cli.replay import shortfall
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


def delivery(name: str, state: d.DeliveryState.ValueType, ended: timedelta | None = None) -> d.Delivery:
    found = d.Delivery(id=name, state=state)
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


def test_until_none_is_left() -> None:
    first, second = (delivery(name, d.DELIVERY_STATE_PENDING) for name in ("first", "second"))
    log = Log([first, second], [second], [])
    replay = begun(datetime.now(UTC))
    Followed(cast(Remote, log), replay).until_done()
    assert log.pages == []
    for request in log.requests:
        assert request.filter == DeliveryFilter(replay_id=replay.replay_id, states=[d.DELIVERY_STATE_PENDING])


def test_it_gives_up_some_day() -> None:
    log = Log([delivery("first", d.DELIVERY_STATE_PENDING)])
    Followed(cast(Remote, log), begun(datetime.now(UTC) - replay_progress.GRACE)).until_done()
    assert log.pages == []


LATER, BEFORE = timedelta(0), timedelta(milliseconds=-1)


@pytest.mark.parametrize(
    ("found", "fault", "says"),
    [
        ([("a", d.DELIVERY_STATE_SUCCEEDED, LATER), ("b", d.DELIVERY_STATE_SUCCEEDED, LATER)], "", "2 succeeded"),
        ([("a", d.DELIVERY_STATE_SUCCEEDED, LATER), ("b", d.DELIVERY_STATE_FAILED, LATER)], "1 delivery failed", "1 f"),
        ([("a", d.DELIVERY_STATE_SUCCEEDED, LATER), ("b", d.DELIVERY_STATE_PENDING, None)], "not all", "1 more under"),
        (
            [("a", d.DELIVERY_STATE_SUCCEEDED, LATER), ("b", d.DELIVERY_STATE_SUCCEEDED, BEFORE)],
            "1 delivery had",
            "1 m",
        ),
        ([("a", d.DELIVERY_STATE_FAILED, BEFORE), ("b", d.DELIVERY_STATE_CANCELLED, LATER)], "2 deliveries", "Sent 0"),
        ([("a", d.DELIVERY_STATE_SUCCEEDED, LATER)], "1 delivery had been stopped, cancelled or removed", "1 more"),
        ([], "2 deliveries had been", "0 succeeded, 0 failed. 2 more stopped"),
    ],
    ids=["succeeded", "failed", "pending", "taken back", "failed before, cancelled", "one is gone", "all are gone"],
)
def test_success_is_claimed_of_what_succeeded_only(
    found: list[tuple[str, d.DeliveryState.ValueType, timedelta | None]], fault: str, says: str
) -> None:
    log = Log([delivery(*each) for each in found])
    outcome = Followed(cast(Remote, log), begun(BEGAN)).outcome()
    assert bool(shortfall(outcome)) == bool(fault)
    assert shortfall(outcome).startswith(fault)
    assert says in str(outcome)
