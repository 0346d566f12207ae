"""One connection to a receiver: a request goes out, its answer comes in, and it may serve the next one."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import cast

from ..domain.delivery import Outcome, Result
from .answer import Answer, NotHttpError
from .egress import phase_of, word_for
from .target import Origin

READ_SIZE = 64 * 1024  # bytes


class Connection(asyncio.BufferedProtocol):
    """Serves one request at a time. Whatever the receiver does becomes an outcome."""

    __slots__ = (
        "_answer",
        "_asked",
        "_buffer",
        "_heard",
        "_on_end",
        "_outcome",
        "_timeout",
        "_timer",
        "_transport",
        "born",
        "left",
        "origin",
    )

    def __init__(self, origin: Origin, buffer: memoryview, on_end: Callable[[Connection], None]) -> None:
        """All connections of a loop share the `buffer`: what was read into it is used before anything else is read.

        `on_end` is told when the connection is closed.
        """
        self.origin = origin
        self._buffer = buffer
        self.born = asyncio.get_running_loop().time()
        self.left = 0.0  # loop time since which it is idle
        self._on_end = on_end
        self._asked = 0
        self._outcome: asyncio.Future[Outcome | None] | None = None  # of the request under way

    def ask(self, request: bytes, deadline: float, timeout: float) -> asyncio.Future[Outcome | None]:
        """Sends a request; the future holds its outcome at `deadline`, loop time, at the latest.

        None: the connection had been used before, and was closed without a byte of an answer. Its receiver had closed
        it while it was idle, and the request may be sent over a fresh one (RFC 9112, 9.3.1). `timeout` is for the words
        about it.
        """
        loop = asyncio.get_running_loop()
        self._asked += 1
        self._answer = Answer()
        self._heard = False
        self._timeout = timeout
        self._timer = loop.call_at(deadline, self._on_deadline)
        self._outcome = outcome = loop.create_future()
        self._transport.write(request)
        return outcome

    def close(self) -> None:
        """At once; a request under way is forgotten."""
        self._outcome = None
        self._transport.abort()

    @property
    def reusable(self) -> bool:
        """After an answer: whether another request may follow."""
        return self._answer.done and self._answer.keeps and not self._transport.is_closing()

    def _conclude(self, outcome: Outcome | None) -> None:
        waiting, self._outcome = self._outcome, None
        self._timer.cancel()
        if waiting is not None and not waiting.done():
            waiting.set_result(outcome)

    def _on_deadline(self) -> None:
        sent = not self._transport.get_write_buffer_size()
        self._conclude(
            self._answer.outcome()
            if self._answer.status
            else Outcome(result=Result.TIMED_OUT, error=phase_of(self._timeout, connected=True, sent=sent))
        )
        self._transport.abort()

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, count: int) -> None:
        if self._outcome is None:  # nobody asked: the next answer would be another request's
            self._transport.abort()
            return
        self._heard = True
        try:
            enough = self._answer.feed(self._buffer[:count])
        except NotHttpError:
            self._conclude(Outcome(result=Result.INVALID_RESPONSE, error="the answer is not HTTP"))
            self._transport.abort()
            return
        if enough:
            if self._transport.get_write_buffer_size():  # it was answered before it was sent
                self._answer.keeps = False
            self._conclude(self._answer.outcome())

    def connection_lost(self, error: Exception | None) -> None:
        self._on_end(self)
        if self._outcome is None:
            return
        answer = self._answer
        if answer.status:
            answer.ended(well=error is None)
            self._conclude(answer.outcome())
        elif self._asked > 1 and not self._heard:
            self._conclude(None)
        elif isinstance(error, ssl.SSLError):
            self._conclude(Outcome(result=Result.TLS_FAILED, error=f"TLS: {word_for(error)}"))
        else:
            amid = "amid the answer's headers" if self._heard else "before an answer came"
            reason = word_for(error) if isinstance(error, OSError) else f"the connection was closed {amid}"
            self._conclude(Outcome(result=Result.CONNECTION_LOST, error=reason))
