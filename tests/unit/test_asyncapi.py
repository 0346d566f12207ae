"""The exported AsyncAPI document: its structure, and that its schemas hold for what receivers get."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from hookpost.v1.event_type_pb2 import EventType
from hookpost_server.domain import catalogue
from hookpost_server.domain.asyncapi import document, plain

OWN = EventType(
    name="order.paid",
    group="order",
    description="An order was paid.",
    json_schema=json.dumps(
        {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$defs": {"money": {"type": "integer"}, "tree": {"properties": {"child": {"$ref": "#/$defs/tree"}}}},
            "properties": {
                "total": {"$ref": "#/$defs/money"},
                "tree": {"$ref": "#/$defs/tree"},
                "note": {"const": {"$ref": "#/x"}},
            },
            "required": ["total"],
            "additionalProperties": False,
        }
    ),
    example='{"total": 1}',
    deprecated=True,
)  # fmt: skip
BARE = EventType(name="ping", example="{}")
BUILT_IN = [
    EventType(name=entry.name, group=entry.group, json_schema=entry.schema, example=entry.example)
    for entry in catalogue.builtin()
]
DOCUMENT = document([*BUILT_IN, OWN, BARE], "x-signature")


def follow(reference: str) -> Any:
    node: Any = DOCUMENT
    for word in reference.removeprefix("#/").split("/"):
        node = node[word]
    return node


def references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [each for name, value in node.items() if name != "const" for each in references(value)]
    return [each for value in node for each in references(value)] if isinstance(node, list) else []


def validator(name: str) -> Draft202012Validator:
    resource = Resource.from_contents(DOCUMENT, default_specification=DRAFT202012)
    place = f"urn:document#/components/messages/{name}/payload"
    return Draft202012Validator({"$ref": place}, registry=Registry().with_resource("urn:document", resource))


def test_structure() -> None:
    """What AsyncAPI 3.0 asks of a document of this kind."""
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert DOCUMENT["info"].keys() >= {"title", "version"}
    assert list(DOCUMENT["channels"]) == ["feed"]
    assert list(DOCUMENT["operations"]) == ["deliver"]
    operation = DOCUMENT["operations"]["deliver"]
    assert operation["action"] == "send"
    assert operation["channel"] == {"$ref": "#/channels/feed"}
    names = [kind.name for kind in BUILT_IN] + ["order.paid", "ping"]
    assert list(DOCUMENT["components"]["messages"]) == names
    assert DOCUMENT["channels"]["feed"]["messages"].keys() == set(names)
    assert [each["$ref"] for each in operation["messages"]] == [f"#/channels/feed/messages/{name}" for name in names]
    assert json.loads(json.dumps(DOCUMENT)) == DOCUMENT


def test_every_reference_leads_somewhere() -> None:
    found = references(DOCUMENT)
    assert len(found) > 100
    for reference in found:
        assert follow(reference) is not None


@pytest.mark.parametrize("name", DOCUMENT["components"]["messages"])
def test_messages(name: str) -> None:
    message = DOCUMENT["components"]["messages"][name]
    assert message["name"] == name
    assert follow(message["headers"]["$ref"])["required"][3] == "x-signature"
    example = message["examples"][0]["payload"]
    assert [*example][:2] == ["event", "createdAt"]
    assert [*example][-1] == "hookId"
    check = validator(name)
    assert list(check.iter_errors(example)) == []
    for missing in ("event", "createdAt", "hookId"):
        assert not check.is_valid({member: value for member, value in example.items() if member != missing})
    assert not check.is_valid(example | {"event": "Something.Else"})


def test_an_own_schema_moves_with_its_references() -> None:
    payload = DOCUMENT["components"]["messages"]["order.paid"]["payload"]
    place = "#/components/messages/order.paid/payload"
    assert payload["properties"]["total"] == {"$ref": f"{place}/$defs/money"}
    assert payload["$defs"]["tree"]["properties"]["child"] == {"$ref": f"{place}/$defs/tree"}
    assert payload["properties"]["note"] == {"const": {"$ref": "#/x"}}, "a value, not a reference"
    assert payload["required"] == ["event", "createdAt", "hookId", "total"]
    example = DOCUMENT["components"]["messages"]["order.paid"]["examples"][0]["payload"]
    check = validator("order.paid")
    assert not check.is_valid(example | {"total": "1"})
    assert not check.is_valid(example | {"other": 1})
    assert DOCUMENT["components"]["messages"]["order.paid"]["x-deprecated"] is True


def test_plain() -> None:
    first, second = plain([OWN, BARE])
    assert first["schema"]["required"] == ["total"]
    assert first["example"] == {"total": 1}
    assert (second["name"], second["schema"], second["deprecated"]) == ("ping", None, False)
