"""What is wrong is refused with a reason, with every wrong field by its path, and nothing is changed.

One row a case: a name, the call, and what it must say. The server is the module's; after each row the database holds
what it held before.
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.protobuf import duration_pb2, field_mask_pb2, json_format, struct_pb2, timestamp_pb2

from hookpost.v1 import (
    delivery_service_pb2,
    event_service_pb2,
    event_type_pb2,
    event_type_service_pb2,
    webhook_pb2,
    webhook_service_pb2,
)
from hookpost_server.rpc import paging
from tests.rpc.serving import Client, counts, refused

pytestmark = pytest.mark.asyncio(loop_scope="module")

Call = Callable[[Client, "World"], Awaitable[object]]


@dataclass(frozen=True)
class World:
    """What is there before a bad call: of the client's own tenant."""

    webhook: webhook_pb2.Webhook
    event_id: str


@dataclass(frozen=True)
class Row:
    name: str
    call: Call
    fields: tuple[str, ...] = ()
    code: grpc.StatusCode = grpc.StatusCode.INVALID_ARGUMENT
    reason: str = "FIELD_INVALID"
    says: str = ""  # in the description of a field, or in the message


def span(seconds: float) -> duration_pb2.Duration:
    answer = duration_pb2.Duration()
    answer.FromNanoseconds(round(seconds * 1e9))
    return answer


# fmt: off  (a table)

# --- EmitEvent ---


def emit(json: str = "{}", **fields: Any) -> Call:
    return lambda client, world: client.emit(json, **fields)


def payload(name: str, text: str, says: str) -> Row:
    return Row(f"payload {name}", emit(text), ("json",), says=says)


def struct_with(number: float) -> struct_pb2.Struct:
    data = struct_pb2.Struct()
    data.fields["n"].number_value = number
    return data


def emits() -> Iterator[Row]:
    yield payload("that is empty", "", "must be JSON")
    yield payload("of white space", " \n", "must be JSON")
    yield payload("that is no JSON", "{'a': 1}", "line 1 column 2")
    yield payload("cut off", '{"a":', "must be JSON")
    yield payload("with something after it", "{} {}", "must be JSON")
    yield payload("with a comma too many", '{"a":1,}', "must be JSON")
    yield payload("with a comment", "{}//", "must be JSON")
    yield payload("with a raw line feed in a string", '{"a":"\n"}', "must be JSON")
    yield payload("with a byte order mark", "\ufeff{}", "must be JSON")
    for constant in ("NaN", "Infinity", "-Infinity"):
        yield payload(f"with {constant}", f'{{"a":[{constant}]}}', constant)
    yield payload("with a duplicate", '{"a":1,"b":{"c":1,"c":1}}', "'c' twice")
    yield payload("with a duplicate in other spelling", '{"a":1,"\\u0061":1}', "twice")
    yield payload("of 65 levels", '{"a":' * 65 + "1" + "}" * 65, "64 levels")
    yield payload("of 65 levels of lists", '{"a":' + "[" * 64 + "]" * 64 + "}", "64 levels")
    yield payload("of 100,000 levels", '{"a":' + "[" * 100_000, "64 levels")
    yield payload("of 256 KiB and a byte", '{"' + "k" * (256 * 1024 - 5) + '":1}', "256 KiB")
    for text in ("[]", '"text"', "1", "true", "null"):
        yield payload(f"that is {text}", text, "must be a JSON object")
    for member in ("event", "createdAt", "hookId"):
        yield payload(f"with the reserved member {member}", f'{{"a":1,"{member}":null}}', member)
    yield payload("with a reserved member in other spelling", '{"\\u0065vent":1}', "event")
    yield payload("with a lone surrogate", '{"a":"\\ud800"}', "surrogate")
    yield payload("with a lone surrogate in a name", '{"\\udfff":1}', "surrogate")
    yield payload("with surrogates in the wrong order", '{"a":"\\ude00\\ud83d"}', "surrogate")
    yield Row(
        "no payload",
        lambda client, world: client.events.EmitEvent(
            event_service_pb2.EmitEventRequest(type="User.Created", tenant_id=client.tenant)
        ),
        ("json",),
        says="required",
    )
    for number in (float("nan"), float("inf"), float("-inf")):
        yield Row(f"data with {number}", emit(data=struct_with(number)), ("data",), says="not JSON")
    yield Row(
        "data with a reserved member",
        emit(data=json_format.ParseDict({"event": 1}, struct_pb2.Struct())),
        ("data",),
        says="event",
    )
    yield Row("an empty type", emit(type=""), ("type",), says="required")
    for kind in ("User Created", "User.", ".User", "User..Created", "*", "User.*", "Üser", "a\nb", "x" * 129):
        yield Row(f"type {kind[:20]!r}", emit(type=kind), ("type",))
    yield Row(
        "an unknown type",
        emit(type="User.Creatd"),
        code=grpc.StatusCode.NOT_FOUND,
        reason="EVENT_TYPE_UNKNOWN",
        says="User.Created",
    )
    yield Row(
        "a type in other case",
        emit(type="user.created"),
        code=grpc.StatusCode.NOT_FOUND,
        reason="EVENT_TYPE_UNKNOWN",
        says="User.Created",
    )
    for tenant in ("a/b", "a b", "ü", "a\0b", "x" * 65, "../etc"):
        yield Row(f"tenant {tenant[:10]!r}", emit(tenant_id=tenant), ("tenant_id",))
    for key in ("a\nb", "\0", " a", "a ", "ü", "k" * 256, "a\tb", "\x7f"):
        yield Row(f"idempotency key {key[:10]!r}", emit(idempotency_key=key), ("idempotency_key",))
    for seconds, nanos in ((-1, 0), (253_402_300_800, 0), (2**62, 0), (0, -1), (0, 10**9)):
        moment = timestamp_pb2.Timestamp(seconds=seconds, nanos=nanos)
        yield Row(f"occur_time {seconds} s {nanos} ns", emit(occur_time=moment), ("occur_time",), says="1970")
    yield Row(
        "all of an event at once",
        emit("[]", type="a b", tenant_id="a/b", idempotency_key="\n", occur_time=timestamp_pb2.Timestamp(seconds=-1)),
        ("json", "type", "tenant_id", "idempotency_key", "occur_time"),
    )


def batch(*requests: event_service_pb2.EmitEventRequest, tenant: str | None = None) -> Call:
    return lambda client, world: client.events.BatchEmitEvents(
        event_service_pb2.BatchEmitEventsRequest(
            tenant_id=client.tenant if tenant is None else tenant, requests=requests
        )
    )


