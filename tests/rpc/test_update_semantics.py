"""Changes of a webhook apply to every attempt that starts later than 2 s after the answer, on all nodes.

No test waits for the 2 s: each tries until the change shows, and from then on it must stay.
"""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import pytest
import pytest_asyncio
from google.protobuf import duration_pb2
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from hookpost.v1 import delivery_pb2, delivery_service_pb2, webhook_pb2, webhook_service_pb2
from tests.receiver import Received, Receiver
from tests.rpc.serving import Client, Server, config, connected, eventually, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

BOUND = 2.0  # seconds, as UpdateWebhook promises
DELETED = 3.0  # as DeleteWebhook does
SLACK = 3.0  # seconds for a busy machine
PENDING, SUCCEEDED = delivery_pb2.DELIVERY_STATE_PENDING, delivery_pb2.DELIVERY_STATE_SUCCEEDED
CANCELLED = delivery_pb2.DELIVERY_STATE_CANCELLED


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def second_server(server: Server, module_database_url: str) -> AsyncIterator[Server]:
    async with serving(config(module_database_url)) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def nodes(client: Client, second_server: Server) -> AsyncIterator[list[Client]]:
    """A client of each of two servers on one database, both of one tenant."""
    async with connected(second_server.address) as other:
        other.tenant = client.tenant
        yield [client, other]


def named(client: Client, webhook: webhook_pb2.Webhook) -> dict[str, str]:
    return {"webhook_id": webhook.id, "tenant_id": client.tenant}


async def sent_by(node: Client, receiver: Receiver) -> Received:
    """The request of a new event that this node accepts, and so attempts."""
    event = await node.emit()
    (entry,) = await node.ended(event.event_id)
    assert entry.state == SUCCEEDED
    return next(request for request in receiver.requests if request.event_id == event.event_id)


def headers(request: Received) -> str:
    return request.headers.get("x-team", "")


CHANGES: dict[str, tuple[dict[str, object], Callable[[Received], object], object]] = {
    "url": ({"url": "/new"}, lambda request: request.path, "/new"),
    "headers": ({"headers": {"X-Team": "ops"}}, headers, "ops"),
    "payload_format": ({"payload_format": 4}, lambda request: request.body, b"{}"),
}


@pytest.mark.parametrize("field", CHANGES)
async def test_settings(nodes: list[Client], receiver: Receiver, field: str) -> None:
    given, shown, expected = CHANGES[field]
    changed = {name: receiver.url + value if name == "url" else value for name, value in given.items()}
    webhook = await nodes[0].create(f"{receiver.url}/old", headers={"X-Team": "crm"})
    for node in nodes:  # each has the old settings in mind
        assert shown(await sent_by(node, receiver)) != expected
    await nodes[0].update(webhook.id, field, **changed)
    for node in nodes:

        async def applied(node: Client = node) -> bool | None:
            return True if shown(await sent_by(node, receiver)) == expected else None

        await eventually(applied, BOUND + SLACK)
        assert shown(await sent_by(node, receiver)) == expected


async def test_the_key(nodes: list[Client], receiver: Receiver) -> None:
    webhook = await nodes[0].create(receiver.url)
    for node in nodes:
        await sent_by(node, receiver)
    rotated = await nodes[0].webhooks.RotateSigningKey(
        webhook_service_pb2.RotateSigningKeyRequest(**named(nodes[0], webhook))
    )
    for node in nodes:

        async def signed(node: Client = node) -> bool | None:
            request = await sent_by(node, receiver)
            try:
                Verifier(rotated.signing_key).verify(request.body, request.headers)
            except WebhookVerificationError:
                return None
            return True

        await eventually(signed, BOUND + SLACK)
        assert await signed(node)


async def test_events(nodes: list[Client], receiver: Receiver) -> None:
    """Matching is the commit's own: there is no moment in which an old list holds."""
    webhook = await nodes[0].create(receiver.url, event_types=["User.Created"])
    for kinds, counts in ((["Role.*"], (0, 1)), (["*"], (1, 1)), (["User.Created"], (1, 0))):
        await nodes[0].update(webhook.id, "event_types", event_types=kinds)
        for node in nodes:
            found = [(await node.emit(type=kind)).delivery_count for kind in ("User.Created", "Role.Created")]
            assert tuple(found) == counts


@pytest.mark.case("H2")
async def test_a_retry_goes_by_what_holds_then(nodes: list[Client], receiver: Receiver) -> None:
    """The entry's first attempt went to a URL that was wrong."""
    receiver.decide = lambda request: (200 if request.path == "/right" else 500, "")
    policy = webhook_pb2.RetryPolicy(delays=[duration_pb2.Duration(nanos=200_000_000)] * 19, jitter=0.0)
    webhook = await nodes[0].create(f"{receiver.url}/wrong", retry_policy=policy)
    event = await nodes[0].emit()
    await receiver.received(1)
    await nodes[1].update(webhook.id, "url", url=f"{receiver.url}/right")
    (entry,) = await nodes[0].ended(event.event_id)
    assert entry.state == SUCCEEDED
    urls = [attempt.url.removeprefix(receiver.url) for attempt in entry.attempts]
    assert urls == sorted(urls, reverse=True)  # once right, never wrong again
    assert {urls[0], urls[-1]} == {"/wrong", "/right"}


