"""F2, F4, F5: a key that is bound to a tenant sees, changes and guesses nothing of another's."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any

import grpc
import pytest
import pytest_asyncio

from hookpost.v1 import (
    api_key_pb2,
    api_key_service_pb2,
    delivery_pb2,
    delivery_service_pb2,
    error_reason_pb2,
    event_service_pb2,
    webhook_pb2,
    webhook_service_pb2,
)
from hookpost_server.actions import failure_limit
from hookpost_server.domain import ids
from hookpost_server.domain.api_key import ALL_TENANTS, Scope
from tests.receiver import Receiver, receiving
from tests.rpc.serving import Refusal, counts
from tests.security.calling import METHODS, Authorized, Caller, Path, Secured, name_tenant, request_of, tenant_places

pytestmark = pytest.mark.asyncio(loop_scope="module")

MINE, THEIRS = "mine", "theirs"
PLACES = [(method, place) for method, each in METHODS.items() for place in tenant_places(each.input_type)]
PREFIXES = {"webhook": "whk", "event": "evt", "delivery": "dlv", "api_key": "key", "replay": "rpl"}


@dataclass
class Both:
    """Two tenants with a webhook, an event, a delivery, a replay and a key each, and the key of each's all."""

    mine: Caller
    theirs: Caller
    own: dict[str, str]
    foreign: dict[str, str]


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failure_limit, "BURST", 1e9)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def both(secured: Secured) -> AsyncIterator[Both]:
    mine, theirs = [await secured.caller(Scope.ADMIN, tenant=tenant) for tenant in (MINE, THEIRS)]
    async with receiving() as receiver:
        yield Both(mine, theirs, await things(secured, mine, receiver), await things(secured, theirs, receiver))


async def things(secured: Secured, caller: Caller, receiver: Receiver) -> dict[str, str]:
    """Made without naming a tenant: it is the key's."""
    client = Authorized(secured.channel, caller.key or "")
    client.tenant = ""
    webhook = await client.create(receiver.url)
    event = await client.emit()
    (delivery,) = await client.ended(event.event_id)
    replay = await client.replay(webhook_id=webhook.id, states=[2])
    made = await client.keys.CreateApiKey(
        api_key_service_pb2.CreateApiKeyRequest(
            api_key=api_key_pb2.ApiKey(name="n", scopes=[api_key_pb2.API_KEY_SCOPE_READ])
        )
    )
    await client.ended(event.event_id)
    return {
        "webhook": webhook.id, "event": event.event_id, "delivery": delivery.id, "replay": replay.replay_id,
        "api_key": made.api_key.id, "tenant": webhook.tenant_id, "api_key_tenant": made.api_key.tenant_id,
    }  # fmt: skip


async def test_f2_what_a_bound_key_makes_is_its_tenants(both: Both) -> None:
    assert (both.own["tenant"], both.own["api_key_tenant"]) == (MINE, MINE)
    assert (both.foreign["tenant"], both.foreign["api_key_tenant"]) == (THEIRS, THEIRS)


@pytest.mark.parametrize(("method", "place"), PLACES, ids=[f"{m}:{'.'.join(p)}" for m, p in PLACES])
async def test_f2_no_place_of_a_request_names_another_tenant(
    both: Both, secured: Secured, method: str, place: Path
) -> None:
    """Wherever it may be named, whether it exists or not, in the same words."""
    before = await counts(secured.database_url, THEIRS)
    for tenant in (THEIRS, "default", "nobody", ALL_TENANTS, MINE.upper()):
        request = request_of(method)
        name_tenant(request, place, tenant)
        if METHODS[method].client_streaming:
            answer = await both.mine.call(method, request)
            assert answer.results[0].error.reason == error_reason_pb2.ERROR_REASON_RESOURCE_NOT_FOUND
            assert answer.results[0].error.message == f'no tenant "{tenant}"'
            continue
        said = await both.mine.refused(method, request)
        if place[0] == "requests":  # an entry of a batch
            assert said.violations["requests[0].tenant_id"]
        else:
            assert (said.code, said.message) == (grpc.StatusCode.NOT_FOUND, f'no tenant "{tenant}"')
    assert await counts(secured.database_url, THEIRS) == before


BY_ID = {
    (method, field.name): field.name.removesuffix("_id")
    for method, each in METHODS.items()
    for field in each.input_type.fields
    if field.name.removesuffix("_id") in PREFIXES and field.name.endswith("_id")
} | {("WebhookService/UpdateWebhook", "webhook.id"): "webhook"}


