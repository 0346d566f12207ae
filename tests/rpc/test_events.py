"""EventService but for its stream: what is accepted, what comes back, what a key means."""

import asyncio
import json
import time
import uuid

import grpc
import pytest
from google.protobuf import json_format, struct_pb2, timestamp_pb2

from hookpost.v1 import event_service_pb2
from tests.receiver import Receiver
from tests.rpc.serving import Client, counts, refused

pytestmark = pytest.mark.asyncio(loop_scope="module")

AWKWARD = (
    '{"z":1.0,\t"a":1e2 ,"big":12345678901234567890123,'
    '"u":"\\u00fc\\ud83d\\ude00ü😀\\u0000","e":{"event":1},"n":-0}\r\n'
)


def at(seconds: int, nanos: int = 0) -> timestamp_pb2.Timestamp:
    return timestamp_pb2.Timestamp(seconds=seconds, nanos=nanos)


def struct(text: str) -> struct_pb2.Struct:
    return json_format.Parse(text, struct_pb2.Struct())


class TestEmit:
    async def test_the_answer(self, client: Client) -> None:
        await client.create()
        await client.create(event_types=["User.*"])
        await client.create(event_types=["Role.*"])
        before = time.time()
        answer = await client.emit()
        assert answer.event_id.startswith("evt_")
        assert answer.delivery_count == 2
        assert not answer.duplicate
        assert before - 5 < answer.create_time.ToSeconds() < time.time() + 5
        assert not answer.matches
        assert not answer.deliveries

    async def test_the_event_comes_back(self, client: Client) -> None:
        answer = await client.emit(AWKWARD, occur_time=at(86_400, 123_456_000), idempotency_key="k !~")
        event = (await client.event(answer.event_id)).event
        assert (event.id, event.tenant_id, event.type) == (answer.event_id, client.tenant, "User.Created")
        assert event.json == AWKWARD
        assert event.occur_time == at(86_400, 123_456_000)
        assert event.create_time == answer.create_time
        assert event.idempotency_key == "k !~"

    async def test_nobody_listens(self, client: Client) -> None:
        answer = await client.emit()
        assert answer.delivery_count == 0
        assert not (await client.event(answer.event_id)).deliveries

    async def test_occur_time_is_now_by_default(self, client: Client) -> None:
        event = (await client.event((await client.emit()).event_id)).event
        assert abs(event.occur_time.ToMilliseconds() - event.create_time.ToMilliseconds()) < 1000
        assert event.idempotency_key == ""

    @pytest.mark.parametrize("moment", [at(0), at(253_402_300_799, 999_998_000)])
    async def test_the_ends_of_time(self, client: Client, moment: timestamp_pb2.Timestamp) -> None:
        answer = await client.emit(occur_time=moment)
        assert (await client.event(answer.event_id)).event.occur_time == moment

    async def test_the_last_microsecond_is_no_infinity(self, client: Client, receiver: Receiver) -> None:
        await client.create(receiver.url)
        answer = await client.emit(occur_time=at(253_402_300_799, 999_999_999))
        await client.ended(answer.event_id)
        (request,) = await receiver.received(1)
        assert request.json["createdAt"] == "9999-12-31T23:59:59.999Z"

    async def test_json_reaches_the_receiver_byte_for_byte(self, client: Client, receiver: Receiver) -> None:
        await client.create(receiver.url, payload_format=4)
        await client.ended((await client.emit(AWKWARD)).event_id)
        (request,) = await receiver.received(1)
        assert request.body == AWKWARD.encode()

    async def test_the_flat_envelope(self, client: Client, receiver: Receiver) -> None:
        webhook = await client.create(receiver.url)
        answer = await client.emit('{"data":{"id":"u1"},"n":1.0}', occur_time=at(86_400, 5_000_000))
        await client.ended(answer.event_id)
        (request,) = await receiver.received(1)
        assert request.body == (
            b'{"event":"User.Created","createdAt":"1970-01-02T00:00:00.005Z","data":{"id":"u1"},"n":1.0,"hookId":"%b"}'
            % webhook.id.encode()
        )
        assert request.event_id == answer.event_id
        assert request.headers["hookpost-event"] == "User.Created"

    @pytest.mark.parametrize(
        ("data", "text"),
        [
            ('{"b":1,"a":[1.0,2.5,-3,true,null,"x"],"c":{}}', '{"a":[1,2.5,-3,true,null,"x"],"b":1,"c":{}}'),
            ('{"n":9007199254740992,"a":1e-7,"b":1e300}', '{"a":1e-07,"b":1e+300,"n":9007199254740992}'),
            ("{}", "{}"),
            ('{"ü":"😀\\n"}', '{"ü":"😀\\n"}'),
        ],
    )  # fmt: skip
    async def test_a_struct_is_written_as_people_would(self, client: Client, data: str, text: str) -> None:
        answer = await client.emit(data=struct(data))
        assert (await client.event(answer.event_id)).event.json == text

    @pytest.mark.parametrize(
        "payload",
        [
            '{"' + "k" * (256 * 1024 - 6) + '":1}',
            '{"a":' * 64 + "1" + "}" * 64,
            '{"a":' + "[" * 63 + "]" * 63 + "}",
            '{"n":' + "9" * 5000 + "}",
            '{"a":{"event":1,"createdAt":2,"hookId":3}}',
            ' \n{ }\t ',
            '{"a":"\\ud83d\\ude00"}',
        ],
        ids=["256 KiB", "64 objects", "64 levels of lists", "a long number", "reserved inside", "blank", "a pair"],
    )  # fmt: skip
    async def test_the_extremes_that_are_allowed(self, client: Client, receiver: Receiver, payload: str) -> None:
        await client.create(receiver.url)
        answer = await client.emit(payload)
        assert (await client.event(answer.event_id)).event.json == payload
        (entry,) = await client.ended(answer.event_id)
        assert entry.attempts[-1].status_code == 200
        assert (await receiver.received(1))[0].body.startswith(b'{"event":')


