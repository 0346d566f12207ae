"""hookpost.v1.ApiKeyService."""

from __future__ import annotations

from uuid import UUID

from hookpost.v1 import api_key_pb2, api_key_service_pb2, api_key_service_pb2_grpc

from ..domain import actor, event, ids
from ..domain.api_key import ALL_TENANTS, ApiKey, Scope
from ..store.api_keys import ApiKeys
from . import fields, paging
from .context import Context
from .times import to_timestamp

LAST = UUID(int=2**128 - 1)


class ApiKeyService(api_key_service_pb2_grpc.ApiKeyServiceServicer):
    """The comments in api_key_service.proto say what each call promises.

    An administrator that is bound to a tenant sees, makes and revokes keys of that tenant only.
    """

    def __init__(self, api_keys: ApiKeys) -> None:
        self._api_keys = api_keys

    async def CreateApiKey(
        self, request: api_key_service_pb2.CreateApiKeyRequest, context: Context
    ) -> api_key_service_pb2.CreateApiKeyResponse:
        given = request.api_key
        with fields.Faults() as faults:
            scopes: list[Scope] = faults.read([], fields.numbers, Scope, given.scopes, "api_key.scopes")
            expire_time = None
            if given.HasField("expire_time"):
                expire_time = faults.read(None, fields.moment, given.expire_time, "api_key.expire_time")
        key, secret = await self._api_keys.create(
            given.tenant_id or event.DEFAULT_TENANT, given.name, scopes, expire_time
        )
        return api_key_service_pb2.CreateApiKeyResponse(api_key=_message(key), secret=secret)

    async def ListApiKeys(
        self, request: api_key_service_pb2.ListApiKeysRequest, context: Context
    ) -> api_key_service_pb2.ListApiKeysResponse:
        with fields.Faults() as faults:
            tenant_id = request.tenant_id or None
            if tenant_id and tenant_id != ALL_TENANTS:
                faults.note("tenant_id", event.check_tenant(tenant_id))
            size = faults.read(0, paging.size, request)
            before = faults.read(None, paging.id_position, request) or LAST
        found = await self._api_keys.list(tenant_id, before=before, limit=size + 1)
        page = found[:size]
        return api_key_service_pb2.ListApiKeysResponse(
            api_keys=[_message(key) for key in page],
            next_page_token=paging.token(request, page[-1].id.bytes) if len(found) > size else "",
        )

    async def RevokeApiKey(
        self, request: api_key_service_pb2.RevokeApiKeyRequest, context: Context
    ) -> api_key_service_pb2.RevokeApiKeyResponse:
        key_id = fields.identity(ids.KEY, request.api_key_id, "api_key_id")
        key = await self._api_keys.revoke(key_id, actor.current().tenant_id)
        return api_key_service_pb2.RevokeApiKeyResponse(api_key=_message(key))


def _message(key: ApiKey) -> api_key_pb2.ApiKey:
    times = {name: getattr(key, name) for name in ("create_time", "expire_time", "revoke_time", "last_use_time")}
    return api_key_pb2.ApiKey(
        id=ids.text(ids.KEY, key.id),
        name=key.name,
        tenant_id=key.tenant_id,
        scopes=[api_key_pb2.ApiKeyScope.ValueType(scope) for scope in key.scopes],
        **{name: to_timestamp(moment) for name, moment in times.items() if moment is not None},
    )
