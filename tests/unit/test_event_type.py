"""Entries of the catalogue, and the nearest names."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from hookpost_server.domain import event_type
from hookpost_server.domain.errors import EventTypeUnknown, InvalidFields
from hookpost_server.domain.event_type import EventType

GOOD = EventType(name="Order.Paid", group="Order", description="An order was paid.")
KIB = 1024


def text(size: int) -> str:
    return '{"a":"' + "x" * (size - 8) + '"}'


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({}, id="smallest"),
        pytest.param({"description": ""}, id="no description"),
        pytest.param({"description": "Two\nlines é"}, id="lines"),
        pytest.param({"description": "d" * 2000}, id="longest description"),
        pytest.param({"group": "g" * 64}, id="longest group"),
        pytest.param({"name": "n" * 128}, id="longest name"),
        pytest.param({"json_schema": '{"type":"object"}', "enforce_schema": True}, id="schema"),
        pytest.param({"json_schema": text(64 * KIB)}, id="largest schema"),
        pytest.param({"json_schema": '{"event":1}'}, id="schema with a reserved name"),
        pytest.param({"example": text(64 * KIB)}, id="largest example"),
    ],
)
def test_accepted(given: dict[str, Any]) -> None:
    event_type.check(dataclasses.replace(GOOD, **given))


@pytest.mark.parametrize(
    ("given", "field", "words"),
    [
        pytest.param({"name": ""}, "name", "words of [A-Za-z0-9_] joined by full stops", id="no name"),
        pytest.param({"name": "Order.*"}, "name", "words of", id="pattern"),
        pytest.param({"name": "Order\r\nX"}, "name", "words of", id="CR LF"),
        pytest.param({"group": ""}, "group", "is required", id="no group"),
        pytest.param({"group": "g" * 65}, "group", "must be at most 64 characters, is 65", id="group too long"),
        pytest.param({"description": "d" * 2001}, "description", "at most 2000 characters, is 2,001", id="too long"),
        pytest.param({"description": "a\0"}, "description", "control characters", id="NUL"),
        pytest.param({"json_schema": "true"}, "json_schema", "must be a JSON object", id="schema no object"),
        pytest.param({"json_schema": "{"}, "json_schema", "must be JSON", id="schema no JSON"),
        pytest.param({"json_schema": '{"a":1,"a":1}'}, "json_schema", "twice", id="schema, name twice"),
        pytest.param({"json_schema": text(64 * KIB + 1)}, "json_schema", "at most 64 KiB, is 65,537", id="schema size"),
        pytest.param({"example": ""}, "example", "must be JSON", id="no example"),
        pytest.param({"example": "[]"}, "example", "must be a JSON object", id="example no object"),
        pytest.param({"example": '{"hookId":1}'}, "example", "'hookId'", id="example with a reserved name"),
        pytest.param({"example": text(64 * KIB + 1)}, "example", "at most 64 KiB, is 65,537", id="example size"),
        pytest.param({"enforce_schema": True}, "enforce_schema", "needs a json_schema", id="nothing to enforce"),
    ],
)
def test_refused(given: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(InvalidFields) as caught:
        event_type.check(dataclasses.replace(GOOD, **given))
    (fault,) = caught.value.violations
    assert fault.field == f"event_type.{field}"
    assert words in fault.description


def test_all_faults_at_once() -> None:
    bad = EventType(name="", group="", description="\0", json_schema="{", example="{")
    with pytest.raises(InvalidFields) as caught:
        event_type.check(bad)
    assert [fault.field.removeprefix("event_type.") for fault in caught.value.violations] == [
        *("name", "group", "description", "json_schema", "example")
    ]


KNOWN = ["User.Created", "User.Deleted", "User.Data.Updated", "Role.Created", "PostSignIn"]


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        pytest.param("User.Creatd", ["User.Created", "Role.Created"], id="slip"),
        pytest.param("user.created", ["User.Created", "User.Deleted", "Role.Created"], id="case"),
        pytest.param("POSTSIGNIN", ["PostSignIn"], id="upper case"),
        pytest.param("Nothing.Like.It", [], id="unlike all"),
        pytest.param("x" * 100_000, [], id="long"),
    ],
)
def test_nearest(name: str, nearest: list[str]) -> None:
    assert event_type.nearest(name, KNOWN) == nearest


def test_the_error_names_the_nearest() -> None:
    error = EventTypeUnknown("User.Creatd", ["User.Created", "User.Deleted"])
    assert error.message.startswith('unknown event type "User.Creatd"; did you mean User.Created or User.Deleted?')
    assert error.metadata == {"nearest": "User.Created,User.Deleted"}
    assert len(EventTypeUnknown("x" * 100_000, []).message) < 300
