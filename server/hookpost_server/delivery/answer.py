"""A receiver's answer as it comes in, read by llhttp (httptools), within bounds that llhttp does not know."""

from __future__ import annotations

import time

import httptools

from ..domain import delivery
from ..domain.delivery import Outcome
from ..domain.retry import parse_retry_after
from .sender import BODY_CAP, HEADER_CAP, MAX_HEADERS, MAX_LINE, MAX_LINES

MAX_HEAD = 64 * 1024  # bytes of the head
MAX_RAW = 8 * BODY_CAP  # bytes of the rest, with whatever a receiver wraps its body in


class NotHttpError(Exception):
    """No receiver that can be understood says this."""


class Answer:
    """One answer; interim ones (RFC 9110, 15.2) before it are passed over."""

    __slots__ = (
        "_body",
        "_framed",
        "_headers",
        "_lines",
        "_parser",
        "_raw",
        "_retry_after",
        "_size",
        "done",
        "keeps",
        "status",
    )

    def __init__(self) -> None:
        self.status = 0  # once its head is complete
        self.done = False  # nothing is missing
        self.keeps = False  # the connection can serve another request (RFC 9112, 9.3)
        self._framed = False  # the answer says where it ends, else the connection's end does
        self._headers: list[tuple[str, str]] = []
        self._retry_after: str | None = None
        self._lines = self._size = self._raw = 0
        self._body = bytearray()
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: memoryview) -> bool:
        """Takes what has come; returns whether all is here that is wanted. Raises NotHttpError."""
        self._raw += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            return True  # 101, to a request that asked for nothing of the kind
        except httptools.HttpParserError as error:
            if not self.status:
                raise NotHttpError from error
            return True  # the status is here, and decides
        if self._raw > (MAX_RAW if self.status else MAX_HEAD):
            if not self.status:
                raise NotHttpError
            return True
        return self.done or len(self._body) > BODY_CAP

    def ended(self, *, well: bool) -> None:
        """The connection is closed; `well`: in order."""
        self.done = self.done or (well and not self._framed)

    def outcome(self) -> Outcome:
        """Its status decides, even if the body breaks off."""
        after = self._retry_after
        return delivery.answered(
            self.status,
            headers=tuple(self._headers),
            body=bytes(self._body[:BODY_CAP]),
            truncated=not self.done or len(self._body) > BODY_CAP,
            retry_after=None if after is None else parse_retry_after(after, time.time()),
        )

    # What the parser calls.

    def on_message_begin(self) -> None:
        if self.done:  # more than one answer to one request: the next request must not get what is left
            self.keeps = False

    def on_status(self, reason: bytes) -> None:
        if len(reason) > MAX_LINE:
            raise NotHttpError

    def on_header(self, name: bytes, value: bytes | None) -> None:
        if self.status:  # trailers
            return
        value = (value or b"").strip()
        self._lines += 1
        if self._lines > MAX_LINES or len(name) + len(value) > MAX_LINE:
            raise NotHttpError
        lower = name.decode("utf-8", "replace").lower()
        if lower in ("content-length", "transfer-encoding"):
            self._framed = True
        elif lower == "retry-after":
            self._retry_after = value.decode("latin-1")
        self._size += len(name) + len(value)
        if len(self._headers) < MAX_HEADERS and self._size <= HEADER_CAP:
            self._headers.append((lower, value.decode("utf-8", "replace")))

    def on_headers_complete(self) -> None:
        if self.done:
            return
        status = self._parser.get_status_code()
        if not 100 <= status <= 599 or self._parser.get_http_version() not in ("1.1", "1.0"):
            raise NotHttpError
        if status < 200 and status != 101:
            self._headers.clear()
            self._retry_after = None
            self._lines = self._size = self._raw = 0
            self._framed = False
            return
        self.status = status
        self._raw = 0
        self.keeps = self._parser.should_keep_alive()

    def on_body(self, data: bytes) -> None:
        if len(self._body) <= BODY_CAP and not self.done:
            self._body += data

    def on_message_complete(self) -> None:
        self.done = bool(self.status)
