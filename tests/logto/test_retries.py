"""Logto's cases of retries, and where Hookpost means to differ: it also retries lost connections and heeds Retry-After.

Logto drops Retry-After because its callers wait for the delivery in memory; here nobody waits, and a receiver that asks
for time gets it, within 24 h.
"""

import time

import pytest

from hookpost.v1 import delivery_pb2
from tests.delivery import wire
from tests.logto.telling import FAILED, PENDING, SIGNATURE, SUCCEEDED, log, retries, told
from tests.receiver import Receiver
from tests.rpc.serving import Client, eventually

pytestmark = pytest.mark.asyncio(loop_scope="package")

DELAY = 0.05  # seconds; what `spaced` expects between attempts
DAY = 24 * 3600


def spaced(entry: delivery_pb2.Delivery) -> bool:
    """Each attempt began no sooner than the delay after the end of the one before."""
    begins = [attempt.start_time.ToNanoseconds() / 1e9 for attempt in entry.attempts]
    ends = [begin + each.latency.ToNanoseconds() / 1e9 for begin, each in zip(begins, entry.attempts, strict=True)]
    return all(begin - end > DELAY - 0.005 for begin, end in zip(begins[1:], ends[:-1], strict=True))


@pytest.mark.parametrize("status", [500, 501, 599])
async def test_server_errors(client: Client, receiver: Receiver, status: int) -> None:
    """hook.retry, utils.retry.test: 500, 501, 599 each → 4 requests, 1 log, result Error."""
    receiver.decide = lambda request: (status, "no")
    webhook = await client.create(receiver.url, event_types=["PostSignIn"], retry_policy=retries(3))
    (entry,) = await told(client, "PostSignIn", {"userId": "u1"})
    assert (entry.state, entry.attempt_count, entry.last_status_code) == (FAILED, 4, status)
    assert [attempt.status_code for attempt in entry.attempts] == [status] * 4
    assert [each.id for each in (await log(client, webhook_id=webhook.id)).deliveries] == [entry.id]
    assert [request.attempt for request in receiver.requests] == [1, 2, 3, 4]
    assert len({(request.body, request.headers[SIGNATURE]) for request in receiver.requests}) == 1


async def test_two_server_errors_and_then_success(client: Client, receiver: Receiver) -> None:
    """hook.retry, utils.retry.test: 500 twice then 200 → 3 requests, 1 Success log."""
    receiver.answers.extend([(500, "no"), (500, "no"), (200, "yes")])
    webhook = await client.create(receiver.url, event_types=["PostSignIn"], retry_policy=retries(3))
    (entry,) = await told(client, "PostSignIn", {})
    assert (entry.state, entry.attempt_count, entry.last_status_code) == (SUCCEEDED, 3, 200)
    assert len(receiver.requests) == 3
    assert [each.id for each in (await log(client, webhook_id=webhook.id)).deliveries] == [entry.id]


@pytest.mark.parametrize("status", [400, 401, 404, 422])
async def test_errors_of_the_request(client: Client, receiver: Receiver, status: int) -> None:
    """hook.retry, utils.retry.test: 400 → 1 request, Error log."""
    receiver.decide = lambda request: (status, "no")
    await client.create(receiver.url, retry_policy=retries(3))
    (entry,) = await told(client, "PostSignIn", {})
    assert (entry.state, entry.attempt_count, entry.last_status_code) == (FAILED, 1, status)
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_any_2xx_is_success(client: Client, receiver: Receiver, status: int) -> None:
    """request: success is 200 to 299; the first one stops."""
    receiver.decide = lambda request: (status, "")
    await client.create(receiver.url, retry_policy=retries(3))
    (entry,) = await told(client, "PostSignIn", {})
    assert (entry.state, entry.attempt_count, entry.last_status_code) == (SUCCEEDED, 1, status)


@pytest.mark.parametrize("count", [0, 1, 2])
async def test_fewer_retries(client: Client, receiver: Receiver, count: int) -> None:
    """utils.retry.test: retries 0 → 1 attempt, 1 → 2; hook.test: legacy `retries: 2`, here a policy of two delays."""
    receiver.decide = lambda request: (500, "")
    await client.create(receiver.url, retry_policy=retries(count))
    (entry,) = await told(client, "PostSignIn", {})
    assert (entry.state, entry.attempt_count) == (FAILED, count + 1)
    assert len(receiver.requests) == count + 1


