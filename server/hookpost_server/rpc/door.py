"""The door: who is let in, and what each call needs. What the table does not name is not served."""

from __future__ import annotations

import contextlib
import functools
import urllib.parse
from collections.abc import Iterable

from ..actions.failure_limit import FailureLimit
from ..domain import errors, ids
from ..domain.actor import Actor, act_as
from ..domain.api_key import Principal, Scope
from ..store.known_keys import KnownKeys
from .context import Context

PREFIX = "/hookpost.v1."
HEALTH = "/grpc.health.v1.Health/"
ANYONE = "anyone"  # who acts where no keys are needed

NEEDED: dict[str, Scope] = {
    "EventService/EmitEvent": Scope.EVENTS_EMIT,
    "EventService/BatchEmitEvents": Scope.EVENTS_EMIT,
    "EventService/StreamEmitEvents": Scope.EVENTS_EMIT,
    "EventService/GetEvent": Scope.READ,
    "EventService/ListEvents": Scope.READ,
    "EventTypeService/GetEventType": Scope.READ,
    "EventTypeService/ListEventTypes": Scope.READ,
    "EventTypeService/CreateEventType": Scope.WEBHOOKS_WRITE,
    "EventTypeService/UpdateEventType": Scope.WEBHOOKS_WRITE,
    "EventTypeService/DeleteEventType": Scope.WEBHOOKS_WRITE,
    "WebhookService/GetWebhook": Scope.READ,
    "WebhookService/ListWebhooks": Scope.READ,
    "WebhookService/GetWebhookHealth": Scope.READ,
    "WebhookService/CreateWebhook": Scope.WEBHOOKS_WRITE,
    "WebhookService/UpdateWebhook": Scope.WEBHOOKS_WRITE,
    "WebhookService/DeleteWebhook": Scope.WEBHOOKS_WRITE,
    "WebhookService/EnableWebhook": Scope.WEBHOOKS_WRITE,
    "WebhookService/DisableWebhook": Scope.WEBHOOKS_WRITE,
    "WebhookService/TestWebhook": Scope.WEBHOOKS_WRITE,
    "WebhookService/GetSigningKey": Scope.SECRETS_REVEAL,
    "WebhookService/RotateSigningKey": Scope.SECRETS_REVEAL,
    "DeliveryService/GetDelivery": Scope.READ,
    "DeliveryService/ListDeliveries": Scope.READ,
    "DeliveryService/WatchDeliveries": Scope.READ,
    "DeliveryService/RedeliverDelivery": Scope.DELIVERIES_RETRY,
    "DeliveryService/ReplayDeliveries": Scope.DELIVERIES_RETRY,
    "DeliveryService/StopReplay": Scope.DELIVERIES_RETRY,
    "ApiKeyService/CreateApiKey": Scope.ADMIN,
    "ApiKeyService/ListApiKeys": Scope.ADMIN,
    "ApiKeyService/RevokeApiKey": Scope.ADMIN,
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo": Scope.ADMIN,
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": Scope.ADMIN,
}
# The catalogue is one for all tenants: who is bound to a tenant reads it only.
EVERY_TENANTS = frozenset(
    {"EventTypeService/CreateEventType", "EventTypeService/UpdateEventType", "EventTypeService/DeleteEventType"}
)


def check_complete(methods: Iterable[str]) -> None:
    """Raises LookupError for a method whose scope nobody has decided on: the server must not start."""
    if missing := [method for method in methods if method not in NEEDED]:
        raise LookupError(f"rpc/door.py says no scope for {', '.join(missing)}")


class Door:
    """Lets calls in."""

    def __init__(self, keys: KnownKeys | None) -> None:
        """Without `keys` everybody is let in, with all rights."""
        self._keys = keys
        self._failures = FailureLimit()

    async def admit(self, method: str, context: Context) -> Principal | None:
        """Says who acts from here on. Raises Unauthenticated, TooManyFailures, PermissionDenied, Unavailable."""
        address = source(context.peer())
        if self._keys is None:
            act_as(_anyone(address))
            return None
        text = _bearer(context.invocation_metadata() or ())
        principal = None if text is None else await self._keys.authenticate(text)
        if principal is None:
            self._failures.count(address)
            raise errors.Unauthenticated
        if not principal.may(needed := NEEDED[method]):
            raise errors.ScopeMissing(needed.name)
        if principal.tenant_id is not None and method in EVERY_TENANTS:
            raise errors.TenantBound(principal.tenant_id)
        act_as(_actor(principal, address))
        return principal

    def lasting(self, principal: Principal | None) -> contextlib.AbstractAsyncContextManager[None]:
        """Around a call that lasts: raises Unauthenticated there once the caller's key has stopped working."""
        if self._keys is None or principal is None:
            return contextlib.nullcontext()
        return self._keys.lasting(principal)


@functools.lru_cache(maxsize=1000)  # each call has one, and callers are few
def _anyone(address: str) -> Actor:
    return Actor(ANYONE, address=address)


@functools.lru_cache(maxsize=1000)
def _actor(principal: Principal, address: str) -> Actor:
    return Actor(ids.text(ids.KEY, principal.id), principal.name, address, principal.tenant_id)


def _bearer(metadata: Iterable[tuple[str, str | bytes]]) -> str | None:
    """The key's text in the one `authorization` there may be."""
    given = [value for name, value in metadata if name == "authorization"]
    if len(given) != 1 or not isinstance(given[0], str):
        return None
    scheme, _, text = given[0].partition(" ")
    return text if scheme.lower() == "bearer" else None


@functools.lru_cache(maxsize=1000)  # as many as there are connections
def source(peer: str) -> str:
    """The address in gRPC's name of a peer, without the port; empty for a local socket."""
    kind, _, rest = peer.partition(":")
    return urllib.parse.unquote(rest).rpartition(":")[0].strip("[]") if kind in ("ipv4", "ipv6") else ""
