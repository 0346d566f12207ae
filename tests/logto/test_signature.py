"""Logto's cases of the request: what stands in its headers, and that receivers written for Logto verify it."""

import grpc
import pytest

from hookpost.v1 import webhook_service_pb2
from tests.delivery import wire
from tests.logto.payloads import EVERY
from tests.logto.telling import SIGNATURE, secret, told, verifies
from tests.receiver import Receiver
from tests.rpc.serving import Client, refused

pytestmark = pytest.mark.asyncio(loop_scope="package")


async def test_the_request(client: Client, receiver: Receiver) -> None:
    """libraries/hook/utils.test: exact request options: POST of JSON, user agent, signature under Logto's name."""
    webhook = await client.create(f"{receiver.url}/hook?a=1")
    await told(client, "PostSignIn", {"userId": "u1"})
    (request,) = receiver.requests
    assert request.path == "/hook"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"].startswith("Hookpost/")
    assert len(request.headers[SIGNATURE]) == 64
    assert request.headers[SIGNATURE] == request.headers[SIGNATURE].lower()
    assert "hookpost-signature-sha-256" not in request.headers, "the setting renames it, it does not add one"
    assert verifies(await secret(client, webhook.id), request)


async def test_every_event_of_every_family_verifies(client: Client, receiver: Receiver) -> None:
    """trigger.data, trigger.organization, coverage: for every registered route a hook arrived and its signature
    over the raw body verifies; `status` is not 404."""
    webhook = await client.create(receiver.url)
    key = await secret(client, webhook.id)
    for case in EVERY:
        (entry,) = await told(client, case.type, case.payload)
        assert entry.last_status_code == 200
    assert len(receiver.requests) == len(EVERY)
    assert all(verifies(key, request) for request in receiver.requests)
    assert all(request.json.get("status") != 404 for request in receiver.requests)


@pytest.mark.parametrize(
    "json",
    ['{ "a" : 1.0 , "b":"\\u00e9" }', '{"a":1e400,"ü":"é\\/"}', "{}", ' \n{"userAgent":"x"}\t'],
)
async def test_over_the_raw_body(client: Client, receiver: Receiver, json: str) -> None:
    """request, signature over the raw body: bytes that parsing and writing anew would change."""
    webhook = await client.create(receiver.url)
    event = await client.emit(json, type="PostSignIn")
    await client.ended(event.event_id)
    (request,) = receiver.requests
    assert json.strip()[1:-1].strip().encode() in request.body
    assert verifies(await secret(client, webhook.id), request)


async def test_a_key_brought_along_from_logto(client: Client, receiver: Receiver) -> None:
    """hooks: a key of 32 letters and digits, as Logto makes them, goes on signing when it is brought along."""
    webhook = await client.create(receiver.url)
    key = "k3v9x2m7Q1tzB6t0w4r8N2cyH8q2y5n0"
    request = webhook_service_pb2.RotateSigningKeyRequest(
        webhook_id=webhook.id, tenant_id=client.tenant, signing_key=key
    )
    await client.webhooks.RotateSigningKey(request)
    await told(client, "PostSignIn", {})
    assert verifies(key, receiver.requests[0])


@pytest.mark.parametrize("name", ["logto-signature-sha-256", "Logto-Signature-SHA-256", "LOGTO-SIGNATURE-SHA-256"])
async def test_the_signature_can_not_be_overridden(client: Client, name: str) -> None:
    """request: a custom header can't override the signature; Logto overwrites one spelling, here each is refused."""
    refusal = await refused(client.create(headers={name: "0" * 64}))
    assert (refusal.code, set(refusal.violations)) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        {f'webhook.headers["{name}"]'},
    )


@pytest.mark.parametrize("names", [("user-agent", "content-type"), ("User-Agent", "Content-Type"), ("USER-AGENT",)])
async def test_what_can_be_overridden(client: Client, names: tuple[str, ...]) -> None:
    """request: user-agent and content-type can be overridden; without case, so that no value is sent twice."""
    async with wire.receiving() as receiver:
        values = {"user-agent": "Acme/1", "content-type": "application/vnd.acme+json"}
        await client.create(receiver.url, headers={name: values[name.lower()] for name in names})
        await told(client, "PostSignIn", {})
        (request,) = receiver.requests
        for name in names:
            sent = [value for given, value in request.headers if given.lower() == name.lower()]
            assert sent == [values[name.lower()]]


async def test_custom_headers(client: Client, receiver: Receiver) -> None:
    """docs, custom headers: they are sent with every request."""
    await client.create(receiver.url, headers={"X-Team": "crm", "Authorization": "Bearer of-nobody"})
    await told(client, "PostSignIn", {})
    (request,) = receiver.requests
    assert request.headers["x-team"] == "crm"
    assert request.headers["authorization"] == "Bearer of-nobody"


@pytest.mark.parametrize(
    "headers",
    [{"a b": "1"}, {"a:b": "1"}, {"": "1"}, {"x-é": "1"}, {"x-a": "é"}, {"x-a": "1\n"}, {"x-a": "1", "X-A": "2"}],
    ids=repr,
)
async def test_header_checks(client: Client, headers: dict[str, str]) -> None:
    """Console: "Key is invalid", "Key is required", "Value is invalid", "Key cannot be repeated": by the server,
    and names are compared without case."""
    refusal = await refused(client.create(headers=headers))
    assert refusal.code == grpc.StatusCode.INVALID_ARGUMENT
    assert all(field.startswith("webhook.headers[") for field in refusal.violations)


async def test_a_key_for_each_webhook(client: Client, receiver: Receiver) -> None:
    """docs: a signing key for each webhook; one's key does not verify another's requests."""
    webhooks = [await client.create(f"{receiver.url}/{number}") for number in range(2)]
    keys = {f"/{number}": await secret(client, webhook.id) for number, webhook in enumerate(webhooks)}
    await told(client, "PostSignIn", {})
    assert len(receiver.requests) == 2
    for request in receiver.requests:
        assert [verifies(key, request) for key in keys.values()] == [path == request.path for path in keys]
