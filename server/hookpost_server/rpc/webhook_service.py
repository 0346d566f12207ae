"""hookpost.v1.WebhookService."""

from __future__ import annotations

import hashlib
from typing import Any
from uuid import UUID

from hookpost.v1 import webhook_service_pb2, webhook_service_pb2_grpc

from ..domain import errors, event, ids, signing
from ..domain.webhook import Settings, SettingsRules, State, changed, check_text
from ..store.event_types import KnownTypes
from ..store.webhooks import Webhooks
from . import convert, fields, paging
from .context import Context
from .times import from_duration

MAX_REASON = 256
LAST = UUID(int=2**128 - 1)


class WebhookService(webhook_service_pb2_grpc.WebhookServiceServicer):
    """The comments in webhook_service.proto say what each call promises."""

    def __init__(self, webhooks: Webhooks, known_types: KnownTypes, rules: SettingsRules) -> None:
        self._webhooks = webhooks
        self._known_types = known_types
        self._rules = rules

    async def CreateWebhook(
        self, request: webhook_service_pb2.CreateWebhookRequest, context: Context
    ) -> webhook_service_pb2.CreateWebhookResponse:
        tenant_id = fields.tenant(request.webhook, "webhook.tenant_id")
        request_id = fields.request_id(request.request_id)
        given, faults = convert.webhook_settings(request.webhook, convert.WEBHOOK_SETTABLE)
        faults += _secret_faults(request.signing_key)
        await self._known_types.refresh()
        settings = self._rules.check(changed(Settings(), given), faults)
        webhook = await self._webhooks.create(
            tenant_id,
            settings,
            request.signing_key or signing.new_secret(),
            request_id=request_id,
            digest=_digest(request) if request_id else b"",
        )
        return webhook_service_pb2.CreateWebhookResponse(
            webhook=convert.webhook(webhook), signing_key=webhook.keys[0].secret
        )

    async def GetWebhook(
        self, request: webhook_service_pb2.GetWebhookRequest, context: Context
    ) -> webhook_service_pb2.GetWebhookResponse:
        _no_health_yet(request)
        webhook = await self._webhooks.get(*_named(request))
        return webhook_service_pb2.GetWebhookResponse(webhook=convert.webhook(webhook))

    async def ListWebhooks(
        self, request: webhook_service_pb2.ListWebhooksRequest, context: Context
    ) -> webhook_service_pb2.ListWebhooksResponse:
        _no_health_yet(request)
        tenant_id = fields.tenant(request)
        size = paging.size(request)
        if request.event_type and (fault := event.check_type(request.event_type)):
            raise errors.InvalidFields.one("event_type", fault)
        if fault := check_text(request.query, 256):
            raise errors.InvalidFields.one("query", fault)
        try:
            states = [State(state) for state in request.states]
        except ValueError:
            raise errors.InvalidFields.one("states", "must be ACTIVE, DISABLED or SUSPENDED") from None
        found = await self._webhooks.list(
            tenant_id,
            before=paging.id_position(request) or LAST,
            states=states,
            patterns=event.patterns(request.event_type) if request.event_type else [],
            labels=dict(request.labels),
            query=request.query,
            limit=size + 1,
        )
        page = found[:size]
        return webhook_service_pb2.ListWebhooksResponse(
            webhooks=[convert.webhook(webhook) for webhook in page],
            next_page_token=paging.token(request, page[-1].id.bytes) if len(found) > size else "",
        )

    async def UpdateWebhook(
        self, request: webhook_service_pb2.UpdateWebhookRequest, context: Context
    ) -> webhook_service_pb2.UpdateWebhookResponse:
        tenant_id = fields.tenant(request.webhook, "webhook.tenant_id")
        webhook_id = fields.identity(ids.WEBHOOK, request.webhook.id, "webhook.id")
        names = fields.mask(request.update_mask, request.webhook, convert.WEBHOOK_SETTABLE)
        given, faults = convert.webhook_settings(request.webhook, names)
        await self._known_types.refresh()
        webhook = await self._webhooks.update(
            tenant_id,
            webhook_id,
            lambda settings: self._rules.check(changed(settings, given), faults),
            request.webhook.etag,
        )
        return webhook_service_pb2.UpdateWebhookResponse(webhook=convert.webhook(webhook))

    async def DeleteWebhook(
        self, request: webhook_service_pb2.DeleteWebhookRequest, context: Context
    ) -> webhook_service_pb2.DeleteWebhookResponse:
        cancelled = await self._webhooks.delete(*_named(request), etag=request.etag)
        return webhook_service_pb2.DeleteWebhookResponse(cancelled_delivery_count=cancelled)

    async def EnableWebhook(
        self, request: webhook_service_pb2.EnableWebhookRequest, context: Context
    ) -> webhook_service_pb2.EnableWebhookResponse:
        webhook = await self._webhooks.enable(*_named(request))
        return webhook_service_pb2.EnableWebhookResponse(webhook=convert.webhook(webhook))

    async def DisableWebhook(
        self, request: webhook_service_pb2.DisableWebhookRequest, context: Context
    ) -> webhook_service_pb2.DisableWebhookResponse:
        if fault := check_text(request.reason, MAX_REASON):
            raise errors.InvalidFields.one("reason", fault)
        webhook = await self._webhooks.disable(*_named(request), reason=request.reason)
        return webhook_service_pb2.DisableWebhookResponse(webhook=convert.webhook(webhook))

    async def GetSigningKey(
        self, request: webhook_service_pb2.GetSigningKeyRequest, context: Context
    ) -> webhook_service_pb2.GetSigningKeyResponse:
        webhook = await self._webhooks.get(*_named(request))
        return webhook_service_pb2.GetSigningKeyResponse(
            keys=[
                webhook_service_pb2.RevealedSigningKey(key=convert.signing_key(key), secret=key.secret)
                for key in webhook.keys
            ]
        )

    async def RotateSigningKey(
        self, request: webhook_service_pb2.RotateSigningKeyRequest, context: Context
    ) -> webhook_service_pb2.RotateSigningKeyResponse:
        tenant_id, webhook_id = _named(request)
        request_id = fields.request_id(request.request_id)
        faults = _secret_faults(request.signing_key)
        overlap = from_duration(request.overlap)
        if not 0 <= overlap <= signing.MAX_OVERLAP:
            faults.append(errors.Violation("overlap", "must be from 0 s to 7 days"))
        if faults:
            raise errors.InvalidFields(faults)
        webhook, secret = await self._webhooks.rotate_key(
            tenant_id, webhook_id, request.signing_key or signing.new_secret(), overlap, request_id=request_id
        )
        return webhook_service_pb2.RotateSigningKeyResponse(webhook=convert.webhook(webhook), signing_key=secret)

    async def TestWebhook(
        self, request: webhook_service_pb2.TestWebhookRequest, context: Context
    ) -> webhook_service_pb2.TestWebhookResponse:
        raise errors.not_yet("TestWebhook")

    async def GetWebhookHealth(
        self, request: webhook_service_pb2.GetWebhookHealthRequest, context: Context
    ) -> webhook_service_pb2.GetWebhookHealthResponse:
        raise errors.not_yet("GetWebhookHealth")


def _named(request: Any) -> tuple[str, UUID]:
    """The webhook that a request names."""
    return fields.tenant(request), fields.identity(ids.WEBHOOK, request.webhook_id, "webhook_id")


def _secret_faults(secret: str) -> list[errors.Violation]:
    fault = signing.check_secret(secret) if secret else None
    return [errors.Violation("signing_key", fault)] if fault else []


def _digest(request: webhook_service_pb2.CreateWebhookRequest) -> bytes:
    return hashlib.sha256(request.SerializeToString(deterministic=True)).digest()


def _no_health_yet(request: Any) -> None:
    if request.include_health:
        raise errors.not_yet("include_health")
