"""The generated services of one channel, sync or asyncio."""

from __future__ import annotations

from typing import Any

from hookpost.v1 import (
    api_key_service_pb2_grpc,
    delivery_service_pb2_grpc,
    event_service_pb2_grpc,
    event_type_service_pb2_grpc,
    webhook_service_pb2_grpc,
)


class Services:
    """One stub for each service of hookpost.v1."""

    def __init__(self, channel: Any) -> None:
        self.webhooks = webhook_service_pb2_grpc.WebhookServiceStub(channel)
        self.events = event_service_pb2_grpc.EventServiceStub(channel)
        self.event_types = event_type_service_pb2_grpc.EventTypeServiceStub(channel)
        self.deliveries = delivery_service_pb2_grpc.DeliveryServiceStub(channel)
        self.api_keys = api_key_service_pb2_grpc.ApiKeyServiceStub(channel)
