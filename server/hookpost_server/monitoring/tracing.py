"""Spans of emits and attempts over OTLP. Imported only when tracing is on; needs the extra `otel`.

Where they go, how many are sampled and what the service is called is said by the standard OTEL_* variables.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from typing import Protocol
from urllib.parse import urlsplit

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from .. import __version__
from ..domain import errors, trace
from ..domain.delivery import Outcome, Result
from ..domain.request import Request

# Headers of a delivery, and the attributes that show them.
_SHOWN = {
    "webhook-id": "hookpost.event.id",
    "hookpost-event": "hookpost.event.type",
    "hookpost-delivery": "hookpost.delivery.id",
    "hookpost-attempt": "hookpost.attempt",
}


class Tracing:
    """Makes spans and sends them from a thread of its own, which holds at most OTEL_BSP_MAX_QUEUE_SIZE of them."""

    def __init__(self) -> None:
        name = os.environ.get("OTEL_SERVICE_NAME") or "hookpost"
        self._provider = TracerProvider(resource=Resource.create({SERVICE_NAME: name, SERVICE_VERSION: __version__}))
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("hookpost", __version__)

    def start(self, name: str, parent: str | None, kind: SpanKind) -> Span:
        return self._tracer.start_span(name, context=_context(parent), kind=kind)

    @contextlib.contextmanager
    def spans(self, name: str, parent: str | None) -> Iterator[str | None]:
        """A call's span. Without a parent, what is not sampled has no `traceparent` either."""
        span = self.start(f"hookpost.v1.EventService/{name}", parent, SpanKind.SERVER)
        span.set_attribute("rpc.system", "grpc")
        try:
            yield _traceparent(span) if parent or span.is_recording() else None
        except BaseException as error:
            reason = error.reason if isinstance(error, errors.HookpostError) else type(error).__name__
            span.set_attribute("error.type", reason)
            span.set_status(Status(StatusCode.ERROR, reason))
            raise
        finally:
            span.end()

    def traced(self, sender: Sends) -> TracedSender:
        """The sender with a span around each exchange."""
        return TracedSender(sender, self)

    def close(self) -> None:
        """Sends what is left; blocks for as long as the OTEL_* time limits allow."""
        self._provider.shutdown()


class Sends(Protocol):
    """What is traced: delivery/sender.py's Sender."""

    async def send(self, request: Request) -> Outcome: ...
    async def close(self) -> None: ...


class TracedSender:
    """Gives each attempt a span, whose id the receiver gets in `traceparent`."""

    def __init__(self, sender: Sends, tracing: Tracing) -> None:
        self._sender = sender
        self._tracing = tracing

    async def send(self, request: Request) -> Outcome:
        headers = dict(request.headers)
        span = self._tracing.start("delivery.attempt", headers.pop(trace.HEADER, None), SpanKind.CLIENT)
        try:
            span.set_attribute("server.address", urlsplit(request.url).hostname or "")
            span.set_attributes({shown: headers[name] for name, shown in _SHOWN.items()})
            headers[trace.HEADER] = _traceparent(span)
            outcome = await self._sender.send(dataclasses.replace(request, headers=tuple(headers.items())))
            if outcome.status is not None:
                span.set_attribute("http.response.status_code", outcome.status)
            if outcome.result is not Result.SUCCEEDED:
                span.set_attribute("error.type", outcome.result.name.lower())
                span.set_status(Status(StatusCode.ERROR, outcome.result.name.lower()))
            return outcome
        finally:
            span.end()

    async def close(self) -> None:
        await self._sender.close()


def _context(parent: str | None) -> Context:
    if parent is None:
        return Context()
    _, trace_id, span_id, flags = parent.split("-")
    remote = SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))
    return set_span_in_context(NonRecordingSpan(remote), Context())


def _traceparent(span: Span) -> str:
    of = span.get_span_context()
    return f"00-{of.trace_id:032x}-{of.span_id:016x}-{of.trace_flags:02x}"
