"""E8: secrets that can be told by their look go through everything a server does, and are found nowhere they are not
asked for: in no answer, log line, error, figure, table, or command line."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from hookpost.v1 import (
    api_key_service_pb2,
    delivery_service_pb2,
    event_service_pb2,
    event_type_service_pb2,
    webhook_service_pb2,
)
from hookpost_server.domain import ids
from tests.faults.cluster import Cluster, Node
from tests.keys import MASTER_KEY
from tests.receiver import Receiver, receiving
from tests.rpc.serving import eventually
from tests.store import making

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

MASTER = b"CANARY-master-key-0123456789abcd"
SECRETS = {
    name: f"CANARY-{name}-51c7e2"
    for name in (
        "signing-key",
        "rotated-key",
        "header",
        "updated-header",
        "unsaved-header",
        "token",
        "password",
        "fault",
    )
}
REVEALED = {
    "CreateWebhook": ("signing_key",),
    "RotateSigningKey": ("signing_key",),
    "GetSigningKey": ("keys",),
    "CreateApiKey": ("secret",),
}
METHODS: dict[str, MethodDescriptor] = {
    method.name: method
    for module in (
        *(webhook_service_pb2, event_service_pb2, event_type_service_pb2),
        *(delivery_service_pb2, api_key_service_pb2),
    )
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}


class Caller:
    """Calls whatever the API has, and keeps what it is told: all but what a call is there to reveal."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        self._metadata = (("authorization", f"Bearer {SECRETS['token']}"),)
        self.called: set[str] = set()
        self.told: list[str] = []

    async def __call__(self, name: str, /, **fields: Any) -> Any:
        """The answer, or None if it was refused. Of a stream, the first answer to one request."""
        method = METHODS[name]
        self.called.add(name)
        request: Message = GetMessageClass(method.input_type)(**fields)
        arguments = (
            f"/{method.containing_service.full_name}/{name}",
            type(request).SerializeToString,
            GetMessageClass(method.output_type).FromString,
        )
        given: dict[str, Any] = {"metadata": self._metadata, "timeout": 30}
        answer: Any
        try:
            if method.client_streaming:
                both = self._channel.stream_stream(*arguments)(iter([request]), **given)
                answer = await both.read()
            elif method.server_streaming:
                watch = self._channel.unary_stream(*arguments)(request, **given)
                answer = await watch.read()
                watch.cancel()
            else:
                answer = await self._channel.unary_unary(*arguments)(request, **given)
        except grpc.aio.AioRpcError as error:
            self.told.append(f"{error.details()} {error.trailing_metadata()!r} {error.debug_error_string()}")
            return None
        kept = type(answer)()
        kept.CopyFrom(answer)
        for field in REVEALED.get(name, ()):
            kept.ClearField(field)
        self.told.append(f"{name} {kept} {kept.SerializeToString()!r}")
        return answer


def forms(secret: bytes) -> list[bytes]:
    """As it is, and as it would be printed."""
    encoded = base64.b64encode(secret).rstrip(b"=")
    return [secret, secret.hex().encode(), encoded, encoded.replace(b"+", b"-").replace(b"/", b"_")]


def leaks(text: str | bytes, secrets: list[bytes]) -> list[bytes]:
    data = text.encode() if isinstance(text, str) else text
    return [secret for secret in secrets for form in forms(secret) if form.lower() in data.lower()]


@pytest.fixture
async def node(database_url: str, tmp_path: Path) -> AsyncIterator[Node]:
    cluster = Cluster(database_url, tmp_path)
    keys = f"{base64.b64encode(MASTER).decode()},{MASTER_KEY}"
    yield await cluster.start(
        master_key="", master_keys=keys, log_level="debug", metrics_address="127.0.0.1:0", allow_networks="127.0.0.0/8"
    )
    await cluster.close()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as running:
        yield running


@pytest.fixture
async def call(node: Node) -> AsyncIterator[Caller]:
    async with grpc.aio.insecure_channel(str(node.address)) as channel:
        yield Caller(channel)


async def ended(call: Caller, event_id: str) -> list[Any]:
    async def found() -> list[Any] | None:
        answer = await call("GetEvent", event_id=event_id)
        assert answer, call.told[-1]
        deliveries = answer.deliveries
        return list(deliveries) if all(each.state != 1 for each in deliveries) else None

    return await eventually(found)


async def everything_else(call: Caller, delivery_id: str) -> None:
    """The calls that no secret goes into."""
    kind = {"name": "Acme.Made", "group": "acme"}
    await call("CreateEventType", event_type=kind)
    await call("GetEventType", name="Acme.Made")
    await call("UpdateEventType", event_type=kind | {"description": "made"})
    await call("ListEventTypes")
    await call("DeleteEventType", name="Acme.Made")
    await call("BatchEmitEvents", requests=[{"type": "Role.Created", "json": "{}"}])
    await call("StreamEmitEvents", sequence=1, event={"type": "Role.Created", "json": "{}"})
    await call("ListEvents")
    await call("ListDeliveries")
    await call("RedeliverDelivery", delivery_id=delivery_id)
    replay = await call("ReplayDeliveries", rate=1000)
    await call("StopReplay", replay_id=replay.replay_id if replay else "")
    await call("CreateApiKey", api_key={"name": "a key"})
    await call("ListApiKeys")
    await call("RevokeApiKey", api_key_id="key_00000000000000000000000000")


