"""Events: the list with its filters, where each went, and who did not get it and why."""

from __future__ import annotations

import re

import asyncpg
import pytest

from hookpost.v1 import webhook_pb2, webhook_service_pb2
from tests.receiver import Receiver
from tests.rpc.serving import Client

from .visitor import Page, Visitor

pytestmark = pytest.mark.asyncio(loop_scope="module")

NO_RETRY = webhook_pb2.RetryPolicy(schedule=webhook_pb2.RETRY_SCHEDULE_NONE)


def rows(page: Page) -> list[str]:
    return [Page(200, "", each, {}).words for each in re.findall(r"<tr data-row.*?</tr>", page.text, flags=re.DOTALL)]


def named(page: Page) -> list[str]:
    """The ids that the rows tell."""
    return [re.findall(r"(?:evt|dlv)_\w{26}", row)[0] for row in rows(page)]


async def test_nothing_yet(visitor: Visitor, client: Client) -> None:
    page = await visitor.get(f"/t/{client.tenant}/events")
    assert "No events in this time" in page.words and f"--tenant {client.tenant}" in page.words
    page = await visitor.get(f"/t/{client.tenant}/events?event=User.Created")
    assert "No event matches" in page.words and f"/t/{client.tenant}/events" in page.links


async def test_the_list_counts_deliveries(visitor: Visitor, client: Client, receiver: Receiver) -> None:
    await client.create(receiver.url, retry_policy=NO_RETRY, event_types=["User.*"])
    await client.create(f"{receiver.url}/bad", retry_policy=NO_RETRY, event_types=["User.Created"])
    receiver.decide = lambda request: (500, "") if request.path == "/bad" else (200, "")
    first = (await client.emit('{"data": 1}')).event_id
    second = (await client.emit(type="Role.Created")).event_id
    deliveries = await client.ended(first)
    base = f"/t/{client.tenant}/events"
    newest, oldest = rows(await visitor.get(base))
    assert newest.startswith(f"Role.Created {second} to nobody") and newest.endswith("2 B")
    assert oldest.startswith(f"User.Created {first} 1 delivered 1 failed")
    assert named(await visitor.get(f"{base}?event=Role.Created")) == [second]
    assert named(await visitor.get(f"{base}?id={first}")) == [first]
    assert named(await visitor.get(f"{base}?id={deliveries[0].id}")) == [first], "a delivery's id leads to its event"
    page = await visitor.get(f"{base}?id=nonsense")
    assert "An id begins with" in page.words and not rows(page)
    assert "No event matches" in (await visitor.get(f"{base}?range=custom&to=2020-01-01T00:00&event=A")).words


async def test_pages(visitor: Visitor, client: Client) -> None:
    for _ in range(26):
        await client.emit()
    base = f"/t/{client.tenant}/events"
    first = await visitor.get(base)
    assert len(rows(first)) == 25
    older = next(link for link in first.links if "before=" in link)
    second = await visitor.get(older)
    assert len(rows(second)) == 1 and named(second)[0] not in named(first)
    assert base in second.links, "back to the newest"


async def test_who_did_not_get_it_and_why(visitor: Visitor, client: Client, receiver: Receiver) -> None:
    await client.create(receiver.url, name="got <it>", retry_policy=NO_RETRY)
    await client.create(receiver.url, name="other <u>interests</u>", event_types=["Role.*"])
    off = await client.create(receiver.url, name="switched off")
    await client.webhooks.DisableWebhook(
        webhook_service_pb2.DisableWebhookRequest(webhook_id=off.id, tenant_id=client.tenant, reason="holidays")
    )
    event_id = (await client.emit('{"data": {"n": 1e3}}', idempotency_key="k-1")).event_id
    await client.ended(event_id)
    late = await client.create(receiver.url, name="came later")
    page = await visitor.get(f"/t/{client.tenant}/events/{event_id}")
    assert len(rows(page)) == 1 and "got <it>" in rows(page)[0] and "<it>" not in page.text
    others = page.words.split("Who did not get it")[1]
    assert "other <u>interests</u> it does not subscribe to User.Created" in others and "<u>" not in page.text
    assert "got <it>" not in others
    assert "switched off it subscribes to *, but is disabled: holidays" in page.words
    assert "came later It would get such an event now" in page.words
    assert f"/t/{client.tenant}/webhooks/{late.id}/replay?missed=1" in page.links
    assert "Idempotency key k-1" in page.words and '"n": 1e3' in page.words.replace("&#34;", '"')
    raw = await visitor.get(f"/t/{client.tenant}/events/{event_id}?as=raw")
    assert '{"data": {"n": 1e3}}' in raw.words
    download = await visitor.get(f"/t/{client.tenant}/events/{event_id}/payload")
    assert download.text == '{"data": {"n": 1e3}}' and download.headers["Content-Disposition"].startswith("attachment")


async def test_without_webhooks(visitor: Visitor, client: Client) -> None:
    event_id = (await client.emit()).event_id
    page = await visitor.get(f"/t/{client.tenant}/events/{event_id}")
    assert "No webhook got this event" in page.words and "Who did not get it" not in page.words


async def test_many_deliveries_come_in_pages(visitor: Visitor, client: Client, receiver: Receiver) -> None:
    for number in range(51):
        await client.create(receiver.url, name=f"w{number}", retry_policy=NO_RETRY)
    event_id = (await client.emit()).event_id
    await client.ended(event_id)
    path = f"/t/{client.tenant}/events/{event_id}"
    first, second = await visitor.get(path), await visitor.get(f"{path}?page=2")
    assert f"{path}?page=2" in first.links and path in second.links
    assert (len(rows(first)), len(rows(second))) == (50, 1)
    assert not set(named(first)) & set(named(second))
    assert named(await visitor.get(f"{path}?page=77")) == named(second), "beyond the last is the last"
    assert named(await visitor.get(f"{path}?page=x")) == named(first)


async def test_a_payload_that_is_no_longer_kept(
    visitor: Visitor, client: Client, receiver: Receiver, module_database_url: str
) -> None:
    webhook = await client.create(receiver.url, retry_policy=NO_RETRY)
    event_id = (await client.emit('{"data": 1}')).event_id
    delivery = (await client.ended(event_id))[0]
    connection = await asyncpg.connect(module_database_url)
    try:
        await connection.execute("update events set payload = null where tenant_id = $1", client.tenant)
        await connection.execute("update attempts set response_body = null where tenant_id = $1", client.tenant)
    finally:
        await connection.close()
    root = f"/t/{client.tenant}"
    page = await visitor.get(f"{root}/events/{event_id}")
    assert "The server keeps payloads for 7 d; this one has been removed" in page.words
    assert (await visitor.get(f"{root}/events/{event_id}/payload")).status == 404
    assert "removed" in rows(await visitor.get(f"{root}/events"))[0]
    path = f"{root}/deliveries/{delivery.id}"
    assert "this one has been removed" in (await visitor.get(path)).words
    assert "The server keeps answers for 7 d" in (await visitor.get(f"{path}/response")).words
    assert (await visitor.post(f"{path}/curl")).status == 409
    assert (await visitor.post(f"{path}/grpcurl")).status == 409
    assert webhook.id in (await visitor.get(path)).text


async def test_another_tenant_sees_nothing_of_it(visitor: Visitor, client: Client) -> None:
    event_id = (await client.emit()).event_id
    assert (await visitor.get(f"/t/{client.tenant}/events/{event_id}")).status == 200
    assert (await visitor.get(f"/t/stranger/events/{event_id}")).status == 404
    assert (await visitor.get("/t/stranger/events/evt_x")).status == 404
