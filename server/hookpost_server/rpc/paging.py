"""Page tokens: opaque, versioned, and bound to the list and the filter they came from."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable
from typing import Any, TypeVar
from uuid import UUID

from google.protobuf.message import Message

from ..domain import errors, event

M = TypeVar("M", bound=Message)
DEFAULT_SIZE, MAX_SIZE = 50, 1000
MAX_BYTES = 2 * 1024 * 1024
DAMAGED = "is damaged; begin without one"
_VERSION = 1


def size(request: Any) -> int:
    """The page size in force: 0 is the default, more than the most is the most. Raises InvalidFields below 0."""
    if request.page_size < 0:
        raise errors.InvalidFields.one("page_size", f"must not be negative; 0 means {DEFAULT_SIZE}")
    return min(request.page_size or DEFAULT_SIZE, MAX_SIZE)


def fitting(messages: Iterable[M]) -> list[M]:
    """As many as fit into one page, at least one: clients take no answer of more than 4 MiB."""
    page: list[M] = []
    length = 0
    for message in messages:
        length += message.ByteSize()
        if page and length > MAX_BYTES:
            break
        page.append(message)
    return page


def token(request: Any, last: bytes) -> str:
    """The token of the page that begins after `last`."""
    content = bytes([_VERSION]) + _binding(request) + last
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def position(request: Any) -> bytes | None:
    """Where the page begins; None for the first. Raises InvalidFields for a token of another list or filter."""
    if not request.page_token:
        return None
    text = request.page_token
    try:
        content = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        content = b""
    binding = _binding(request)
    if len(content) <= 1 + len(binding) or content[0] != _VERSION or content[1 : 1 + len(binding)] != binding:
        raise errors.InvalidFields.one(
            "page_token", "is not a next_page_token of this call with these other fields; begin without one"
        )
    return content[1 + len(binding) :]


def id_position(request: Any) -> UUID | None:
    """As `position`, for lists that are ordered by id."""
    last = position(request)
    if last is None:
        return None
    if len(last) != 16:
        raise errors.InvalidFields.one("page_token", DAMAGED)
    return UUID(bytes=last)


def name_position(request: Any) -> str:
    """As `position`, for the list of event types, which is ordered by name."""
    name = (position(request) or b"").decode("ascii", "replace")
    if name and event.check_type(name):
        raise errors.InvalidFields.one("page_token", DAMAGED)
    return name


def _binding(request: Any) -> bytes:
    bound = type(request)()
    bound.CopyFrom(request)
    bound.ClearField("page_token")
    bound.ClearField("page_size")
    name = bound.DESCRIPTOR.full_name.encode()
    return hashlib.sha256(name + b"\0" + bound.SerializeToString(deterministic=True)).digest()[:8]
