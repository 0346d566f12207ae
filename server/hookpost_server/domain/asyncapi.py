"""An AsyncAPI 3.0 document of the catalogue: what a receiver of FLAT webhooks gets, message by message."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Protocol

from .. import __version__

CHANNEL = "feed"
_TIME, _WEBHOOK = "2026-08-21T10:00:00.000Z", "whk_01k3pzv3mgfqtsw1nbd4z0k2xr"
_ENVELOPE = ("event", "createdAt", "hookId")
_SUBSCHEMAS = ("additionalProperties", "contains", "else", "if", "items", "not", "propertyNames", "then",
               "unevaluatedItems", "unevaluatedProperties")  # fmt: skip
_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
_MAPS = ("$defs", "definitions", "dependentSchemas", "patternProperties", "properties")


class Described(Protocol):
    """An event type, as stored or as a client has it."""

    @property
    def name(self) -> str: ...
    @property
    def group(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def json_schema(self) -> str: ...
    @property
    def example(self) -> str: ...
    @property
    def deprecated(self) -> bool: ...
    @property
    def built_in(self) -> bool: ...
    @property
    def enforce_schema(self) -> bool: ...


def document(types: Iterable[Described], header: str) -> dict[str, Any]:
    """The whole document. `header` is the name of the header with the hex signature."""
    messages = {kind.name: _message(kind) for kind in types}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Hookpost events",
            "version": __version__,
            "description": "What Hookpost POSTs to a webhook of format FLAT: one message for each event type.",
        },
        "defaultContentType": "application/json",
        "channels": {
            CHANNEL: {
                "address": None,
                "title": "The feed of a webhook",
                "description": "The webhook's own URL. It receives the event types that it subscribes to.",
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
            }
        },
        "operations": {
            "deliver": {
                "action": "send",
                "channel": {"$ref": f"#/channels/{CHANNEL}"},
                "summary": "POSTs an event, signed, and tries again until it is answered with 2xx or tries are spent.",
                "bindings": {"http": {"method": "POST", "bindingVersion": "0.3.0"}},
                "messages": [{"$ref": f"#/channels/{CHANNEL}/messages/{name}"} for name in messages],
            }
        },
        "components": {"messages": messages, "schemas": {"headers": _headers(header)}},
    }


def plain(types: Iterable[Described]) -> list[dict[str, Any]]:
    """The catalogue as it is, schema and example as JSON."""
    return [
        {
            "name": kind.name,
            "group": kind.group,
            "description": kind.description,
            "deprecated": kind.deprecated,
            "builtIn": kind.built_in,
            "enforceSchema": kind.enforce_schema,
            "schema": json.loads(kind.json_schema) if kind.json_schema else None,
            "example": json.loads(kind.example or "{}"),
        }
        for kind in types
    ]


def _message(kind: Described) -> dict[str, Any]:
    example = json.loads(kind.example or "{}")
    message: dict[str, Any] = {
        "name": kind.name,
        "title": kind.name,
        "description": kind.description,
        "contentType": "application/json",
        "headers": {"$ref": "#/components/schemas/headers"},
        "payload": _payload(kind),
        "examples": [{"payload": {"event": kind.name, "createdAt": _TIME, **example, "hookId": _WEBHOOK}}],
    }
    if kind.group:
        message["tags"] = [{"name": kind.group}]
    if kind.deprecated:
        message["x-deprecated"] = True
    return message


def _payload(kind: Described) -> dict[str, Any]:
    """The type's schema with the envelope's members around."""
    own = json.loads(kind.json_schema) if kind.json_schema else {}
    schema = _relocated(own, f"#/components/messages/{kind.name}/payload") if isinstance(own, dict) else {}
    names = schema.get("propertyNames")
    if names == {"not": {"enum": list(_ENVELOPE)}}:  # what a payload must not have, the envelope does
        del schema["propertyNames"]
    schema.pop("$schema", None)  # the document's own dialect holds
    schema["type"] = "object"
    schema["properties"] = {
        "event": {"const": kind.name},
        "createdAt": {"type": "string", "format": "date-time", "description": "When it happened, in UTC."},
        **schema.get("properties", {}),
        "hookId": {"type": "string", "description": "The webhook's id."},
    }
    schema["required"] = list(dict.fromkeys([*_ENVELOPE, *schema.get("required", ())]))
    return schema


def _relocated(schema: Any, place: str) -> Any:
    """A copy whose references to its own parts lead to where it stands in the document."""
    if not isinstance(schema, dict) or "$id" in schema:  # with an id of its own, references are relative to that
        return schema
    result = {}
    for word, value in schema.items():
        if word in ("$ref", "$dynamicRef") and isinstance(value, str) and (value == "#" or value.startswith("#/")):
            value = place + value[1:]
        elif word in _SUBSCHEMAS:
            value = _relocated(value, place)
        elif word in _LISTS and isinstance(value, list):
            value = [_relocated(each, place) for each in value]
        elif word in _MAPS and isinstance(value, dict):
            value = {name: _relocated(each, place) for name, each in value.items()}
        result[word] = value
    return result


def _headers(header: str) -> dict[str, Any]:
    described = {
        "webhook-id": "The event's id: the same on every attempt, so drop what you have seen.",
        "webhook-timestamp": "When this attempt was made, in seconds since 1970.",
        "webhook-signature": "Standard Webhooks 1.0: v1,<base64> for each key in force.",
        header: "Hex HMAC-SHA256 of the body, keyed with the signing key's text.",
        "hookpost-event": "The event's type.",
        "hookpost-delivery": "The id of the log entry.",
        "hookpost-attempt": "The number of the attempt, from 1.",
    }
    return {
        "type": "object",
        "properties": {name: {"type": "string", "description": text} for name, text in described.items()},
        "required": list(described),
    }
