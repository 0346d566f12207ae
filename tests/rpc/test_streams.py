"""StreamEmitEvents: each event is answered once, by its number, whatever becomes of the others."""

import asyncio
from collections.abc import AsyncIterator, Iterable

import asyncpg
import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from hookpost.v1 import error_reason_pb2, event_service_pb2
from tests.rpc.serving import Client, config, connected, eventually, refusal, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")


def numbered(sequence: int, event: event_service_pb2.EmitEventRequest) -> event_service_pb2.StreamEmitEventsRequest:
    return event_service_pb2.StreamEmitEventsRequest(sequence=sequence, event=event)


async def one_by_one(
    requests: Iterable[event_service_pb2.StreamEmitEventsRequest],
) -> AsyncIterator[event_service_pb2.StreamEmitEventsRequest]:
    for request in requests:
        yield request


async def stream(
    client: Client, requests: Iterable[event_service_pb2.StreamEmitEventsRequest]
) -> list[event_service_pb2.StreamEmitEventsResponse]:
    return [answer async for answer in client.events.StreamEmitEvents(one_by_one(requests))]


def by_sequence(
    answers: Iterable[event_service_pb2.StreamEmitEventsResponse],
) -> dict[int, event_service_pb2.StreamEmitEventsResult]:
    results = [result for answer in answers for result in answer.results]
    found = {result.sequence: result for result in results}
    assert len(found) == len(results), "answered twice"
    assert all(answer.results for answer in answers), "an answer without results"
    return found


async def remaining(call: grpc.aio.StreamStreamCall) -> list[event_service_pb2.StreamEmitEventsResponse]:
    """The answers until the end, for a call that is read by `read`."""
    answers = []
    while (answer := await call.read()) is not grpc.aio.EOF:
        answers.append(answer)
    return answers


async def stored(client: Client) -> list[str]:
    request = event_service_pb2.ListEventsRequest(tenant_id=client.tenant, page_size=1000)
    return [event.id for event in (await client.events.ListEvents(request)).events]


async def test_nothing(client: Client) -> None:
    assert await stream(client, []) == []


async def test_each_is_answered_by_its_number(client: Client) -> None:
    await client.create(event_types=["User.*"])
    sequences = [2**64 - 1, 0, 7, 3]
    results = by_sequence(await stream(client, [numbered(n, client.emit_request()) for n in sequences]))
    assert set(results) == set(sequences)
    assert {result.response.delivery_count for result in results.values()} == {1}
    assert {result.response.event_id for result in results.values()} == set(await stored(client))


async def test_answers_of_one_commit_come_together(client: Client) -> None:
    answers = await stream(client, [numbered(n, client.emit_request()) for n in range(3000)])
    assert set(by_sequence(answers)) == set(range(3000))
    assert len(answers) < 1000


async def test_a_refused_event_does_not_end_the_stream(client: Client) -> None:
    first = await client.emit('{"a":1}', idempotency_key="known")
    requests = [
        client.emit_request(),
        client.emit_request("[]"),
        client.emit_request(type="User.Creatd"),
        client.emit_request('{"a":2}', idempotency_key="known"),
        client.emit_request('{"a":1}', idempotency_key="known"),
        client.emit_request(dry_run=True),
        client.emit_request(wait=event_service_pb2.Wait()),
        event_service_pb2.EmitEventRequest(),
        client.emit_request(tenant_id="a/b"),
        client.emit_request(),
    ]
    results = by_sequence(await stream(client, [numbered(n, request) for n, request in enumerate(requests)]))
    assert len(results) == len(requests)
    assert {n for n, result in results.items() if result.HasField("response")} == {0, 4, 9}
    assert results[4].response.duplicate
    assert results[4].response.event_id == first.event_id
    invalid = (grpc.StatusCode.INVALID_ARGUMENT.value[0], error_reason_pb2.ERROR_REASON_FIELD_INVALID)
    unknown = (grpc.StatusCode.NOT_FOUND.value[0], error_reason_pb2.ERROR_REASON_EVENT_TYPE_UNKNOWN)
    reused = (grpc.StatusCode.ALREADY_EXISTS.value[0], error_reason_pb2.ERROR_REASON_IDEMPOTENCY_KEY_REUSED)
    refused = {n: (result.error.code, result.error.reason) for n, result in results.items() if n not in {0, 4, 9}}
    assert refused == {1: invalid, 2: unknown, 3: reused, 5: invalid, 6: invalid, 7: invalid, 8: invalid}
    assert "event.json" in results[1].error.message
    assert "User.Created" in results[2].error.message
    assert not results[1].error.HasField("retry_delay")
    assert len(await stored(client)) == 3