def naming(method: str, field: str, identity: str) -> Any:
    request = request_of(method)
    if field == "webhook.id":
        request.webhook.id, request.webhook.name = identity, "taken over"
    else:
        setattr(request, field, identity)
    return request


def without(refusal: Refusal, name: str) -> Refusal:
    """What was said, without the id that the caller gave."""
    assert refusal.resource
    assert (refusal.resource.resource_name, refusal.resource.owner) == (name, "")
    return replace(refusal, message=refusal.message.replace(name, "…"), resource=None)


@pytest.mark.parametrize(("method", "field"), BY_ID, ids=lambda text: text)
async def test_f2_a_foreign_id_is_as_good_as_none(both: Both, secured: Secured, method: str, field: str) -> None:
    kind = BY_ID[method, field]
    unknown = f"{PREFIXES[kind]}_{'0' * 26}"
    before = await counts(secured.database_url, THEIRS)
    said = without(await both.mine.refused(method, naming(method, field, both.foreign[kind])), both.foreign[kind])
    assert said == without(await both.mine.refused(method, naming(method, field, unknown)), unknown)
    assert said.code == grpc.StatusCode.NOT_FOUND
    assert await counts(secured.database_url, THEIRS) == before
    await both.theirs.call("WebhookService/GetWebhook", naming("WebhookService/GetWebhook", "webhook_id",
                                                               both.foreign["webhook"]))  # fmt: skip


LISTS = {
    "webhooks": ("WebhookService/ListWebhooks", {}),
    "events": ("EventService/ListEvents", {}),
    "deliveries": ("DeliveryService/ListDeliveries", {}),
    "api_keys": ("ApiKeyService/ListApiKeys", {}),
}


@pytest.mark.parametrize("items", LISTS)
async def test_f4_lists_show_the_own_ones(both: Both, items: str) -> None:
    method, _ = LISTS[items]
    found = getattr(await both.mine.call(method, request_of(method)), items)
    assert found
    assert {each.tenant_id for each in found} == {MINE}


@pytest.mark.parametrize("kind", ["webhook", "event", "replay"])
async def test_f4_foreign_ids_in_filters_find_nothing(both: Both, secured: Secured, kind: str) -> None:
    given = {f"{kind}_id": both.foreign[kind]}
    filter = delivery_service_pb2.DeliveryFilter(**given)
    listed = await both.mine.call(
        "DeliveryService/ListDeliveries", delivery_service_pb2.ListDeliveriesRequest(filter=filter)
    )
    assert list(listed.deliveries) == []
    before = await counts(secured.database_url, THEIRS)
    filter.states.append(2)
    for dry_run in (True, False):
        request = delivery_service_pb2.ReplayDeliveriesRequest(filter=filter, dry_run=dry_run)
        assert (await both.mine.call("DeliveryService/ReplayDeliveries", request)).delivery_count == 0
    assert await counts(secured.database_url, THEIRS) == before


async def test_f4_a_batch_with_one_foreign_among_99_own(both: Both, secured: Secured) -> None:
    before = [await counts(secured.database_url, tenant) for tenant in (MINE, THEIRS)]
    own = event_service_pb2.EmitEventRequest(type="User.Created", json="{}")
    request = event_service_pb2.BatchEmitEventsRequest(requests=[own] * 100)
    request.requests[42].tenant_id = THEIRS
    said = await both.mine.refused("EventService/BatchEmitEvents", request)
    assert said.violations.keys() == {"requests[42].tenant_id"}
    assert [await counts(secured.database_url, tenant) for tenant in (MINE, THEIRS)] == before


async def test_f4_a_stream_goes_on_after_a_foreign_event(both: Both, secured: Secured) -> None:
    client = Authorized(secured.channel, both.mine.key or "")
    stream = client.events.StreamEmitEvents()
    for sequence, tenant in enumerate((THEIRS, "", MINE)):
        event = event_service_pb2.EmitEventRequest(type="User.Created", json="{}", tenant_id=tenant)
        await stream.write(event_service_pb2.StreamEmitEventsRequest(sequence=sequence, event=event))
    await stream.done_writing()
    results = {each.sequence: each async for answer in stream for each in answer.results}
    assert [results[n].HasField("error") for n in range(3)] == [True, False, False]
    for sequence in (1, 2):
        request = event_service_pb2.GetEventRequest(event_id=results[sequence].response.event_id)
        assert (await client.events.GetEvent(request)).event.tenant_id == MINE


