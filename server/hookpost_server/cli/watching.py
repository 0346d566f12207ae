"""Following deliveries as they change, across restarts of the server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import cast

import grpc

from hookpost.v1.delivery_service_pb2 import DeliveryFilter, WatchDeliveriesRequest, WatchDeliveriesResponse
from hookpost_server.cli.channel import Remote
from hookpost_server.cli.output import say
from hookpost_server.cli.refusals import to_failure

RENEW = 300.0  # seconds after which the stream is made anew: a connection may die without a word
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0  # seconds before the next try while the server is away


class Watch:
    """A watch that goes on where it was. `token` resumes it after all that was yielded."""

    def __init__(self, remote: Remote, chosen: DeliveryFilter, token: str = "") -> None:
        self.token = token
        self._remote = remote
        self._chosen = chosen

    def __iter__(self) -> Iterator[WatchDeliveriesResponse]:
        """Each answer, heartbeats included; the first one comes at once and says that the watch has begun.

        After a break a change may come once more, none is left out. Raises Failure when the server can't be reached
        at first, and with its reason when it says that it can't go on without a gap.
        """
        begun, pause = False, FIRST_PAUSE
        while True:
            request = WatchDeliveriesRequest(
                tenant_id=self._remote.tenant, filter=self._chosen, resume_token=self.token
            )
            try:
                for answer in self._remote.stream(self._remote.deliveries.WatchDeliveries, request, deadline=RENEW):
                    if begun and pause > FIRST_PAUSE:
                        say("The server is back.")
                    begun, pause = True, FIRST_PAUSE
                    yield answer
                    self.token = answer.resume_token or self.token
            except grpc.RpcError as error:
                failed = cast(grpc.Call, error)
                if begun and failed.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                    continue
                if not begun or failed.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise to_failure(failed, self._remote.address) from error
                if pause == FIRST_PAUSE:
                    say("The server is away; watching on when it is back …")
            time.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
