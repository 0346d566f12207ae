"""Emits over one stream: for producers of many events, at a fraction of what a call for each costs.

async with grpc.aio.insecure_channel("localhost:50051") as channel, Emitter(channel) as emitter:
    response = await emitter.emit(EmitEventRequest(type="User.Created", json='{"id": "u1"}'))
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import uuid
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import grpc

from hookpost import credentials
from hookpost.errors import HookpostError, from_rpc
from hookpost.v1 import error_reason_pb2, event_service_pb2, event_service_pb2_grpc

CLOSED = "the emitter was closed"
WINDOW = 1000  # events unanswered; a further emit waits
TIMEOUT = 10.0  # seconds for one emit, connecting anew and sending again included
DELAYS = (0.1, 0.2, 0.5, 1.0, 2.0)  # seconds before the stream is opened again; the last one repeats, ±50 %
_LASTING = frozenset(
    {
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.INVALID_ARGUMENT,
    }
)
# Newer servers may have more than these.
_CODES = {code.value[0]: code for code in grpc.StatusCode}
_REASONS = {number: name.removeprefix("ERROR_REASON_") for name, number in error_reason_pb2.ErrorReason.items()}


@dataclass(slots=True)
class _Waiting:
    """An event whose answer has not come."""

    request: event_service_pb2.StreamEmitEventsRequest
    answer: asyncio.Future[event_service_pb2.EmitEventResponse]

    def failure(self, code: grpc.StatusCode, message: str, reason: str = "") -> HookpostError:
        return HookpostError(code, message, reason, idempotency_key=self.request.event.idempotency_key)


class Emitter:
    """Keeps one StreamEmitEvents call open and opens it again when it breaks.

    What was not answered is sent again, each time under the idempotency key that it got at first: it is accepted once.
    For one event loop. `metadata` goes with the call; by default it is the API key of HOOKPOST_API_KEY or of the file
    HOOKPOST_API_KEY_FILE.
    """

    def __init__(
        self,
        channel: grpc.aio.Channel,
        *,
        metadata: Sequence[tuple[str, str]] | None = None,
        window: int = WINDOW,
        timeout: float = TIMEOUT,
    ) -> None:
        self._stub = event_service_pb2_grpc.EventServiceStub(channel)
        self._metadata = credentials.bearer(credentials.api_key(os.environ)) if metadata is None else tuple(metadata)
        self._timeout = timeout
        self._room = asyncio.Semaphore(window)
        self._sequences = itertools.count(1)
        self._waiting: dict[int, _Waiting] = {}
        self._outbox: deque[int] = deque()
        self._filled = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(lambda _: self._fail(grpc.StatusCode.CANCELLED, CLOSED))  # or its channel was
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def emit(
        self, request: event_service_pb2.EmitEventRequest, *, timeout: float | None = None
    ) -> event_service_pb2.EmitEventResponse:
        """Returns once the event is committed. Raises HookpostError.

        `timeout` in seconds. An idempotency key is made if the request has none; the request itself is not changed.
        """
        if self._task is None or self._task.done():
            raise RuntimeError("the emitter is not open: use `async with Emitter(channel) as emitter`")
        sequence = next(self._sequences)
        message = event_service_pb2.StreamEmitEventsRequest(sequence=sequence, event=request)
        message.event.idempotency_key = request.idempotency_key or uuid.uuid4().hex
        waiting = _Waiting(message, asyncio.get_running_loop().create_future())
        limit = self._timeout if timeout is None else timeout
        try:
            async with asyncio.timeout(limit), self._room:
                if self._task.done():  # while this waited for room
                    raise waiting.failure(grpc.StatusCode.CANCELLED, CLOSED)
                self._waiting[sequence] = waiting
                self._send(sequence)
                return await waiting.answer
        except TimeoutError:
            raise waiting.failure(grpc.StatusCode.DEADLINE_EXCEEDED, f"no answer within {limit:g} s") from None
        finally:
            self._waiting.pop(sequence, None)

    async def close(self) -> None:
        """Ends the stream; events still unanswered raise HookpostError, CANCELLED."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _send(self, sequence: int) -> None:
        self._outbox.append(sequence)
        self._filled.set()

    async def _run(self) -> None:
        """One call after the other, as long as there is something to send."""
        failures = 0
        while True:
            await self._filled.wait()
            try:
                if await self._converse():
                    failures = 0
            except grpc.aio.AioRpcError as error:
                if error.code() in _LASTING:
                    lasting = from_rpc(error)
                    self._fail(lasting.code, lasting.message, lasting.reason)
            await asyncio.sleep(DELAYS[min(failures, len(DELAYS) - 1)] * random.uniform(0.5, 1.5))  # noqa: S311
            failures += 1

    async def _converse(self) -> bool:
        """One call, until the server ends it; returns whether anything was answered. Raises AioRpcError."""
        call: Any = self._stub.StreamEmitEvents(metadata=self._metadata)
        self._outbox = deque(self._waiting)  # what the last call left unanswered, and what came since
        self._filled.set()
        writer = asyncio.create_task(self._write(call))
        answered = False
        try:
            async for response in call:
                answered = True
                for result in response.results:
                    self._take(result)
        finally:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
            call.cancel()
            if self._waiting:
                self._filled.set()
        return answered

    async def _write(self, call: Any) -> None:
        while True:
            while self._outbox:
                waiting = self._waiting.get(self._outbox.popleft())
                if waiting is not None:
                    await call.write(waiting.request)
            self._filled.clear()
            await self._filled.wait()

    def _take(self, result: event_service_pb2.StreamEmitEventsResult) -> None:
        waiting = self._waiting.get(result.sequence)
        if waiting is None or waiting.answer.done():
            return
        if result.HasField("response"):
            waiting.answer.set_result(result.response)
        elif result.error.HasField("retry_delay"):
            delay = result.error.retry_delay.ToTimedelta().total_seconds()
            asyncio.get_running_loop().call_later(delay, self._send, result.sequence)
        else:
            code = _CODES.get(result.error.code, grpc.StatusCode.UNKNOWN)
            reason = _REASONS.get(result.error.reason, "")
            waiting.answer.set_exception(waiting.failure(code, result.error.message, reason))

    def _fail(self, code: grpc.StatusCode, message: str, reason: str = "") -> None:
        for waiting in self._waiting.values():
            if not waiting.answer.done():
                waiting.answer.set_exception(waiting.failure(code, message, reason))