class TestIdempotencyKeys:
    async def test_the_same_again(self, client: Client) -> None:
        await client.create()
        first = await client.emit('{"a":1}', idempotency_key="k")
        await client.create()
        again = await client.emit('{"a":1}', idempotency_key="k")
        assert again.duplicate
        assert (again.event_id, again.create_time, again.delivery_count) == (first.event_id, first.create_time, 1)

    @pytest.mark.parametrize(
        "other", [{"json": '{"a":2}'}, {"json": '{"a": 1}'}, {"type": "User.Deleted"}, {"occur_time": at(5)}]
    )
    async def test_other_content(self, client: Client, other: dict) -> None:
        first = await client.emit('{"a":1}', idempotency_key="k")
        refusal = await refused(client.emit(**{"json": '{"a":1}'} | other, idempotency_key="k"))
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.ALREADY_EXISTS, "IDEMPOTENCY_KEY_REUSED")
        assert refusal.metadata == {"idempotency_key": "k", "event_id": first.event_id}

    async def test_json_and_data_of_the_same_bytes_are_the_same(self, client: Client) -> None:
        first = await client.emit('{"a":1}', idempotency_key="k")
        assert (await client.emit(data=struct('{"a": 1.0}'), idempotency_key="k")).event_id == first.event_id

    async def test_another_tenant_has_its_own(self, client: Client) -> None:
        first = await client.emit(idempotency_key="k")
        other = await client.emit(idempotency_key="k", tenant_id=client.tenant + "-b")
        assert not other.duplicate
        assert other.event_id != first.event_id

    async def test_the_longest(self, client: Client) -> None:
        key = "k" * 255
        assert (await client.emit(idempotency_key=key)).event_id == (await client.emit(idempotency_key=key)).event_id

    async def test_many_at_once(self, client: Client, module_database_url: str) -> None:
        async def one(number: int) -> str:
            try:
                return (await client.emit(json.dumps({"a": number % 2}), idempotency_key="k")).event_id
            except grpc.aio.AioRpcError as error:
                assert error.code() == grpc.StatusCode.ALREADY_EXISTS
                return ""

        answers = await asyncio.gather(*(one(number) for number in range(200)))
        assert len(set(answers)) == 2
        assert answers.count("") == 100

    async def test_a_caller_that_gives_up_and_repeats(self, client: Client) -> None:
        """Whatever moment it gave up at, there is one event in the end."""
        for number in range(30):
            key = f"k{number}"
            call = client.events.EmitEvent(client.emit_request(idempotency_key=key))
            for _ in range(number):
                await asyncio.sleep(0)  # another step of the call
            call.cancel()
            await client.emit(idempotency_key=key)
        request = event_service_pb2.ListEventsRequest(tenant_id=client.tenant, page_size=1000)
        events = (await client.events.ListEvents(request)).events
        assert sorted(event.idempotency_key for event in events) == sorted(f"k{number}" for number in range(30))


