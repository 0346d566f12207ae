"""F1 to F3: who is let in, and to what. The methods are those of the descriptors, so a new one is tested by itself."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta

import asyncpg
import grpc
import pytest
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2

from hookpost import Emitter, HookpostError
from hookpost.v1.event_service_pb2 import EmitEventRequest
from hookpost_server.actions import failure_limit
from hookpost_server.actions.failure_limit import FailureLimit
from hookpost_server.domain import api_key, ids
from hookpost_server.domain.api_key import Scope
from hookpost_server.rpc import door
from tests.rpc.serving import Client, config, connected, eventually, refused, serving
from tests.security.calling import METHODS, Caller, Secured, name_tenant, request_of, securing, tenant_places

pytestmark = pytest.mark.asyncio(loop_scope="module")

UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED
OWN, FOREIGN = "acme", "somebody-else"


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most tests fail more often than a person would."""
    monkeypatch.setattr(failure_limit, "BURST", 1e9)


def needed(method: str) -> Scope:
    """What a method's scope must be, by its name."""
    service, _, name = method.partition("/")
    if service == "ApiKeyService":
        return Scope.ADMIN
    if "SigningKey" in name:
        return Scope.SECRETS_REVEAL
    if "Emit" in name:
        return Scope.EVENTS_EMIT
    if name.startswith(("Get", "List", "Watch")):
        return Scope.READ
    return Scope.DELIVERIES_RETRY if service == "DeliveryService" else Scope.WEBHOOKS_WRITE


def is_catalogue(method: str) -> bool:
    return method.startswith("EventTypeService/") and needed(method) is Scope.WEBHOOKS_WRITE


