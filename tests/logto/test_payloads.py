"""Logto's cases of what stands in a payload: every type in the shape of each family that it comes in."""

import json
import re
from typing import Any

import grpc
import pytest

from hookpost_server.domain.catalogue import builtin
from tests.logto.payloads import EVERY, OTHERS, Case, interaction, membership
from tests.logto.telling import told
from tests.receiver import Receiver
from tests.rpc.serving import Client, refused

pytestmark = pytest.mark.asyncio(loop_scope="package")

# As Logto builds them, `createdAt` aside: Hookpost's envelope has it right after `event` in every family, Logto has
# `interactionEvent` between the two in that of interactions, and `adaptiveMfaResult` before both.
ORDER = {
    "interaction": "event interactionEvent sessionId userAgent userId userIp user application hookId",
    "management": "event userAgent ip application path method status params matchedRoute organizationId"
    " addedUserIds removedUserIds data hookId",
    "by hand": "event userAgent ip application data path method status params matchedRoute hookId",
    "sign-in pages": "event interactionEvent userAgent applicationId sessionId ip application organizationId"
    " addedUserIds data hookId",
    "account API": "event userAgent ip data hookId",
    "exception": "event interactionEvent userAgent applicationId sessionId ip application type value action recipient"
    " hookId",
}
OF_TYPE = {
    "PostSignInAdaptiveMfaTriggered": "event adaptiveMfaResult interactionEvent sessionId userAgent userId userIp user"
    " application hookId",
    "Grant.LimitExceeded": "event ip userAgent application userId applicationId revokedGrantIds maxAllowedGrants"
    " preRevocationActiveGrantCount hookId",
}


async def one(client: Client, receiver: Receiver, event_type: str, payload: dict[str, Any]) -> dict[str, Any]:
    """The body that a webhook got."""
    await client.create(receiver.url, event_types=[event_type])
    await told(client, event_type, payload)
    (request,) = receiver.requests
    return request.json


@pytest.mark.parametrize("case", EVERY, ids=lambda case: case.id)
async def test_shape(client: Client, receiver: Receiver, case: Case) -> None:
    """libraries/hook/index.test: payload of an interaction hook, data hook by Management API and by interaction API,
    TrustedDevice without ip; koa-management-api-hooks.test: event, data, path, method, params, matchedRoute, status."""
    webhook = await client.create(receiver.url, event_types=[case.type])
    verdict = await client.emit(case.json, type=case.type, dry_run=True)
    assert list(verdict.schema_violations) == []
    assert [match.matched for match in verdict.matches] == [True]
    await told(client, case.type, case.payload)
    (request,) = receiver.requests
    body = request.json
    order = OF_TYPE.get(case.type, ORDER[case.family]).split()
    assert list(body)[:2] == ["event", "createdAt"]
    assert [name for name in body if name != "createdAt"] == [name for name in order if name in body]
    assert set(body) == {*case.payload, "event", "createdAt", "hookId"}
    assert (body["event"], body["hookId"]) == (case.type, webhook.id)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", body["createdAt"])
    assert {name: body[name] for name in case.payload} == case.payload
    assert ("ip" in body) == (case.family not in ("interaction",) and not case.type.startswith("TrustedDevice."))


async def test_every_type_is_there() -> None:
    """events: 31 names in three families; none is left out above."""
    assert {case.type for case in EVERY} == {entry.name for entry in builtin()}


@pytest.mark.parametrize("case", OTHERS, ids=lambda case: case.id)
async def test_null_and_absent(client: Client, receiver: Receiver, case: Case) -> None:
    """payload: what is null stays null, what is absent stays absent, in every depth."""
    body = await one(client, receiver, case.type, case.payload)
    for added in ("event", "createdAt", "hookId"):
        del body[added]
    assert json.dumps(body) == case.json


@pytest.mark.parametrize("member", ["event", "createdAt", "hookId"])
async def test_reserved_members(client: Client, receiver: Receiver, member: str) -> None:
    """libraries/hook/index.test: custom payload cannot override reserved fields: it is refused, and nothing is sent."""
    await client.create(receiver.url)
    payload = {member: "mine"} | interaction("PostSignIn")
    refusal = await refused(client.emit(json.dumps(payload), type="PostSignIn"))
    assert refusal.code == grpc.StatusCode.INVALID_ARGUMENT
    assert member in refusal.violations["json"]
    assert receiver.requests == []


async def test_the_members_of_an_interaction_are_the_producers(client: Client, receiver: Receiver) -> None:
    """libraries/hook/index.test, the same: a custom payload beside the others is sent along."""
    payload = interaction("PostSignIn", campaign="spring")
    assert (await one(client, receiver, "PostSignIn", payload))["campaign"] == "spring"


DELTAS = ("addedUserIds", "removedUserIds", "addedApplicationIds", "removedApplicationIds")


@pytest.mark.parametrize("given", [(), *((name,) for name in DELTAS), DELTAS], ids="+".join)
async def test_delta_arrays(client: Client, receiver: Receiver, given: tuple[str, ...]) -> None:
    """libraries/hook/utils.test: delta passes, omits empty: what the producer leaves out is absent, not null."""
    payload = membership("PUT", "users", 204, **{name: ["a", "b"] for name in given})
    body = await one(client, receiver, "Organization.Membership.Updated", payload)
    assert {name for name in DELTAS if name in body} == set(given)
    assert all(body[name] == ["a", "b"] for name in given)


async def test_the_cap_of_delta_arrays(client: Client, receiver: Receiver) -> None:
    """libraries/hook/utils.test: caps each array at 5000. To cut is the producer's; Hookpost brings 5000 whole, and a
    dry run objects to more."""
    most = [f"user-{number:07}" for number in range(5000)]
    payload = membership("POST", "users", 201, addedUserIds=most)
    too_many = json.dumps(payload | {"addedUserIds": [*most, "one-more"]})
    verdict = await client.emit(too_many, type="Organization.Membership.Updated", dry_run=True)
    assert any("addedUserIds" in violation for violation in verdict.schema_violations)
    verdict = await client.emit(json.dumps(payload), type="Organization.Membership.Updated", dry_run=True)
    assert list(verdict.schema_violations) == []
    assert (await one(client, receiver, "Organization.Membership.Updated", payload))["addedUserIds"] == most


async def test_created_at(client: Client, receiver: Receiver) -> None:
    """payload: `createdAt` is UTC with milliseconds and Z; here of when it happened, if the producer says so."""
    await client.create(receiver.url)
    occur_time = {"seconds": 1727746675, "nanos": 70_999_000}
    event = await client.emit("{}", type="PostSignIn", occur_time=occur_time)
    await client.ended(event.event_id)
    assert receiver.requests[0].json["createdAt"] == "2024-10-01T01:37:55.070Z"


async def test_a_client_without_registration(client: Client, receiver: Receiver) -> None:
    """payload: `cimdClientId` replaces `applicationId` and `application`."""
    payload = interaction("PostSignIn") | {"cimdClientId": "https://client.example.com/id.json"}
    del payload["application"]
    verdict = await client.emit(json.dumps(payload), type="PostSignIn", dry_run=True)
    assert list(verdict.schema_violations) == []
    body = await one(client, receiver, "PostSignIn", payload)
    assert list(body)[-2:] == ["cimdClientId", "hookId"]
    assert "application" not in body
