"""Following a replay by what is left of it, since the log does not say which deliveries a replay has chosen."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from hookpost.v1.delivery_pb2 import DELIVERY_STATE_FAILED, DELIVERY_STATE_PENDING, Delivery, DeliveryState
from hookpost.v1.delivery_service_pb2 import DeliveryFilter, ListDeliveriesRequest, ReplayDeliveriesResponse
from hookpost_server.cli.channel import Remote
from hookpost_server.cli.output import moment, plural
from hookpost_server.cli.progress import Progress
from hookpost_server.domain import ids

MOST = 50_000  # what a replay holds at most
SOME = 1000  # of what is left, looked at for the progress
GRACE = timedelta(seconds=60)  # after the last one became due: attempts take up to 30 s


class Followed:
    """A replay to come. Made before it begins: what is pending then is none of its business."""

    def __init__(self, remote: Remote, chosen: DeliveryFilter) -> None:
        self._remote = remote
        self._chosen = DeliveryFilter()
        self._chosen.CopyFrom(chosen)
        self._chosen.ClearField("outcomes")  # they change with the new attempt
        self._chosen.ClearField("status_classes")
        self._others: frozenset[str] = frozenset()
        self._others = frozenset(delivery.id for delivery in self._list(DELIVERY_STATE_PENDING, MOST))
        self._began = datetime.now(UTC)

    def until_done(self, begun: ReplayDeliveriesResponse) -> bool:
        """Shows how many are left until none is. False when it gave up, a while after the last one became due."""
        self._began = ids.time_of(ids.parse(ids.REPLAY, begun.replay_id))  # by the server's clock
        if not self._chosen.HasField("end_time") or moment(self._chosen.end_time) > self._began:
            self._chosen.end_time.FromDatetime(self._began + timedelta(milliseconds=1))  # not what is emitted since
        end = moment(begun.end_time) + GRACE
        progress = Progress()
        pause = 0.1
        while left := len(self._list(DELIVERY_STATE_PENDING, SOME)):
            some = f"more than {left - 1}" if left >= SOME else str(left)
            if datetime.now(UTC) > end:
                progress.done(f"{some} are under way or wait to be tried again; they go on by themselves.")
                return False
            progress.live(f"{some} of {plural(begun.delivery_count, 'delivery')} to go (Ctrl-C stops the replay)")
            time.sleep(pause)
            pause = min(pause * 2, 1.0)
        progress.done("None is left to go.")
        return True

    def failed(self) -> tuple[int, int]:
        """How many of them ended as failed; and how many more did that were pending before.

        The latter may have ended and been chosen in the moment between; the log does not say.
        """
        found = self._list(DELIVERY_STATE_FAILED, MOST, others=True)
        since = [delivery.id in self._others for delivery in found if moment(delivery.finish_time) >= self._began]
        return since.count(False), since.count(True)

    def _list(self, state: DeliveryState.ValueType, limit: int, *, others: bool = False) -> list[Delivery]:
        self._chosen.ClearField("states")
        self._chosen.states.append(state)
        request = ListDeliveriesRequest(tenant_id=self._remote.tenant, filter=self._chosen)
        found, _ = self._remote.collect(
            self._remote.deliveries.ListDeliveries,
            request,
            lambda answer: [delivery for delivery in answer.deliveries if others or delivery.id not in self._others],
            limit,
        )
        return found
