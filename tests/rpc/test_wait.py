"""EmitEvent with wait: synchronous webhooks, answered with what became of each delivery."""

import asyncio
import json

import grpc
import pytest
from google.protobuf import duration_pb2

from hookpost.v1 import delivery_pb2, event_service_pb2, webhook_pb2
from tests.receiver import Receiver, receiving
from tests.rpc.serving import Client, config, connected, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

PENDING, SUCCEEDED = delivery_pb2.DELIVERY_STATE_PENDING, delivery_pb2.DELIVERY_STATE_SUCCEEDED
FAILED = delivery_pb2.DELIVERY_STATE_FAILED
LATER = webhook_pb2.RetryPolicy(delays=[duration_pb2.Duration(seconds=3600)], jitter=0.0)
LONG = 60.0  # seconds; nobody waits that long here
NO_TIME = 0.01


def wait(seconds: float) -> event_service_pb2.Wait:
    answer = event_service_pb2.Wait()
    answer.timeout.FromMilliseconds(round(seconds * 1000))
    return answer


async def test_every_outcome(client: Client, receiver: Receiver) -> None:
    """As soon as each has concluded its first attempt, whether it is tried again or not."""
    codes = {"/good": (201, "made"), "/busy": (503, "later"), "/bad": (404, "no")}
    receiver.decide = lambda request: codes[request.path]
    webhooks = {path: await client.create(f"{receiver.url}{path}", retry_policy=LATER) for path in codes}
    webhooks["/nobody"] = await client.create("http://127.0.0.1:1025/", retry_policy=LATER)
    answer = await client.emit(wait=wait(LONG))
    assert answer.delivery_count == len(answer.deliveries) == 4
    found = {each.delivery.webhook_id: each for each in answer.deliveries}
    expected = {"/good": (SUCCEEDED, 201), "/busy": (PENDING, 503), "/bad": (FAILED, 404), "/nobody": (PENDING, 0)}
    for path, (state, status) in expected.items():
        each = found[webhooks[path].id]
        assert (each.delivery.state, each.delivery.attempt_count) == (state, 1)
        assert each.delivery.event_id == answer.event_id
        assert not each.delivery.attempts
        assert (each.attempt.number, each.attempt.status_code) == (1, status)
        assert each.attempt.response_body == codes.get(path, (0, ""))[1]
        assert bool(each.attempt.explanation) == (state != SUCCEEDED)


async def test_without_a_webhook_at_once(client: Client) -> None:
    answer = await client.emit(wait=wait(LONG))
    assert answer.event_id
    assert not answer.deliveries


async def test_it_ends_by_its_timeout(client: Client, receiver: Receiver) -> None:
    """A receiver that hangs; the other one's outcome is told; the event is durable all the same."""
    async with receiving() as hanging:
        hanging.hold()
        slow = await client.create(hanging.url)
        fast = await client.create(receiver.url)
        calling = asyncio.create_task(client.emit(wait=wait(1)))
        await hanging.received(1)
        answer = await calling
        found = {each.delivery.webhook_id: each for each in answer.deliveries}
        assert found[fast.id].delivery.state == SUCCEEDED
        assert (found[slow.id].delivery.state, found[slow.id].delivery.attempt_count) == (PENDING, 0)
        assert not found[slow.id].HasField("attempt")
        hanging.release()
        ended = await client.ended(answer.event_id)
        assert {each.state for each in ended} == {SUCCEEDED}


async def test_it_ends_at_shutdown(database_url: str) -> None:
    """With what is known: the event is accepted, whatever its receiver does. The attempt has its grace all the same."""
    settings = config(database_url, shutdown_grace=LONG)
    async with serving(settings) as server, connected(server.address) as client, receiving() as hanging:
        hanging.hold()
        await client.create(hanging.url, timeout=duration_pb2.Duration(seconds=30))
        calls = [asyncio.create_task(client.emit(wait=wait(LONG))) for _ in range(2)]
        await hanging.received(2)
        server.stop.set()
        async with asyncio.timeout(LONG / 2):
            answers = [await call for call in calls]
        for answer in answers:
            (told,) = answer.deliveries
            assert (told.delivery.state, told.HasField("attempt")) == (PENDING, False)
        assert not server.task.done()
        hanging.release()
        await server.task


