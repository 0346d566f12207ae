"""Verifies what Hookpost sends: `event = verify(body, headers, keys)`, or one error, InvalidWebhook, with a reason.

Adapters that take the raw body from a framework's request: `hookpost_receiver.starlette` (FastAPI too), `.flask`,
`.django`, `.aiohttp`. Nothing but the standard library is needed.
"""

from .event import Event
from .refusal import InvalidWebhook, Reason
from .verification import DEFAULT_HEADER, MAX_SIZE, TOLERANCE, Scheme, verify

__all__ = ["DEFAULT_HEADER", "MAX_SIZE", "TOLERANCE", "Event", "InvalidWebhook", "Reason", "Scheme", "verify"]
