"""The request of one attempt: body, headers and signatures, from what is stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from . import envelope, headers, ids, signing, trace
from .event import Event
from .signing import SigningKey
from .webhook import Settings


@dataclass(frozen=True, slots=True)
class Request:
    """A POST, ready to send. Nothing may be added but `host` and `content-length`."""

    url: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)  # values may be secrets
    body: bytes = field(repr=False)
    timeout: float  # seconds for the whole exchange


@dataclass(frozen=True, slots=True)
class Composer:
    """Makes requests as this server is set up: its version and the name of the hex signature's header."""

    user_agent: str
    signature_header: str
    id: int = 0  # by which attempts name it; 0: not noted

    def compose(
        self,
        event: Event,
        webhook_id: UUID,
        settings: Settings,
        keys: Sequence[SigningKey],
        *,
        delivery_id: UUID,
        attempt: int,
        timestamp: int,
        test: bool = False,
    ) -> Request:
        """`prepare` and its `compose` at once."""
        return self.prepare(webhook_id, settings, keys).compose(
            event, delivery_id=delivery_id, attempt=attempt, timestamp=timestamp, test=test
        )

    def prepare(self, webhook_id: UUID, settings: Settings, keys: Sequence[SigningKey]) -> Letterhead:
        """What all requests to a webhook have in common. `keys` are those in force, newest first.

        Raises ValueError when what is stored must not be sent: never unsigned, never a header that is not allowed.
        """
        if not keys:
            raise ValueError("the webhook has no signing key in force")
        if faults := headers.check(settings.headers, "headers", self.signature_header):
            raise ValueError(f"stored {faults[0].field}: {faults[0].description}")
        own = {
            "content-type": ("content-type", envelope.CONTENT_TYPES[settings.payload_format]),
            "user-agent": ("user-agent", self.user_agent),
        }
        custom = {name.lower(): (name, value) for name, value in settings.headers.items()}
        return Letterhead(
            webhook_id=webhook_id,
            settings=settings,
            headers=tuple((own | custom).values()),
            signature_header=self.signature_header,
            secret=keys[0].secret.reveal(),
            standard_keys=tuple(signing.standard_key(key.secret.reveal()) for key in keys),
        )


@dataclass(frozen=True, slots=True)
class Letterhead:
    """All that requests to one webhook have in common, worked out once."""

    webhook_id: UUID
    settings: Settings = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    signature_header: str
    secret: str = field(repr=False)
    standard_keys: tuple[bytes, ...] = field(repr=False)

    def compose(self, event: Event, *, delivery_id: UUID, attempt: int, timestamp: int, test: bool = False) -> Request:
        """`timestamp` is this attempt's, unix seconds."""
        body = envelope.body(self.settings.payload_format, event, self.webhook_id)
        message_id = ids.text(ids.EVENT, event.id)
        signature = signing.standard_signature(self.standard_keys, message_id, timestamp, body)
        return Request(
            self.settings.url,
            (
                *self.headers,
                (self.signature_header, signing.hex_signature(self.secret, body)),
                ("webhook-id", message_id),
                ("webhook-timestamp", str(timestamp)),
                ("webhook-signature", signature),
                ("hookpost-event", event.type),
                ("hookpost-delivery", ids.text(ids.DELIVERY, delivery_id)),
                ("hookpost-attempt", str(attempt)),
                *((("hookpost-test", "true"),) if test else ()),
                *(((trace.HEADER, event.traceparent),) if event.traceparent else ()),
                ("accept-encoding", "identity"),
            ),
            body,
            self.settings.timeout,
        )