def batches() -> Iterator[Row]:
    one = event_service_pb2.EmitEventRequest(type="User.Created", json="{}")
    bad = event_service_pb2.EmitEventRequest(type="User.Created", json="[]")
    yield Row("a batch of none", batch(), ("requests",), says="1 to 1000")
    yield Row("a batch of 1001", batch(*[one] * 1001), ("requests",), says="1,001")
    yield Row("a batch of none for a bad tenant", batch(tenant="a/b"), ("requests", "tenant_id"))
    yield Row("a batch with a bad one among good ones", batch(one, bad, one), ("requests[1].json",))
    yield Row("a batch of many bad ones", batch(*[bad] * 60), tuple(f"requests[{n}].json" for n in range(50)))


# --- webhooks ---


def created(client: Client, **settings: Any) -> webhook_pb2.Webhook:
    given = {"name": "n", "url": "https://example.com/", "event_types": ["*"], "tenant_id": client.tenant}
    return webhook_pb2.Webhook(**given | settings)


def create(signing_key: str = "", request_id: str = "", **settings: Any) -> Call:
    return lambda client, world: client.webhooks.CreateWebhook(
        webhook_service_pb2.CreateWebhookRequest(
            webhook=created(client, **settings), signing_key=signing_key, request_id=request_id
        )
    )


def update(*paths: str, **fields: Any) -> Call:
    def call(client: Client, world: World) -> Awaitable[object]:
        given = {"id": world.webhook.id, "tenant_id": client.tenant} | fields
        mask = field_mask_pb2.FieldMask(paths=paths)
        return client.webhooks.UpdateWebhook(
            webhook_service_pb2.UpdateWebhookRequest(webhook=webhook_pb2.Webhook(**given), update_mask=mask)
        )

    return call


def policy(**fields: Any) -> webhook_pb2.RetryPolicy:
    return webhook_pb2.RetryPolicy(**fields)


BAD_SETTINGS: list[tuple[str, dict[str, Any], tuple[str, ...]]] = [
    ("an empty name", {"name": ""}, ("name",)),
    ("a blank name", {"name": " \t"}, ("name",)),
    ("a name of 257 characters", {"name": "n" * 257}, ("name",)),
    ("a name with a line feed", {"name": "a\nb"}, ("name",)),
    ("a name with NUL", {"name": "a\0b"}, ("name",)),
    ("no event types", {"event_types": []}, ("event_types",)),
    ("501 event types", {"event_types": [f"F{n}.*" for n in range(501)]}, ("event_types",)),
    ("an unknown event type", {"event_types": ["User.*", "User.Creatd"]}, ("event_types[1]",)),
    ("patterns that are none", {"event_types": ["*.Created", "User*", "", "User.**", "a b", ".*"]},
     tuple(f"event_types[{n}]" for n in range(6))),
    ("a header name with a space", {"headers": {"X Team": "a"}}, ('headers["X Team"]',)),
    ("a header name with a colon", {"headers": {"X-Team:": "a"}}, ('headers["X-Team:"]',)),
    ("an empty header name", {"headers": {"": "a"}}, ('headers[""]',)),
    ("a header name of 65 characters", {"headers": {"h" * 65: "a"}}, (f'headers["{"h" * 64}"]',)),
    ("a header name beyond ASCII", {"headers": {"X-Größe": "a"}}, ('headers["X-Größe"]',)),
    ("a header name with CR LF", {"headers": {"X-A\r\nX-B": "a"}}, ("headers[…]",)),
    ("a header value with CR LF", {"headers": {"X-A": "a\r\nX-B: b"}}, ('headers["X-A"]',)),
    ("a header value with LF", {"headers": {"X-A": "a\nb"}}, ('headers["X-A"]',)),
    ("a header value with NUL", {"headers": {"X-A": "a\0b"}}, ('headers["X-A"]',)),
    ("a header value with DEL", {"headers": {"X-A": "a\x7f"}}, ('headers["X-A"]',)),
    ("a header value with a tab", {"headers": {"X-A": "a\tb"}}, ('headers["X-A"]',)),
    ("a header value with U+2028", {"headers": {"X-A": "a\u2028b"}}, ('headers["X-A"]',)),
    ("a header value that begins with a space", {"headers": {"X-A": " a"}}, ('headers["X-A"]',)),
    ("a header value that ends with a space", {"headers": {"X-A": "a "}}, ('headers["X-A"]',)),
    ("a header value of 1025 characters", {"headers": {"X-A": "a" * 1025}}, ('headers["X-A"]',)),
    ("21 headers", {"headers": {f"x-{n}": "a" for n in range(21)}}, ("headers",)),
    ("more than 8 KiB of headers", {"headers": {f"x-{n}": "a" * 1024 for n in range(8)}}, ("headers",)),
    ("two headers that differ by case", {"headers": {"X-A": "a", "x-a": "b"}}, ('headers["x-a"]|headers["X-A"]',)),
    *(
        (f"the header {name}", {"headers": {name: "a"}}, (f'headers["{name}"]',))
        for name in (
            *("Host", "Content-Length", "transfer-encoding", "Content-Encoding", "Connection", "Keep-Alive", "TE"),
            *("Trailer", "Upgrade", "EXPECT", "Cookie", "Set-Cookie", "Accept-Encoding", "Via", "Forwarded"),
            *("X-Forwarded-For", "Proxy-Authorization", "Webhook-Id", "WEBHOOK-SIGNATURE", "webhook-anything"),
            *("Hookpost-Signature-SHA-256", "hookpost-event", "Hookpost-Anything", "X-Real-IP"),
        )
    ),
    ("a timeout of 99 ms", {"timeout": span(0.099)}, ("timeout",)),
    ("a timeout of 30.001 s", {"timeout": span(30.001)}, ("timeout",)),
    ("a negative timeout", {"timeout": span(-1)}, ("timeout",)),
    ("a timeout of 0", {"timeout": span(0)}, ("timeout",)),
    ("a timeout beyond all bounds", {"timeout": duration_pb2.Duration(seconds=2**62)}, ("timeout",)),
    ("an unknown format", {"payload_format": 9}, ("payload_format",)),
    ("a negative format", {"payload_format": -1}, ("payload_format",)),
    ("max_in_flight −1", {"max_in_flight": -1}, ("max_in_flight",)),
    ("max_in_flight 1001", {"max_in_flight": 1001}, ("max_in_flight",)),
    ("rate_limit 0.09", {"rate_limit": 0.09}, ("rate_limit",)),
    ("rate_limit 10,001", {"rate_limit": 10_001}, ("rate_limit",)),
    ("rate_limit −1", {"rate_limit": -1}, ("rate_limit",)),
    ("rate_limit NaN", {"rate_limit": float("nan")}, ("rate_limit",)),
    ("rate_limit infinity", {"rate_limit": float("inf")}, ("rate_limit",)),
    ("21 labels", {"labels": {f"k{n}": "" for n in range(21)}}, ("labels",)),
    ("an empty label key", {"labels": {"": "a"}}, ('labels[""]',)),
    ("a label key of 64 characters", {"labels": {"k" * 64: "a"}}, (f'labels["{"k" * 63}"]',)),
    ("a label key with a space", {"labels": {"a b": "c"}}, ('labels["a b"]',)),
    ("a label value of 257 characters", {"labels": {"a": "v" * 257}}, ('labels["a"]',)),
    ("a label value with NUL", {"labels": {"a": "\0"}}, ('labels["a"]',)),
    ("an unknown schedule", {"retry_policy": policy(schedule=9)}, ("retry_policy.schedule",)),
    ("CUSTOM without delays", {"retry_policy": policy(schedule=4)}, ("retry_policy.delays",)),
    ("20 delays", {"retry_policy": policy(delays=[span(1)] * 20)}, ("retry_policy.delays",)),
    ("a delay of −1 s", {"retry_policy": policy(delays=[span(1), span(-1)])}, ("retry_policy.delays[1]",)),
    ("a delay of 24 h and a second", {"retry_policy": policy(delays=[span(86_401)])}, ("retry_policy.delays[0]",)),
    ("delays of more than 7 days", {"retry_policy": policy(delays=[span(86_400)] * 7 + [span(1)])},
     ("retry_policy.delays",)),
    ("delays with a named schedule", {"retry_policy": policy(schedule=3, delays=[span(1)])}, ("retry_policy.delays",)),
    ("jitter 0.51", {"retry_policy": policy(jitter=0.51)}, ("retry_policy.jitter",)),
    ("jitter −0.1", {"retry_policy": policy(jitter=-0.1)}, ("retry_policy.jitter",)),
    ("jitter NaN", {"retry_policy": policy(jitter=float("nan"))}, ("retry_policy.jitter",)),
]  # fmt: skip

