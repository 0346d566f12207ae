"""The client for asyncio; see `hookpost.client` for threads."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import grpc

from hookpost.connection import TIMEOUT, Connection
from hookpost.emission import Emitted, Event, Payload, emitted, request_of
from hookpost.emitter import WINDOW, Emitter
from hookpost.errors import from_rpc
from hookpost.services import Services
from hookpost.v1 import event_service_pb2


class AsyncClient:
    """A connection to a server, for one event loop.

    async with AsyncClient() as hookpost:
        await hookpost.emit("User.Created", {"id": "u1"})

    Settings are those of `Connection`, or a `connection` made before. The generated services are in `services`.
    """

    def __init__(self, address: str = "", *, connection: Connection | None = None, **settings: Any) -> None:
        self._connection = connection or Connection.of(address, **settings)
        credentials, options = self._connection.credentials(), self._connection.options()
        metadata = self._connection.metadata()
        interceptors = [kind(metadata) for kind in _KINDS] if metadata else None
        if credentials is None:
            self._channel = grpc.aio.insecure_channel(self._connection.target, options, interceptors=interceptors)
        else:
            self._channel = grpc.aio.secure_channel(
                self._connection.target, credentials, options, interceptors=interceptors
            )
        self.services = Services(self._channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends calls under way and the connection."""
        await self._channel.close()

    async def emit(
        self,
        type: str,
        payload: Payload,
        *,
        tenant_id: str = "",
        idempotency_key: str = "",
        occur_time: datetime | None = None,
        timeout: float = TIMEOUT,
    ) -> Emitted:
        """As `Client.emit`."""
        event = Event(
            type=type,
            payload=payload,
            tenant_id=tenant_id,
            idempotency_key=idempotency_key,
            occur_time=occur_time,
        )
        return emitted(await self._call(self.services.events.EmitEvent, request_of(event), timeout))

    async def emit_batch(self, events: Iterable[Event], *, timeout: float = TIMEOUT) -> list[Emitted]:
        """As `Client.emit_batch`."""
        request = event_service_pb2.BatchEmitEventsRequest(requests=[request_of(event) for event in events])
        if request.requests:
            request.tenant_id = request.requests[0].tenant_id
        response = await self._call(self.services.events.BatchEmitEvents, request, timeout)
        return [emitted(each) for each in response.responses]

    def emitter(self, *, window: int = WINDOW) -> Emitter:
        """For producers of many events: `async with client.emitter() as emitter`. Takes requests as generated."""
        return Emitter(self._channel, metadata=(), window=window)

    async def _call(self, method: Callable[..., Awaitable[Any]], request: Any, timeout: float) -> Any:
        try:
            return await method(request, timeout=timeout, wait_for_ready=True)
        except grpc.aio.AioRpcError as error:
            raise from_rpc(error, getattr(request, "idempotency_key", "")) from None


class _Metadata:
    """Sends metadata with every call; gRPC wants a class for each kind of call."""

    def __init__(self, metadata: Sequence[tuple[str, str]]) -> None:
        self._metadata = metadata

    async def _with(self, proceed: Any, details: Any, request: Any) -> Any:
        given = grpc.aio.Metadata(*(details.metadata or ()), *self._metadata)
        return await proceed(details._replace(metadata=given), request)


class _UnaryUnary(_Metadata, grpc.aio.UnaryUnaryClientInterceptor):
    intercept_unary_unary: Any = _Metadata._with


class _UnaryStream(_Metadata, grpc.aio.UnaryStreamClientInterceptor):
    intercept_unary_stream: Any = _Metadata._with


class _StreamStream(_Metadata, grpc.aio.StreamStreamClientInterceptor):
    intercept_stream_stream: Any = _Metadata._with


_KINDS = (_UnaryUnary, _UnaryStream, _StreamStream)
