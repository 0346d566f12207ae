"""Bounds on sizes, both ways: lists in requests, so that checking them costs little; answers, so that they arrive."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from typing import Any

from google.protobuf.descriptor import Descriptor

from hookpost.v1 import delivery_pb2

from ..domain import errors
from ..domain.errors import Violation

WALKED = ("hookpost.v1.", "google.protobuf.FieldMask")  # a payload as a Struct has bounds of its own
MOST_ENTRIES = 10_000  # of any list or map; most have a lower bound of their own, which tells better what is wrong
MAX_ATTEMPTS = 3 * 1024 * 1024  # bytes of all attempts in an answer: clients take no answer of more than 4 MiB


def check_lengths(request: Any) -> None:
    """Raises InvalidFields for lists beyond all bounds, before anybody goes through them."""
    faults = []
    for path in _lists(request.DESCRIPTOR):
        if (count := len(functools.reduce(getattr, path, request))) > MOST_ENTRIES:
            faults.append(Violation(".".join(path), f"must have at most {MOST_ENTRIES:,} entries, has {count:,}"))
    if faults:
        raise errors.InvalidFields(faults)


@functools.cache
def _lists(message: Descriptor) -> tuple[tuple[str, ...], ...]:
    return tuple(_walk(message, ()))


def _walk(message: Descriptor, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for field in message.fields:
        if field.is_repeated:
            yield (*path, field.name)
        elif field.message_type is not None and field.message_type.full_name.startswith(WALKED):
            yield from _walk(field.message_type, (*path, field.name))


def fit(attempts: Iterable[delivery_pb2.Attempt]) -> None:
    """Leaves out what was sent and answered, of the later ones first, where they would not fit into an answer."""
    room = MAX_ATTEMPTS
    for attempt in attempts:
        if attempt.ByteSize() > room:
            for name in ("response_headers", "response_body", "request"):
                attempt.ClearField(name)
            attempt.response_body_truncated = True
        room -= attempt.ByteSize()