BAD_URLS = [
    "", "example.com", "//example.com/", "ftp://example.com/", "file:///etc/passwd", "gopher://example.com/",
    "http:example.com", "https:///x", "https://", "javascript:alert(1)",
    "https://user:pw@example.com/", "https://ok.example@127.0.0.1/", "https://example.com/#top",
    "https://exa mple.com/", "https://example.com/a b", "https://example.com/\r\nX: y", "https://example.com/\0",
    "https://example.com/\t", "https://ok.example\\@127.0.0.1/", "https://127.0.0.1%2f@x/", "https://[fe80::1%25eth0]/",
    "https://example.com:0/", "https://example.com:99999/", "https://example.com:22/", "https://example.com:25/",
    "https://example.com:6379/", "https://example.com:80:81/", "https://example.com:٨٠/", "https://example.com:-1/",
    "https://2130706433/", "https://0x7f000001/", "https://0x7f.0.0.1/", "https://017700000001/",
    "https://0177.0.0.1/", "https://127.1/", "https://0/", "https://1.2.3.256/",
    "https://10.0.0.1/", "https://192.168.1.1/", "https://172.16.0.1/", "https://169.254.169.254/latest/",
    "https://100.64.0.1/", "https://0.0.0.0/", "https://224.0.0.1/", "https://255.255.255.255/",
    "https://168.63.129.16/", "https://192.0.0.192/", "https://100.100.100.200/",
    "https://[::]/", "https://[fd12::1]/", "https://[fe80::1]/", "https://[ff02::1]/", "https://[fd00:ec2::254]/",
    "https://[::ffff:10.0.0.1]/", "https://[64:ff9b::a00:1]/", "https://[2002:a00:1::]/", "https://[v1.fe80::a]/",
    "https://[127.0.0.1]/", "https://[::1/", "https://xn--/", "https://" + "a" * 64 + ".com/", "https://a..b/",
    "https://" + "a." * 130 + "com/", "https://example.com/" + "a" * 2048,
]  # fmt: skip


def webhooks() -> Iterator[Row]:
    for name, settings, fields in BAD_SETTINGS:
        paths = tuple(f"webhook.{field}" if "|" not in field else field for field in fields)
        yield Row(f"create: {name}", create(**settings), paths)
    for name, settings, fields in BAD_SETTINGS:
        paths = tuple(f"webhook.{field}" if "|" not in field else field for field in fields)
        yield Row(f"update: {name}", update(*settings, **settings), paths)
    for url in BAD_URLS:
        yield Row(f"create: url {url[:40]!r}", create(url=url), ("webhook.url",))
    yield Row("update: url ftp", update(url="ftp://example.com"), ("webhook.url",))
    yield Row(
        "a password in a url is not told again",
        create(url="https://user:s3cret@example.com/"),
        ("webhook.url",),
        says="user name or password",
    )
    for tenant in ("a/b", "x" * 65, "a\0"):
        yield Row(f"create: tenant {tenant[:9]!r}", create(tenant_id=tenant), ("webhook.tenant_id",))
    for key in (
        "short",
        "x" * 129,
        "with spaces in it 123",
        "nul\0nul\0nul\0nul\0",
        "ümlauts-are-not-ascii",
        "whsec_not base64 at all",
        "whsec_!!!!!!!!!!!!!!!!",
        "whsec_" + "QUFB" * 5,
    ):
        yield Row(f"create: key {key[:12]!r}", create(signing_key=key), ("signing_key",))
    for request_id in ("a\nb", "x" * 129, "ü", " a"):
        yield Row(f"create: request id {request_id[:9]!r}", create(request_id=request_id), ("request_id",))
    yield Row(
        "create: nothing at all",
        lambda client, world: client.webhooks.CreateWebhook(webhook_service_pb2.CreateWebhookRequest()),
        ("webhook.name", "webhook.url", "webhook.event_types"),
    )
    yield Row(
        "create: all at once",
        create(
            "short",
            "a\nb",
            tenant_id="a/b",
            name="",
            url="ftp://x",
            event_types=[],
            headers={"Host": "x"},
            retry_policy=policy(jitter=2, delays=[span(-1)]),
            timeout=span(99),
            payload_format=9,
            max_in_flight=-1,
            rate_limit=-1,
            labels={"": ""},
        ),
        (
            "signing_key",
            "request_id",
            "webhook.tenant_id",
            "webhook.name",
            "webhook.url",
            "webhook.event_types",
            'webhook.headers["Host"]',
            "webhook.retry_policy.jitter",
            "webhook.retry_policy.delays[0]",
            "webhook.timeout",
            "webhook.payload_format",
            "webhook.max_in_flight",
            "webhook.rate_limit",
            'webhook.labels[""]',
        ),
    )

    for path in ("nothing", "maxInFlight", "retry_policy.jitter", "headers.X-A", "", "webhook.name", "name "):
        yield Row(f"update: path {path!r}", update(path, name="x"), ("update_mask.paths[0]",))
    for path in (
        "id",
        "tenant_id",
        "state",
        "state_reason",
        "signing_keys",
        "health",
        "create_time",
        "update_time",
        "etag",
    ):
        yield Row(
            f"update: output-only {path}",
            update("name", path, name="x"),
            ("update_mask.paths[1]",),
            says="can't be changed",
        )
    yield Row("update: * and others", update("*", "name", name="x"), ("update_mask.paths[0]",))
    yield Row(
        "update: put back what has no default",
        update("name", "url", "event_types"),
        ("webhook.name", "webhook.url", "webhook.event_types"),
    )
    yield Row(
        "update: all that names it at once",
        update("nothing", id="whk_1", tenant_id="a/b"),
        ("update_mask.paths[0]", "webhook.id", "webhook.tenant_id"),
    )
    yield Row(
        "update: a stale etag", update(name="x", etag='"0"'), code=grpc.StatusCode.ABORTED, reason="ETAG_MISMATCH"
    )
    yield Row(
        "update: an etag that is none",
        update(name="x", etag="\0"),
        code=grpc.StatusCode.ABORTED,
        reason="ETAG_MISMATCH",
    )


