"""One exchange through libcurl: what it is told, what it says on the way, and what its errors mean."""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Callable
from typing import Any

import pycurl

from ..domain import delivery, errors
from ..domain.delivery import Outcome, Result
from ..domain.request import Request
from ..domain.retry import parse_retry_after
from .egress import KEEP_IDLE, phase_of
from .gate import Gate, check_shortage, is_shortage
from .sender import BODY_CAP, HEADER_CAP, MAX_HEADERS, MAX_LIFE, MAX_LINE, MAX_LINES
from .target import Target

_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])(?:[ \r\n]|$)")

_INVALID = frozenset(
    {
        pycurl.E_UNSUPPORTED_PROTOCOL,  # an answer that is not HTTP/1
        pycurl.E_FTP_WEIRD_SERVER_REPLY,
        pycurl.E_WRITE_ERROR,  # refused by `Transfer.on_header`
        pycurl.E_BAD_CONTENT_ENCODING,
        pycurl.E_HTTP2,
        100,  # CURLE_TOO_LARGE, without a name in pycurl: a line longer than libcurl reads
    }
)
_TLS = frozenset(
    {pycurl.E_SSL_CONNECT_ERROR, pycurl.E_PEER_FAILED_VERIFICATION, pycurl.E_SSL_CIPHER, pycurl.E_SSL_ISSUER_ERROR}
)
_LOST = frozenset({pycurl.E_GOT_NOTHING, pycurl.E_SEND_ERROR, pycurl.E_RECV_ERROR, pycurl.E_PARTIAL_FILE})
# OpenSSL's words for the verdicts of X509_verify_cert that receivers' certificates meet (x509_vfy.h).
_VERDICTS = {
    0: "not valid for this host",
    9: "certificate is not yet valid",
    10: "certificate has expired",
    18: "self-signed certificate",
    19: "self-signed certificate in certificate chain",
    20: "unable to get local issuer certificate",
    21: "unable to verify the first certificate",
    23: "certificate revoked",
}


def _nothing() -> None:
    pass


