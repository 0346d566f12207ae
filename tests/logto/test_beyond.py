"""What Logto's users ask for and Logto does not do."""

import asyncio
import json
import uuid

import pytest

from hookpost.v1 import (
    delivery_pb2,
    delivery_service_pb2,
    event_service_pb2,
    event_type_pb2,
    event_type_service_pb2,
)
from tests.logto.payloads import interaction
from tests.logto.telling import FAILED, SUCCEEDED, names, retries, told
from tests.receiver import Receiver, receiving
from tests.rpc.serving import Client

pytestmark = pytest.mark.asyncio(loop_scope="package")


async def test_the_caller_never_waits(client: Client, receiver: Receiver) -> None:
    """docs: asynchronous; the user's flow neither waits for a receiver nor fails with it."""
    receiver.hold()
    await client.create(receiver.url)
    event = await client.emit(json.dumps(interaction("PostSignIn")), type="PostSignIn")
    await receiver.received(1)
    (entry,) = (await client.event(event.event_id)).deliveries
    assert entry.state == delivery_pb2.DELIVERY_STATE_PENDING
    receiver.release()
    (entry,) = await client.ended(event.event_id)
    assert entry.state == SUCCEEDED


async def test_the_caller_may_wait(client: Client, receiver: Receiver) -> None:
    """docs: synchronous webhooks, "not yet, in future": an emit that waits gets each receiver's answer."""
    receiver.decide = lambda request: (200, "let in") if request.path == "/yes" else (403, "keep out")
    ids = {(await client.create(f"{receiver.url}/{path}")).id: path for path in ("yes", "no")}
    answer = await client.emit(
        json.dumps(interaction("PostSignIn")),
        type="PostSignIn",
        wait=event_service_pb2.Wait(timeout={"seconds": 20}),
    )
    told_so = {ids[each.delivery.webhook_id]: each.attempt for each in answer.deliveries}
    assert (told_so["yes"].status_code, told_so["yes"].response_body) == (200, "let in")
    assert (told_so["no"].status_code, told_so["no"].response_body) == (403, "keep out")


async def test_a_message_has_an_id(client: Client, receiver: Receiver) -> None:
    """#3932: a unique message id per request, drafted and dropped; here the same one in every attempt."""
    receiver.answers.extend([(500, ""), (200, "")])
    await client.create(receiver.url, retry_policy=retries(1))
    (entry,) = await told(client, "PostSignIn", {})
    assert [request.event_id for request in receiver.requests] == [entry.event_id] * 2
    assert [request.delivery_id for request in receiver.requests] == [entry.id] * 2


async def test_a_request_can_be_sent_again(client: Client, receiver: Receiver) -> None:
    """asked for: manual resend of a logged request: the same body, in the same entry."""
    receiver.answers.append((400, ""))
    await client.create(receiver.url)
    (entry,) = await told(client, "PostSignIn", {"userId": "u1"})
    assert entry.state == FAILED
    request = delivery_service_pb2.RedeliverDeliveryRequest(delivery_id=entry.id, tenant_id=client.tenant)
    await client.deliveries.RedeliverDelivery(request)
    (again,) = await client.ended(entry.event_id)
    assert (again.id, again.state, again.attempt_count) == (entry.id, SUCCEEDED, 2)
    first, second = receiver.requests
    assert first.body == second.body


async def test_a_receiver_that_was_away(client: Client) -> None:
    """#5099: cache messages while the receiver is offline and retry periodically."""
    async with receiving() as receiver:
        url = receiver.url
    webhook = await client.create(url, retry_policy=retries(0))
    missed = [(await told(client, "PostSignIn", {"number": number}))[0] for number in range(3)]
    assert [entry.state for entry in missed] == [FAILED] * 3
    async with receiving() as receiver:
        await client.update(webhook.id, "url", url=receiver.url)
        filter = delivery_service_pb2.DeliveryFilter(webhook_id=webhook.id)
        replay = delivery_service_pb2.ReplayDeliveriesRequest(tenant_id=client.tenant, filter=filter, rate=1000)
        assert (await client.deliveries.ReplayDeliveries(replay)).delivery_count == 3
        for entry in missed:
            (again,) = await client.ended(entry.event_id)
            assert (again.id, again.state) == (entry.id, SUCCEEDED)
        assert sorted(request.json["number"] for request in receiver.requests) == [0, 1, 2]


@pytest.mark.parametrize("what", ["role assignment", "social sign-in with tokens"])
async def test_an_event_of_ones_own(client: Client, receiver: Receiver, what: str) -> None:
    """#6750: an event when a member's roles change; #4521: one after a social sign-in, with tokens: whoever misses an
    event adds its type to the catalogue."""
    name = f"Own{uuid.uuid4().hex[:8]}.{what.title().replace(' ', '').replace('-', '')}"
    event_type = event_type_pb2.EventType(name=name, description=what)
    await client.types.CreateEventType(event_type_service_pb2.CreateEventTypeRequest(event_type=event_type))
    await client.create(receiver.url, event_types=[name])
    await told(client, name, {"userId": "u1", "roleIds": ["r1"]})
    assert names([request.json for request in receiver.requests]) == [name]


async def test_the_use_cases(client: Client, receiver: Receiver) -> None:
    """docs, use cases: a welcome mail, a notice to the CRM, role assignment, data sync and reports are webhooks beside
    each other; one that is slow or fails holds up none."""
    receiver.decide = lambda request: (500 if request.path == "/crm" else 200, "")
    for path, event_types in {
        "mail": ["PostRegister"],
        "crm": ["PostRegister", "User.Data.Updated"],
        "roles": ["PostRegister"],
        "sync": ["User.*", "PostRegister"],
        "reports": ["*"],
    }.items():
        await client.create(f"{receiver.url}/{path}", event_types=event_types, retry_policy=retries(3))
    entries = await told(client, "PostRegister", interaction("PostRegister"))
    assert sorted(entry.state for entry in entries) == [SUCCEEDED] * 4 + [FAILED]
    paths = [request.path for request in receiver.requests]
    assert {path: paths.count(path) for path in set(paths)} == {
        "/mail": 1,
        "/crm": 4,
        "/roles": 1,
        "/sync": 1,
        "/reports": 1,
    }


async def test_all_changes_can_be_watched(client: Client, receiver: Receiver) -> None:
    """asked for: no auto-refresh of the log in Logto; here a stream tells each change."""
    await client.create(receiver.url)
    request = delivery_service_pb2.WatchDeliveriesRequest(tenant_id=client.tenant)
    call = client.deliveries.WatchDeliveries(request)
    assert (await call.read()).resume_token  # from here on
    (entry,) = await told(client, "PostSignIn", {})
    state = None
    async with asyncio.timeout(20):
        while state != SUCCEEDED:
            change = (await call.read()).delivery
            state = change.state if change.id == entry.id else state
    call.cancel()