# --- ids and pages ---

WRONG_IDS = ["", "1", "whk_1", "evt_" + "0" * 26, "WHK_" + "0" * 26, "whk_" + "8" + "0" * 25, "whk_" + "u" * 26,
             "whk_" + "0" * 27, "whk-" + "0" * 26, "\0", "' or 1=1 --"]  # fmt: skip


def ids() -> Iterator[Row]:
    services = webhook_service_pb2
    for wrong in WRONG_IDS:
        for kind, name in (
            (services.GetWebhookRequest, "GetWebhook"),
            (services.DeleteWebhookRequest, "DeleteWebhook"),
            (services.EnableWebhookRequest, "EnableWebhook"),
            (services.DisableWebhookRequest, "DisableWebhook"),
            (services.GetSigningKeyRequest, "GetSigningKey"),
            (services.RotateSigningKeyRequest, "RotateSigningKey"),
        ):
            yield Row(
                f"{name} {wrong[:12]!r}",
                lambda client, world, kind=kind, name=name, wrong=wrong: getattr(client.webhooks, name)(
                    kind(webhook_id=wrong, tenant_id=client.tenant)
                ),
                ("webhook_id",),
            )
        yield Row(f"UpdateWebhook {wrong[:12]!r}", update(id=wrong), ("webhook.id",))
    for wrong in ("", "whk_" + "0" * 26, "evt_1"):
        yield Row(f"GetEvent {wrong[:12]!r}", lambda client, world, wrong=wrong: client.event(wrong), ("event_id",))
    for wrong in ("", "evt_" + "0" * 26, "dlv_1"):
        yield Row(
            f"GetDelivery {wrong[:12]!r}", lambda client, world, wrong=wrong: client.delivery(wrong), ("delivery_id",)
        )
    yield Row(
        "GetWebhook all at once",
        lambda client, world: client.webhooks.GetWebhook(services.GetWebhookRequest(webhook_id="x", tenant_id="a/b")),
        ("tenant_id", "webhook_id"),
    )
    yield Row(
        "DisableWebhook all at once",
        lambda client, world: client.webhooks.DisableWebhook(
            services.DisableWebhookRequest(webhook_id="x", tenant_id="a/b", reason="r" * 257)
        ),
        ("tenant_id", "webhook_id", "reason"),
    )
    yield Row(
        "RotateSigningKey all at once",
        lambda client, world: client.webhooks.RotateSigningKey(
            services.RotateSigningKeyRequest(
                webhook_id="x", tenant_id="a/b", overlap=span(-1), signing_key="short", request_id="\n"
            )
        ),
        ("tenant_id", "webhook_id", "overlap", "signing_key", "request_id"),
    )
    for overlap in (span(-0.001), span(7 * 86_400 + 1), duration_pb2.Duration(seconds=2**62)):
        yield Row(
            f"RotateSigningKey overlap {overlap.seconds}",
            lambda client, world, overlap=overlap: client.webhooks.RotateSigningKey(
                services.RotateSigningKeyRequest(webhook_id=world.webhook.id, tenant_id=client.tenant, overlap=overlap)
            ),
            ("overlap",),
        )
    yield Row(
        "DeleteWebhook with a stale etag",
        lambda client, world: client.webhooks.DeleteWebhook(
            services.DeleteWebhookRequest(webhook_id=world.webhook.id, tenant_id=client.tenant, etag='"0"')
        ),
        code=grpc.StatusCode.ABORTED,
        reason="ETAG_MISMATCH",
    )


def list_webhooks(**fields: Any) -> Call:
    return lambda client, world: client.webhooks.ListWebhooks(
        webhook_service_pb2.ListWebhooksRequest(**{"tenant_id": client.tenant} | fields)
    )


def list_events(**fields: Any) -> Call:
    return lambda client, world: client.events.ListEvents(
        event_service_pb2.ListEventsRequest(**{"tenant_id": client.tenant} | fields)
    )


def list_types(**fields: Any) -> Call:
    return lambda client, world: client.types.ListEventTypes(event_type_service_pb2.ListEventTypesRequest(**fields))


def list_deliveries(page_size: int = 0, page_token: str = "", tenant: str | None = None, **filter: Any) -> Call:
    return lambda client, world: client.deliveries.ListDeliveries(
        delivery_service_pb2.ListDeliveriesRequest(
            tenant_id=client.tenant if tenant is None else tenant,
            page_size=page_size,
            page_token=page_token,
            filter=delivery_service_pb2.DeliveryFilter(**filter),
        )
    )


