"""F6 to F10 and F12 to F14, F17: calls that are damaged, cut short, repeated or too big."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from typing import Any

import asyncpg
import grpc
import pytest
import structlog
from google.protobuf import duration_pb2
from google.protobuf.descriptor import Descriptor

from hookpost.v1 import (
    delivery_service_pb2,
    event_service_pb2,
    event_type_pb2,
    event_type_service_pb2,
    webhook_pb2,
    webhook_service_pb2,
)
from hookpost_server.rpc import budget
from tests.receiver import Receiver
from tests.rpc.serving import Client, config, connected, counts, refused, serving
from tests.security.calling import METHODS, Caller, Path, request_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

MANY = 20_000
MIB = 1 << 20


def lists(message: Descriptor, path: Path = ()) -> Iterator[Path]:
    """Every list and map of a request, those of its parts included."""
    for field in message.fields:
        if field.is_repeated:
            yield (*path, field.name)
        elif field.message_type is not None and field.message_type.name not in ("Struct", "Value"):
            yield from lists(field.message_type, (*path, field.name))


def fill(request: Any, path: Path, count: int) -> None:
    """Makes a list or a map long."""
    for name in path[:-1]:
        request = getattr(request, name)
    field = request.DESCRIPTOR.fields_by_name[path[-1]]
    held = getattr(request, path[-1])
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        for number in range(count):
            held[f"k{number}"] = ""
    elif field.message_type is not None:
        held.extend(type(held.add())() for _ in range(count))
    else:
        held.extend(["x"] * count if field.type == field.TYPE_STRING else [1] * count)


LISTS = [(method, path) for method, each in METHODS.items() for path in lists(each.input_type)]


@pytest.mark.parametrize(("method", "path"), LISTS, ids=[f"{m}:{'.'.join(p)}" for m, p in LISTS])
async def test_f6_lists_beyond_all_bounds(client: Client, method: str, path: Path) -> None:
    request = request_of(method)
    fill(request, path, MANY)
    said = await Caller(client.channel).refused(method, request)
    assert said.code == grpc.StatusCode.INVALID_ARGUMENT
    assert ".".join(path) in said.violations


@pytest.mark.parametrize("method", METHODS)
async def test_f6_bytes_that_are_no_message(client: Client, method: str) -> None:
    path, stream = f"/hookpost.v1.{method}", METHODS[method]
    for damaged in (b"\xff\xff\xff\xff", b"\x0a\x7fcut", b"\x0b" * 200, random.Random(1).randbytes(300)):
        if stream.client_streaming:
            call = client.channel.stream_stream(path)()
            await call.write(damaged)
        elif stream.server_streaming:
            call = client.channel.unary_stream(path)(damaged)
        else:
            call = client.channel.unary_unary(path)(damaged)
        try:
            assert await call.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND)
        finally:
            call.cancel()


async def test_f6_fields_of_a_later_version_are_passed_over(client: Client) -> None:
    data = client.emit_request().SerializeToString() + b"\xfa\x3f\x03new"  # field 1023
    call = client.channel.unary_unary(
        "/hookpost.v1.EventService/EmitEvent", response_deserializer=event_service_pb2.EmitEventResponse.FromString
    )
    assert (await call(data)).event_id


DELIVERABLE = {
    "an escaped NUL": '{"a":"\\u0000"}',
    "an escaped control character in a name": '{"\\u0001":1}',
    "5,000 digits": '{"a":' + "9" * 5000 + "}",
    "beyond a double": '{"a":1e400,"b":-0.0,"c":1E-400}',
    "64 levels": '{"a":' * 64 + "1" + "}" * 64,
    "256 KiB": '{"' + "k" * (256 * 1024 - 6) + '":1}',
    "a pair of surrogates": '{"a":"\\ud83d\\ude00"}',
    "white space all over": ' {\n"a" :\t1 } \n',
}


@pytest.mark.parametrize("payload", DELIVERABLE)
async def test_f7_what_is_accepted_is_delivered_to_the_byte(client: Client, receiver: Receiver, payload: str) -> None:
    """What is refused is in tests/rpc/test_bad_input.py."""
    await client.create(receiver.url, payload_format=webhook_pb2.PAYLOAD_FORMAT_RAW)
    event = await client.emit(DELIVERABLE[payload])
    (delivery,) = await client.ended(event.event_id)
    assert delivery.attempts[0].status_code == 200
    assert receiver.requests[0].body.decode() == DELIVERABLE[payload]


async def test_f8_a_fault_tells_its_number_only(database_url: str) -> None:
    secret = "postgresql://u:s3cret@host/db"
    async with serving(config(database_url)) as server, connected(server.address) as client:
        connection = await asyncpg.connect(database_url)
        await connection.execute(f'alter table webhooks rename to "{secret}"')
        await connection.close()
        with structlog.testing.capture_logs() as lines:
            said = await refused(client.create())
        assert (said.code, said.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
        assert "s3cret" not in str(said)
        assert "webhooks" not in str(said)
        assert said.metadata["incident"] in [line.get("incident") for line in lines]


async def test_f9_cancelled_anywhere_and_repeated_it_is_one_event(client: Client, receiver: Receiver) -> None:
    """50 calls, each given up at another moment, from before it is read to after its commit."""
    await client.create(receiver.url)
    chance = random.Random(9)

    async def emit(number: int) -> tuple[str, bool]:
        request = client.emit_request(f'{{"n":{number}}}', idempotency_key=f"f9-{number}")
        call = client.events.EmitEvent(request)
        try:
            async with asyncio.timeout(chance.uniform(0, 0.02)):
                return (await call).event_id, False
        except (TimeoutError, asyncio.CancelledError):
            call.cancel()
        return (await client.events.EmitEvent(request)).event_id, True

    answers = await asyncio.gather(*(emit(number) for number in range(50)))
    assert any(cut for _, cut in answers)
    listed = await client.events.ListEvents(
        event_service_pb2.ListEventsRequest(tenant_id=client.tenant, page_size=1000)
    )
    assert sorted(each.id for each in listed.events) == sorted(event_id for event_id, _ in answers)
    for event_id, _ in answers:
        assert len(await client.ended(event_id)) == 1
    assert len({each.event_id for each in await receiver.received(50)}) == 50


async def test_f10_one_key_a_thousand_times_at_once(client: Client) -> None:
    """Half of them with other content: one event; the same content is answered with it, the other refused."""

    async def emit(number: int) -> str:
        try:
            return (await client.emit(f'{{"half":{number % 2}}}', idempotency_key="f10")).event_id
        except grpc.aio.AioRpcError as error:
            assert error.code() == grpc.StatusCode.ALREADY_EXISTS
            return ""

    answers = await asyncio.gather(*(emit(number) for number in range(1000)))
    listed = await client.events.ListEvents(event_service_pb2.ListEventsRequest(tenant_id=client.tenant))
    (event,) = listed.events
    winner = int(event.json == '{"half":1}')
    assert {answer for number, answer in enumerate(answers) if number % 2 == winner} == {event.id}
    assert {answer for number, answer in enumerate(answers) if number % 2 != winner} == {""}


class TestDeadlines:
    """F12: time that is too short, none at all, and none given."""

    @pytest.mark.parametrize("seconds", [0.0, 0.001])
    async def test_f12_too_little_time_stores_nothing(
        self, client: Client, module_database_url: str, seconds: float
    ) -> None:
        before = await counts(module_database_url, client.tenant)
        for _ in range(20):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await client.events.EmitEvent(client.emit_request(), timeout=seconds)
            assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        assert await counts(module_database_url, client.tenant) == before

    async def test_f12_the_server_refuses_what_it_cannot_do_in_time(
        self, client: Client, module_database_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(budget, "LEAST", 60.0)
        before = await counts(module_database_url, client.tenant)
        said = await refused(client.events.EmitEvent(client.emit_request(), timeout=30))
        assert (said.code, said.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")
        assert await counts(module_database_url, client.tenant) == before
        assert (await client.emit()).event_id  # without a deadline there is time

    async def test_f12_a_call_without_a_deadline_has_the_servers_own(
        self, client: Client, module_database_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert budget.USUAL == 10
        monkeypatch.setattr(budget, "USUAL", 0.2)
        webhook = await client.create()
        connection = await asyncpg.connect(module_database_url)
        async with connection.transaction():
            await connection.execute("select from webhooks for update")
            said = await refused(client.update(webhook.id, name="b"))
            assert (said.code, said.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")
        await connection.close()
        assert (await client.webhook(webhook.id)).name == "a webhook"

    async def test_f12_waiting_has_its_time_on_top(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(budget, "USUAL", 0.0)
        monkeypatch.setattr(budget, "MAX_WAIT", 30.0)
        assert (await client.emit(wait=event_service_pb2.Wait(timeout=duration_pb2.Duration(seconds=5)))).event_id
        assert (await refused(client.emit())).reason == "DEADLINE_EXCEEDED"


class TestMetadata:
    """F13: the library's bounds on metadata, and what is inside them."""

    async def ask(self, client: Client, *metadata: tuple[str, Any]) -> grpc.StatusCode:
        call = client.webhooks.ListWebhooks(
            webhook_service_pb2.ListWebhooksRequest(tenant_id=client.tenant), metadata=metadata
        )
        return await call.code()

    async def test_f13_metadata_within_and_beyond_its_bounds(self, client: Client) -> None:
        assert await self.ask(client, ("x", "y" * 7000)) is grpc.StatusCode.OK
        assert await self.ask(client, ("x", "y" * 20_000)) is grpc.StatusCode.RESOURCE_EXHAUSTED
        # Between 8 and 16 KiB the library refuses the more often, the longer it is.
        assert await self.ask(client, ("x", "y" * 9000)) in (grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED)

    async def test_f13_bytes_are_as_good_as_text(self, client: Client) -> None:
        metadata = (("x-bin", bytes(range(256))), ("traceparent-bin", b"\xff"), ("traceparent", "no such thing"))
        assert await self.ask(client, *metadata) is grpc.StatusCode.OK