class TestBatch:
    async def batch(
        self, client: Client, *requests: event_service_pb2.EmitEventRequest
    ) -> list[event_service_pb2.EmitEventResponse]:
        request = event_service_pb2.BatchEmitEventsRequest(tenant_id=client.tenant, requests=requests)
        return list((await client.events.BatchEmitEvents(request)).responses)

    async def test_one_answer_each_in_order(self, client: Client) -> None:
        await client.create(event_types=["User.*"])
        requests = [
            client.emit_request(json.dumps({"n": n}), type=kind, tenant_id=tenant)
            for n, (kind, tenant) in enumerate([("User.Created", ""), ("Role.Created", client.tenant)] * 5)
        ]
        answers = await self.batch(client, *requests)
        assert [answer.delivery_count for answer in answers] == [1, 0] * 5
        for request, answer in zip(requests, answers, strict=True):
            assert (await client.event(answer.event_id)).event.json == request.json
        assert len({answer.event_id for answer in answers}) == 10

    async def test_a_thousand(self, client: Client) -> None:
        answers = await self.batch(client, *(client.emit_request() for _ in range(1000)))
        assert len({answer.event_id for answer in answers}) == 1000

    async def test_keys_in_a_batch(self, client: Client) -> None:
        first = await client.emit(idempotency_key="known")
        answers = await self.batch(
            client, client.emit_request(idempotency_key="known"), client.emit_request(idempotency_key="new")
        )
        assert [answer.duplicate for answer in answers] == [True, False]
        assert answers[0].event_id == first.event_id

    async def test_a_reused_key_leaves_nothing_of_the_batch(self, client: Client, module_database_url: str) -> None:
        await client.create(event_types=["*"])
        first = await client.emit('{"a":1}', idempotency_key="known")
        call = self.batch(
            client,
            client.emit_request(),
            client.emit_request(idempotency_key="new"),
            client.emit_request('{"a":2}', idempotency_key="known"),
        )
        assert (await refused(call)).reason == "IDEMPOTENCY_KEY_REUSED"
        listed = event_service_pb2.ListEventsRequest(tenant_id=client.tenant)
        assert [event.id for event in (await client.events.ListEvents(listed)).events] == [first.event_id]
        assert not (await client.emit(idempotency_key="new")).duplicate

    async def test_all_faults_of_all_entries(self, client: Client, module_database_url: str) -> None:
        before = await counts(module_database_url, client.tenant)
        call = self.batch(
            client,
            client.emit_request(),
            client.emit_request("[]", idempotency_key="a\nb"),
            client.emit_request(dry_run=True),
            client.emit_request(tenant_id="another"),
            client.emit_request(wait=event_service_pb2.Wait()),
        )
        refusal = await refused(call)
        assert refusal.violations.keys() == {
            "requests[1].json", "requests[1].idempotency_key", "requests[2].dry_run", "requests[3].tenant_id",
            "requests[4].wait",
        }  # fmt: skip
        assert await counts(module_database_url, client.tenant) == before

    async def test_an_unknown_type_leaves_nothing_of_the_batch(self, client: Client, module_database_url: str) -> None:
        before = await counts(module_database_url, client.tenant)
        refusal = await refused(self.batch(client, client.emit_request(), client.emit_request(type="User.Creatd")))
        assert refusal.reason == "EVENT_TYPE_UNKNOWN"
        assert await counts(module_database_url, client.tenant) == before

    async def test_more_than_fits(self, client: Client, module_database_url: str) -> None:
        before = await counts(module_database_url, client.tenant)
        payload = '{"a":"' + "x" * (255 * 1024) + '"}'
        refusal = await refused(self.batch(client, *(client.emit_request(payload) for _ in range(131))))
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "LIMIT_EXCEEDED")
        assert await counts(module_database_url, client.tenant) == before