def with_token(change: Callable[[str], str], **other: Any) -> Call:
    """The second page of webhooks, with its token changed or with other fields than the first."""

    async def call(client: Client, world: World) -> object:
        for _ in range(2):
            first = await list_webhooks(page_size=1)(client, world)
            if token := first.next_page_token:
                break
            await client.create()
        return await list_webhooks(page_token=change(token), **other)(client, world)

    return call


async def token_of_another_list(client: Client, world: World) -> object:
    first = await list_types(page_size=1)(client, world)
    return await list_webhooks(page_token=first.next_page_token)(client, world)


async def token_for_types(client: Client, world: World) -> object:
    """Well bound, but what it holds is no name."""
    first = await list_types(page_size=1)(client, world)
    content = base64.urlsafe_b64decode(first.next_page_token + "==")[:9] + b"\0'"
    return await list_types(page_token=base64.urlsafe_b64encode(content).decode())(client, world)


def lists() -> Iterator[Row]:
    for name, make in (
        ("webhooks", list_webhooks),
        ("events", list_events),
        ("types", list_types),
        ("deliveries", list_deliveries),
    ):
        for size in (-1, -(2**31)):
            yield Row(f"{name}: page_size {size}", make(page_size=size), ("page_size",))
        for token in ("x", "====", "AQ", "Ä", "A" * 500, "\0", "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"):
            yield Row(f"{name}: page_token {token[:9]!r}", make(page_token=token), ("page_token",))
    yield Row("webhooks: a truncated token", with_token(lambda token: token[:-4]), ("page_token",))
    yield Row("webhooks: a token cut to the quick", with_token(lambda token: token[:13]), ("page_token",))
    yield Row(
        "webhooks: a token with a changed bit",
        with_token(lambda token: token[:3] + ("A" if token[3] != "A" else "B") + token[4:]),
        ("page_token",),
    )
    yield Row("webhooks: a token with something after it", with_token(lambda token: token + "AAAA"), ("page_token",))
    yield Row("webhooks: a token with another filter", with_token(str, query="x"), ("page_token",))
    yield Row("webhooks: another tenant's token", with_token(str, tenant_id="other"), ("page_token",))
    yield Row("webhooks: another list's token", token_of_another_list, ("page_token",))
    yield Row("types: a token that holds no name", token_for_types, ("page_token",))
    yield Row(
        "webhooks: all at once",
        list_webhooks(
            tenant_id="a/b",
            page_size=-1,
            page_token="x",
            states=[9],
            event_type="a b",
            labels={"a": "\0"},
            query="q" * 257,
        ),
        ("tenant_id", "page_size", "page_token", "states", "event_type", 'labels["a"]', "query"),
    )
    yield Row("webhooks: state 0", list_webhooks(states=[0]), ("states",))
    yield Row("webhooks: a query with NUL", list_webhooks(query="a\0b"), ("query",))
    yield Row("webhooks: a label key with NUL", list_webhooks(labels={"a\0": "b"}), ('labels["a\\u0000"]',))
    yield Row("types: a group with NUL", list_types(group="a\0"), ("group",))
    late, early = timestamp_pb2.Timestamp(seconds=2), timestamp_pb2.Timestamp(seconds=1)
    yield Row(
        "events: all at once",
        list_events(tenant_id="a/b", page_size=-1, page_token="x", event_type="*", start_time=late, end_time=early),
        ("tenant_id", "page_size", "page_token", "event_type", "end_time"),
    )
    yield Row(
        "events: a time before 1970", list_events(start_time=timestamp_pb2.Timestamp(seconds=-1)), ("start_time",)
    )
    yield Row(
        "deliveries: all at once",
        list_deliveries(
            -1,
            "x",
            "a/b",
            webhook_id="x",
            event_id="y",
            event_type="a b",
            states=[9],
            status_classes=[6],
            outcomes=[99],
            start_time=late,
            end_time=early,
        ),
        (
            "tenant_id",
            "page_size",
            "page_token",
            "filter.webhook_id",
            "filter.event_id",
            "filter.event_type",
            "filter.states",
            "filter.status_classes",
            "filter.outcomes",
            "filter.end_time",
        ),
    )
    yield Row(
        "deliveries: an end before the default start",
        list_deliveries(end_time=timestamp_pb2.Timestamp(seconds=1)),
        ("filter.end_time",),
        says="by default 24 h ago",
    )
    yield Row("deliveries: status class 0", list_deliveries(status_classes=[0]), ("filter.status_classes",))
    yield Row(
        "deliveries: an event's id for a webhook's",
        list_deliveries(webhook_id="evt_" + "0" * 26),
        ("filter.webhook_id",),
    )


# --- event types ---


def create_type(**fields: Any) -> Call:
    return lambda client, world: client.types.CreateEventType(
        event_type_service_pb2.CreateEventTypeRequest(event_type=event_type_pb2.EventType(**fields))
    )


def update_type(*paths: str, **fields: Any) -> Call:
    return lambda client, world: client.types.UpdateEventType(
        event_type_service_pb2.UpdateEventTypeRequest(
            event_type=event_type_pb2.EventType(**{"name": "User.Created"} | fields),
            update_mask=field_mask_pb2.FieldMask(paths=paths),
        )
    )


def types() -> Iterator[Row]:
    for name in ("", "a b", "x" * 129, "A.*", "*", ".a", "a\0", "Ä"):
        yield Row(f"type: name {name[:9]!r}", create_type(name=name, group="g"), ("event_type.name",))
        yield Row(
            f"type: get {name[:9]!r}",
            lambda client, world, name=name: client.types.GetEventType(
                event_type_service_pb2.GetEventTypeRequest(name=name)
            ),
            ("name",),
        )
        yield Row(
            f"type: delete {name[:9]!r}",
            lambda client, world, name=name: client.types.DeleteEventType(
                event_type_service_pb2.DeleteEventTypeRequest(name=name)
            ),
            ("name",),
        )
    for field, value in (
        ("group", "g" * 65),
        ("group", "a\nb"),
        ("description", "d" * 2001),
        ("description", "\0"),
        ("json_schema", "[]"),
        ("json_schema", "{"),
        ("json_schema", '{"a":"' + "x" * 65_536 + '"}'),
        ("example", "[]"),
        ("example", "x"),
        ("example", '{"a":1,"a":1}'),
        ("example", '{"event":1}'),
        ("example", '{"a":"' + "x" * 65_536 + '"}'),
    ):
        call = create_type(**{"name": "A.B", field: value})
        yield Row(f"type: {field} {value[:9]!r}", call, (f"event_type.{field}",))
    yield Row("type: enforce no schema", create_type(name="A.B", enforce_schema=True), ("event_type.enforce_schema",))
    yield Row(
        "type: all at once",
        create_type(name="a b", group="g" * 65, description="\0", json_schema="1", example="1"),
        (
            "event_type.name",
            "event_type.group",
            "event_type.description",
            "event_type.json_schema",
            "event_type.example",
        ),
    )
    yield Row("type: taken", create_type(name="User.Created"), code=grpc.StatusCode.ALREADY_EXISTS, reason="NAME_TAKEN")
    yield Row("type: update an unknown path", update_type("nothing"), ("update_mask.paths[0]",))
    for path in ("name", "built_in", "create_time", "update_time", "etag"):
        yield Row(f"type: update output-only {path}", update_type(path), ("update_mask.paths[0]",))
    yield Row(
        "type: update all at once", update_type("nothing", name="a b"), ("update_mask.paths[0]", "event_type.name")
    )
    yield Row(
        "type: update with a stale etag",
        update_type("deprecated", deprecated=True, etag='"0"'),
        code=grpc.StatusCode.ABORTED,
        reason="ETAG_MISMATCH",
    )
    yield Row(
        "type: change a built-in one",
        update_type("group", group="x"),
        code=grpc.StatusCode.FAILED_PRECONDITION,
        reason="EVENT_TYPE_IN_USE",
    )


