"""Sends a request of the log on to another address, with the bytes and the headers it was sent with."""

from __future__ import annotations

import http.client
import time
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from hookpost_server.cli.failures import ExitCode, Failure
from hookpost_server.domain.duration import rough

if TYPE_CHECKING:
    from hookpost.v1.delivery_pb2 import SentRequest

TIMEOUT = 30.0  # seconds
HIDDEN = ("***", "(retired key)")  # what the log shows instead of a secret


class Forwarder:
    """POSTs to one URL, on a connection of its own each time. No proxy: the URL is on this machine or near it."""

    def __init__(self, url: str) -> None:
        """Raises Failure when `url` is none."""
        try:
            parts = urlsplit(url)
            self._host, self._port = parts.hostname or "", parts.port
        except ValueError as error:
            raise Failure(f"--forward: {error}", code=ExitCode.USAGE) from None
        if parts.scheme not in ("http", "https") or not self._host:
            raise Failure(f'--forward: "{url}" is not a URL such as http://127.0.0.1:3000/hook', code=ExitCode.USAGE)
        self._tls = parts.scheme == "https"
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    def post(self, request: SentRequest) -> str:
        """What came of it, on one line: status and latency, or why there is none."""
        body = request.body.encode()
        kind = http.client.HTTPSConnection if self._tls else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=TIMEOUT)
        began = time.monotonic()
        try:
            connection.putrequest("POST", self._path, skip_accept_encoding=True)
            for header in request.headers:
                if header.value not in HIDDEN:
                    connection.putheader(header.name, header.value)
            connection.putheader("content-length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            answer.read(64 << 10)
        except OSError as error:
            return f"no answer: {error.strerror or error or 'timed out'}"
        except http.client.HTTPException as error:
            return f"no HTTP answer: {type(error).__name__}"
        finally:
            connection.close()
        return f"{answer.status} after {rough(timedelta(seconds=time.monotonic() - began))}"
