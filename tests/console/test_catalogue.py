"""The catalogue: types by group, a schema as a tree, who subscribes, and documents to download."""

from __future__ import annotations

import json

import pytest

from hookpost.v1 import event_type_pb2, event_type_service_pb2
from tests.rpc.serving import Client

from .visitor import Visitor

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCHEMA = {
    "$defs": {"money": {"type": "integer", "minimum": 0, "description": "In <cents>."}},
    "properties": {
        "total": {"$ref": "#/$defs/money"},
        "lines": {"type": "array", "items": {"properties": {"sku": {"type": "string", "pattern": "<u>"}}}},
    },
    "required": ["total"],
}


async def created(client: Client, name: str, **fields: object) -> None:
    given = event_type_pb2.EventType(name=name, **fields)
    await client.types.CreateEventType(event_type_service_pb2.CreateEventTypeRequest(event_type=given))


async def test_search(visitor: Visitor) -> None:
    page = await visitor.get("/catalogue")
    assert "User.Created" in page.words and "/catalogue/types/User.Created" in page.links
    page = await visitor.get("/catalogue?q=user+deleted")
    assert "User.Deleted" in page.words and "User.Created" not in page.words.split("Add a type")[0]
    page = await visitor.get("/catalogue?q=nothing-like-it")
    assert "No event type matches" in page.words and "/catalogue" in page.links


async def test_a_type_of_ones_own(visitor: Visitor, client: Client) -> None:
    name = "order.paid"
    await created(
        client, name, group="<Orders>", description="</p><script>alert(1)</script>", json_schema=json.dumps(SCHEMA),
        example='{"total": 1}', deprecated=True,
    )  # fmt: skip
    webhook = await client.create(name="shop <u>", event_types=["order.*"])
    page = await visitor.get(f"/t/{client.tenant}/catalogue/types/{name}")
    assert "<script>alert" not in page.text and "<cents>" not in page.text and "<u>" not in page.text
    assert "Level 1: total * required integer In <cents>. minimum: 0" in page.words
    assert "Level 1: lines array" in page.words and "Level 3: sku string pattern: <u>" in page.words
    assert "deprecated" in page.words and '"total": 1' in page.words
    assert f"/t/{client.tenant}/webhooks/{webhook.id}/settings" in page.links and "shop <u> Active" in page.words
    page = await visitor.get(f"/catalogue/types/{name}/schema.json")
    assert json.loads(page.text) == SCHEMA and page.headers["Content-Disposition"].startswith("attachment")


async def test_a_type_without_schema(visitor: Visitor, client: Client) -> None:
    await created(client, "ping")
    page = await visitor.get(f"/t/{client.tenant}/catalogue/types/ping")
    assert "This type has no schema" in page.words and "No webhook does." in page.words
    assert (await visitor.get("/catalogue/types/ping/schema.json")).status == 404


async def test_what_is_not_there(visitor: Visitor) -> None:
    for name in ("No.Such", "%3Cb%3E", "x" * 200):
        assert (await visitor.get(f"/catalogue/types/{name}")).status == 404
        assert (await visitor.get(f"/catalogue/types/{name}/schema.json")).status == 404


async def test_documents(visitor: Visitor) -> None:
    page = await visitor.get("/catalogue/asyncapi.json")
    document = json.loads(page.text)
    assert document["asyncapi"] == "3.0.0" and "User.Created" in document["components"]["messages"]
    assert "hookpost-signature-sha-256" in document["components"]["schemas"]["headers"]["required"]
    plain = json.loads((await visitor.get("/catalogue/event-types.json")).text)
    assert {"User.Created", "PostSignIn"} <= {each["name"] for each in plain}
