"""One delivery's pages: what became of it, the bytes both ways, and commands that really work."""

from __future__ import annotations

import asyncio
import html
import re
import shutil
import time

import pytest
from standardwebhooks import Webhook as Verifier

from hookpost.v1 import webhook_pb2, webhook_service_pb2
from hookpost_server.domain import ids
from hookpost_server.domain.api_key import Scope
from tests.receiver import Receiver
from tests.rpc.serving import Client, connected, eventually

from .locked import Locked, sign_in
from .visitor import Page, Visitor, visiting

pytestmark = pytest.mark.asyncio(loop_scope="module")

NO_RETRY = webhook_pb2.RetryPolicy(schedule=webhook_pb2.RETRY_SCHEDULE_NONE)
HOSTILE = "</code></pre><script>alert(1)</script>'; rm -rf $HOME `id` \\' \"&"


async def delivered(
    client: Client, receiver: Receiver, *answers: tuple[int, str], json: str = "{}", **settings: object
) -> tuple[str, str]:
    """A webhook's id and the path of the delivery that had these answers."""
    webhook = await client.create(receiver.url, **({"retry_policy": NO_RETRY, "name": "crm"} | settings))
    receiver.answers.extend(answers)
    delivery = (await client.ended((await client.emit(json)).event_id))[0]
    return webhook.id, f"/t/{client.tenant}/deliveries/{delivery.id}"


def code(page: Page) -> str:
    """What the first block of code says."""
    found = re.search(r"<pre[^>]*><code>(.*?)</code></pre>", page.text, flags=re.DOTALL)
    assert found
    return html.unescape(found[1])


async def test_a_success_is_told(visitor: Visitor, client: Client, receiver: Receiver) -> None:
    webhook_id, path = await delivered(
        client, receiver, (200, '{"b":1.10,"a":[]}'), headers={"X-Secret-Token": "not-for-eyes"}
    )
    page = await visitor.get(path)
    assert re.search(r"Delivered: 127.0.0.1:\d+ answered 200 in \d+(\.\d)? m?s\.", page.words)
    assert "Event accepted" in page.words and "Attempt 1: 200" in page.words
    sent = receiver.requests[0]
    assert '"hookId": "' + webhook_id in code(page), "tidied"
    assert code(await visitor.get(f"{path}/request?as=raw")) == sent.body.decode(), "the bytes as sent"
    for name in ("hookpost-signature-sha-256", "webhook-signature", "webhook-timestamp"):
        assert sent.headers[name] in page.words
    assert "X-Secret-Token not shown: it looks like a secret" in page.words and "not-for-eyes" not in page.text
    page = await visitor.get(f"{path}/response")
    assert code(page) == '{\n  "b": 1.10,\n  "a": []\n}', "numbers as they were written"
    assert "Nothing went wrong" in (await visitor.get(f"{path}/why")).words
    assert (await visitor.get(f"{path}/nonsense")).status == 404


async def test_a_failure_is_explained(visitor: Visitor, client: Client, receiver: Receiver) -> None:
    delays = webhook_pb2.RetryPolicy(schedule=webhook_pb2.RETRY_SCHEDULE_CUSTOM, jitter=0)
    delays.delays.add(nanos=100_000_000)
    _, path = await delivered(client, receiver, (503, "busy"), (401, "who?"), retry_policy=delays)
    page = await visitor.get(f"{path}/why")
    assert "Failed: 127.0.0.1" in page.words and "2 attempts were made" in page.words
    assert "The receiver wants authentication" in page.words and "It was tried again." in page.words
    page = await visitor.get(f"{path}/why", **{"Accept-Language": "es"})
    assert "El receptor pide autenticación" in page.words and "Se intentó de nuevo." in page.words
    page = await visitor.get(f"{path}/attempts")
    assert page.text.count("<tr data-row>") == 2 and "the schedule" in page.words
    assert code(await visitor.get(f"{path}/response")) == "who?", "the last attempt's, unless another is named"
    assert code(await visitor.get(f"{path}/response?attempt=1")) == "busy"
    page = await visitor.get(f"{path}/request?attempt=1")
    assert "hookpost-attempt 1" in page.words


