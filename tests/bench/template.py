"""Requests as bytes, so that making one costs the producer next to nothing: constant but for type and number."""

from __future__ import annotations

import random

from hookpost.v1 import event_service_pb2

PADDING = "x" * 400  # makes a payload of about 500 bytes
_NUMBER = "0" * 12


def event_type(index: int) -> str:
    """The bench's event types, all of one length."""
    return f"Bench.H{index:04}"


class Template:
    """Makes the requests of one run: number after number, the types in a shuffled order that every run repeats."""

    def __init__(self, tenant_id: str, types: range, numbers: int) -> None:
        order = list(types)
        random.Random(7).shuffle(order)
        self._types = [b"%04d" % index for index in order]
        self._next = numbers
        text = f'{{"n":"{_NUMBER}","userAgent":"Mozilla/5.0","ip":"203.0.113.9","note":"{PADDING}"}}'
        request = event_service_pb2.EmitEventRequest(type=event_type(0), tenant_id=tenant_id, json=text)
        whole = request.SerializeToString()
        head, middle, tail = _cut(whole, b"0000", _NUMBER.encode())
        self._format = head.replace(b"%", b"%%") + b"%b" + middle.replace(b"%", b"%%") + b"%012d" + tail
        self._length = _varint(len(whole))
        self._batch = event_service_pb2.BatchEmitEventsRequest(tenant_id=tenant_id).SerializeToString()

    @property
    def next(self) -> int:
        """The number of the next event."""
        return self._next

    def one(self) -> bytes:
        """An EmitEventRequest."""
        number = self._next
        self._next += 1
        return self._format % (self._types[number % len(self._types)], number)

    def batch(self, events: int) -> bytes:
        """A BatchEmitEventsRequest: `requests` is field 2."""
        head = b"\x12" + self._length
        return self._batch + b"".join([head + self.one() for _ in range(events)])

    def in_stream(self) -> bytes:
        """A StreamEmitEventsRequest: `sequence`, which is the event's number, is field 1, `event` field 2."""
        return b"\x08" + _varint(self._next) + b"\x12" + self._length + self.one()


def _cut(whole: bytes, first: bytes, second: bytes) -> tuple[bytes, bytes, bytes]:
    head, _, rest = whole.partition(b"Bench.H" + first)
    middle, _, tail = rest.partition(second)
    return head + b"Bench.H", middle, tail


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])
