"""hookpost.v1.ApiKeyService."""

from __future__ import annotations

from hookpost.v1 import api_key_service_pb2, api_key_service_pb2_grpc

from ..domain import errors
from .context import Context


class ApiKeyService(api_key_service_pb2_grpc.ApiKeyServiceServicer):
    """Until it is there, the server listens on loopback only, unless told that a proxy keeps the door."""

    async def CreateApiKey(
        self, request: api_key_service_pb2.CreateApiKeyRequest, context: Context
    ) -> api_key_service_pb2.CreateApiKeyResponse:
        raise errors.not_yet("CreateApiKey")

    async def ListApiKeys(
        self, request: api_key_service_pb2.ListApiKeysRequest, context: Context
    ) -> api_key_service_pb2.ListApiKeysResponse:
        raise errors.not_yet("ListApiKeys")

    async def RevokeApiKey(
        self, request: api_key_service_pb2.RevokeApiKeyRequest, context: Context
    ) -> api_key_service_pb2.RevokeApiKeyResponse:
        raise errors.not_yet("RevokeApiKey")
