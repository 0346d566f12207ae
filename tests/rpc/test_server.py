"""The server around the services: reflection, health, what is not there yet, what must never get out."""

import asyncio
import re
from pathlib import Path

import asyncpg
import grpc
import pytest
import structlog
from google.protobuf import descriptor_pb2, struct_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2

from hookpost.v1 import (
    error_reason_pb2,
    event_service_pb2,
)
from hookpost_server.domain import errors
from hookpost_server.rpc.errors import CODES
from hookpost_server.startup import StartError
from tests.rpc.serving import Client, Server, config, connected, refused, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROOT = Path(__file__).parents[2]
SERVICES = [
    f"hookpost.v1.{name}Service" for name in ("Webhook", "Event", "EventType", "Delivery", "ApiKey")
]  # fmt: skip


class TestReflection:
    async def ask(self, client: Client, version: str, **question: str) -> reflection_pb2.ServerReflectionResponse:
        method = client.channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        call = method(iter([reflection_pb2.ServerReflectionRequest(**question)]))
        (answer,) = [answer async for answer in call]
        return answer

    @pytest.mark.parametrize("version", ["v1", "v1alpha"])
    async def test_it_lists_the_services(self, client: Client, version: str) -> None:
        answer = await self.ask(client, version, list_services="")
        names = {service.name for service in answer.list_services_response.service}
        assert names == {
            *SERVICES, "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection",
            "grpc.reflection.v1alpha.ServerReflection",
        }  # fmt: skip

    @pytest.mark.parametrize("version", ["v1", "v1alpha"])
    @pytest.mark.parametrize("service", SERVICES)
    async def test_it_describes_them(self, client: Client, version: str, service: str) -> None:
        answer = await self.ask(client, version, file_containing_symbol=service)
        files = [
            descriptor_pb2.FileDescriptorProto.FromString(data)
            for data in answer.file_descriptor_response.file_descriptor_proto
        ]
        assert service in {f"{file.package}.{each.name}" for file in files for each in file.service}

    async def test_an_unknown_symbol(self, client: Client) -> None:
        answer = await self.ask(client, "v1", file_containing_symbol="hookpost.v1.Nothing")
        assert answer.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


