"""Everything that a caller can be told, as a tree. `rpc/errors.py` alone knows the gRPC codes.

HookpostError
├── InvalidFields             some fields of the request are wrong: all of them at once
├── NotFound                  no such webhook, event, delivery …, or not this tenant's
│   └── EventTypeUnknown      not in the catalogue; names the nearest
├── EtagMismatch              changed since it was read
├── AlreadyExists
│   ├── IdempotencyKeyReused  the key came before with other content
│   ├── RequestIdReused       the request id came before with other content
│   └── NameTaken             an event type of this name exists
├── EventTypeInUse            built in, or subscribed to
├── DeliveryNotEnded          still pending: there is nothing to repeat
├── WebhookUnreadable         what is stored of it makes no sense: a fault of ours, or of who changed it there
├── SealBroken                a stored secret does not open; told as WebhookUnreadable
├── MasterKeyRetired          this server would seal with a key that `hookpost rewrap` has put out of use
├── PayloadRemoved            retention has removed it: there is nothing to send
├── TokenExpired              a watcher fell behind: begin anew
├── BacklogFull               a bounded queue is full: try again
│   └── NoSocket              this process has no file descriptor left for a connection
├── LimitExceeded             over a fixed limit: trying again does not help
├── Unavailable
│   ├── DatabaseUnavailable   can't be reached, or is too busy
│   │   └── EmitUnanswered    the event may or may not have been accepted
│   └── ShuttingDown          another server will take the call
├── DeadlineExceeded          too little time was left to begin, or it ran out
├── Unauthenticated           no API key, or one that does not work: in the same words
├── TooManyFailures           of that kind from one address
├── PermissionDenied
│   ├── ScopeMissing          the key may not do that
│   └── TenantBound           the key is bound to a tenant, and this concerns all
└── NotSupported              this server can't do that
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar


class HookpostError(Exception):
    """Base of all errors that a caller is told in full; the message is for people."""

    reason: ClassVar[str] = "INTERNAL"

    def __init__(self, message: str, **metadata: str) -> None:
        super().__init__(message)
        self.message = message
        self.metadata: Mapping[str, str] = metadata


@dataclass(frozen=True, slots=True)
class Violation:
    """One wrong field: its path as in the proto (`webhook.headers["x"]`) and what would be right."""

    field: str
    description: str


class InvalidFields(HookpostError):
    """Fields are wrong. Carries every violation, at most 50, so that one round of mending is enough."""

    reason = "FIELD_INVALID"

    def __init__(self, violations: Iterable[Violation]) -> None:
        self.violations = tuple(violations)[:50]
        super().__init__("; ".join(f"{v.field}: {v.description}" for v in self.violations)[:1000])

    @classmethod
    def one(cls, field: str, description: str) -> InvalidFields:
        return cls([Violation(field, description)])


class NotFound(HookpostError):
    """No such resource for this tenant. Another tenant's resource is not found in the same words."""

    reason = "RESOURCE_NOT_FOUND"

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f'no {kind} "{name[:80]}"')
        self.kind = kind
        self.name = name


class EventTypeUnknown(NotFound):
    """The event type is not in the catalogue."""

    reason = "EVENT_TYPE_UNKNOWN"

    def __init__(self, name: str, nearest: list[str]) -> None:
        super().__init__("event type", name)
        meant = f"; did you mean {' or '.join(nearest)}?" if nearest else ""
        self.message = f'unknown event type "{name[:128]}"{meant} (ListEventTypes lists all, CreateEventType adds one)'
        self.metadata = {"nearest": ",".join(nearest)}


class EtagMismatch(HookpostError):
    """The resource has changed since the caller read it."""

    reason = "ETAG_MISMATCH"

    def __init__(self, kind: str, etag: str) -> None:
        super().__init__(f"the {kind} has changed since it was read; read it again and repeat the change", etag=etag)


class AlreadyExists(HookpostError):
    """Base of the errors for a second one where one is allowed."""


class IdempotencyKeyReused(AlreadyExists):
    """The key was used for another event."""

    reason = "IDEMPOTENCY_KEY_REUSED"

    def __init__(self, key: str, event_id: str) -> None:
        super().__init__(
            f'idempotency key "{key}" came before with other content, for {event_id}',
            idempotency_key=key,
            event_id=event_id,
        )


class RequestIdReused(AlreadyExists):
    """The request id was used for another request."""

    reason = "REQUEST_ID_REUSED"

    def __init__(self, request_id: str) -> None:
        super().__init__(f'request id "{request_id}" came before with other content', request_id=request_id)


class NameTaken(AlreadyExists):
    """There is one of this name."""

    reason = "NAME_TAKEN"

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f'there is {"an" if kind[0] in "aeiou" else "a"} {kind} "{name}" already')
        self.kind = kind
        self.name = name