async def test_f4_a_watch_tells_of_the_own_ones(both: Both, secured: Secured) -> None:
    watching, other = (Authorized(secured.channel, caller.key or "") for caller in (both.mine, both.theirs))
    watching.tenant = other.tenant = ""
    watch = watching.watch()
    await watch.read()
    await other.emit()
    mine = await watching.emit()

    told: list[delivery_pb2.Delivery] = []
    while mine.event_id not in [each.event_id for each in told]:
        told.append((await watch.read()).delivery)
    assert {each.tenant_id for each in told} <= {MINE, ""}
    watch.cancel()


async def pages(secured: Secured, tenant: str) -> tuple[Caller, str]:
    """A caller of a new tenant with three webhooks, and the token of the second page of one."""
    caller = await secured.caller(Scope.ADMIN, tenant=tenant)
    for name in "abc":
        webhook = webhook_pb2.Webhook(name=name, url="https://example.com/", event_types=["*"])
        await caller.call("WebhookService/CreateWebhook", webhook_service_pb2.CreateWebhookRequest(webhook=webhook))
    request = webhook_service_pb2.ListWebhooksRequest(page_size=1)
    return caller, (await caller.call("WebhookService/ListWebhooks", request)).next_page_token


FORGERIES: dict[str, Callable[[str], str]] = {
    "truncated": lambda token: token[:-4],
    "of nothing": lambda token: "AAAA",
    "flipped": lambda token: ("B" if token[0] != "B" else "C") + token[1:],
    "no base64": lambda token: "!" * 20,
    "of another version": lambda token: base64.urlsafe_b64encode(b"\x00" + base64.urlsafe_b64decode(token + "==")[1:])
    .decode().rstrip("="),
    "lengthened": lambda token: token + "AAAA",
    "very long": lambda token: token * 1000,
    "not ASCII": lambda token: token + "é",
}  # fmt: skip


async def test_f5_a_page_token_is_its_tenants_own(secured: Secured) -> None:
    one, token = await pages(secured, "pages-one")
    other, _ = await pages(secured, "pages-two")
    request = webhook_service_pb2.ListWebhooksRequest(page_token=token, page_size=1)
    assert (await one.call("WebhookService/ListWebhooks", request)).webhooks[0].name == "b"
    said = await other.refused("WebhookService/ListWebhooks", request)
    assert (said.code, said.violations.keys()) == (grpc.StatusCode.INVALID_ARGUMENT, {"page_token"})


@pytest.mark.parametrize("forgery", FORGERIES)
async def test_f5_a_forged_page_token(secured: Secured, forgery: str) -> None:
    one, token = await pages(secured, f"forged-{len(forgery)}")
    request = webhook_service_pb2.ListWebhooksRequest(page_token=FORGERIES[forgery](token), page_size=1)
    said = await one.refused("WebhookService/ListWebhooks", request)
    assert (said.code, said.violations.keys()) == (grpc.StatusCode.INVALID_ARGUMENT, {"page_token"})


async def test_f5_a_page_token_of_long_ago(secured: Secured) -> None:
    """It holds a place and no rights: what lies behind that place is shown, if it is still the caller's."""
    one, token = await pages(secured, "long-ago")
    content = base64.urlsafe_b64decode(token + "==")
    long_ago = content[:9] + ids.first_of(1.0).bytes
    request = webhook_service_pb2.ListWebhooksRequest(
        page_token=base64.urlsafe_b64encode(long_ago).decode().rstrip("="), page_size=1
    )
    assert list((await one.call("WebhookService/ListWebhooks", request)).webhooks) == []


async def test_f2_an_administrator_of_a_tenant_makes_no_key_for_all(both: Both) -> None:
    for tenant in (ALL_TENANTS, THEIRS):
        key = api_key_pb2.ApiKey(name="n", scopes=[api_key_pb2.API_KEY_SCOPE_ADMIN], tenant_id=tenant)
        said = await both.mine.refused(
            "ApiKeyService/CreateApiKey", api_key_service_pb2.CreateApiKeyRequest(api_key=key)
        )
        assert said.code == grpc.StatusCode.NOT_FOUND
