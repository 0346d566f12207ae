"""How the Python clients call: retries, keys, errors, addresses, keys of the API."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from google.protobuf import descriptor_pool as pool

from hookpost import AsyncClient, Client, Connection, Emitted, Event, HookpostError
from hookpost.v1 import event_service_pb2, event_service_pb2_grpc, webhook_service_pb2
from tests.receiver import receiving
from tests.rpc.serving import config, connected, serving

from .scripted import Scripted, scripted
from .vectors import cases

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
async def script() -> AsyncIterator[tuple[Scripted, str]]:
    async with scripted() as (servicer, port):
        yield servicer, f"127.0.0.1:{port}"


async def by_threads(address: str, *args: Any, **kwargs: Any) -> Emitted:
    def emit() -> Emitted:
        with Client(address) as client:
            return client.emit(*args, **kwargs)

    return await asyncio.to_thread(emit)


async def by_asyncio(address: str, *args: Any, **kwargs: Any) -> Emitted:
    async with AsyncClient(address) as client:
        return await client.emit(*args, **kwargs)


BOTH = pytest.mark.parametrize("emit", [by_threads, by_asyncio])
Emit = Callable[..., Any]


@BOTH
@pytest.mark.parametrize("case", cases("calls"), ids=lambda case: case["name"])
async def test_conformance(emit: Emit, case: dict[str, Any], script: tuple[Scripted, str]) -> None:
    servicer, address = script
    expect = case["expect"]
    if expect["code"] == "OK":
        assert (await emit(address, case["type"], {"n": 1})).duplicate == expect["duplicate"]
    else:
        with pytest.raises(HookpostError) as failed:
            await emit(address, case["type"], {"n": 1})
        error = failed.value
        assert (error.code.name, error.reason, error.retryable) == (
            expect["code"],
            expect["reason"],
            expect["retryable"],
        )
        told = [{"field": each.field, "description": each.description} for each in error.violations]
        assert told == expect.get("violations", [])
        assert error.idempotency_key == servicer.keys[case["type"]][0]
    keys = servicer.keys[case["type"]]
    assert len(keys) == case["calls"]
    assert len(set(keys)) == 1
    assert keys[0]


@BOTH
async def test_a_key_for_each_call_unless_one_is_given(emit: Emit, script: tuple[Scripted, str]) -> None:
    servicer, address = script
    await emit(address, "Conformance.Accepted", {})
    await emit(address, "Conformance.Accepted", {})
    await emit(address, "Conformance.Accepted", {}, idempotency_key="order-7")
    first, second, own = servicer.keys["Conformance.Accepted"]
    assert first != second
    assert own == "order-7"


@BOTH
async def test_nobody_there_within_the_time(emit: Emit) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(HookpostError) as failed:
            await emit(f"127.0.0.1:{taken.getsockname()[1]}", "User.Created", {}, timeout=0.3)
    assert failed.value.code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert failed.value.retryable


@pytest.mark.parametrize("payload", [{"n": float("nan")}, {"n": object()}])
async def test_a_payload_that_is_no_json(payload: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        await by_asyncio("127.0.0.1:1", "User.Created", payload)


async def test_a_time_without_its_zone() -> None:
    with pytest.raises(ValueError, match="time zone"):
        await by_asyncio("127.0.0.1:1", "User.Created", {}, occur_time=datetime(2026, 1, 1))


async def test_against_a_server(database_url: str) -> None:
    """Unary, batch and stream; bytes stay as they are; the services are at hand."""
    async with receiving() as receiver, serving(config(database_url)) as server, connected(server.address) as plain:
        await plain.create(receiver.url)
        async with AsyncClient(str(server.address)) as client:
            moment = datetime(2026, 8, 21, 10, tzinfo=UTC)
            exact = b'{"n": 1.0, "text": "Zo\\u00eb"}'
            one = await client.emit("User.Created", exact, tenant_id=plain.tenant, occur_time=moment)
            assert (one.delivery_count, one.duplicate) == (1, False)
            batch = [Event(type="User.Deleted", payload={"n": n}, tenant_id=plain.tenant) for n in range(3)]
            assert len({each.event_id for each in await client.emit_batch(batch)}) == 3
            async with client.emitter() as emitter:
                request = event_service_pb2.EmitEventRequest(type="User.Created", json="{}", tenant_id=plain.tenant)
                await emitter.emit(request)
            listed = await client.services.webhooks.ListWebhooks(
                webhook_service_pb2.ListWebhooksRequest(tenant_id=plain.tenant)
            )
            assert len(listed.webhooks) == 1
        received = await receiver.received(5)
        (first,) = (each for each in received if each.event_id == one.event_id)
        assert b'"n": 1.0, "text": "Zo\\u00eb"' in first.body
        assert json.loads(first.body)["createdAt"] == "2026-08-21T10:00:00.000Z"


async def test_threads_share_a_stream(database_url: str) -> None:
    async with serving(config(database_url)) as server:

        def produce() -> list[Emitted]:
            with Client(str(server.address)) as client, client.emitter() as emitter:
                one = emitter.emit("User.Created", {"n": 0})
                many = emitter.emit_all([Event(type="User.Created", payload={"n": n}) for n in range(50)])
                with pytest.raises(HookpostError) as failed:
                    emitter.emit("No.Such", {})
                assert failed.value.reason == "EVENT_TYPE_UNKNOWN"
                return [one, *many]

        assert len({each.event_id for each in await asyncio.to_thread(produce)}) == 51


class Authorized(event_service_pb2_grpc.EventServiceServicer):
    def __init__(self) -> None:
        self.seen: list[str] = []

    async def EmitEvent(self, request: Any, context: Any) -> event_service_pb2.EmitEventResponse:
        self.seen += [value for name, value in context.invocation_metadata() if name == "authorization"]
        return event_service_pb2.EmitEventResponse(event_id="evt_1")

    async def StreamEmitEvents(self, requests: Any, context: Any) -> Any:
        self.seen += [value for name, value in context.invocation_metadata() if name == "authorization"]
        async for each in requests:
            result = event_service_pb2.StreamEmitEventsResult(sequence=each.sequence)
            result.response.event_id = "evt_1"
            yield event_service_pb2.StreamEmitEventsResponse(results=[result])


async def test_tls_and_the_api_key(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    certificate = authority.issue_cert("localhost")
    credentials = grpc.ssl_server_credentials(
        [(certificate.private_key_pem.bytes(), b"".join(each.bytes() for each in certificate.cert_chain_pems))]
    )
    server, servicer = grpc.aio.server(), Authorized()
    event_service_pb2_grpc.add_EventServiceServicer_to_server(servicer, server)
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    settings: dict[str, Any] = {"ca_file": str(tmp_path / "ca.pem"), "api_key": "k1"}
    try:
        await by_asyncio_with(f"https://localhost:{port}", settings)
        await asyncio.to_thread(by_threads_with, f"https://localhost:{port}", settings)
        with pytest.raises(HookpostError):
            await by_asyncio_with(f"https://localhost:{port}", settings | {"ca_file": ""})
    finally:
        await server.stop(None)
    assert servicer.seen == ["Bearer k1"] * 4


async def by_asyncio_with(address: str, settings: dict[str, Any]) -> None:
    async with AsyncClient(address, **settings) as client:
        await client.emit("A.B", {}, timeout=2)
        async with client.emitter() as emitter:
            await emitter.emit(event_service_pb2.EmitEventRequest(type="A.B", json="{}"))


def by_threads_with(address: str, settings: dict[str, Any]) -> None:
    with Client(address, **settings) as client:
        client.emit("A.B", {}, timeout=2)
        with client.emitter() as emitter:
            emitter.emit("A.B", {})


def test_an_api_key_does_not_go_out_in_the_open() -> None:
    for address in ("hookpost.internal:443", "10.0.0.1:50051", "[2001:db8::1]:1"):
        assert Connection(address=address, api_key="k").credentials() is not None  # by TLS
        with pytest.raises(ValueError, match="without TLS"):
            Connection(address=f"http://{address}", api_key="k").credentials()
        assert Connection(address=f"http://{address}", api_key="k", insecure=True).credentials() is None
    for address in ("localhost:1", "127.0.0.1:50051", "http://[::1]:1", "unix:/run/hookpost"):
        assert Connection(address=address, api_key="k").credentials() is None
    assert "secret" not in repr(Connection(address="a:1", api_key="secret"))


def test_settings_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOKPOST_ADDRESS", "hookpost.internal:443")
    monkeypatch.setenv("HOOKPOST_API_KEY", "from-the-environment")
    assert Connection().address == "hookpost.internal:443"
    assert Connection().metadata() == (("authorization", "Bearer from-the-environment"),)
    assert Connection(address="other:1", api_key="given").metadata() == (("authorization", "Bearer given"),)
    monkeypatch.setenv("HOOKPOST_ADDRESS", "")
    assert Connection().address == "127.0.0.1:50051"


def test_the_service_config_is_that_of_the_api() -> None:
    ours = json.loads((ROOT / "clients/python/hookpost/service_config.json").read_text())
    assert ours == json.loads((ROOT / "proto/service_config.json").read_text())
    for each in ours["methodConfig"]:
        for name in each["name"]:
            service = pool.Default().FindServiceByName(name["service"])
            assert name["method"] in service.methods_by_name
