"""The client for threads. For asyncio: `hookpost.aio`, the same with `await`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import grpc

from hookpost.aio import AsyncClient
from hookpost.connection import TIMEOUT, Connection
from hookpost.emission import Emitted, Event, Payload, emitted, request_of
from hookpost.emitter import WINDOW
from hookpost.errors import from_rpc
from hookpost.services import Services
from hookpost.v1 import event_service_pb2


class Client:
    """A connection to a server, for any number of threads; make one for each process, after it has forked.

    with Client() as hookpost:
        hookpost.emit("User.Created", {"id": "u1"})

    Settings are those of `Connection`. The generated services are `webhooks`, `events`, `event_types`, `deliveries` and
    `api_keys` of `services`; their calls raise grpc.RpcError.
    """

    def __init__(self, address: str = "", **settings: Any) -> None:
        self._connection = Connection.of(address, **settings)
        credentials, options = self._connection.credentials(), self._connection.options()
        if credentials is None:
            channel = grpc.insecure_channel(self._connection.target, options)
        else:
            channel = grpc.secure_channel(self._connection.target, credentials, options)
        self._channel = channel
        metadata = self._connection.metadata()
        self.services = Services(grpc.intercept_channel(channel, _Metadata(metadata)) if metadata else channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends calls under way and the connection."""
        self._channel.close()

    def emit(
        self,
        type: str,
        payload: Payload,
        *,
        tenant_id: str = "",
        idempotency_key: str = "",
        occur_time: datetime | None = None,
        timeout: float = TIMEOUT,
    ) -> Emitted:
        """Returns once the event is committed; see `Event` for the fields. `timeout` in seconds. Raises HookpostError.

        A server that is away is waited for, and the call repeated under the same key, while the time lasts.
        """
        event = Event(
            type=type,
            payload=payload,
            tenant_id=tenant_id,
            idempotency_key=idempotency_key,
            occur_time=occur_time,
        )
        return emitted(self._call(self.services.events.EmitEvent, request_of(event), timeout))

    def emit_batch(self, events: Iterable[Event], *, timeout: float = TIMEOUT) -> list[Emitted]:
        """Up to 1,000 events of one tenant, all or none. Raises HookpostError."""
        request = event_service_pb2.BatchEmitEventsRequest(requests=[request_of(event) for event in events])
        if request.requests:
            request.tenant_id = request.requests[0].tenant_id
        response = self._call(self.services.events.BatchEmitEvents, request, timeout)
        return [emitted(each) for each in response.responses]

    def emitter(self, *, window: int = WINDOW) -> StreamingEmitter:
        """For producers of many events; see StreamingEmitter."""
        return StreamingEmitter(self._connection, window)

    def _call(self, method: Callable[..., Any], request: Any, timeout: float) -> Any:
        try:
            return method(request, timeout=timeout, wait_for_ready=True)
        except grpc.RpcError as error:
            raise from_rpc(error, getattr(request, "idempotency_key", "")) from None


class StreamingEmitter:
    """Emits over one stream, at a fraction of what a call for each event costs. For any number of threads.

    with client.emitter() as emitter:
        emitter.emit("User.Created", {"id": "u1"})

    The stream lives in a thread of its own and is opened again when it breaks; what was not answered is sent again
    under the same key.
    """

    def __init__(self, connection: Connection, window: int) -> None:
        self._connection = connection
        self._window = window
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="hookpost-emitter", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._client = self._run(_client(self._connection))
        self._emitter = self._client.emitter(window=self._window)
        self._run(self._emitter.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run(self._emitter.close())
        self._run(self._client.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def emit(self, type: str, payload: Payload, *, timeout: float = TIMEOUT, **fields: Any) -> Emitted:
        """Returns once the event is committed. `fields` are those of `Event`. Raises HookpostError."""
        request = request_of(Event(type=type, payload=payload, **fields))
        return emitted(self._run(self._emitter.emit(request, timeout=timeout)))

    def emit_all(self, events: Sequence[Event], *, timeout: float = TIMEOUT) -> list[Emitted]:
        """Many at once, each on its own: those before a failure may be accepted. Raises the first HookpostError."""

        async def together() -> Sequence[Any]:
            return await asyncio.gather(
                *(self._emitter.emit(request_of(event), timeout=timeout) for event in events), return_exceptions=True
            )

        answers = self._run(together())
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return [emitted(answer) for answer in answers]

    def _run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()


async def _client(connection: Connection) -> AsyncClient:
    return AsyncClient(connection=connection)


class _Metadata(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Sends metadata with every call. gRPC's own call credentials refuse channels without TLS."""

    def __init__(self, metadata: Sequence[tuple[str, str]]) -> None:
        self._metadata = metadata

    def _with(self, proceed: Any, details: Any, request: Any) -> Any:
        return proceed(_Details(details, [*(details.metadata or ()), *self._metadata]), request)

    intercept_unary_unary: Any = _with
    intercept_unary_stream: Any = _with
    intercept_stream_unary: Any = _with
    intercept_stream_stream: Any = _with


class _Details(grpc.ClientCallDetails):
    """Another call's details with other metadata."""

    def __init__(self, details: Any, metadata: Sequence[tuple[str, str]]) -> None:
        for name in ("method", "timeout", "credentials", "wait_for_ready", "compression"):
            setattr(self, name, getattr(details, name, None))
        self.metadata = tuple(metadata)