async def test_retry_after_0(client: Client) -> None:
    """hook.retry: 503 with `Retry-After: 0` → 4 requests, 1 Error log, under 10 s; the planned delays stay."""
    async with wire.receiving(wire.answering(503, headers="retry-after: 0\r\n")) as receiver:
        await client.create(receiver.url, retry_policy=retries(3, milliseconds=round(DELAY * 1000)))
        began = time.monotonic()
        (entry,) = await told(client, "PostSignIn", {})
        assert time.monotonic() - began < 10
        assert (entry.state, entry.attempt_count, len(receiver.requests)) == (FAILED, 4, 4)
        assert spaced(entry)


async def test_retry_after_a_day(client: Client) -> None:
    """hook.retry: 503 with `Retry-After: 86400` → ignored by Logto; here the next attempt is due in a day, as asked."""
    async with wire.receiving(wire.answering(503, headers="retry-after: 86400\r\n")) as receiver:
        webhook = await client.create(receiver.url, retry_policy=retries(3))
        event = await client.emit(type="PostSignIn")

        async def attempted() -> delivery_pb2.Delivery | None:
            (entry,) = (await client.event(event.event_id)).deliveries
            return entry if entry.attempt_count else None

        entry = await eventually(attempted)
        assert (entry.state, entry.attempt_count, entry.last_status_code) == (PENDING, 1, 503)
        wait = entry.next_attempt_time.ToNanoseconds() / 1e9 - time.time()
        assert DAY - 30 < wait < DAY + 5
        assert len(receiver.requests) == 1
        assert [each.id for each in (await log(client, webhook_id=webhook.id)).deliveries] == [entry.id]


async def test_retry_after_is_for_429_and_503(client: Client) -> None:
    """hook.retry, `Retry-After: 86400` again: with any other status it is ignored here too."""
    async with wire.receiving(wire.answering(500, headers="retry-after: 86400\r\n")) as receiver:
        await client.create(receiver.url, retry_policy=retries(3))
        (entry,) = await told(client, "PostSignIn", {})
        assert (entry.state, entry.attempt_count, len(receiver.requests)) == (FAILED, 4, 4)


async def reset(exchange: wire.Exchange) -> None:
    exchange.reset()


async def test_connection_reset(client: Client) -> None:
    """utils.retry.test: connection reset → 1 attempt; here transport failures are retried as a 500 is."""
    async with wire.receiving(reset) as receiver:
        webhook = await client.create(receiver.url, event_types=["PostSignIn"], retry_policy=retries(3))
        (entry,) = await told(client, "PostSignIn", {})
        assert (entry.state, entry.attempt_count, len(receiver.requests)) == (FAILED, 4, 4)
        lost = delivery_pb2.ATTEMPT_OUTCOME_CONNECTION_LOST
        assert [attempt.outcome for attempt in entry.attempts] == [lost] * 4
        assert [each.id for each in (await log(client, webhook_id=webhook.id)).deliveries] == [entry.id]


async def test_connection_reset_without_retries(client: Client) -> None:
    """utils.retry.test: connection reset → 1 attempt, for who wants just that: a policy without retries."""
    async with wire.receiving(reset) as receiver:
        await client.create(receiver.url, retry_policy=retries(0))
        (entry,) = await told(client, "PostSignIn", {})
        assert (entry.state, entry.attempt_count, len(receiver.requests)) == (FAILED, 1, 1)


async def test_no_answer_in_time(client: Client, receiver: Receiver) -> None:
    """request: a time-out aborts the attempt; Logto ends there, here it is retried."""
    receiver.hold()
    webhook = await client.create(receiver.url, retry_policy=retries(1))
    await client.update(webhook.id, "timeout", timeout={"nanos": 100_000_000})
    (entry,) = await told(client, "PostSignIn", {})
    timed_out = delivery_pb2.ATTEMPT_OUTCOME_TIMED_OUT
    assert [attempt.outcome for attempt in entry.attempts] == [timed_out] * 2
    assert entry.state == FAILED
    assert "answer 2xx first" in entry.attempts[0].explanation, "the advice of Logto's docs, where it is needed"