async def test_before_the_first_attempt(visitor: Visitor, client: Client, receiver: Receiver) -> None:
    receiver.hold()
    await client.create(receiver.url)
    event_id = (await client.emit()).event_id
    await receiver.received(1)
    delivery = (await client.event(event_id)).deliveries[0]
    path = f"/t/{client.tenant}/deliveries/{delivery.id}"
    try:
        for tab in ("", "/response", "/attempts", "/why"):
            assert "Nothing has been sent yet" in (await visitor.get(path + tab)).words
        page = await visitor.get(path)
        assert "The first attempt is under way" in page.words and "Resend" not in page.words
    finally:
        receiver.release()
    await client.ended(event_id)


@pytest.mark.case("G2")
async def test_what_strangers_wrote_is_inert(visitor: Visitor, client: Client, receiver: Receiver) -> None:
    _, path = await delivered(
        client, receiver, (500, HOSTILE), name=HOSTILE[:60], json='{"data": {"x": "</pre><script>alert(1)</script>"}}'
    )
    for tab in ("", "/response", "/attempts", "/why"):
        page = await visitor.get(path + tab)
        assert "<script>alert" not in page.text and page.status == 200
    assert code(await visitor.get(f"{path}/response")) == HOSTILE


async def test_what_is_no_text_is_hex(visitor: Visitor, client: Client, receiver: Receiver) -> None:
    _, path = await delivered(client, receiver, (200, "\x00\x1b[31m<b>"))
    page = await visitor.get(f"{path}/response")
    assert code(page) == "00000000  00 1b 5b 33 31 6d 3c 62 3e                       ··[31m<b>"
    assert "not text, so as hex" in page.words
    page = await visitor.get(f"{path}/body?of=response")
    assert page.text == "\x00\x1b[31m<b>"
    assert page.headers["Content-Type"] == "application/octet-stream"
    assert page.headers["Content-Disposition"].startswith("attachment")


async def test_a_long_body_is_cut(visitor: Visitor, client: Client, receiver: Receiver) -> None:
    payload = '{"data": "' + "<é>" * 50_000 + '"}'
    _, path = await delivered(client, receiver, (200, "y" * 2_000_000), json=payload)
    page = await visitor.get(path)
    assert len(page.text) < 400_000 and "of them are shown" in page.words
    whole = (await visitor.get(f"{path}/body?of=request&attempt=1")).text
    assert whole == receiver.requests[0].body.decode()
    page = await visitor.get(f"{path}/response")
    assert len(page.text) < 200_000 and "only its beginning is kept" in page.words


async def test_resending(visitor: Visitor, client: Client, receiver: Receiver) -> None:
    _, path = await delivered(client, receiver, (500, "down"))
    page = await visitor.post(f"{path}/resend")
    assert "1 delivery is sent again" in page.words and page.path == path
    await receiver.received(2)

    async def done() -> Page | None:
        page = await visitor.get(f"{path}/attempts")
        return page if "Delivered 200" in page.words else None

    assert "sent again by hand" in (await eventually(done)).words


async def test_curl_is_signed_now(visitor: Visitor, client: Client, receiver: Receiver) -> None:
    """Run by a shell, the command brings the receiver the same body, with a signature that its library accepts."""
    webhook_id, path = await delivered(
        client,
        receiver,
        json='{"data": {"x": "it\'s $HOME `id` \\\\ \\u00e9"}}',
        headers={"X-Team": "o'hara", "X-Empty": ""},
    )
    await client.webhooks.RotateSigningKey(
        webhook_service_pb2.RotateSigningKeyRequest(webhook_id=webhook_id, tenant_id=client.tenant)
    )
    request = webhook_service_pb2.GetSigningKeyRequest(webhook_id=webhook_id, tenant_id=client.tenant)
    secret = (await client.webhooks.GetSigningKey(request)).keys[0].secret
    page = await visitor.post(f"{path}/curl", Accept="text/plain")
    assert secret not in page.text
    assert page.text == code(await visitor.post(f"{path}/curl")) or "webhook-timestamp" in page.text
    before = int(time.time())
    await run(page.text)
    first, second = receiver.requests
    assert second.body == first.body
    assert (second.headers["x-team"], second.headers["x-empty"]) == ("o'hara", "")
    assert second.headers["user-agent"].startswith("Hookpost/")
    assert abs(int(second.headers["webhook-timestamp"]) - before) < 60
    Verifier(secret).verify(second.body, second.headers)
    with pytest.raises(Exception, match="No matching signature"):
        Verifier(secret).verify(first.body, first.headers)  # of the key before