class TestList:
    async def page(self, client: Client, **fields: object) -> event_service_pb2.ListEventsResponse:
        return await client.events.ListEvents(event_service_pb2.ListEventsRequest(tenant_id=client.tenant, **fields))

    async def test_pages_newest_first(self, client: Client) -> None:
        made = [(await client.emit(json.dumps({"n": n}))).event_id for n in range(5)]
        seen, token, sizes = [], "", []
        while True:
            page = await self.page(client, page_size=2, page_token=token)
            seen += [event.id for event in page.events]
            sizes.append(len(page.events))
            if not (token := page.next_page_token):
                break
        assert sizes == [2, 2, 1]
        assert seen == made[::-1]

    async def test_a_type(self, client: Client) -> None:
        await client.emit()
        wanted = await client.emit(type="Role.Created")
        page = await self.page(client, event_type="Role.Created")
        assert [event.id for event in page.events] == [wanted.event_id]

    async def test_a_time_range(self, client: Client) -> None:
        made = await client.emit()
        moment = made.create_time
        later = at(moment.seconds, moment.nanos + 1_000_000) if moment.nanos < 999_000_000 else at(moment.seconds + 1)
        assert [event.id for event in (await self.page(client, start_time=moment, end_time=later)).events] == [
            made.event_id
        ]
        assert not (await self.page(client, start_time=later)).events
        assert not (await self.page(client, end_time=moment)).events

    async def test_a_page_is_cut_at_2_MiB_of_payload(self, client: Client) -> None:
        payload = '{"a":"' + "x" * (255 * 1024) + '"}'
        made = [(await client.emit(payload)).event_id for _ in range(10)]
        first = await self.page(client)
        assert 0 < len(first.events) < 10
        assert first.ByteSize() < 3 * 1024 * 1024
        rest = await self.page(client, page_token=first.next_page_token)
        assert [event.id for event in [*first.events, *rest.events]] == made[::-1]

    async def test_an_unknown_event(self, client: Client) -> None:
        unknown = f"evt_{'0' * 26}"
        refusal = await refused(client.event(unknown))
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND")
        assert refusal.resource
        assert (refusal.resource.resource_type, refusal.resource.resource_name) == ("event", unknown)
        assert refusal.resource.owner == ""


async def test_an_unknown_type_names_the_nearest(client: Client) -> None:
    refusal = await refused(client.emit(type="user.creatd"))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.NOT_FOUND, "EVENT_TYPE_UNKNOWN")
    assert "User.Created" in refusal.metadata["nearest"].split(",")
    assert "User.Created" in refusal.message
    assert refusal.resource
    assert refusal.resource.resource_name == "user.creatd"


async def test_a_type_like_no_other(client: Client) -> None:
    refusal = await refused(client.emit(type=uuid.uuid4().hex))
    assert refusal.metadata == {"nearest": ""}
