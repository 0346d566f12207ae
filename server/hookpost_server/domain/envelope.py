"""The request's body in each payload format, made by splicing bytes: the payload is never parsed or written anew."""

from __future__ import annotations

import enum
import functools
from uuid import UUID

from . import ids
from .event import Event, iso_milliseconds

_JSON_SPACE = b" \t\n\r"


class Format(enum.IntEnum):
    """Payload formats; numbers as in the proto and in SQL."""

    FLAT = 1
    STANDARD = 2
    CLOUDEVENTS = 3
    RAW = 4


CONTENT_TYPES = {
    Format.FLAT: "application/json",
    Format.STANDARD: "application/json",
    Format.CLOUDEVENTS: "application/cloudevents+json",  # CloudEvents 1.0, HTTP binding §3.2
    Format.RAW: "application/json",
}


@functools.lru_cache(maxsize=4096)
def _hook_id(webhook_id: UUID) -> bytes:
    return ids.text(ids.WEBHOOK, webhook_id).encode()


def body(form: Format, event: Event, webhook_id: UUID) -> bytes:
    """The exact bytes to sign and to send.

    Types, tenants and ids are of characters that need no escaping in JSON, so they can be spliced in.
    """
    if form is Format.RAW:
        return event.payload
    moment = iso_milliseconds(event.occur_time).encode()
    kind = event.type.encode()
    match form:
        case Format.FLAT:
            members = event.payload.strip(_JSON_SPACE)[1:-1].strip(_JSON_SPACE)
            comma = b"," if members else b""
            return b'{"event":"%b","createdAt":"%b"%b%b,"hookId":"%b"}' % (
                kind,
                moment,
                comma,
                members,
                _hook_id(webhook_id),
            )
        case Format.STANDARD:
            return b'{"type":"%b","timestamp":"%b","data":%b}' % (
                kind,
                moment,
                event.payload.strip(_JSON_SPACE),
            )
        case Format.CLOUDEVENTS:
            return (
                b'{"specversion":"1.0","id":"%b","source":"/hookpost/%b","type":"%b","time":"%b",'
                b'"datacontenttype":"application/json","data":%b}'
            ) % (
                ids.text(ids.EVENT, event.id).encode(),
                event.tenant_id.encode(),
                kind,
                moment,
                event.payload.strip(_JSON_SPACE),
            )
