"""The four bodies: spliced, so that the producer's bytes reach the receiver as they are."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookpost_server.domain import envelope, payload
from hookpost_server.domain.envelope import Format

from .samples import WEBHOOK_ID, WEBHOOK_TEXT, Node, clean_objects, event

HEAD = b'{"event":"User.Created","createdAt":"2026-08-21T10:00:00.987Z"'
TAIL = b',"hookId":"' + WEBHOOK_TEXT.encode() + b'"}'


def body(form: Format, data: bytes, **given: Any) -> bytes:
    return envelope.body(form, event(data, **given), WEBHOOK_ID)


@pytest.mark.parametrize(
    ("data", "members"),
    [
        pytest.param(b"{}", b"", id="empty"),
        pytest.param(b" {\r\n\t} \n", b"", id="empty with white space"),
        pytest.param(b'{"a":1}', b'"a":1', id="one member"),
        pytest.param(b'\n{ "b" : 1.0 ,\n "a" : 1e2 }\n', b'"b" : 1.0 ,\n "a" : 1e2', id="white space, order"),
        pytest.param(b'{"a":123456789012345678901234567890}', b'"a":123456789012345678901234567890', id="big number"),
        pytest.param(b'{"a":"\\u00e4\\/\\u2028"}', b'"a":"\\u00e4\\/\\u2028"', id="escapes"),
        pytest.param('{"ä":"😀"}'.encode(), '"ä":"😀"'.encode(), id="beyond ASCII"),
        pytest.param(b'{"a":"} "}', b'"a":"} "', id="brace and space at the end of a string"),
        pytest.param(b'{"a":{}}', b'"a":{}', id="object at the end"),
        pytest.param(b'{"a":"%b%s%%"}', b'"a":"%b%s%%"', id="per cent signs"),
    ],
)
def test_flat(data: bytes, members: bytes) -> None:
    assert body(Format.FLAT, data) == HEAD + (b"," + members if members else b"") + TAIL


@given(clean_objects(), st.text(" \t\r\n", max_size=3), st.text(" \t\r\n", max_size=3))
def test_flat_adds_three_members_and_changes_none(root: Node, before: str, after: str) -> None:
    data = (before + root.written + after).encode()
    try:
        payload.check(data)
    except payload.PayloadError:
        return
    made = body(Format.FLAT, data)
    inside = root.inside.encode()
    assert made == HEAD + (b"," + inside if inside else b"") + TAIL
    assert pairs(made) == [
        ("event", "User.Created"),
        ("createdAt", "2026-08-21T10:00:00.987Z"),
        *pairs(data),
        ("hookId", WEBHOOK_TEXT),
    ]


@given(clean_objects(), st.sampled_from([Format.STANDARD, Format.CLOUDEVENTS]))
def test_the_others_hold_the_payload_whole(root: Node, form: Format) -> None:
    made = body(form, b" \n" + root.written.encode() + b"\n")
    assert made.endswith(b',"data":' + root.written.encode() + b"}")
    assert dict(pairs(made))["data"] == pairs(root.written.encode())


def pairs(data: bytes) -> Any:
    """Members in order, numbers as written, all levels as lists."""
    return json.loads(data, object_pairs_hook=list, parse_int=str, parse_float=str)


def test_standard() -> None:
    made = body(Format.STANDARD, b'\n{"id": 1.0} ')
    assert made == b'{"type":"User.Created","timestamp":"2026-08-21T10:00:00.987Z","data":{"id": 1.0}}'


def test_cloudevents() -> None:
    assert json.loads(body(Format.CLOUDEVENTS, b'{"id":1}', tenant_id="a_B-1.2")) == {
        "specversion": "1.0",
        "id": "evt_01h455vb4pex5rqk8000000001",
        "source": "/hookpost/a_B-1.2",
        "type": "User.Created",
        "time": "2026-08-21T10:00:00.987Z",
        "datacontenttype": "application/json",
        "data": {"id": 1},
    }


def test_raw_is_the_payload_untouched() -> None:
    data = b' \r\n{"b":1.0,"a":1e2}\n'
    assert body(Format.RAW, data) == data


def test_content_types() -> None:
    assert envelope.CONTENT_TYPES == {
        Format.FLAT: "application/json",
        Format.STANDARD: "application/json",
        Format.CLOUDEVENTS: "application/cloudevents+json",
        Format.RAW: "application/json",
    }


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        pytest.param(datetime(2026, 1, 2, 3, 4, 5, 999999, UTC), "2026-01-02T03:04:05.999Z", id="cut, not rounded"),
        pytest.param(datetime(1970, 1, 1, tzinfo=UTC), "1970-01-01T00:00:00.000Z", id="first"),
        pytest.param(
            datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=2))), "2025-12-31T23:00:00.000Z", id="time zone"
        ),
        pytest.param(datetime(9999, 12, 31, 23, 59, 59, 1, UTC), "9999-12-31T23:59:59.000Z", id="last"),
    ],
)
def test_times(moment: datetime, text: str) -> None:
    assert envelope.iso_milliseconds(moment) == text
