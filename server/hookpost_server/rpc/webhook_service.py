"""hookpost.v1.WebhookService."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from hookpost.v1 import webhook_pb2, webhook_service_pb2, webhook_service_pb2_grpc

from ..actions.rotation import rotate
from ..actions.testing import WebhookTester
from ..domain import event, ids, signing
from ..domain.envelope import Format
from ..domain.secret import Secret
from ..domain.webhook import Settings, SettingsRules, State, changed, check_text
from ..store.event_types import KnownTypes
from ..store.health import DAY, HealthFigures
from ..store.webhooks import Webhooks
from . import bounds, convert, fields, paging
from .context import Context
from .times import from_duration, timestamp_of

MAX_REASON = 256
MAX_WINDOW = 7 * DAY
MAX_MINUTES = 25 * 3600.0  # seconds for which there are figures by the minute
LAST = UUID(int=2**128 - 1)


class WebhookService(webhook_service_pb2_grpc.WebhookServiceServicer):
    """The comments in webhook_service.proto say what each call promises."""

    def __init__(
        self,
        webhooks: Webhooks,
        known_types: KnownTypes,
        rules: SettingsRules,
        health: HealthFigures,
        tester: WebhookTester,
        now: Callable[[], float],
    ) -> None:
        self._webhooks = webhooks
        self._known_types = known_types
        self._rules = rules
        self._health = health
        self._tester = tester
        self._now = now

    async def CreateWebhook(
        self, request: webhook_service_pb2.CreateWebhookRequest, context: Context
    ) -> webhook_service_pb2.CreateWebhookResponse:
        faults = fields.Faults()  # the rules raise them, together with what they find
        tenant_id = faults.read("", fields.tenant, request.webhook, "webhook.tenant_id")
        request_id = faults.read("", fields.request_id, request.request_id)
        faults.note("signing_key", _secret_fault(request.signing_key))
        given, unreadable = convert.webhook_settings(request.webhook, convert.WEBHOOK_SETTABLE)
        await self._known_types.refresh()
        settings = self._rules.check(changed(Settings(), given), [*faults.found, *unreadable])
        webhook = await self._webhooks.create(
            tenant_id,
            settings,
            _secret(request.signing_key),
            request_id=request_id,
            digest=_digest(request) if request_id else b"",
        )
        return webhook_service_pb2.CreateWebhookResponse(
            webhook=convert.webhook(webhook), signing_key=webhook.keys[0].secret.reveal()
        )

    async def GetWebhook(
        self, request: webhook_service_pb2.GetWebhookRequest, context: Context
    ) -> webhook_service_pb2.GetWebhookResponse:
        webhook = await self._webhooks.get(*_named(request))
        message = convert.webhook(webhook)
        if request.include_health:
            await self._add_health(webhook.tenant_id, {webhook.id: message})
        return webhook_service_pb2.GetWebhookResponse(webhook=message)

    async def ListWebhooks(
        self, request: webhook_service_pb2.ListWebhooksRequest, context: Context
    ) -> webhook_service_pb2.ListWebhooksResponse:
        with fields.Faults() as faults:
            tenant_id = faults.read("", fields.tenant, request)
            size = faults.read(0, paging.size, request)
            before = faults.read(None, paging.id_position, request) or LAST
            states: list[State] = faults.read([], fields.numbers, State, request.states, "states")
            if request.event_type:
                faults.note("event_type", event.check_type(request.event_type))
            for key, value in request.labels.items():
                faults.note(f"labels[{json.dumps(key[:63])}]", check_text(key, 63) or check_text(value, 256))
            faults.note("query", check_text(request.query, 256))
        found = await self._webhooks.list(
            tenant_id,
            before=before,
            states=states,
            patterns=event.patterns(request.event_type) if request.event_type else [],
            labels=dict(request.labels),
            query=request.query,
            limit=size + 1,
        )
        page = paging.fitting(convert.webhook(webhook) for webhook in found[:size])
        following = found[len(page) - 1].id if len(found) > len(page) else None
        if request.include_health:
            await self._add_health(tenant_id, {each.id: message for each, message in zip(found, page, strict=False)})
        return webhook_service_pb2.ListWebhooksResponse(
            webhooks=page, next_page_token="" if following is None else paging.token(request, following.bytes)
        )

    async def UpdateWebhook(
        self, request: webhook_service_pb2.UpdateWebhookRequest, context: Context
    ) -> webhook_service_pb2.UpdateWebhookResponse:
        with fields.Faults() as wrong:
            tenant_id = wrong.read("", fields.tenant, request.webhook, "webhook.tenant_id")
            webhook_id = wrong.read(fields.NIL, fields.identity, ids.WEBHOOK, request.webhook.id, "webhook.id")
            names = wrong.read([], fields.mask, request.update_mask, request.webhook, convert.WEBHOOK_SETTABLE)
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
        with fields.Faults() as faults:
            named = faults.read(("", fields.NIL), _named, request)
            faults.note("reason", check_text(request.reason, MAX_REASON))
        webhook = await self._webhooks.disable(*named, reason=request.reason)
        return webhook_service_pb2.DisableWebhookResponse(webhook=convert.webhook(webhook))

    async def GetSigningKey(
        self, request: webhook_service_pb2.GetSigningKeyRequest, context: Context
    ) -> webhook_service_pb2.GetSigningKeyResponse:
        webhook = await self._webhooks.reveal_keys(*_named(request))
        return webhook_service_pb2.GetSigningKeyResponse(
            keys=[
                webhook_service_pb2.RevealedSigningKey(key=convert.signing_key(key), secret=key.secret.reveal())
                for key in webhook.keys
            ]
        )

    async def RotateSigningKey(
        self, request: webhook_service_pb2.RotateSigningKeyRequest, context: Context
    ) -> webhook_service_pb2.RotateSigningKeyResponse:
        overlap = from_duration(request.overlap)
        with fields.Faults() as faults:
            tenant_id, webhook_id = faults.read(("", fields.NIL), _named, request)
            request_id = faults.read("", fields.request_id, request.request_id)
            faults.note("signing_key", _secret_fault(request.signing_key))
            if not 0 <= overlap <= signing.MAX_OVERLAP:
                faults.note("overlap", "must be from 0 s to 7 days")
        webhook, secret = await rotate(
            self._webhooks, tenant_id, webhook_id, _secret(request.signing_key), overlap, request_id=request_id
        )
        return webhook_service_pb2.RotateSigningKeyResponse(
            webhook=convert.webhook(webhook), signing_key=secret.reveal()
        )

    async def TestWebhook(
        self, request: webhook_service_pb2.TestWebhookRequest, context: Context
    ) -> webhook_service_pb2.TestWebhookResponse:
        with fields.Faults() as faults:
            tenant_id, webhook_id = faults.read(("", fields.NIL), _named, request)
            for index, name in enumerate(request.event_types):
                faults.note(f"event_types[{index}]", event.check_type(name))
            unsaved: dict[str, Any] = {}
            if request.url:
                unsaved["url"] = request.url
            if request.override_headers or request.headers:
                unsaved["headers"] = dict(request.headers)
            if request.payload_format:
                formats = faults.read([Format.FLAT], fields.numbers, Format, [request.payload_format], "payload_format")
                unsaved["payload_format"] = formats[0]
        if unsaved:
            await self._known_types.refresh()  # the settings are checked as a whole
        results = await self._tester.test(tenant_id, webhook_id, request.event_types, unsaved)
        answer = webhook_service_pb2.TestWebhookResponse(
            results=[
                webhook_service_pb2.TestResult(event_type=name, attempt=convert.attempt(attempt))
                for name, attempt in results
            ]
        )
        bounds.fit(result.attempt for result in answer.results)
        return answer

    async def GetWebhookHealth(
        self, request: webhook_service_pb2.GetWebhookHealthRequest, context: Context
    ) -> webhook_service_pb2.GetWebhookHealthResponse:
        with fields.Faults() as faults:
            tenant_id, webhook_id = faults.read(("", fields.NIL), _named, request)
            window = from_duration(request.window) if request.HasField("window") else DAY
            if not 60 <= window <= MAX_WINDOW:
                faults.note("window", "must be from a minute to 7 days")
            bucket = from_duration(request.bucket) if request.HasField("bucket") else _bucket(window)
            if bucket not in (60, 3600):
                faults.note("bucket", "must be a minute (60s) or an hour (3600s)")
            elif bucket > window >= 60:
                faults.note("bucket", "must not be longer than the window")
            elif bucket == 60 and window > MAX_MINUTES:
                faults.note("bucket", "must be an hour (3600s) for windows of more than 25 h")
        await self._webhooks.get(tenant_id, webhook_id)
        figures, series = await asyncio.gather(
            self._health.of(tenant_id, [webhook_id], window),
            self._health.series(tenant_id, webhook_id, window, by_hour=bucket == 3600),
        )
        return webhook_service_pb2.GetWebhookHealthResponse(
            health=convert.health(figures[webhook_id]),
            series=[convert.health_point(point) for point in series],
            read_time=timestamp_of(self._now()),
        )

    async def _add_health(self, tenant_id: str, messages: Mapping[UUID, webhook_pb2.Webhook]) -> None:
        figures = await self._health.of(tenant_id, list(messages))
        for webhook_id, message in messages.items():
            message.health.CopyFrom(convert.health(figures[webhook_id]))


def _bucket(window: float) -> float:
    return 60 if window <= 3 * 3600 else 3600


def _named(request: Any) -> tuple[str, UUID]:
    """The webhook that a request names."""
    return fields.named(ids.WEBHOOK, request, "webhook_id")


def _secret(given: str) -> Secret:
    return Secret(given or signing.new_secret())


def _secret_fault(secret: str) -> str | None:
    return signing.check_secret(secret) if secret else None


def _digest(request: webhook_service_pb2.CreateWebhookRequest) -> bytes:
    return hashlib.sha256(request.SerializeToString(deterministic=True)).digest()
