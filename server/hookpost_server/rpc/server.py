"""The gRPC server: services, health, reflection, limits."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from hookpost.v1 import (
    api_key_service_pb2,
    api_key_service_pb2_grpc,
    delivery_service_pb2,
    delivery_service_pb2_grpc,
    event_service_pb2,
    event_service_pb2_grpc,
    event_type_service_pb2,
    event_type_service_pb2_grpc,
    webhook_service_pb2,
    webhook_service_pb2_grpc,
)

from .api_key_service import ApiKeyService
from .certificates import Certificates
from .delivery_service import DeliveryService
from .door import Door, check_complete
from .edge import Edge
from .event_service import EventService
from .event_type_service import EventTypeService
from .meter import Meter
from .webhook_service import WebhookService

MAX_REQUEST = 34 * 1024 * 1024  # bytes: a batch of 32 MiB and its frame
OPTIONS = [
    ("grpc.max_receive_message_length", MAX_REQUEST),
    # Below the first size metadata is always taken, above the second never; an API key has 75 characters.
    ("grpc.max_metadata_size", 8 * 1024),
    ("grpc.absolute_max_metadata_size", 16 * 1024),
    ("grpc.max_concurrent_streams", 1000),
    ("grpc.max_connection_idle_ms", 5 * 60_000),
    # Clients find their way to new nodes, and to a new certificate; long streams are opened again.
    ("grpc.max_connection_age_ms", 60 * 60_000),
    ("grpc.max_connection_age_grace_ms", 60_000),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 20_000),
    ("grpc.http2.max_ping_strikes", 2),
]
MAX_CONCURRENT_CALLS = 20_000
V1_REFLECTION = "grpc.reflection.v1.ServerReflection"


class RpcServer:
    """Answers calls between `start` and `stop`."""

    def __init__(
        self,
        webhooks: WebhookService,
        events: EventService,
        event_types: EventTypeService,
        deliveries: DeliveryService,
        api_keys: ApiKeyService,
        door: Door,
        meter: Meter,
        *,
        certificates: Certificates | None = None,
        share_port: bool = False,
    ) -> None:
        """Without `certificates`, no TLS. `share_port`: else a forgotten old process would take half of the calls.

        Raises LookupError when the door does not know every method.
        """
        self._certificates = certificates
        self._edge = Edge(door, meter)
        self._events = events
        self._server = grpc.aio.server(
            handlers=[self._edge],
            options=[*OPTIONS, ("grpc.so_reuseport", int(share_port))],
            maximum_concurrent_rpcs=MAX_CONCURRENT_CALLS,
        )
        edge: Any = self._edge  # which is no server, as the stubs' types would have it
        webhook_service_pb2_grpc.add_WebhookServiceServicer_to_server(webhooks, edge)
        event_service_pb2_grpc.add_EventServiceServicer_to_server(events, edge)
        event_type_service_pb2_grpc.add_EventTypeServiceServicer_to_server(event_types, edge)
        delivery_service_pb2_grpc.add_DeliveryServiceServicer_to_server(deliveries, edge)
        api_key_service_pb2_grpc.add_ApiKeyServiceServicer_to_server(api_keys, edge)
        services = [
            file.DESCRIPTOR.services_by_name[name]
            for file in (
                webhook_service_pb2,
                event_service_pb2,
                event_type_service_pb2,
                delivery_service_pb2,
                api_key_service_pb2,
            )
            for name in file.DESCRIPTOR.services_by_name
        ]
        check_complete(f"{service.name}/{method.name}" for service in services for method in service.methods)
        self._names = [service.full_name for service in services]
        self._health = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, edge)
        _add_reflection(self._edge, [*self._names, health.SERVICE_NAME])
        self._edge.queue_apart(self._server)

    async def start(self, address: str) -> int:
        """Listens; returns the real port. Raises OSError when the address can't be had, ValueError for bad files."""
        try:
            if self._certificates is None:
                port = self._server.add_insecure_port(address)
            else:
                port = self._server.add_secure_port(address, self._certificates.credentials())
        except RuntimeError as error:
            raise OSError(f"can't listen on {address}") from error
        await self._server.start()
        return port

    async def set_serving(self, serving: bool) -> None:
        """What grpc.health.v1 answers, for the server as a whole and for each service."""
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ("", *self._names):
            await self._health.set(name, status)

    async def stop(self, grace: float) -> None:
        """Takes no new calls, lets those under way end for `grace` seconds, then cancels them."""
        self._events.end_streams()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._server.stop(grace))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._edge.idle.wait(), timeout=grace)
            # What is left are streams without an end, such as a health watch: nobody waits for those.
            group.create_task(self._server.stop(None))
        # stop() may return while cancelled handlers still run their last lines.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._edge.idle.wait(), timeout=5)


def _add_reflection(edge: Edge, names: list[str]) -> None:
    """Under both names: grpcio-reflection knows `v1alpha` only, and `v1` has the same messages on the wire."""
    both = [reflection.SERVICE_NAME, V1_REFLECTION]
    servicer: Any = reflection.aio.ReflectionServicer([*names, *both])
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    for name in both:
        edge.add_registered_method_handlers(name, {"ServerReflectionInfo": handler})