class TestPages:
    """F14: whatever page is asked for, it is one that a client can take."""

    @pytest.mark.parametrize("size", [0, 1, 2**31 - 1])
    @pytest.mark.parametrize(
        ("method", "items"),
        [
            ("WebhookService/ListWebhooks", "webhooks"),
            ("EventService/ListEvents", "events"),
            ("EventTypeService/ListEventTypes", "event_types"),
            ("DeliveryService/ListDeliveries", "deliveries"),
            ("ApiKeyService/ListApiKeys", "api_keys"),
        ],
    )
    async def test_f14_page_sizes_are_clamped(self, client: Client, method: str, items: str, size: int) -> None:
        request = request_of(method)
        request.page_size = size
        assert len(getattr(await Caller(client.channel).call(method, request), items)) <= 1000
        request.page_size = -1
        assert "page_size" in (await Caller(client.channel).refused(method, request)).violations

    async def test_f14_pages_of_big_things_are_shorter(self, client: Client) -> None:
        """Every item is shown, in answers that a client takes by default."""
        events = {(await client.emit('{"a":"' + "x" * 250_000 + '"}')).event_id for _ in range(12)}
        for number in range(8):
            kind = event_type_pb2.EventType(
                name=f"Big.N{number}", example='{"a":"' + "x" * 60_000 + '"}', description="d"
            )
            await client.types.CreateEventType(event_type_service_pb2.CreateEventTypeRequest(event_type=kind))
        found: set[str] = set()
        request = event_service_pb2.ListEventsRequest(tenant_id=client.tenant, page_size=1000)
        pages = 0
        while True:
            answer = await client.events.ListEvents(request)
            assert answer.ByteSize() < 4 * MIB
            found |= {each.id for each in answer.events}
            pages += 1
            if not answer.next_page_token:
                break
            request.page_token = answer.next_page_token
        assert found == events
        assert pages > 1
        types = event_type_service_pb2.ListEventTypesRequest(page_size=1000)
        assert (await client.types.ListEventTypes(types)).ByteSize() < 4 * MIB

    async def test_f14_many_long_answers_of_receivers(self, client: Client, receiver: Receiver) -> None:
        """70 answers of 64 KiB are more than a client takes; those that do not fit are left out and marked."""
        receiver.decide = lambda request: (200, "x" * 64 * 1024)
        await asyncio.gather(*(client.create(receiver.url) for _ in range(70)))
        wait = event_service_pb2.Wait(timeout=duration_pb2.Duration(seconds=30))
        answer = await client.emit(wait=wait)
        assert 2 * MIB < answer.ByteSize() < 4 * MIB
        attempts = [each.attempt for each in answer.deliveries]
        assert len(attempts) == 70
        assert {each.status_code for each in attempts} == {200}
        kept = [each for each in attempts if each.response_body]
        assert 40 < len(kept) < 70
        assert [each.response_body_truncated for each in attempts] == [not each.response_body for each in attempts]


