"""A producer's trace reaches the receivers; with tracing on, emits and attempts are spans of it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from hookpost.v1 import event_service_pb2
from tests.receiver import Receiver, receiving
from tests.rpc.serving import config, connected, eventually, refused, serving

from .conftest import QUICKLY

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GIVEN = f"00-{TRACE}-{PARENT}-01"


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as running:
        yield running


async def test_it_is_passed_on_with_every_attempt(database_url: str, receiver: Receiver) -> None:
    """The second attempt is claimed from the database: the trace is stored with the event."""
    async with serving(config(database_url)) as server, connected(server.address) as client:
        await client.create(receiver.url, retry_policy=QUICKLY)
        receiver.answers.append((500, ""))
        answer = await client.events.EmitEvent(client.emit_request(), metadata=[("traceparent", GIVEN)])
        (delivery,) = await client.ended(answer.event_id)
        assert len(delivery.attempts) == 2
        assert [request.headers["traceparent"] for request in receiver.requests] == [GIVEN, GIVEN]


async def test_a_batch_shares_one(database_url: str, receiver: Receiver) -> None:
    async with serving(config(database_url)) as server, connected(server.address) as client:
        await client.create(receiver.url)
        batch = event_service_pb2.BatchEmitEventsRequest(
            tenant_id=client.tenant, requests=[client.emit_request(), client.emit_request()]
        )
        await client.events.BatchEmitEvents(batch, metadata=[("traceparent", GIVEN)])
        assert [request.headers["traceparent"] for request in await receiver.received(2)] == [GIVEN, GIVEN]


@pytest.mark.parametrize("metadata", [[], [("traceparent", "00-1-2-3")]], ids=["none", "malformed"])
async def test_what_is_not_one_is_ignored(
    database_url: str, receiver: Receiver, metadata: list[tuple[str, str]]
) -> None:
    async with serving(config(database_url)) as server, connected(server.address) as client:
        await client.create(receiver.url)
        await client.events.EmitEvent(client.emit_request(), metadata=metadata)
        (request,) = await receiver.received(1)
        assert "traceparent" not in request.headers


class Collector:
    """An OTLP/HTTP receiver of spans."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.services: set[str] = set()

    async def handle(self, request: web.Request) -> web.Response:
        exported = ExportTraceServiceRequest.FromString(await request.read())
        for resource in exported.resource_spans:
            self.services |= {a.value.string_value for a in resource.resource.attributes if a.key == "service.name"}
            for scope in resource.scope_spans:
                self.spans += scope.spans
        return web.Response(body=b"", content_type="application/x-protobuf")

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]


@pytest.fixture
async def collector(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Collector]:
    collector = Collector()
    application = web.Application()
    application.router.add_post("/v1/traces", collector.handle)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{runner.addresses[0][1]}")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "hookpost-under-test")
    try:
        yield collector
    finally:
        await runner.cleanup()


def attributes(span: Span) -> dict[str, object]:
    return {each.key: each.value.string_value or each.value.int_value for each in span.attributes}


async def test_spans_from_producer_to_receiver(database_url: str, receiver: Receiver, collector: Collector) -> None:
    async with serving(config(database_url, traces="otlp")) as server, connected(server.address) as client:
        await client.create(f"{receiver.url}/hook?token=s3cret", retry_policy=QUICKLY)
        receiver.answers.append((503, ""))
        answer = await client.events.EmitEvent(client.emit_request(), metadata=[("traceparent", GIVEN)])
        await client.ended(answer.event_id)
        unknown = client.emit_request(type="No.Such")
        assert (await refused(client.events.EmitEvent(unknown))).reason == "EVENT_TYPE_UNKNOWN"

        async def exported() -> bool | None:
            return True if len(collector.spans) >= 4 else None

        await eventually(exported)
    assert collector.services == {"hookpost-under-test"}
    emitted, failed = sorted(
        collector.named("hookpost.v1.EventService/EmitEvent"), key=lambda s: s.start_time_unix_nano
    )
    attempts = sorted(collector.named("delivery.attempt"), key=lambda span: span.start_time_unix_nano)
    assert (emitted.trace_id.hex(), emitted.parent_span_id.hex()) == (TRACE, PARENT)
    assert attributes(failed)["error.type"] == "EVENT_TYPE_UNKNOWN"
    assert failed.trace_id != emitted.trace_id
    assert [(span.trace_id.hex(), span.parent_span_id) for span in attempts] == [(TRACE, emitted.span_id)] * 2
    assert [attributes(span)["http.response.status_code"] for span in attempts] == [503, 200]
    assert [attributes(span)["hookpost.attempt"] for span in attempts] == ["1", "2"]
    assert attributes(attempts[0])["hookpost.event.id"] == answer.event_id
    assert [span.status.code for span in attempts] == [2, 0]
    sent = [request.headers["traceparent"] for request in receiver.requests]
    assert sent == [f"00-{TRACE}-{span.span_id.hex()}-01" for span in attempts]
    assert "s3cret" not in str(collector.spans)


async def test_without_a_producers_trace_one_begins(
    database_url: str, receiver: Receiver, collector: Collector
) -> None:
    async with serving(config(database_url, traces="otlp")) as server, connected(server.address) as client:
        await client.create(receiver.url)
        await client.emit()
        (request,) = await receiver.received(1)
    (emitted,), (attempt,) = collector.named("hookpost.v1.EventService/EmitEvent"), collector.named("delivery.attempt")
    assert not emitted.parent_span_id
    assert attempt.parent_span_id == emitted.span_id
    sent, _, flags = request.headers["traceparent"].rpartition("-")
    assert sent == f"00-{emitted.trace_id.hex()}-{attempt.span_id.hex()}"
    assert int(flags, 16) & 1  # sampled


async def test_unsampled_traces_are_not_stored(
    database_url: str, receiver: Receiver, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    async with serving(config(database_url, traces="otlp")) as server, connected(server.address) as client:
        await client.create(receiver.url)
        await client.emit()
        (request,) = await receiver.received(1)
    assert not int(request.headers["traceparent"][-2:], 16) & 1
    assert collector.spans == []
    connection = await asyncpg.connect(database_url)
    assert await connection.fetchval("select traceparent from events") is None
    await connection.close()
