"""Each framework's adapter takes the raw body, and says so when somebody else was there first."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import aiohttp
import pytest

from hookpost.v1 import delivery_pb2, webhook_pb2
from hookpost.v1.webhook_service_pb2 import CreateWebhookRequest
from hookpost_server.domain import signing
from tests.rpc.serving import config, connected, serving

from .apps import APPS, KEY, MOST

BODY = b'{"event":"User.Created","createdAt":"2026-08-21T10:00:00.000Z","n":1.0,"hookId":"whk_1"}'


@pytest.fixture(params=APPS)
async def url(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    async with APPS[request.param]() as url:
        yield url


def headers(body: bytes, *, key: str = KEY) -> dict[str, str]:
    now = int(time.time())
    signature = signing.standard_signature([signing.standard_key(key)], "evt_1", now, body)
    return {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(now),
        "webhook-signature": signature,
        "content-type": "application/json",
    }


async def post(url: str, body: bytes, given: dict[str, str]) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=given) as answer:
        return answer.status, await answer.text()


async def test_a_signed_request(url: str) -> None:
    status, text = await post(f"{url}/hook", BODY, headers(BODY))
    assert (status, text.strip('"')) == (200, "User.Created evt_1")


@pytest.mark.parametrize("url", ["flask", "django"], indirect=True)
async def test_an_async_view(url: str) -> None:
    assert await post(f"{url}/async", BODY, headers(BODY)) == (200, "User.Created evt_1")
    assert (await post(f"{url}/async", BODY, headers(BODY, key=signing.new_secret())))[0] == 401


async def test_another_key(url: str) -> None:
    status, text = await post(f"{url}/hook", BODY, headers(BODY, key=signing.new_secret()))
    assert status == 401
    assert "bad_signature" in text


async def test_written_anew(url: str) -> None:
    status, text = await post(f"{url}/hook", BODY.replace(b":", b": "), headers(BODY))
    assert status == 500
    assert "the body was parsed before verification" in text


async def test_read_by_somebody_else(url: str) -> None:
    status, text = await post(f"{url}/parsed", BODY, headers(BODY))
    assert status == 500
    assert "the body was parsed before verification" in text


async def test_too_large(url: str) -> None:
    body = b'{"event":"' + b"x" * (MOST + 1) + b'"}'
    status, _ = await post(f"{url}/hook", body, headers(body))
    assert status == 413


async def test_what_hookpost_delivers(url: str, database_url: str) -> None:
    """The whole way: emitted, delivered to the framework's server, verified by the adapter."""
    async with serving(config(database_url)) as server, connected(server.address) as client:
        webhook = webhook_pb2.Webhook(name="a", url=f"{url}/hook", event_types=["*"], tenant_id=client.tenant)
        await client.webhooks.CreateWebhook(CreateWebhookRequest(webhook=webhook, signing_key=KEY))
        emitted = await client.emit('{"n": 1.0, "text": "Zo\u00eb"}')
        (delivery,) = await client.ended(emitted.event_id)
        assert delivery.state == delivery_pb2.DELIVERY_STATE_SUCCEEDED
        assert emitted.event_id in delivery.attempts[0].response_body