# --- tests, health, replays, watches, waits ---


def try_out(webhook_id: str | None = None, tenant: str | None = None, **fields: Any) -> Call:
    return lambda client, world: client.webhooks.TestWebhook(
        webhook_service_pb2.TestWebhookRequest(
            webhook_id=world.webhook.id if webhook_id is None else webhook_id,
            tenant_id=client.tenant if tenant is None else tenant,
            **fields,
        )
    )


def health(webhook_id: str | None = None, tenant: str | None = None, **spans: float) -> Call:
    return lambda client, world: client.webhooks.GetWebhookHealth(
        webhook_service_pb2.GetWebhookHealthRequest(
            webhook_id=world.webhook.id if webhook_id is None else webhook_id,
            tenant_id=client.tenant if tenant is None else tenant,
            **{name: span(seconds) for name, seconds in spans.items()},
        )
    )


def deliveries_of(world: World, filter: dict[str, Any]) -> delivery_service_pb2.DeliveryFilter:
    return delivery_service_pb2.DeliveryFilter(**{"webhook_id": world.webhook.id} | filter)


def replay(rate: float = 0, missed: bool = False, tenant: str | None = None, **filter: Any) -> Call:
    return lambda client, world: client.deliveries.ReplayDeliveries(
        delivery_service_pb2.ReplayDeliveriesRequest(
            tenant_id=client.tenant if tenant is None else tenant,
            filter=deliveries_of(world, filter),
            include_missed=missed,
            rate=rate,
        )
    )


def watch(resume_token: str = "", tenant: str | None = None, **filter: Any) -> Call:
    return lambda client, world: client.deliveries.WatchDeliveries(
        delivery_service_pb2.WatchDeliveriesRequest(
            tenant_id=client.tenant if tenant is None else tenant,
            filter=deliveries_of(world, filter),
            resume_token=resume_token,
        )
    ).read()


def with_resume_token(change: Callable[[str], str], tenant: str | None = None, **other: Any) -> Call:
    """A watch that goes on from a real token, which was changed or is another watch's."""

    async def call(client: Client, world: World) -> object:
        first = client.deliveries.WatchDeliveries(
            delivery_service_pb2.WatchDeliveriesRequest(tenant_id=client.tenant, filter=deliveries_of(world, {}))
        )
        token = (await first.read()).resume_token
        first.cancel()
        return await watch(change(token), tenant, **other)(client, world)

    return call


def resume_by_page_token(client: Client, world: World) -> Awaitable[object]:
    """The same tenant and filter, but a list's token: what it holds is no position."""
    listing = delivery_service_pb2.ListDeliveriesRequest(tenant_id=client.tenant, filter=deliveries_of(world, {}))
    return watch(paging.token(listing, bytes(16)))(client, world)


def repeated(call: str, delivery_id: str, **fields: Any) -> Call:
    kinds = {
        "RedeliverDelivery": (delivery_service_pb2.RedeliverDeliveryRequest, "delivery_id"),
        "StopReplay": (delivery_service_pb2.StopReplayRequest, "replay_id"),
    }
    kind, name = kinds[call]
    return lambda client, world: getattr(client.deliveries, call)(
        kind(**{"tenant_id": client.tenant, name: delivery_id} | fields)
    )


def trials_and_health() -> Iterator[Row]:
    missing = {"code": grpc.StatusCode.NOT_FOUND, "reason": "RESOURCE_NOT_FOUND"}
    for wrong in WRONG_IDS:
        yield Row(f"TestWebhook {wrong[:12]!r}", try_out(wrong), ("webhook_id",))
        yield Row(f"GetWebhookHealth {wrong[:12]!r}", health(wrong), ("webhook_id",))
    yield Row("test: an unknown webhook", try_out("whk_" + "0" * 26), says="whk_000", **missing)
    yield Row("health: an unknown webhook", health("whk_" + "0" * 26), says="whk_000", **missing)
    yield Row(
        "test: an unknown type",
        try_out(event_types=["User.Created", "User.Creatd"]),
        code=grpc.StatusCode.NOT_FOUND,
        reason="EVENT_TYPE_UNKNOWN",
        says="User.Created",
    )
    for name in ("", "User.*", "*", "a b", "x" * 129):
        yield Row(f"test: type {name[:9]!r}", try_out(event_types=["User.Created", name]), ("event_types[1]",))
    yield Row(
        "test: 101 types", try_out(event_types=[f"T{n}" for n in range(101)]), ("event_types",), says="at most 100"
    )
    for url in (
        "ftp://example.com/",
        "https://169.254.169.254/",
        "https://u:s3cret@example.com/",
        "x",
        "http://10.0.0.1/",
    ):
        yield Row(f"test: url {url[:20]!r}", try_out(url=url), ("url",))
    for name in ("Host", "Webhook-Id", "hookpost-test", "a b"):
        call = try_out(headers={name: "a"}, override_headers=True)
        yield Row(f"test: header {name}", call, (f'headers["{name}"]',))
    yield Row("test: a header value", try_out(headers={"X-A": "a\r\nb"}, override_headers=True), ('headers["X-A"]',))
    yield Row("test: an unknown format", try_out(payload_format=9), ("payload_format",))
    yield Row(
        "test: all at once",
        try_out("x", "a/b", event_types=["*"], payload_format=-1),
        ("webhook_id", "tenant_id", "event_types[0]", "payload_format"),
    )
    yield Row(
        "test: all settings at once",
        try_out(url="ftp://x", headers={"Host": "a"}, override_headers=True),
        ("url", 'headers["Host"]'),
    )
    for window in (0, 59.999, -60, 7 * 86_400 + 1):
        yield Row(f"health: window {window}", health(window=window, bucket=3600 if window > 0 else 60), ("window",))
    for bucket in (0, 1, 59, 61, 3599, 86_400, -60):
        yield Row(f"health: bucket {bucket}", health(bucket=bucket), ("bucket",))
    yield Row("health: too many minutes", health(window=25 * 3600 + 1, bucket=60), ("bucket",), says="25 h")
    yield Row("health: an hour of a minute", health(window=60, bucket=3600), ("bucket",), says="longer than the window")
    yield Row(
        "health: all at once", health("x", "a/b", window=1, bucket=7), ("webhook_id", "tenant_id", "window", "bucket")
    )