async def test_curl_of_a_body_too_long_for_an_argument(visitor: Visitor, client: Client, receiver: Receiver) -> None:
    _, path = await delivered(client, receiver, json='{"data": "' + "'" * 140_000 + '"}')
    await run((await visitor.post(f"{path}/curl", Accept="text/plain")).text)
    first, second = receiver.requests
    assert second.body == first.body


async def run(command: str) -> None:
    if shutil.which("curl") is None:
        pytest.skip("there is no curl here")
    shell = await asyncio.create_subprocess_exec(
        "sh", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    told, wrong = await asyncio.wait_for(shell.communicate(command.encode()), 30)
    assert shell.returncode == 0 and b"200 OK" in told, wrong.decode()


async def test_grpcurl_emits_anew(visitor: Visitor, client: Client, receiver: Receiver) -> None:
    _, path = await delivered(client, receiver, json='{"data": "it\'s"}')
    page = await visitor.post(f"{path}/grpcurl")
    assert "hookpost.v1.EventService/EmitEvent" in code(page) and "-plaintext" in code(page)
    assert r"""{\"data\": \"it'\''s\"}""" in code(page)
    assert "authorization" not in code(page), "this server wants no keys"


async def test_of_a_deleted_webhook(visitor: Visitor, client: Client, receiver: Receiver) -> None:
    webhook_id, path = await delivered(client, receiver)
    request = webhook_service_pb2.DeleteWebhookRequest(webhook_id=webhook_id, tenant_id=client.tenant)
    await client.webhooks.DeleteWebhook(request)
    page = await visitor.get(path)
    assert page.status == 200 and "its signing key with it" in page.words
    assert f'action="{path}/resend"' not in page.text, "there is nowhere to send it"
    assert (await visitor.post(f"{path}/curl")).status == 404


async def test_what_is_not_there(visitor: Visitor, client: Client) -> None:
    root = f"/t/{client.tenant}/deliveries/"
    page = await visitor.get(root + ids.text(ids.DELIVERY, ids.new(time.time())))
    assert page.status == 404 and "no such page" in page.words
    page = await visitor.get(root + ids.text(ids.DELIVERY, ids.first_of(time.time() - 40 * 86400)))
    assert page.status == 404 and "The server keeps deliveries for 7 d" in page.words
    assert (await visitor.get(root + "dlv_x")).status == 404


async def test_a_key_that_may_only_read(place: Locked, receiver: Receiver) -> None:
    """It sees the delivery, but neither a good signature nor a button that it could not press."""
    _, admin = await place.key()
    _, reader = await place.key(Scope.READ)
    async with connected(place.server.address) as channel, visiting(place.server.console_address) as visitor:
        metadata = [("authorization", f"Bearer {admin}")]
        webhook = webhook_pb2.Webhook(name="crm", url=receiver.url, event_types=["*"], tenant_id="default")
        request = webhook_service_pb2.CreateWebhookRequest(webhook=webhook)
        webhook_id = (await channel.webhooks.CreateWebhook(request, metadata=metadata)).webhook.id
        emitted = await channel.events.EmitEvent(channel.emit_request(tenant_id="default"), metadata=metadata)
        delivery_id = (await receiver.received(1))[0].delivery_id
        assert emitted.delivery_count == 1
        await sign_in(visitor, reader)
        page = await visitor.get(f"/deliveries/{delivery_id}")
        assert "needs a key with the scope SECRETS_REVEAL" in page.words and "Copy as curl" not in page.words
        assert "Copy as grpcurl" in page.words and "Resend" not in page.words
        assert (await visitor.post(f"/deliveries/{delivery_id}/curl")).status == 403
        assert (await visitor.post(f"/deliveries/{delivery_id}/resend")).status == 403
        assert "$HOOKPOST_API_KEY" in (await visitor.post(f"/deliveries/{delivery_id}/grpcurl")).text
        noted = "select count(*) from audit_log where action = 'signing_key.revealed' and target = $1"
        assert await place.sql(noted, webhook_id) == 0
        await sign_in(visitor, admin)
        assert (await visitor.post(f"/deliveries/{delivery_id}/curl")).status == 200
        assert await place.sql(noted, webhook_id) == 1, "who takes a good signature along is noted"