async def test_a_caller_that_goes_away(client: Client, receiver: Receiver) -> None:
    """Its deliveries are made, and the server is well."""
    receiver.hold()
    await client.create(receiver.url)
    call = client.events.EmitEvent(client.emit_request(idempotency_key="gone", wait=wait(LONG)))
    waiting = asyncio.ensure_future(call)
    await receiver.received(1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    receiver.release()
    again = await client.emit(idempotency_key="gone", wait=wait(LONG))
    assert again.duplicate
    (told,) = again.deliveries
    assert (told.delivery.state, told.delivery.attempt_count) == (SUCCEEDED, 1)


async def test_a_deadline_of_the_callers_own(client: Client, receiver: Receiver) -> None:
    receiver.hold()
    await client.create(receiver.url)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.events.EmitEvent(client.emit_request(wait=wait(LONG)), timeout=0.5)
    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    receiver.release()
    await receiver.received(1)


async def test_duplicates(client: Client, receiver: Receiver) -> None:
    """The first event's outcomes, whether they are there yet or not; nothing is sent twice."""
    receiver.hold()
    await client.create(receiver.url)
    calls = [asyncio.create_task(client.emit(idempotency_key="k", wait=wait(LONG))) for _ in range(5)]
    await receiver.received(1)
    receiver.release()
    answers = [await call for call in calls] + [await client.emit(idempotency_key="k", wait=wait(LONG))]
    assert len({answer.event_id for answer in answers}) == 1
    assert sorted(answer.duplicate for answer in answers) == [False] + [True] * 5
    for answer in answers:
        assert [each.attempt.status_code for each in answer.deliveries] == [200]
    assert len(receiver.requests) == 1


async def test_fan_out(client: Client, receiver: Receiver) -> None:
    receiver.decide = lambda request: (200, request.path)
    for n in range(20):
        await client.create(f"{receiver.url}/{n}")
    answer = await client.emit(wait=wait(LONG))
    assert {each.attempt.response_body for each in answer.deliveries} == {f"/{n}" for n in range(20)}
    assert {each.delivery.state for each in answer.deliveries} == {SUCCEEDED}


async def test_the_first_attempt_counts(client: Client, receiver: Receiver) -> None:
    """A retry that has ended since is not told as the attempt; its state is."""
    receiver.answers.extend([(500, ""), (200, "")])
    policy = webhook_pb2.RetryPolicy(delays=[duration_pb2.Duration()], jitter=0.0)
    await client.create(receiver.url, retry_policy=policy)
    first = await client.emit(idempotency_key="k")
    await client.ended(first.event_id)
    (told,) = (await client.emit(idempotency_key="k", wait=wait(LONG))).deliveries
    assert (told.delivery.state, told.delivery.attempt_count) == (SUCCEEDED, 2)
    assert (told.attempt.number, told.attempt.status_code) == (1, 500)


async def test_what_another_node_attempts(client: Client, receiver: Receiver, database_url: str) -> None:
    """One node accepts and hands nothing off; whoever claims it, the waiter learns of it."""
    settings = config(database_url, max_handed_off=0)
    async with (
        serving(settings) as one,
        serving(settings) as two,
        connected(one.address) as first,
        connected(two.address) as second,
    ):
        second.tenant = first.tenant
        await first.create(receiver.url)
        answers = await asyncio.gather(*(node.emit(wait=wait(LONG)) for node in (first, second) * 10))
        assert {each.delivery.state for answer in answers for each in answer.deliveries} == {SUCCEEDED}
        assert sum(len(answer.deliveries) for answer in answers) == 20


async def test_waiters_hold_no_slot(receiver: Receiver, database_url: str) -> None:
    """Two slots in the engine, ten waiters for a receiver that has used up one of them: others flow."""
    settings = config(database_url, max_in_flight=2)
    async with serving(settings) as server, connected(server.address) as client, receiving() as hanging:
        hanging.hold()
        await client.create(hanging.url, event_types=["Role.Created"], max_in_flight=1)
        await client.create(receiver.url, event_types=["User.Created"])
        waiting = [asyncio.create_task(client.emit(type="Role.Created", wait=wait(LONG))) for _ in range(10)]
        await hanging.received(1)
        for n in range(10):
            answer = await client.emit(json.dumps({"n": n}), wait=wait(LONG))
            assert [each.delivery.state for each in answer.deliveries] == [SUCCEEDED]
        assert not any(each.done() for each in waiting)
        assert len(hanging.requests) == 1
        hanging.release()
        for each in waiting:
            assert [told.delivery.state for told in (await each).deliveries] == [SUCCEEDED]


async def test_no_time_at_all(client: Client, receiver: Receiver) -> None:
    """Accepted, and answered with what is known."""
    receiver.hold()
    await client.create(receiver.url)
    answer = await client.emit(wait=wait(NO_TIME))
    (told,) = answer.deliveries
    assert (told.delivery.state, told.HasField("attempt")) == (PENDING, False)
    receiver.release()
    await client.ended(answer.event_id)


async def test_a_webhook_that_does_not_start(client: Client, receiver: Receiver) -> None:
    """At the rate limit a delivery waits; the call does not wait for longer than it was told to."""
    await client.create(receiver.url, rate_limit=0.1)
    first = await client.emit(wait=wait(LONG))
    assert first.deliveries[0].delivery.state == SUCCEEDED
    second = await client.emit(wait=wait(0.05))
    assert second.deliveries[0].delivery.state == PENDING
