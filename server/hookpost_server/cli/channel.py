"""The connection to a server: one gRPC channel, a deadline on every call, refusals turned into Failures."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar, cast

import grpc

from hookpost.credentials import bearer
from hookpost.v1 import delivery_service_pb2_grpc as deliveries
from hookpost.v1 import event_service_pb2_grpc as events
from hookpost.v1 import event_type_service_pb2_grpc as event_types
from hookpost.v1 import webhook_service_pb2_grpc as webhooks
from hookpost_server.cli.failures import ExitCode, Failure
from hookpost_server.cli.output import say
from hookpost_server.cli.refusals import retry_delay, to_failure
from hookpost_server.cli.remote import DEADLINE
from hookpost_server.cli.tls import credentials
from hookpost_server.config import Address

TRIES = 6
PAGE = 1000

Question = TypeVar("Question")
Answer = TypeVar("Answer", bound="Page")
Single = TypeVar("Single")
Item = TypeVar("Item")


class Page(Protocol):
    next_page_token: str


class Remote:
    """A server, as one tenant of it."""

    def __init__(self, address: str, *, tenant: str = "default", key: str = "") -> None:
        self.address = address
        self.tenant = tenant
        self._metadata = bearer(key)
        self._channel = _open(address)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._channel.close()

    @cached_property
    def webhooks(self) -> webhooks.WebhookServiceStub:
        return webhooks.WebhookServiceStub(self._channel)

    @cached_property
    def events(self) -> events.EventServiceStub:
        return events.EventServiceStub(self._channel)

    @cached_property
    def event_types(self) -> event_types.EventTypeServiceStub:
        return event_types.EventTypeServiceStub(self._channel)

    @cached_property
    def deliveries(self) -> deliveries.DeliveryServiceStub:
        return deliveries.DeliveryServiceStub(self._channel)

    def call(
        self,
        method: grpc.UnaryUnaryMultiCallable[Question, Single],
        request: Question,
        *,
        deadline: float = DEADLINE,
    ) -> Single:
        """One call. Raises Failure in a person's words."""
        try:
            return method(request, timeout=deadline, metadata=self._metadata)
        except grpc.RpcError as error:
            raise to_failure(cast(grpc.Call, error), self.address) from error

    def stream(
        self, method: grpc.UnaryStreamMultiCallable[Question, Single], request: Question, *, deadline: float
    ) -> Iterator[Single]:
        """One streaming call. Raises grpc.RpcError as it is: the caller may know how to go on."""
        answers = method(request, timeout=deadline, metadata=self._metadata)
        try:
            yield from answers
        finally:
            cast(grpc.Call, answers).cancel()

    def call_again(
        self,
        method: grpc.UnaryUnaryMultiCallable[Question, Single],
        request: Question,
        *,
        deadline: float = DEADLINE,
    ) -> Single:
        """Like call(), and tries again while the server is away or full, all within one deadline.

        Only for requests that carry an idempotency key or a request id: an answer may have been lost on its
        way, and the server must then recognise the second try.
        """
        end = time.monotonic() + deadline
        for number in range(1, TRIES + 1):
            try:
                return method(request, timeout=end - time.monotonic(), metadata=self._metadata)
            except grpc.RpcError as error:
                failed = cast(grpc.Call, error)
                pause = max(0.1 * 2 ** (number - 1) * random.uniform(0.8, 1.2), retry_delay(failed))  # noqa: S311
                if not _worth_another_try(failed) or number == TRIES or time.monotonic() + pause >= end:
                    raise to_failure(failed, self.address) from error
                say(f"{_reason(failed)}; try {number + 1} of {TRIES} in {pause:.1f} s …")
            time.sleep(pause)
        raise AssertionError("unreachable")  # pragma: no cover

    def collect(
        self,
        method: grpc.UnaryUnaryMultiCallable[Question, Answer],
        request: Question,
        items: Callable[[Answer], Sequence[Item]],
        limit: int,
    ) -> tuple[list[Item], bool]:
        """Follows pages until `limit` items are there; the second value says whether more exist."""
        found: list[Item] = []
        paged: Any = request
        while True:
            paged.page_size = min(limit - len(found), PAGE)
            answer = self.call(method, request)
            found.extend(items(answer))
            paged.page_token = answer.next_page_token
            if not paged.page_token or len(found) >= limit:
                return found[:limit], bool(paged.page_token) or len(found) > limit


def _open(address: str) -> grpc.Channel:
    target = address.removeprefix("https://").removeprefix("http://").rstrip("/")
    try:
        local = Address.parse(target).is_loopback
    except ValueError:
        raise Failure(f'"{address}" is not an address such as 127.0.0.1:50051', code=ExitCode.USAGE) from None
    options = (
        ("grpc.enable_http_proxy", 0 if local else 1),  # a proxy can't reach our own machine's loopback
        ("grpc.min_reconnect_backoff_ms", 5000),  # what one try to connect may take, handshakes included
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1000),
        ("grpc.max_receive_message_length", 64 << 20),  # a delivery with many attempts and their bodies
    )
    if address.startswith("https://"):
        return grpc.secure_channel(target, credentials(os.environ), options)
    return grpc.insecure_channel(target, options)


def _reason(error: grpc.Call) -> str:
    return "The server is away" if error.code() is grpc.StatusCode.UNAVAILABLE else "The server is full"


def _worth_another_try(error: grpc.Call) -> bool:
    """The server is away, or says itself when to come back."""
    return error.code() is grpc.StatusCode.UNAVAILABLE or (
        error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED and retry_delay(error) > 0
    )
