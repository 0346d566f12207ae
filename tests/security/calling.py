"""Every method of the API from its descriptors, and calls of any of them with any key."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import grpc
from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, MethodDescriptor
from google.protobuf.message import Message

from hookpost.v1 import (
    api_key_service_pb2,
    delivery_service_pb2,
    event_service_pb2,
    event_type_service_pb2,
    webhook_service_pb2,
)
from hookpost_server.config import Address
from hookpost_server.domain.api_key import ALL_TENANTS, Scope
from hookpost_server.store.api_keys import ApiKeys
from hookpost_server.store.database import Database
from tests.rpc.serving import Client, config, refused, serving

FILES = (
    api_key_service_pb2,
    delivery_service_pb2,
    event_service_pb2,
    event_type_service_pb2,
    webhook_service_pb2,
)
METHODS: dict[str, MethodDescriptor] = {
    f"{service.name}/{method.name}": method
    for file in FILES
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
Path = tuple[str, ...]


def message_of(descriptor: Descriptor) -> type[Message]:
    return message_factory.GetMessageClass(descriptor)


def request_of(method: str) -> Any:
    """An empty request."""
    return message_of(METHODS[method].input_type)()


def tenant_places(message: Descriptor, path: Path = ()) -> Iterator[Path]:
    """Wherever a request can name a tenant, entries of lists included."""
    for field in message.fields:
        if field.name == "tenant_id":
            yield (*path, field.name)
        elif field.message_type is not None and field.message_type.file.package == "hookpost.v1":
            yield from tenant_places(field.message_type, (*path, field.name))


def name_tenant(request: Any, path: Path, tenant: str) -> None:
    """Sets the tenant at a place; makes the entry of a list if there is one on the way."""
    for name in path[:-1]:
        held = getattr(request, name)
        request = held if isinstance(held, Message) else held[0] if len(held) else held.add()
    setattr(request, path[-1], tenant)


@dataclass
class Caller:
    """Calls with a key, or without one."""

    channel: grpc.aio.Channel
    key: str | None = None

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        return () if self.key is None else (("authorization", f"Bearer {self.key}"),)

    async def call(self, method: str, request: Any, metadata: Iterable[tuple[str, Any]] | None = None) -> Any:
        """The answer; of streams the first one."""
        descriptor = METHODS[method]
        path = f"/hookpost.v1.{method}"
        answer = message_of(descriptor.output_type)
        encode, decode = type(request).SerializeToString, answer.FromString
        given = self.metadata if metadata is None else tuple(metadata)
        if descriptor.client_streaming:
            stream = self.channel.stream_stream(path, encode, decode)(metadata=given)
            try:
                await stream.write(request)
                return await stream.read()
            finally:
                stream.cancel()
        if descriptor.server_streaming:
            call = self.channel.unary_stream(path, encode, decode)(request, metadata=given)
            try:
                return await call.read()
            finally:
                call.cancel()
        return await self.channel.unary_unary(path, encode, decode)(request, metadata=given)

    async def refused(self, method: str, request: Any, metadata: Iterable[tuple[str, Any]] | None = None) -> Any:
        return await refused(self.call(method, request, metadata))


@dataclass
class Secured:
    """A server that needs keys, and the means to make them."""

    address: Address
    database_url: str
    keys: ApiKeys
    channel: grpc.aio.Channel

    async def key(
        self, *scopes: Scope, tenant: str = ALL_TENANTS, expire_time: datetime | None = None, name: str = "n"
    ) -> str:
        _, text = await self.keys.create(tenant, name, scopes, expire_time)
        return text

    async def caller(self, *scopes: Scope, tenant: str = ALL_TENANTS) -> Caller:
        return Caller(self.channel, await self.key(*scopes, tenant=tenant))


@contextlib.asynccontextmanager
async def securing(database_url: str, **settings: Any) -> AsyncIterator[Secured]:
    """A server that needs keys; there is one already, which nobody has."""
    database = await Database.open(database_url, max_size=2)
    try:
        keys = ApiKeys(database)
        await keys.create(ALL_TENANTS, "the first", [Scope.ADMIN])
        async with (
            serving(config(database_url, auth="keys", **settings)) as running,
            grpc.aio.insecure_channel(str(running.address)) as channel,
        ):
            yield Secured(running.address, database_url, keys, channel)
    finally:
        await database.close()


class Authorized(Client):
    """The usual client, with a key on each call."""

    def __init__(self, channel: grpc.aio.Channel, key: str) -> None:
        super().__init__(_WithKey(channel, key))  # type: ignore[arg-type]


class _WithKey:
    """A channel that adds the key."""

    def __init__(self, channel: grpc.aio.Channel, key: str) -> None:
        self._channel = channel
        self._metadata = (("authorization", f"Bearer {key}"),)

    def __getattr__(self, kind: str) -> Any:
        make = getattr(self._channel, kind)

        def method(*arguments: Any, **options: Any) -> Any:
            call = make(*arguments, **options)
            return lambda *given, **named: call(*given, **{"metadata": self._metadata} | named)

        return method