class Transfer:
    """One easy handle, used again and again, and what it hears during an exchange."""

    def __init__(self, gate: Gate, trust: dict[int, Any]) -> None:
        self._gate = gate
        self.handle = handle = pycurl.Curl()
        self.connected: Callable[[], None] = _nothing  # called when the connection stands
        self._target: Target | None = None
        self._resolves = False
        options = {
            pycurl.POST: 1,
            pycurl.NOSIGNAL: 1,
            pycurl.FOLLOWLOCATION: 0,
            pycurl.PROXY: "",
            pycurl.NOPROXY: "*",
            pycurl.NETRC: 0,
            pycurl.PROTOCOLS: pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS,
            pycurl.PATH_AS_IS: 1,
            pycurl.HTTP_VERSION: pycurl.CURL_HTTP_VERSION_1_1,
            pycurl.HTTP_CONTENT_DECODING: 0,
            pycurl.BUFFERSIZE: 16 * 1024,
            pycurl.TCP_KEEPALIVE: 1,
            pycurl.MAXAGE_CONN: int(KEEP_IDLE),
            pycurl.MAXLIFETIME_CONN: MAX_LIFE,
            pycurl.CONNECTTIMEOUT_MS: 0x7FFFFFFF,  # TIMEOUT_MS bounds it
            pycurl.SSL_VERIFYPEER: 1,
            pycurl.SSL_VERIFYHOST: 2,
            pycurl.SSLVERSION: pycurl.SSLVERSION_TLSv1_2,
            pycurl.OPENSOCKETFUNCTION: self._on_socket,
            pycurl.PREREQFUNCTION: self._on_connected,
            pycurl.HEADERFUNCTION: self._on_header,
            pycurl.WRITEFUNCTION: self._on_body,
            **trust,
        }
        for option, value in options.items():
            handle.setopt(option, value)

    def prepare(self, request: Request, target: Target, resolve: list[str], timeout: int) -> None:
        """`timeout` in milliseconds."""
        self._refused = self._short = self._connected = False
        self._status = 0
        self._lines = 0
        self._headers: list[tuple[str, str]] = []
        self._size = 0
        self._body = bytearray()
        self._cut = False
        self._retry_after: str | None = None
        handle = self.handle
        if target is not self._target:
            self._target = target
            handle.setopt(pycurl.URL, target.url)
            handle.setopt(pycurl.REQUEST_TARGET, target.path)
        if resolve or self._resolves:
            self._resolves = bool(resolve)
            handle.setopt(pycurl.RESOLVE, resolve)
        handle.setopt(pycurl.TIMEOUT_MS, timeout)
        handle.setopt(pycurl.POSTFIELDS, request.body)
        # An empty value must be written with a semicolon; the last two are what libcurl would add by itself.
        lines = [f"{name}: {value}" if value else f"{name};" for name, value in request.headers]
        handle.setopt(pycurl.HTTPHEADER, [*lines, "Expect:", "Accept:"])

    def _on_socket(self, purpose: int, address: Any) -> Any:
        """The address check, where the socket is made: for literals and every address of a name."""
        try:
            if not self._gate.lets(address.addr[0], address.addr[1]):
                self._refused = True
                return pycurl.SOCKET_BAD
            kind = address.socktype | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
            return _Lent(address.family, kind, address.protocol)
        except OSError as error:
            self._short = is_shortage(error)
            return pycurl.SOCKET_BAD

    def _on_connected(self, *addresses: Any) -> int:
        self._connected = True
        self.connected()
        return 0  # PREREQFUNC_OK

    def _on_header(self, line: bytes) -> int | None:
        """Takes the head line by line; returns -1 for what is not HTTP, which ends the exchange."""
        if self._status:  # trailers
            return None
        self._lines += 1
        if line.startswith(b"HTTP/"):
            self._lines, self._size, self._headers = 0, 0, []
            self._retry_after = None
            found = _STATUS.match(line)
            self._answering = int(found[1]) if found else 0
            return None if found and len(line) <= MAX_LINE else -1
        if line in (b"\r\n", b"\n"):
            if self._answering >= 200 or self._answering == 101:
                self._status = self._answering
            return None
        name, colon, value = line.partition(b":")
        if not colon or len(line) > MAX_LINE or self._lines > MAX_LINES:
            return -1
        name, value = name.strip(), value.strip()
        if name.lower() == b"retry-after":
            self._retry_after = value.decode("latin-1")
        self._size += len(name) + len(value)
        if len(self._headers) < MAX_HEADERS and self._size <= HEADER_CAP:
            text = value.decode("utf-8", "replace").replace("\0", "�")
            self._headers.append((name.decode("utf-8", "replace").lower(), text))
        return None

    def _on_body(self, data: bytes) -> int | None:
        room = BODY_CAP - len(self._body)
        self._body += data[:room]
        if len(data) > room:
            self._cut = True
            return -1
        return None

    @property
    def keeps(self) -> bool:
        """After an exchange: its connection can serve another, as far as the answer tells (RFC 9112, 9.3)."""
        return bool(self._status) and not self._cut and ("connection", "close") not in self._headers

    @property
    def unheard(self) -> bool:
        """Whether it went over connections that were open before, and not a line of an answer came."""
        return not (self.handle.getinfo(pycurl.NUM_CONNECTS) or self.handle.getinfo(pycurl.HEADER_SIZE))

    def ended(self) -> Outcome:
        """The outcome when libcurl has no complaint: it has none about a head that breaks off either."""
        if not self._status:
            return Outcome(result=Result.CONNECTION_LOST, error="the connection was closed amid the answer's headers")
        return self._answered(truncated=False)

    def _answered(self, *, truncated: bool) -> Outcome:
        """Once the status is here it decides, even if the body breaks off."""
        after = self._retry_after
        return delivery.answered(
            self._status,
            headers=tuple(self._headers),
            body=bytes(self._body),
            truncated=truncated,
            retry_after=None if after is None else parse_retry_after(after, time.time()),
        )

    def failed(self, code: int, text: str, request: Request) -> Outcome:
        """The outcome that an error of libcurl stands for. Never names an address. Raises NoSocket."""
        if self._status:
            return self._answered(truncated=True)
        handle = self.handle
        if code == pycurl.E_OPERATION_TIMEDOUT:
            connected = self._connected
            sent = connected and handle.getinfo(pycurl.SIZE_UPLOAD_T) >= len(request.body)
            return Outcome(result=Result.TIMED_OUT, error=phase_of(request.timeout, connected=connected, sent=sent))
        if code == pycurl.E_COULDNT_CONNECT and self._refused:
            return Outcome(result=Result.ADDRESS_REFUSED, error="the address is not one that may be reached")
        if self._short:
            raise errors.NoSocket
        if code == pycurl.E_COULDNT_CONNECT:
            check_shortage()
            return Outcome(result=Result.CONNECT_FAILED, error=self._reason("the connection could not be made"))
        if code == pycurl.E_PEER_FAILED_VERIFICATION:
            verdict = handle.getinfo(pycurl.SSL_VERIFYRESULT)
            return Outcome(result=Result.TLS_FAILED, error=f"certificate: {_VERDICTS.get(verdict, 'not trusted')}")
        if code in _TLS:
            reason = text.rpartition("::")[2] if "::" in text else self._reason("handshake failed")
            return Outcome(result=Result.TLS_FAILED, error=f"TLS: {reason.lower()}")
        if code in _INVALID or (code == pycurl.E_RECV_ERROR and "header" in text):
            return Outcome(result=Result.INVALID_RESPONSE, error="the answer is not HTTP")
        if code in _LOST:
            return Outcome(
                result=Result.CONNECTION_LOST, error=self._reason("the connection was closed before an answer came")
            )
        return Outcome(result=Result.INTERNAL, error=f"the request could not be made (libcurl {code})")

    def _reason(self, otherwise: str) -> str:
        number = self.handle.getinfo(pycurl.OS_ERRNO)
        return os.strerror(number).lower() if number else otherwise


class _Lent(socket.socket):
    """libcurl takes a duplicate of it; this one closes itself when it is let go."""

    def __del__(self) -> None:
        if self.fileno() >= 0:  # else it could not even be made
            self.close()