async def waiting(client: Client, receiver: Receiver, count: int, **settings: object) -> webhook_pb2.Webhook:
    """A webhook with one attempt under way and further deliveries that wait for it in the server's memory."""
    receiver.hold()
    webhook = await client.create(receiver.url, max_in_flight=1, **settings)
    for _ in range(count):
        await client.emit()
    await receiver.until(lambda receiver: receiver.waiting == 1)
    return webhook


async def entries(client: Client) -> list[delivery_pb2.Delivery]:
    request = delivery_service_pb2.ListDeliveriesRequest(tenant_id=client.tenant, page_size=1000)
    return list((await client.deliveries.ListDeliveries(request)).deliveries)


@pytest.mark.parametrize("by", [0, 1], ids=["same-node", "other-node"])
@pytest.mark.case("H1")
async def test_disable_and_enable(nodes: list[Client], receiver: Receiver, by: int) -> None:
    """Soon nothing new starts; what is under way ends; what waits is kept and goes on; new events are not for it."""
    client, count = nodes[0], 30
    webhook = await waiting(client, receiver, count, rate_limit=10)  # so slow that some are left when it is known
    disabled = await nodes[by].webhooks.DisableWebhook(
        webhook_service_pb2.DisableWebhookRequest(**named(client, webhook))
    )
    assert disabled.webhook.state == webhook_pb2.WEBHOOK_STATE_DISABLED
    receiver.release()
    assert (await client.emit()).delivery_count == 0

    async def given_back() -> list[delivery_pb2.Delivery] | None:
        """None is leased any more: nobody will attempt them, for only those of active webhooks are claimed."""
        found = await entries(client)
        pending = [each for each in found if each.state == PENDING]
        leased = max(each.next_attempt_time.ToDatetime() for each in pending) > datetime.now(UTC).replace(tzinfo=None)
        return None if leased or receiver.waiting else pending

    pending = await eventually(given_back)
    assert 0 < len(pending) < count
    assert {each.attempt_count for each in pending} == {0}
    assert len(receiver.requests) == count - len(pending)
    await client.update(webhook.id, "rate_limit", rate_limit=0)
    assert len(receiver.requests) == count - len(pending)

    await nodes[by].webhooks.EnableWebhook(webhook_service_pb2.EnableWebhookRequest(**named(client, webhook)))

    async def all_sent() -> bool | None:
        return True if {each.state for each in await entries(client)} == {SUCCEEDED} else None

    await eventually(all_sent)
    assert len({request.delivery_id for request in receiver.requests}) == len(receiver.requests) == count


@pytest.mark.parametrize("by", [0, 1], ids=["same-node", "other-node"])
@pytest.mark.parametrize(
    ("status", "end"),
    [(200, SUCCEEDED), (404, delivery_pb2.DELIVERY_STATE_FAILED), (500, CANCELLED)],
    ids=["succeeds", "is-refused", "would-be-retried"],
)
@pytest.mark.case("H1")
async def test_delete(nodes: list[Client], receiver: Receiver, by: int, status: int, end: int) -> None:
    """What waits is cancelled, at once in the queue and soon in memory; what is under way ends and is logged."""
    client = nodes[0]
    receiver.answers.append((500, "later"))
    policy = webhook_pb2.RetryPolicy(delays=[duration_pb2.Duration(seconds=3600)] * 3, jitter=0.0)
    webhook = await client.create(receiver.url, max_in_flight=1, retry_policy=policy)
    retried = (await client.emit()).event_id

    async def has_failed() -> bool | None:
        (entry,) = (await client.event(retried)).deliveries
        return True if entry.attempt_count else None

    await eventually(has_failed)
    receiver.hold()
    under_way, *waiting = [(await client.emit()).event_id for _ in range(4)]
    await receiver.until(lambda receiver: receiver.waiting == 1)
    answer = await nodes[by].webhooks.DeleteWebhook(webhook_service_pb2.DeleteWebhookRequest(**named(client, webhook)))
    assert answer.cancelled_delivery_count == 1
    assert await states(client, [retried]) == [CANCELLED]

    async def only_one_left() -> bool | None:
        return True if await states(client, waiting) == [CANCELLED] * 3 else None

    await eventually(only_one_left, DELETED + SLACK)
    assert await states(client, [under_way]) == [PENDING]
    receiver.answers.append((status, "the end"))
    receiver.release()
    (entry,) = await client.ended(under_way)
    assert (entry.state, entry.HasField("next_attempt_time")) == (end, False)
    assert [attempt.status_code for attempt in entry.attempts] == [status]
    before = await entries(client)
    assert sorted((each.event_id, each.attempt_count) for each in before) == sorted(
        [(retried, 1), (under_way, 1), *((event_id, 0) for event_id in waiting)]
    )
    # Nothing more is made, sent, or changed, while others' deliveries go on.
    other = await client.create(f"{receiver.url}/other", event_types=["Role.Created"])
    assert (await client.emit()).delivery_count == 0
    await client.ended((await client.emit(type="Role.Created")).event_id)
    assert [each for each in await entries(client) if each.webhook_id != other.id] == before
    assert [request.path for request in receiver.requests] == ["/", "/", "/other"]


async def states(client: Client, event_ids: list[str]) -> list[int]:
    """Of the one delivery that each of these events has."""
    return [entry.state for event_id in event_ids for entry in (await client.event(event_id)).deliveries]