class EventTypeInUse(HookpostError):
    """The event type can't be removed or changed so."""

    reason = "EVENT_TYPE_IN_USE"


class DeliveryNotEnded(HookpostError):
    """Only a delivery that has ended can be tried again."""

    reason = "DELIVERY_NOT_ENDED"

    def __init__(self, delivery_id: str) -> None:
        super().__init__(f'delivery "{delivery_id}" has not ended: it is being tried already', state="PENDING")


class WebhookUnreadable(HookpostError):
    """A webhook's row can't be made sense of. Says what went wrong by kind only: the row holds secrets."""

    def __init__(self, webhook_id: str, cause: str) -> None:
        super().__init__(f'webhook "{webhook_id}" can\'t be read ({cause})')


class SealBroken(HookpostError):
    """A stored secret does not open. The message says why, and nothing of the secret."""


class MasterKeyRetired(HookpostError):
    """What it sealed now could not be opened once the key is thrown away."""

    def __init__(self, key_id: str) -> None:
        super().__init__(
            f"this server's first master key ({key_id}) was retired by `hookpost rewrap`; restart it with the new one"
        )


class PayloadRemoved(HookpostError):
    """Without its payload an event can't be sent again."""

    reason = "PAYLOAD_REMOVED"

    def __init__(self, event_id: str, hint: str = "") -> None:
        super().__init__(
            f'the payload of event "{event_id}" has been removed by retention, so it can\'t be sent again{hint}',
            event_id=event_id,
        )


class TokenExpired(HookpostError):
    """A resume token from which on changes can't be told without a gap."""

    reason = "TOKEN_EXPIRED"

    def __init__(self, why: str, oldest: str) -> None:
        super().__init__(f"{why}; list what you need and watch without a resume token", oldest=oldest)


class BacklogFull(HookpostError):
    """A bounded queue is full."""

    reason = "BACKLOG_FULL"

    def __init__(self, what: str, retry_delay: float = 1.0) -> None:
        super().__init__(f"{what}; try again in {retry_delay:g} s")
        self.retry_delay = retry_delay  # seconds


class NoSocket(BacklogFull):
    """No socket can be made: the process is at its limit of open files, or the machine at one of its own."""

    def __init__(self) -> None:
        super().__init__("no socket can be made for a connection: the limit of open files is reached")


class LimitExceeded(HookpostError):
    """Over a fixed limit."""

    reason = "LIMIT_EXCEEDED"


class Unavailable(HookpostError):
    """Base of the errors that pass by themselves."""

    retry_delay: float = 1.0  # seconds


class DatabaseUnavailable(Unavailable):
    """The database can't be reached, or is too busy."""

    reason = "DATABASE_UNAVAILABLE"

    def __init__(self, message: str = "the database can't be reached") -> None:
        super().__init__(message)


class EmitUnanswered(DatabaseUnavailable):
    """Nobody knows whether the commit of an emit took place."""

    def __init__(self, cause: DatabaseUnavailable) -> None:
        super().__init__(
            f"{cause.message}; the event may or may not have been accepted: with an idempotency key it can be emitted "
            "again safely"
        )


class ShuttingDown(Unavailable):
    """The server is stopping."""

    reason = "SHUTTING_DOWN"

    def __init__(self) -> None:
        super().__init__("the server is shutting down; repeat the call")


class DeadlineExceeded(HookpostError):
    """Too little time was left to begin, or it ran out."""

    reason = "DEADLINE_EXCEEDED"


class Unauthenticated(HookpostError):
    """Nobody was let in. One text, whatever the cause: it tells a stranger nothing about keys."""

    reason = "UNAUTHENTICATED"

    def __init__(self) -> None:
        super().__init__("this call needs an API key that works, sent as authorization: Bearer …")


class TooManyFailures(HookpostError):
    """Too many calls from one address were not let in."""

    reason = "TOO_MANY_FAILURES"
    retry_delay: float = 1.0  # seconds

    def __init__(self) -> None:
        super().__init__("too many calls from this address had no API key that works; slow down")


class PermissionDenied(HookpostError):
    """Base of the errors for what a key may not do."""


class ScopeMissing(PermissionDenied):
    """The key lacks a scope."""

    reason = "SCOPE_MISSING"

    def __init__(self, scope: str) -> None:
        super().__init__(f"this call needs an API key with the scope {scope} or ADMIN", scope=scope)


class TenantBound(PermissionDenied):
    """What the call is about is every tenant's."""

    reason = "TENANT_BOUND"

    def __init__(self, tenant_id: str) -> None:
        super().__init__(
            f'the API key is bound to the tenant "{tenant_id}", and this call concerns every tenant',
            tenant_id=tenant_id,
        )


class NotSupported(HookpostError):
    """This server can't do that."""

    reason = "NOT_SUPPORTED"