def replays_and_watches() -> Iterator[Row]:
    missing = {"code": grpc.StatusCode.NOT_FOUND, "reason": "RESOURCE_NOT_FOUND"}
    for wrong in ("", "evt_" + "0" * 26, "dlv_1"):
        yield Row(f"RedeliverDelivery {wrong[:9]!r}", repeated("RedeliverDelivery", wrong), ("delivery_id",))
    for wrong in ("", "dlv_" + "0" * 26, "rpl_1"):
        yield Row(f"StopReplay {wrong[:9]!r}", repeated("StopReplay", wrong), ("replay_id",))
    yield Row("RedeliverDelivery unknown", repeated("RedeliverDelivery", "dlv_" + "0" * 26), says="dlv_000", **missing)
    yield Row("StopReplay unknown", repeated("StopReplay", "rpl_" + "0" * 26), says="rpl_000", **missing)
    yield Row(
        "RedeliverDelivery all at once",
        repeated("RedeliverDelivery", "x", tenant_id="a/b"),
        ("delivery_id", "tenant_id"),
    )
    yield Row("StopReplay all at once", repeated("StopReplay", "x", tenant_id="a/b"), ("replay_id", "tenant_id"))

    yield Row("replay: neither webhook nor event", replay(webhook_id=""), ("filter.webhook_id",), says="is required")
    yield Row("replay: a type only", replay(webhook_id="", event_type="User.Created"), ("filter.webhook_id",))
    yield Row("replay: PENDING", replay(states=[3, 1]), ("filter.states",), says="PENDING")
    yield Row(
        "replay: missed events without a webhook",
        replay(missed=True, webhook_id="", event_id="evt_" + "0" * 26),
        ("filter.webhook_id",),
        says="include_missed",
    )
    again = replay(missed=True, replay_id="rpl_" + "0" * 26)
    yield Row("replay: missed events of a replay", again, ("filter.replay_id",), says="not for include_missed")
    yield Row("replay: of no replay's id", replay(webhook_id="", replay_id="x"), ("filter.replay_id",))
    yield Row("replay: missed events of no webhook", replay(missed=True, webhook_id="whk_" + "0" * 26), **missing)
    for rate in (0.09, -1, 1000.1, float("nan"), float("inf")):
        yield Row(f"replay: rate {rate}", replay(rate), ("rate",))
    late, early = timestamp_pb2.Timestamp(seconds=2), timestamp_pb2.Timestamp(seconds=1)
    wrong_filter = {
        "webhook_id": "x", "event_id": "y", "event_type": "a b", "states": [9], "status_classes": [0],
        "outcomes": [99], "replay_id": "evt_" + "0" * 26,
    }  # fmt: skip
    paths = tuple(f"filter.{name}" for name in wrong_filter)
    yield Row(
        "replay: all at once",
        replay(-1, tenant="a/b", **wrong_filter, start_time=late, end_time=early),
        ("tenant_id", "rate", "filter.end_time", *paths),
    )
    for name in ("start_time", "end_time"):
        yield Row(f"watch: {name}", watch(**{name: late}), (f"filter.{name}",), says="not for watching")
    for token in ("x", "====", "Ä", "A" * 500, "\0", "AQAAAAAAAAAAAAAAAAAAAAAA"):
        yield Row(f"watch: resume_token {token[:9]!r}", watch(token), ("resume_token",))
    yield Row("watch: a truncated token", with_resume_token(lambda token: token[:-2]), ("resume_token",))
    yield Row("watch: a longer token", with_resume_token(lambda token: token + "AAAA"), ("resume_token",))
    yield Row("watch: a token of another filter", with_resume_token(str, event_type="User.Created"), ("resume_token",))
    yield Row("watch: another tenant's token", with_resume_token(str, "other"), ("resume_token",))
    yield Row("watch: a list's token", resume_by_page_token, ("resume_token",))
    yield Row("watch: all at once", watch("x", "a/b", **wrong_filter), ("tenant_id", "resume_token", *paths))


def waits() -> Iterator[Row]:
    for seconds in (0, -1, 60.001, 61):
        call = emit(wait=event_service_pb2.Wait(timeout=span(seconds)))
        yield Row(f"wait: {seconds} s", call, ("wait.timeout",), says="at most 60 s")
    yield Row("wait: no timeout", emit(wait=event_service_pb2.Wait()), ("wait.timeout",))
    yield Row("dry run: a bad payload", emit("[]", dry_run=True), ("json",))
    yield Row(
        "dry run: an unknown type",
        emit(type="User.Creatd", dry_run=True),
        code=grpc.StatusCode.NOT_FOUND,
        reason="EVENT_TYPE_UNKNOWN",
        says="User.Created",
    )
    one = event_service_pb2.EmitEventRequest(type="User.Created", json="{}")
    dry = event_service_pb2.EmitEventRequest(type="User.Created", json="{}", dry_run=True)
    waiting = event_service_pb2.EmitEventRequest(
        type="User.Created", json="{}", wait=event_service_pb2.Wait(timeout=span(1))
    )
    yield Row("a batch that is dry and waits", batch(one, dry, waiting), ("requests[1].dry_run", "requests[2].wait"))