async def refusals(call: Caller) -> None:
    """Answers that might quote what was wrong."""
    webhook = {"name": "w", "url": "https://example.com/", "event_types": ["*"]}
    bad = SECRETS["fault"]
    for request in (
        {"webhook": webhook, "signing_key": bad + " "},
        {"webhook": webhook, "signing_key": "whsec_" + bad},
        {"webhook": webhook | {"headers": {"Authorization": bad + "\r\nEvil: 1"}}},
        {"webhook": webhook | {"headers": {"Host": bad}}},
        {"webhook": webhook | {"url": f"https://user:{SECRETS['password']}@example.com/"}},
    ):
        assert await call("CreateWebhook", **request) is None


async def spoilt(call: Caller, node: Node, sql: asyncpg.Connection) -> None:
    """A row that does not open, and a fault of ours amid a call with secrets."""
    (row,) = await sql.fetch("select id, headers from webhooks order by id limit 1")
    flip = "update webhooks set headers = set_byte(headers, 40, get_byte(headers, 40) # 1), version = version + 1"
    await sql.execute(f"{flip} where id = $1", row["id"])
    await call("EmitEvent", type="User.Created", json="{}")
    await node.logged('"webhook.unreadable"')
    await call("ListWebhooks")
    await sql.execute("update webhooks set headers = $2 where id = $1", row["id"], row["headers"])
    await sql.execute("alter table webhook_revisions rename to gone")
    webhook = {"id": ids.text(ids.WEBHOOK, row["id"]), "headers": {"Authorization": SECRETS["fault"]}}
    assert await call("UpdateWebhook", webhook=webhook, update_mask={"paths": ["headers"]}) is None
    await sql.execute("alter table gone rename to webhook_revisions")
    await node.logged('"rpc.fault"')


async def test_e8_secrets_show_nowhere(call: Caller, node: Node, receiver: Receiver, database_url: str) -> None:
    receiver.decide = lambda request: (500 if request.attempt == 1 else 200, "ok")
    policy = {"delays": [{"nanos": 1_000_000}], "jitter": 0.0}
    webhook = {"name": "w", "event_types": ["User.*", "Role.*"], "retry_policy": policy}
    headers = {"Authorization": f"Bearer {SECRETS['header']}", "X-Api-Key": SECRETS["header"], "X-Team": "crm"}

    made = await call(
        "CreateWebhook",
        webhook=webhook | {"url": receiver.url, "headers": headers},
        signing_key=SECRETS["signing-key"],
        request_id="once",
    )
    webhook_id = made.webhook.id
    nobody = await call("CreateWebhook", webhook=webhook | {"url": "http://127.0.0.1:1025/", "headers": headers})
    watching = asyncio.ensure_future(call("WatchDeliveries"))
    event = await call("EmitEvent", type="User.Created", json='{"a": 1}')
    delivered, failed = sorted(await ended(call, event.event_id), key=lambda each: each.state)
    assert (delivered.state, failed.state) == (2, 3)
    await watching
    for each in (delivered, failed):
        found = await call("GetDelivery", delivery_id=each.id, include_requests=True)
        assert found.delivery.attempts[0].request.headers
    await call("RotateSigningKey", webhook_id=webhook_id, signing_key=SECRETS["rotated-key"], overlap={"seconds": 3600})
    await call(
        "UpdateWebhook",
        webhook={"id": webhook_id, "headers": {"Authorization": SECRETS["updated-header"]}},
        update_mask={"paths": ["headers"]},
    )
    unsaved = {"Authorization": SECRETS["unsaved-header"]}
    await call("TestWebhook", webhook_id=webhook_id, event_types=["User.Created"], headers=unsaved)
    revealed = await call("GetSigningKey", webhook_id=webhook_id)
    assert [key.secret for key in revealed.keys] == [SECRETS["rotated-key"], SECRETS["signing-key"]]
    await call("GetWebhook", webhook_id=webhook_id, include_health=True)
    await call("GetWebhookHealth", webhook_id=webhook_id)
    await call("ListWebhooks")
    await call("DisableWebhook", webhook_id=webhook_id)
    await call("EnableWebhook", webhook_id=webhook_id)
    await everything_else(call, delivered.id)
    await refusals(call)
    sql = await asyncpg.connect(database_url)
    await spoilt(call, node, sql)
    await sql.close()
    await call("DeleteWebhook", webhook_id=nobody.webhook.id)
    assert METHODS.keys() - call.called == set()
    sent = " ".join(value for request in receiver.requests for value in request.headers.values())
    for name in ("header", "updated-header", "unsaved-header"):  # else there would be nothing to find
        assert SECRETS[name] in sent or name == "updated-header"

    log = node.log.read_text()
    metrics = re.search(r"metrics on (\S+),", log)
    assert metrics
    async with aiohttp.ClientSession() as session, session.get(f"http://{metrics[1]}/metrics") as answer:
        figures = await answer.text()
    assert "hookpost_unreadable_webhooks" in figures
    generated = nobody.signing_key.encode()
    secrets = [MASTER, MASTER_KEY.encode(), generated, *(secret.encode() for secret in SECRETS.values())]
    command = Path(f"/proc/{node.process.pid}/cmdline").read_bytes()
    assert leaks(f"x{SECRETS['header'].encode().hex()}x", secrets), "the search finds what it looks for"
    for place, text in {"log": log, "figures": figures, "command": command, "answers": "\n".join(call.told)}.items():
        assert leaks(text, secrets) == [], place
    assert leaks(await making.dump(database_url), secrets) == []
