"""The reference sender, on aiohttp."""

from __future__ import annotations

import asyncio
import ssl
import time
from types import SimpleNamespace
from typing import Any

import aiohttp
import yarl
from aiohttp.abc import AbstractStreamWriter

from ..domain import delivery, errors
from ..domain.delivery import Outcome, Result
from ..domain.request import Request
from ..domain.retry import parse_retry_after
from .egress import Exchange, certificate_fault, connector, exchange, phase_of, tls_context, word_for
from .gate import Gate
from .handshakes import Handshakes
from .names import Names
from .sender import BODY_CAP, HEADER_CAP, MAX_HEADERS

_OWN_HEADERS = ("Accept", "Accept-Encoding", "User-Agent", "Content-Type")


class AiohttpSender:
    """See `sender.Sender`."""

    def __init__(self, gate: Gate, *, tls: ssl.SSLContext | None = None) -> None:
        tls = tls or tls_context()
        self._handshakes = Handshakes()
        self._names = Names(gate)
        self._kept = self._session(connector(gate, self._names, tls, keep=True))
        self._fresh = self._session(connector(gate, self._names, tls, keep=False))

    async def close(self) -> None:
        await self._kept.close()
        await self._fresh.close()
        await self._names.close()

    async def send(self, request: Request) -> Outcome:
        current = Exchange(tls=request.url.startswith("https:"))
        exchange.set(current)
        deadline = asyncio.get_running_loop().time() + request.timeout
        outcome = await self._exchange(self._kept, request, current, deadline)
        if outcome.result is Result.CONNECTION_LOST and current.reused:
            # The receiver had closed the idle connection: no byte of an answer came, and a fresh one will do.
            current.reused = False
            outcome = await self._exchange(self._fresh, request, current, deadline)
        return outcome

    async def _exchange(
        self, session: aiohttp.ClientSession, request: Request, current: Exchange, deadline: float
    ) -> Outcome:
        response: aiohttp.ClientResponse | None = None
        body = bytearray()
        ended = False
        failure: Outcome | None = None
        try:
            async with asyncio.timeout_at(deadline) as current.bound:
                response = await session.post(
                    yarl.URL(request.url, encoded=True),
                    data=_Body(request.body),
                    headers=request.headers,
                    allow_redirects=False,
                    trace_request_ctx=current,
                )
                while len(body) < BODY_CAP:
                    chunk = await response.content.read(BODY_CAP - len(body))
                    if not chunk:
                        ended = True
                        break
                    body += chunk
                else:
                    ended = response.content.at_eof()
        except TimeoutError:
            failure = Outcome(
                result=Result.TIMED_OUT, error=phase_of(request.timeout, connected=current.connected, sent=current.sent)
            )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            failure = _failed(error, current)
        finally:
            self._end_handshake(current)
            if response is not None and not ended:
                response.close()
        if current.short and response is None:
            raise errors.NoSocket
        if response is None:
            return failure or Outcome(result=Result.INTERNAL, error="no answer and no failure")
        if not 100 <= response.status <= 599:
            return Outcome(result=Result.INVALID_RESPONSE, error=f"status {response.status}")
        # Once the status is here it decides, even if the body breaks off.
        retry_after = response.headers.get("retry-after")
        return delivery.answered(
            response.status,
            headers=_kept_headers(response),
            body=bytes(body),
            truncated=not ended,
            retry_after=None if retry_after is None else parse_retry_after(retry_after, time.time()),
        )

    def _session(self, connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            skip_auto_headers=_OWN_HEADERS,
            timeout=aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None),
            trace_configs=[self._tracing()],
            read_bufsize=BODY_CAP,
        )

    def _tracing(self) -> aiohttp.TraceConfig:
        """Notes on the Exchange how far the request got, and takes a turn before a handshake."""
        config = aiohttp.TraceConfig()

        async def connecting(session: Any, context: SimpleNamespace, parameters: Any) -> None:
            current: Exchange = context.trace_request_ctx
            if current.tls:
                loop = asyncio.get_running_loop()
                before = loop.time()
                current.handshaking = await self._handshakes.begin()
                if current.bound is not None and (when := current.bound.when()) is not None:
                    current.bound.reschedule(when + loop.time() - before)  # the wait is not the receiver's

        async def connected(session: Any, context: SimpleNamespace, parameters: Any) -> None:
            context.trace_request_ctx.connected = True
            self._end_handshake(context.trace_request_ctx)

        async def reused(session: Any, context: SimpleNamespace, parameters: Any) -> None:
            context.trace_request_ctx.reused = True
            context.trace_request_ctx.connected = True

        config.on_connection_create_start.append(connecting)
        config.on_connection_create_end.append(connected)
        config.on_connection_reuseconn.append(reused)
        return config

    def _end_handshake(self, current: Exchange) -> None:
        if current.handshaking:
            current.handshaking = False
            self._handshakes.end()


class _Body(aiohttp.BytesPayload):
    """Notes on the Exchange that the connection took it, all but what the buffers between here and there hold."""

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        await super().write_with_length(writer, content_length)
        exchange.get().sent = True


def _failed(error: Exception, current: Exchange) -> Outcome:
    """The outcome that an exception stands for. Never names an address: the log is not a port scanner."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return Outcome(result=Result.DNS_FAILED, error="the host's name could not be resolved")
        case aiohttp.ClientConnectorCertificateError():
            return Outcome(result=Result.TLS_FAILED, error=certificate_fault(error.certificate_error))
        case aiohttp.ClientConnectorError() if current.refused:
            return Outcome(result=Result.ADDRESS_REFUSED, error="the address is not one that may be reached")
        case aiohttp.ClientSSLError():
            return Outcome(result=Result.TLS_FAILED, error=f"TLS: {word_for(error.os_error)}")
        case aiohttp.ClientConnectorError():
            return Outcome(result=Result.CONNECT_FAILED, error=word_for(error.os_error))
        case aiohttp.ServerDisconnectedError() if isinstance(error.message, str) or error.message is None:
            return Outcome(result=Result.CONNECTION_LOST, error="the connection was closed before an answer came")
        case aiohttp.ClientResponseError() | aiohttp.ClientPayloadError() | aiohttp.ServerDisconnectedError():
            return Outcome(result=Result.INVALID_RESPONSE, error="the answer is not HTTP")
        case aiohttp.ClientOSError() | ConnectionError():
            return Outcome(result=Result.CONNECTION_LOST, error=word_for(error))
        case ssl.SSLError():
            return Outcome(result=Result.TLS_FAILED, error=f"TLS: {word_for(error)}")
        case _:
            return Outcome(result=Result.INTERNAL, error=f"the request could not be made ({type(error).__name__})")


def _kept_headers(response: aiohttp.ClientResponse) -> tuple[tuple[str, str], ...]:
    kept, size = [], 0
    for name, value in response.raw_headers[:MAX_HEADERS]:
        size += len(name) + len(value)
        if size > HEADER_CAP:
            break
        kept.append((name.decode("utf-8", "replace").lower(), value.decode("utf-8", "replace").replace("\0", "�")))
    return tuple(kept)
