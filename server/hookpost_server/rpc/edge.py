"""Around every call: who calls, errors to status, one log line, and a count of what is under way."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import grpc
import structlog

from ..domain import errors, trace
from . import bounds, tenancy, tracing
from . import errors as rpc_errors
from .budget import within
from .context import Context
from .door import HEALTH, NEEDED, PREFIX, Door
from .meter import Meter, count_refusal

# Calls that may come in floods, and the one that must be answered in any flood.
QUEUED_APART = (
    ("hookpost.v1.EventService", "EmitEvent"),
    ("hookpost.v1.EventService", "BatchEmitEvents"),
    ("grpc.health.v1.Health", "Check"),
)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Undecodable:
    """Takes the place of a request whose bytes are no message; gRPC itself would answer UNKNOWN with the exception."""


class Edge(grpc.GenericRpcHandler):
    """Has all methods, each wrapped once; takes the server's place when services are added."""

    def __init__(self, door: Door, meter: Meter) -> None:
        self._door = door
        self._meter = meter
        self._handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}
        self._verbose = log.is_enabled_for(logging.DEBUG)  # asking costs more than counting a call
        self._in_flight = 0
        self.idle = asyncio.Event()  # set while no call is under way
        self.idle.set()

    def queue_apart(self, server: grpc.aio.Server) -> None:
        """Gives some methods queues of their own; all others share one.

        Not all get one: whenever a call has come, gRPC waits anew for the next of each queue, which for forty takes a
        tenth of a call's time.
        """
        for service, name in QUEUED_APART:
            server.add_registered_method_handlers(service, {name: self._handlers[f"/{service}/{name}"]})

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        return self._handlers.get(handler_call_details.method)

    def add_registered_method_handlers(
        self, service: str, handlers: Mapping[str, grpc.RpcMethodHandler[Any, Any]]
    ) -> None:
        """Serves these methods; none that the door's table does not name, but health."""
        for name, handler in handlers.items():
            method = f"/{service}/{name}"
            if method.startswith(HEALTH):
                self._handlers[method] = handler
            elif method.startswith(PREFIX):
                self._handlers[method] = self._wrapped(method.removeprefix(PREFIX), handler)
            elif method in NEEDED:
                self._handlers[method] = self._guarded(method, handler)

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """Nothing: the stubs name each method to `add_registered_method_handlers` too."""

    def _started(self) -> float:
        self._in_flight += 1
        self.idle.clear()
        return time.monotonic()

    def _finished(self, method: str, code: str, started: float, context: Context, *, quiet: bool) -> None:
        self._in_flight -= 1
        if not self._in_flight:
            self.idle.set()
        seconds = time.monotonic() - started
        self._meter.called(method, code, seconds)
        quiet = quiet or code == "OK"
        if not quiet or self._verbose:
            level = log.error if code == "INTERNAL" else log.debug if quiet else log.info
            given = tracing.given(context)
            level(
                "rpc.finished",
                method=method,
                code=code,
                latency_ms=round(seconds * 1000, 1),
                **({"trace_id": trace.trace_id(given)} if given else {}),
            )

    def _wrapped(self, method: str, handler: Any) -> grpc.RpcMethodHandler[Any, Any]:
        decode = _decoder(handler.request_deserializer)
        encode = handler.response_serializer
        if handler.unary_unary:
            return grpc.unary_unary_rpc_method_handler(self._unary(method, handler.unary_unary), decode, encode)
        if handler.unary_stream:
            return grpc.unary_stream_rpc_method_handler(self._stream(method, handler.unary_stream), decode, encode)
        return grpc.stream_stream_rpc_method_handler(self._stream(method, handler.stream_stream), decode, encode)

    def _unary(self, method: str, behaviour: Callable[[Any, Any], Awaitable[Any]]) -> Any:
        async def call(request: Any, context: Context) -> Any:
            started = self._started()
            code, quiet = "CANCELLED", False
            try:
                await self._door.admit(method, context)
                self._checked(request)
                answer = await within(method, request, context, behaviour)
                code = "OK"
                return answer
            except errors.HookpostError as error:
                code, quiet = rpc_errors.code_of(error).name, isinstance(error, errors.TooManyFailures)
                count_refusal(self._meter, request, error)
                await rpc_errors.abort(context, error)
            except Exception as error:
                code = "INTERNAL"
                told = rpc_errors.internal(error)
                count_refusal(self._meter, request, told)
                await rpc_errors.abort(context, told)
            finally:
                self._finished(method, code, started, context, quiet=quiet)

        return call

    def _stream(self, method: str, behaviour: Callable[[Any, Any], AsyncGenerator[Any]]) -> Any:
        async def call(request: Any, context: Context) -> AsyncIterator[Any]:
            started = self._started()
            code, quiet = "CANCELLED", False
            try:
                principal = await self._door.admit(method, context)
                many = hasattr(request, "__aiter__")  # what these name is settled one by one
                given = _each_decoded(request) if many else self._checked(request)
                async with (
                    self._door.lasting(principal),
                    contextlib.aclosing(behaviour(given, context)) as answers,
                ):
                    async for answer in answers:
                        yield answer
                code = "OK"
            except errors.HookpostError as error:
                code, quiet = rpc_errors.code_of(error).name, isinstance(error, errors.TooManyFailures)
                await rpc_errors.abort(context, error)
            except (asyncio.CancelledError, GeneratorExit):
                raise
            except Exception as error:
                code = "INTERNAL"
                await rpc_errors.abort(context, rpc_errors.internal(error))
            finally:
                self._finished(method, code, started, context, quiet=quiet)

        return call

    @staticmethod
    def _checked(request: Any) -> Any:
        bounds.check_lengths(_decoded(request))
        tenancy.settle(request)
        return request

    def _guarded(self, method: str, handler: Any) -> grpc.RpcMethodHandler[Any, Any]:
        """Not one of ours: it is only asked who calls."""

        async def call(requests: Any, context: Context) -> AsyncIterator[Any]:
            try:
                await self._door.admit(method, context)
            except errors.HookpostError as error:
                await rpc_errors.abort(context, error)
            async for answer in handler.stream_stream(requests, context):
                yield answer

        return grpc.stream_stream_rpc_method_handler(call, handler.request_deserializer, handler.response_serializer)


def _decoder(deserialize: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def decode(data: bytes) -> Any:
        try:
            return deserialize(data)
        except Exception:  # whatever protobuf raises on bytes from outside
            return Undecodable()

    return decode


def _decoded(request: Any) -> Any:
    """The request. Raises InvalidFields when its bytes were no message."""
    if isinstance(request, Undecodable):
        raise errors.InvalidFields.one("request", "is not a valid protobuf message of this method")
    return request


async def _each_decoded(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for request in requests:
        yield _decoded(request)