class TestHealth:
    @pytest.mark.parametrize("service", ["", *SERVICES])
    async def test_serving(self, client: Client, service: str) -> None:
        stub = health_pb2_grpc.HealthStub(client.channel)
        answer = await stub.Check(health_pb2.HealthCheckRequest(service=service))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING

    async def test_an_unknown_service(self, client: Client) -> None:
        stub = health_pb2_grpc.HealthStub(client.channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Check(health_pb2.HealthCheckRequest(service="hookpost.v1.Nothing"))
        assert caught.value.code() == grpc.StatusCode.NOT_FOUND

    async def test_not_serving_once_the_stop_has_begun(self, database_url: str) -> None:
        async with (
            serving(config(database_url, shutdown_grace=1.0)) as server,
            connected(server.address) as client,
        ):
            watch = health_pb2_grpc.HealthStub(client.channel).Watch(health_pb2.HealthCheckRequest())
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
            server.stop.set()
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
            await server.task


class TestFaults:
    """A fault of ours: the caller gets a number, the log gets the rest."""

    SECRET = "s3cret_table"  # as if in the text of an exception

    async def broken(self, database_url: str, table: str) -> asyncpg.Connection:
        connection = await asyncpg.connect(database_url)
        await connection.execute(f"alter table {table} rename to {self.SECRET}")
        return connection

    async def test_its_text_stays_inside(self, database_url: str) -> None:
        async with serving(config(database_url)) as server, connected(server.address) as client:
            connection = await self.broken(database_url, "signing_keys")
            with structlog.testing.capture_logs() as lines:
                refusal = await refused(client.create())
            assert (refusal.code, refusal.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
            assert re.fullmatch(r"[0-9a-f]{16}", refusal.metadata["incident"])
            assert refusal.metadata["incident"] in refusal.message
            for word in ("signing_keys", "relation", "asyncpg", "Undefined", self.SECRET):
                assert word not in f"{refusal}"
            (fault,) = [line for line in lines if line["event"] == "rpc.fault"]
            assert fault["incident"] == refusal.metadata["incident"]
            assert "signing_keys" in str(fault["exc_info"])
            (finished,) = [line for line in lines if line["event"] == "rpc.finished"]
            assert (finished["log_level"], finished["code"]) == ("error", "INTERNAL")
            await connection.execute(f"alter table {self.SECRET} rename to signing_keys")
            await connection.close()
            assert (await client.create()).id

    async def test_a_fault_in_the_shared_commit(self, database_url: str) -> None:
        async with serving(config(database_url)) as server, connected(server.address) as client:
            connection = await self.broken(database_url, "idempotency_keys")
            answers = await asyncio.gather(*(refused(client.emit()) for _ in range(5)))
            assert {(answer.code, answer.reason) for answer in answers} == {(grpc.StatusCode.INTERNAL, "INTERNAL")}
            assert len({answer.metadata["incident"] for answer in answers}) == 5
            call = client.events.StreamEmitEvents()
            await call.write(event_service_pb2.StreamEmitEventsRequest(sequence=1, event=client.emit_request()))
            (result,) = (await call.read()).results
            assert result.error.reason == error_reason_pb2.ERROR_REASON_INTERNAL
            assert "idempotency_keys" not in result.error.message
            await connection.execute(f"alter table {self.SECRET} rename to idempotency_keys")
            await connection.close()
            await call.write(event_service_pb2.StreamEmitEventsRequest(sequence=2, event=client.emit_request()))
            (result,) = (await call.read()).results
            assert result.response.event_id
            call.cancel()


class TestReasons:
    def kinds(self) -> set[type[errors.HookpostError]]:
        found, todo = set(), [errors.HookpostError]
        while todo:
            kind = todo.pop()
            found.add(kind)
            todo += kind.__subclasses__()
        return found

    async def test_each_reason_has_an_error(self) -> None:
        promised = {name.removeprefix("ERROR_REASON_") for name in dict(error_reason_pb2.ErrorReason.items())}
        made = {kind.reason for kind in self.kinds()}
        assert promised - {"UNSPECIFIED"} == made

    async def test_each_error_has_a_code(self) -> None:
        for kind in self.kinds() - {errors.HookpostError}:
            assert any(ancestor in CODES for ancestor in kind.__mro__), kind

    async def test_the_comment_names_the_code(self) -> None:
        """error_reason.proto says for each reason which code it comes with."""
        own = {kind for kind in self.kinds() - {errors.HookpostError} if "reason" in vars(kind)}
        expected = {kind.reason: CODES[next(k for k in kind.__mro__ if k in CODES)].name for kind in own}
        proto = (ROOT / "proto" / "hookpost" / "v1" / "error_reason.proto").read_text()
        for reason, code in expected.items():
            comment = re.search(rf"((?:  //[^\n]*\n)+)  ERROR_REASON_{reason} =", proto)
            assert comment, reason
            assert comment[1].split("//", 1)[1].strip().startswith(code), reason


async def test_an_unknown_method(client: Client) -> None:
    method = client.channel.unary_unary("/hookpost.v1.EventService/EmitEvents", response_deserializer=bytes)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await method(b"")
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


async def test_a_port_that_is_taken(server: Server, database_url: str) -> None:
    """The second server says so at once, and the first one goes on."""
    with pytest.raises(StartError, match=str(server.address)) as caught:
        async with serving(config(database_url, grpc_address=server.address)):
            pass
    assert "HOOKPOST_GRPC_ADDRESS" in caught.value.hint
    async with connected(server.address) as client:
        assert (await client.emit()).event_id


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://postgres@127.0.0.1:1/nowhere",
        "postgresql://postgres@/nowhere?host=/nonexistent",
        "mysql://localhost/x",
    ],
)
async def test_a_database_that_is_not_there(url: str) -> None:
    with pytest.raises(StartError, match="the database can't be used") as caught:
        async with serving(config(url)):
            pass
    assert "HOOKPOST_DATABASE_URL" in caught.value.hint


async def test_numbers_of_a_struct_survive(client: Client) -> None:
    """2^53 is the last whole number that a double tells from its neighbours."""
    data = struct_pb2.Struct()
    data["n"] = 2.0**53
    answer = await client.emit(data=data)
    assert (await client.event(answer.event_id)).event.json == '{"n":9007199254740992}'