SCHEMAS = [
    ("a type that is none", '{"type":"objct"}', "not a JSON Schema 2020-12"),
    ("a keyword of the wrong type", '{"properties":[]}', "not a JSON Schema 2020-12"),
    ("a pattern that is none", '{"properties":{"a":{"pattern":"("}}}', "regex"),
    ("a pattern that looks ahead", '{"properties":{"a":{"pattern":"(?=a)b"}}}', "regex"),
    ("a pattern that refers back", '{"properties":{"a":{"pattern":"(a)\\\\1"}}}', "regex"),
    (
        "a reference into the network",
        '{"properties":{"a":{"$ref":"https://127.0.0.1:1/x.json"}}}',
        "leads out",
    ),
    ("a reference to a file", '{"$ref":"file:///etc/passwd"}', "leads out"),
    (
        "a relative reference into the network",
        '{"$id":"http://127.0.0.1:1/a","$ref":"b.json"}',
        "leads out",
    ),
    ("a reference to what is not there", '{"$ref":"#/$defs/nothing"}', "not a JSON Schema 2020-12"),
]


def schemas() -> Iterator[Row]:
    for name, text, says in SCHEMAS:
        yield Row(f"schema: {name}", create_type(name="A.B", json_schema=text), ("event_type.json_schema",), says=says)
    yield Row(
        "schema: an example that breaks it",
        create_type(name="A.B", json_schema='{"required":["a"]}', example="{}"),
        ("event_type.example",),
        says="does not fit json_schema",
    )
    yield Row(
        "schema: no example where one is needed",
        create_type(name="A.B", json_schema='{"required":["a"]}'),
        ("event_type.example",),
    )


# --- bytes ---

METHODS = [
    f"{service}/{method.name}"
    for file in (webhook_service_pb2, event_service_pb2, event_type_service_pb2, delivery_service_pb2)
    for service in file.DESCRIPTOR.services_by_name
    for method in file.DESCRIPTOR.services_by_name[service].methods
    if not method.client_streaming
]


def nested_data(depth: int) -> bytes:
    """An EmitEventRequest whose `data` is {"a":{"a":…}}, deeper than the library would write it."""
    data = b""
    for _ in range(depth):
        value = b"\x2a" + _length(data) + data  # Value.struct_value
        entry = b"\x0a\x01a\x12" + _length(value) + value
        data = b"\x0a" + _length(entry) + entry  # Struct.fields
    return b"\x22" + _length(data) + data


def _length(data: bytes) -> bytes:
    low, high = len(data) & 0x7F, len(data) >> 7
    return bytes([low | 0x80, high]) if high else bytes([low])


def raw(method: str, data: bytes) -> Call:
    def call(client: Client, world: World) -> Awaitable[object]:
        path = f"/hookpost.v1.{method}"
        if method.endswith("/WatchDeliveries"):
            return client.channel.unary_stream(path)(data).read()
        return client.channel.unary_unary(path)(data)

    return call


def wire() -> Iterator[Row]:
    for method in METHODS:
        yield Row(f"{method}: bytes that are no message", raw(method, b"\xff\xff\xff\xff"), ("request",))
    emit = "EventService/EmitEvent"
    yield Row("a truncated message", raw(emit, b"\x0a\x10User"), ("request",))
    yield Row("text that is not UTF-8", raw(emit, b"\x0a\x02\xff\xfe"), ("request",))
    yield Row("a lone surrogate as bytes", raw(emit, b"\x1a\x03\xed\xa0\x80"), ("request",))
    yield Row("data nested too deep for a message", raw(emit, nested_data(60)), ("request",))
    yield Row("a group that never ends", raw(emit, b"\x0b" * 200), ("request",))


# fmt: on

ROWS = [
    *(*emits(), *batches(), *webhooks(), *ids(), *lists(), *types()),
    *(*trials_and_health(), *replays_and_watches(), *waits(), *schemas(), *wire()),
]


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
async def test_refused(client: Client, module_database_url: str, row: Row) -> None:
    webhook = await client.create(event_types=["Role.Deleted"])
    await client.create(event_types=["Role.Deleted"])
    world = World(webhook, (await client.emit()).event_id)
    before = await counts(module_database_url, client.tenant)

    refusal = await refused(row.call(client, world))

    assert (refusal.code, refusal.reason) == (row.code, row.reason)
    expected = {alternative for field in row.fields for alternative in field.split("|")}
    if any("|" in field for field in row.fields):  # whichever came second
        assert len(refusal.violations) == 1
        assert all(field.removeprefix("webhook.") in expected for field in refusal.violations)
    else:
        assert refusal.violations.keys() == expected
    assert row.says in "\n".join([refusal.message, *refusal.violations.values()])
    assert "s3cret" not in str(refusal)
    if row.code == grpc.StatusCode.NOT_FOUND:
        assert refusal.resource
        assert refusal.resource.owner == ""
    if row.reason == "ETAG_MISMATCH":
        assert refusal.metadata["etag"]
    assert refusal.retry_delay is None
    assert await counts(module_database_url, client.tenant) == before


async def test_all_is_well_otherwise(client: Client) -> None:
    """The rows' common ground is accepted, so that each is refused for its own fault."""
    assert (await client.create()).id
    assert (await client.emit()).event_id
    world = World(await client.create(), "")
    await update("name", name="x")(client, world)
    for call in (list_webhooks(), list_events(), list_types(), list_deliveries(), with_token(str)):
        await call(client, world)
    for call in (
        try_out(),
        health(),
        replay(),
        replay(missed=True),
        watch(),
        with_resume_token(str),
        emit(dry_run=True),
    ):
        await call(client, world)
    await emit(wait=event_service_pb2.Wait(timeout=span(0.01)))(client, world)
    await batch(event_service_pb2.EmitEventRequest(type="User.Created", json="{}"))(client, world)
    await create("a-key-that-is-fine", "a request")(client, world)


async def test_a_message_over_the_limit(client: Client, module_database_url: str) -> None:
    """gRPC itself refuses it, before our code sees it: the code is right, details can't be."""
    before = await counts(module_database_url, client.tenant)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.emit('{"a":"' + "x" * (35 * 1024 * 1024) + '"}')
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert await counts(module_database_url, client.tenant) == before
    assert (await client.emit()).event_id


async def test_a_refusal_fits_into_the_trailers(client: Client) -> None:
    """50 violations with long names must arrive whole: a trailer over 8 KiB may be dropped on the way."""
    webhook = webhook_pb2.Webhook(name="n", url="https://example.com/", event_types=["x" * 5000 + "!"] * 500)
    for index in range(500):
        webhook.event_types[index] += str(index)
    request = webhook_service_pb2.CreateWebhookRequest(webhook=webhook)
    refusal = await refused(client.webhooks.CreateWebhook(request))
    assert len(refusal.violations) == 50