async def test_answers_come_before_the_caller_ends(client: Client) -> None:
    call = client.events.StreamEmitEvents()
    for number in range(3):
        await call.write(numbered(number, client.emit_request()))
        answer = await call.read()
        assert [result.sequence for result in answer.results] == [number]
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF
    assert await call.code() == grpc.StatusCode.OK


async def test_what_was_sent_before_the_callers_end_is_answered(client: Client) -> None:
    call = client.events.StreamEmitEvents()
    for number in range(500):
        await call.write(numbered(number, client.emit_request()))
    await call.done_writing()
    answers = [answer async for answer in call]
    assert set(by_sequence(answers)) == set(range(500))


async def test_a_cancelled_stream_leaves_the_server_well(client: Client) -> None:
    """What was answered is stored; what was not may be; nothing goes on reading; and the next call works."""
    answered = []
    for cancel_after in range(1, 9):
        call = client.events.StreamEmitEvents()
        for number in range(100):
            await call.write(numbered(number, client.emit_request()))
        of_this = 0
        for _ in range(cancel_after):
            if of_this == 100 or (answer := await call.read()) is grpc.aio.EOF:
                break
            answered += [result.response.event_id for result in answer.results]
            of_this += len(answer.results)
        call.cancel()
    assert set(answered) <= set(await stored(client))

    async def nobody_reads() -> bool | None:
        readers = [task for task in asyncio.all_tasks() if "_Stream.read" in repr(task.get_coro())]
        return None if readers else True

    await eventually(nobody_reads)
    results = by_sequence(await stream(client, [numbered(1, client.emit_request())]))
    assert results[1].response.event_id


async def test_bytes_that_are_no_message_end_the_stream(client: Client) -> None:
    """After what came before has been answered."""
    raw = client.channel.stream_stream(
        "/hookpost.v1.EventService/StreamEmitEvents",
        request_serializer=lambda data: data,
        response_deserializer=event_service_pb2.StreamEmitEventsResponse.FromString,
    )
    call = raw()
    await call.write(numbered(1, client.emit_request()).SerializeToString())
    await call.write(b"\xff\xff\xff")
    answers = []
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for answer in call:
            answers.append(answer)
    assert set(by_sequence(answers)) == {1}
    said = refusal(caught.value)
    assert (said.code, said.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID")


async def test_a_full_queue_refuses_and_says_when_to_come_back(database_url: str) -> None:
    """A statement that waits for a lock fills the queue."""
    async with (
        serving(config(database_url, max_queued_events=3)) as server,
        connected(server.address) as client,
    ):
        await client.emit()
        blocker = await asyncpg.connect(database_url)
        try:
            block = blocker.transaction()
            await block.start()
            await blocker.execute("lock table subscriptions in access exclusive mode")
            call = client.events.StreamEmitEvents()
            for number in range(20):
                await call.write(numbered(number, client.emit_request()))
            refused = by_sequence([await call.read()])
            for result in refused.values():
                assert result.error.code == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
                assert result.error.reason == error_reason_pb2.ERROR_REASON_BACKLOG_FULL
                assert result.error.retry_delay.ToMilliseconds() > 0
            await block.rollback()
            await call.done_writing()
            rest = by_sequence(await remaining(call))
            assert refused.keys() | rest.keys() == set(range(20))
            taken = [result for result in rest.values() if result.HasField("response")]
            assert len(await stored(client)) == 1 + len(taken)
            assert taken
        finally:
            await blocker.close()


async def test_two_streams_at_once(client: Client) -> None:
    async def run(start: int) -> set[int]:
        requests = [numbered(start + n, client.emit_request()) for n in range(300)]
        return set(by_sequence(await stream(client, requests)))

    assert await asyncio.gather(run(0), run(1000)) == [set(range(300)), set(range(1000, 1300))]

    async def all_stored() -> bool | None:
        return True if len(await stored(client)) == 600 else None

    await eventually(all_stored)


async def test_shutdown_ends_open_streams(database_url: str) -> None:
    """What was read is answered, then the stream ends; the grace, far longer than the test's own limit, is not used."""
    async with (
        serving(config(database_url, shutdown_grace=300.0)) as server,
        connected(server.address) as client,
    ):
        watch = health_pb2_grpc.HealthStub(client.channel).Watch(health_pb2.HealthCheckRequest())
        await watch.read()
        call = client.events.StreamEmitEvents()
        await call.write(numbered(7, client.emit_request()))
        assert set(by_sequence([await call.read()])) == {7}
        server.stop.set()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        assert "SHUTTING_DOWN" in str(refusal(caught.value))
        await server.task
