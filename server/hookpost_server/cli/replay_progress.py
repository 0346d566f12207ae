"""Following a replay: how many of its deliveries are left to go, and what has become of all."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hookpost.v1.delivery_pb2 import (
    DELIVERY_STATE_FAILED,
    DELIVERY_STATE_PENDING,
    DELIVERY_STATE_SUCCEEDED,
    Delivery,
    DeliveryState,
)
from hookpost.v1.delivery_service_pb2 import DeliveryFilter, ListDeliveriesRequest, ReplayDeliveriesResponse
from hookpost_server.cli.channel import Remote
from hookpost_server.cli.output import moment, plural
from hookpost_server.cli.progress import Progress
from hookpost_server.domain import ids

MOST = 50_000  # what a replay holds at most
SOME = 1000  # of what is left, looked at for the progress
GRACE = timedelta(seconds=60)  # after the last one became due: attempts take up to 30 s


@dataclass(frozen=True)
class Outcome:
    """What has become of a replay's deliveries, as far as is known."""

    count: int
    succeeded: int
    failed: int
    pending: int

    @property
    def unsent(self) -> int:
        """Neither ended since the replay began nor under way."""
        return self.count - self.succeeded - self.failed - self.pending

    def __str__(self) -> str:
        sent = f"Sent {plural(self.count - self.pending - self.unsent, 'delivery')} again"
        told = [f"{sent}: {self.succeeded} succeeded, {self.failed} failed."]
        if self.pending:
            told.append(f"{self.pending} more under way or waiting to be tried again.")
        if self.unsent:
            told.append(f"{self.unsent} more stopped, cancelled or removed.")
        return " ".join(told)


class Followed:
    """A replay that has begun."""

    def __init__(self, remote: Remote, begun: ReplayDeliveriesResponse) -> None:
        self._remote = remote
        self._begun = begun

    def until_done(self) -> None:
        """Shows how many are left until none is, or a while has passed since the last one became due."""
        end = moment(self._begun.end_time) + GRACE
        progress = Progress()
        pause = 0.1
        while left := len(self._list(SOME, DELIVERY_STATE_PENDING)):
            some = f"more than {left - 1}" if left >= SOME else str(left)
            if datetime.now(UTC) > end:
                progress.done(f"{some} are under way or wait to be tried again; they go on by themselves.")
                return
            progress.live(f"{some} of {plural(self._begun.delivery_count, 'delivery')} to go (Ctrl-C stops the replay)")
            time.sleep(pause)
            pause = min(pause * 2, 1.0)
        progress.done("None is left to go.")

    def outcome(self) -> Outcome:
        """Who ended before the replay began was taken back by somebody: that is not its success, nor its failure."""
        began = ids.time_of(ids.parse(ids.REPLAY, self._begun.replay_id))  # by the server's clock, as the others
        states = Counter(
            delivery.state
            for delivery in self._list(MOST)
            if delivery.state == DELIVERY_STATE_PENDING or moment(delivery.finish_time) >= began
        )
        return Outcome(
            count=self._begun.delivery_count,
            succeeded=states[DELIVERY_STATE_SUCCEEDED],
            failed=states[DELIVERY_STATE_FAILED],
            pending=states[DELIVERY_STATE_PENDING],
        )

    def _list(self, limit: int, *states: DeliveryState.ValueType) -> list[Delivery]:
        chosen = DeliveryFilter(replay_id=self._begun.replay_id, states=states)
        request = ListDeliveriesRequest(tenant_id=self._remote.tenant, filter=chosen)
        found, _ = self._remote.collect(
            self._remote.deliveries.ListDeliveries, request, lambda answer: answer.deliveries, limit
        )
        return found