class TestText:
    """F17: what means something to SQL or a terminal means itself here."""

    LITERAL = ("'; drop table webhooks; --", "%", "_", "\\", "100%_\\'\"", "‮evil", "$1", "{}", "a'||'b")

    @pytest.mark.parametrize("text", LITERAL)
    async def test_f17_a_search_is_literal(self, client: Client, text: str) -> None:
        made = await client.create(name=f"x{text}x")
        await client.create(name="another")
        request = webhook_service_pb2.ListWebhooksRequest(tenant_id=client.tenant, query=text)
        assert [each.id for each in (await client.webhooks.ListWebhooks(request)).webhooks] == [made.id]
        assert (await client.webhook(made.id)).name == f"x{text}x"

    async def test_f17_nul_is_refused(self, client: Client) -> None:
        request = webhook_service_pb2.ListWebhooksRequest(tenant_id=client.tenant, query="a\0b")
        assert (await refused(client.webhooks.ListWebhooks(request))).violations.keys() == {"query"}
        assert (await refused(client.create(name="a\0b"))).violations.keys() == {"webhook.name"}
        filter = delivery_service_pb2.DeliveryFilter(event_type="a\0b")
        listed = delivery_service_pb2.ListDeliveriesRequest(tenant_id=client.tenant, filter=filter)
        assert (await refused(client.deliveries.ListDeliveries(listed))).violations.keys() == {"filter.event_type"}