class TestNobody:
    """F1: without a key that works there is one answer to everything."""

    async def bad(self, secured: Secured) -> dict[str, tuple[tuple[str, str | bytes], ...]]:
        good = await secured.key(Scope.ADMIN)
        revoked = await secured.key(Scope.ADMIN)
        await secured.keys.revoke(api_key.id_of(revoked))
        expired = await secured.key(Scope.ADMIN, expire_time=datetime.now(UTC) + timedelta(hours=1))
        connection = await asyncpg.connect(secured.database_url)
        await connection.execute(
            "update api_keys set expire_time = now() - interval '1 s' where id = $1", api_key.id_of(expired)
        )
        await connection.close()
        values: dict[str, list[str]] = {
            "none": [],
            "empty": [""],
            "no scheme": [good],
            "another scheme": [f"Basic {good}"],
            "a scheme alone": ["Bearer"],
            "an empty key": ["Bearer "],
            "two": [f"Bearer {good}", f"Bearer {good}"],
            "two in one": [f"Bearer {good}, Bearer {good}"],
            "something before": [f"Bearer  {good}"],
            "something behind": [f"Bearer {good} x"],
            "7 KB": [f"Bearer {'x' * 7000}"],
            "cut off": [f"Bearer {good[:-1]}"],
            "upper case": [f"Bearer {good.upper()}"],
            "another prefix": [f"Bearer {good.replace('hpk_', 'key_', 1)}"],
            "another secret": [f"Bearer {good[:31]}{'A' * 43}"],
            "unknown": [f"Bearer {api_key.new_text(ids.new(1.0))}"],
            "revoked": [f"Bearer {revoked}"],
            "expired": [f"Bearer {expired}"],
        }
        return {name: tuple(("authorization", value) for value in given) for name, given in values.items()} | {
            "in another place": (("x-api-key", good),),
            "in bytes": (("authorization-bin", f"Bearer {good}".encode()),),
        }

    async def test_f1_nobody_is_let_in_without_a_key_that_works(self, secured: Secured) -> None:
        caller = Caller(secured.channel)
        said = {
            name: await caller.refused("WebhookService/ListWebhooks", request_of("WebhookService/ListWebhooks"), given)
            for name, given in (await self.bad(secured)).items()
        }
        assert {each.code for each in said.values()} == {UNAUTHENTICATED}
        assert len({(each.message, each.reason, str(each.metadata)) for each in said.values()}) == 1, said

    @pytest.mark.parametrize("method", METHODS)
    async def test_f1_every_method_wants_a_key(self, secured: Secured, method: str) -> None:
        said = await Caller(secured.channel).refused(method, request_of(method))
        assert (said.code, said.reason) == (UNAUTHENTICATED, "UNAUTHENTICATED")

    @pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
    async def test_f1_a_key_that_works_lets_in(self, secured: Secured, scheme: str) -> None:
        """So that the refusals above are for what is wrong with each."""
        metadata = (("authorization", f"{scheme} {await secured.key(Scope.READ)}"),)
        request = request_of("WebhookService/ListWebhooks")
        await Caller(secured.channel).call("WebhookService/ListWebhooks", request, metadata)

    async def test_f1_metadata_that_is_too_much(self, secured: Secured) -> None:
        """The library refuses 100 KB before we see it."""
        metadata = (("authorization", "Bearer " + "x" * 100_000),)
        call = secured.channel.unary_unary("/hookpost.v1.WebhookService/ListWebhooks")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(b"", metadata=metadata)
        assert caught.value.code() in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INTERNAL)

    async def test_f1_a_revoked_key_stops_within_5_s(self, secured: Secured) -> None:
        """Calls that last, such as a watch and a stream, end too."""
        caller = await secured.caller(Scope.ADMIN)
        request = request_of("WebhookService/ListWebhooks")
        await caller.call("WebhookService/ListWebhooks", request)
        client = Client(secured.channel)
        watch = client.deliveries.WatchDeliveries(
            request_of("DeliveryService/WatchDeliveries"), metadata=caller.metadata
        )
        stream = client.events.StreamEmitEvents(metadata=caller.metadata)
        await watch.read()
        await stream.wait_for_connection()
        await secured.keys.revoke(api_key.id_of(caller.key or ""))

        async def stopped() -> bool | None:
            try:
                await caller.call("WebhookService/ListWebhooks", request)
            except grpc.aio.AioRpcError as error:
                assert error.code() == UNAUTHENTICATED
                return True
            return None

        async with asyncio.timeout(5):
            await eventually(stopped)
            for call in (watch, stream):
                assert await call.code() == UNAUTHENTICATED

    async def test_f1_the_emitter_finds_its_key_in_its_environment(
        self, secured: Secured, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        event = EmitEventRequest(type="User.Created", json="{}")
        monkeypatch.setenv("HOOKPOST_API_KEY", await secured.key(Scope.EVENTS_EMIT))
        async with Emitter(secured.channel) as emitter:
            assert (await emitter.emit(event)).event_id
        monkeypatch.delenv("HOOKPOST_API_KEY")
        async with Emitter(secured.channel) as emitter:
            with pytest.raises(HookpostError) as caught:
                await emitter.emit(event)
        assert caught.value.code == UNAUTHENTICATED

    async def test_f1_a_new_key_works_at_once(self, secured: Secured) -> None:
        for _ in range(3):
            caller = await secured.caller(Scope.READ)
            await caller.call("WebhookService/ListWebhooks", request_of("WebhookService/ListWebhooks"))


class TestFailureLimit:
    """F1: who fails too often is put off, and no good key with them."""

    async def test_f1_failures_are_bounded_for_each_address(
        self, database_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(failure_limit, "BURST", 5.0)
        monkeypatch.setattr(failure_limit, "RATE", 0.0)
        request = request_of("WebhookService/ListWebhooks")
        async with securing(database_url) as secured:
            good, bad = await secured.caller(Scope.READ), Caller(secured.channel, "hpk_no")
            with structlog.testing.capture_logs() as lines:
                said = [await bad.refused("WebhookService/ListWebhooks", request) for _ in range(30)]
            await good.call("WebhookService/ListWebhooks", request)
        put_off = [each for each in said if each.reason == "TOO_MANY_FAILURES"]
        assert len(put_off) == 25
        assert {each.code for each in put_off} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
        assert all(each.retry_delay for each in put_off)
        assert [line["code"] for line in lines if line["log_level"] == "info"] == ["UNAUTHENTICATED"] * 5

    async def test_f1_a_bucket_fills_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        moment = 0.0
        monkeypatch.setattr(failure_limit, "BURST", 2.0)
        monkeypatch.setattr(failure_limit.time, "monotonic", lambda: moment)
        limit = FailureLimit()

        def fails(address: str) -> bool:
            try:
                limit.count(address)
            except Exception:
                return True
            return False

        assert [fails("192.0.2.1") for _ in range(3)] == [False, False, True]
        assert not fails("192.0.2.2")
        assert [fails(f"2001:db8::{n}") for n in range(3)] == [False, False, True]  # one network, one caller
        assert not fails("2001:db8:0:1::1")
        moment = 0.1
        assert [fails("192.0.2.1") for _ in range(2)] == [False, True]

    async def test_f1_the_addresses_are_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(failure_limit, "MOST", 10)
        limit = FailureLimit()
        for number in range(100):
            limit.count(f"192.0.2.{number}")
        assert len(limit._buckets) == 10

    @pytest.mark.parametrize(
        ("peer", "address"),
        [
            ("ipv4:192.0.2.1:50000", "192.0.2.1"),
            ("ipv6:%5B2001:db8::1%5D:50000", "2001:db8::1"),
            ("ipv6:[::1]:1", "::1"),
            ("unix:/run/x", ""),
        ],
    )
    async def test_f1_where_a_call_comes_from(self, peer: str, address: str) -> None:
        assert door.source(peer) == address


class TestMatrix:
    """F2: every method × every scope × own and foreign tenant."""

    @pytest.mark.parametrize("method", METHODS)
    async def test_f2_every_scope_on_every_method(self, secured: Secured, method: str) -> None:
        places = list(tenant_places(METHODS[method].input_type))
        for scope in Scope:
            caller = await secured.caller(scope, tenant=OWN)
            may = scope in (needed(method), Scope.ADMIN)
            for tenant in (OWN, FOREIGN) if places else (OWN,):
                request = request_of(method)
                if places:
                    name_tenant(request, places[0], tenant)
                code, reason = await self.outcome(caller, method, request)
                expected = (method, scope.name, tenant, code, reason)
                if not may:
                    assert (code, reason) == ("PERMISSION_DENIED", "SCOPE_MISSING"), expected
                elif is_catalogue(method):
                    assert (code, reason) == ("PERMISSION_DENIED", "TENANT_BOUND"), expected
                elif tenant == FOREIGN:
                    assert (code, reason) == ("NOT_FOUND", "RESOURCE_NOT_FOUND"), expected
                else:
                    assert code in ("OK", "INVALID_ARGUMENT", "NOT_FOUND"), expected
                    assert "tenant" not in reason

    async def outcome(self, caller: Caller, method: str, request: object) -> tuple[str, str]:
        """Code and reason, of the call or of the one event in a stream."""
        try:
            answer = await caller.call(method, request)
        except grpc.aio.AioRpcError:
            said = await caller.refused(method, request)
            return said.code.name, said.reason
        if METHODS[method].client_streaming and answer.results[0].HasField("error"):
            error = answer.results[0].error
            code = next(each for each in grpc.StatusCode if each.value[0] == error.code).name
            return code, type(error).DESCRIPTOR.fields_by_name["reason"].enum_type.values_by_number[
                error.reason
            ].name.removeprefix("ERROR_REASON_")
        return "OK", ""

    @pytest.mark.parametrize("method", METHODS)
    async def test_f2_a_missing_scope_is_named(self, secured: Secured, method: str) -> None:
        scope = next(each for each in Scope if each not in (needed(method), Scope.ADMIN))
        said = await (await secured.caller(scope)).refused(method, request_of(method))
        assert said.metadata == {"scope": needed(method).name}

    async def test_f2_health_is_open_and_reflection_is_the_administrators(self, secured: Secured) -> None:
        stub = health_pb2_grpc.HealthStub(secured.channel)
        assert (await stub.Check(health_pb2.HealthCheckRequest())).status == health_pb2.HealthCheckResponse.SERVING
        for version in ("v1", "v1alpha"):
            reflect = secured.channel.stream_stream(
                f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
                request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
                response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
            )
            for caller, code in (
                (Caller(secured.channel), UNAUTHENTICATED),
                (await secured.caller(Scope.READ), grpc.StatusCode.PERMISSION_DENIED),
                (await secured.caller(Scope.ADMIN), grpc.StatusCode.OK),
            ):
                question = reflection_pb2.ServerReflectionRequest(list_services="")
                call = reflect(iter([question]), metadata=caller.metadata)
                with contextlib.suppress(grpc.aio.AioRpcError):
                    assert [answer async for answer in call]
                assert await call.code() == code


class TestTable:
    """F3: a method that nobody decided on is not served."""

    async def test_f3_a_method_without_a_scope_stops_the_start(
        self, database_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delitem(door.NEEDED, "EventService/GetEvent")
        with pytest.raises(LookupError, match="EventService/GetEvent"):
            async with serving(config(database_url)):
                pass

    async def test_f3_the_table_names_what_there_is(self) -> None:
        assert {name for name in door.NEEDED if not name.startswith("/")} == METHODS.keys()
        assert METHODS.keys() > door.EVERY_TENANTS
        door.check_complete(METHODS)

    async def test_f3_without_keys_everything_is_open(self, database_url: str) -> None:
        async with serving(config(database_url)) as server, connected(server.address) as client:
            assert (await client.create()).id
            assert (await refused(client.webhook("whk_1"))).code == grpc.StatusCode.INVALID_ARGUMENT
