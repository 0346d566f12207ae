"""One StreamEmitEvents call, and what its answers share with those of the other emits."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator
from typing import Any

from hookpost.v1 import event_service_pb2

from ..domain import errors, ids
from ..store.events import Emitted
from ..store.group_commit import GroupCommit
from . import errors as rpc_errors
from . import tenancy
from .intake import Intake
from .meter import Meter

MAX_UNANSWERED = 2000  # events of one stream; beyond it the stream is not read


class EmitStream:
    """One StreamEmitEvents call: reads on while earlier events wait for their commit.

    Results that arrive together, as those of one commit do, leave together.
    """

    def __init__(self, intake: Intake, group_commit: GroupCommit, meter: Meter) -> None:
        self._meter = meter
        self._intake = intake
        self._group_commit = group_commit
        self._answers: list[event_service_pb2.StreamEmitEventsResult] = []
        self._unanswered = 0
        self._ended = False
        self.broken: errors.HookpostError | None = None  # why no more can be read, other than by the caller's end
        self._answered = asyncio.Event()
        self._may_read = asyncio.Event()
        self._may_read.set()

    async def read(self, requests: AsyncIterator[event_service_pb2.StreamEmitEventsRequest]) -> None:
        """Submits each event; a refused one is answered and does not end the stream."""
        try:
            async for request in requests:
                await self._submit(request)
        except errors.HookpostError as error:
            self.broken = error
        self._ended = True
        self._answered.set()

    def end(self, error: errors.HookpostError) -> None:
        """Takes no more events and, once those taken are answered, ends with the error."""
        if not self._ended:
            self.broken = error
            self._ended = True
            self._answered.set()

    async def _submit(self, request: event_service_pb2.StreamEmitEventsRequest) -> None:
        await self._may_read.wait()
        if self._ended:
            return
        self._unanswered += 1
        if self._unanswered >= MAX_UNANSWERED:
            self._may_read.clear()
        try:
            tenancy.settle(request)
            if wrong := not_for_many(request.event):
                raise errors.InvalidFields(errors.Violation(f"event.{n}", "is not for streams") for n in wrong)
            accepted = await self._intake.event(request.event, prefix="event.")
            done = self._group_commit.submit([accepted])
        except errors.HookpostError as error:
            self._refuse(request.sequence, error)
        else:
            done.add_done_callback(functools.partial(self._finish, request.sequence))

    async def results(self) -> AsyncIterator[list[event_service_pb2.StreamEmitEventsResult]]:
        """What can be answered, as it comes, until every event has been."""
        while self._answers or self._unanswered or not self._ended:
            await self._answered.wait()
            self._answered.clear()
            answers, self._answers = self._answers, []
            if answers:
                self._unanswered -= len(answers)
                if self._unanswered < MAX_UNANSWERED:
                    self._may_read.set()
                yield answers

    def _finish(self, sequence: int, future: asyncio.Future[list[Any]]) -> None:
        error = future.exception()
        result = error if error is not None else future.result()[0]
        if isinstance(result, Emitted):
            self._answer(event_service_pb2.StreamEmitEventsResult(sequence=sequence, response=emit_response(result)))
        elif isinstance(result, errors.HookpostError):
            self._refuse(sequence, result)
        else:
            self._refuse(sequence, rpc_errors.internal(result))

    def _refuse(self, sequence: int, error: errors.HookpostError) -> None:
        self._meter.refused(error.reason, 1)
        self._answer(
            event_service_pb2.StreamEmitEventsResult(sequence=sequence, error=rpc_errors.to_stream_error(error))
        )

    def _answer(self, result: event_service_pb2.StreamEmitEventsResult) -> None:
        self._answers.append(result)
        self._answered.set()


def not_for_many(request: event_service_pb2.EmitEventRequest) -> list[str]:
    return [name for name, given in (("dry_run", request.dry_run), ("wait", request.HasField("wait"))) if given]


def emit_response(result: Emitted) -> event_service_pb2.EmitEventResponse:
    answer = event_service_pb2.EmitEventResponse(
        event_id=ids.text(ids.EVENT, result.event_id),
        duplicate=result.duplicate,
        delivery_count=result.delivery_count,
    )
    # Set in place: to make a message and have it copied takes twice as long.
    answer.create_time.seconds, milliseconds = divmod(ids.milliseconds_of(result.event_id), 1000)
    answer.create_time.nanos = milliseconds * 1_000_000
    return answer
