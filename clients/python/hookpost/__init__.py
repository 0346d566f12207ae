"""Hookpost for Python: emit events, manage webhooks. The generated gRPC API lives in `hookpost.v1`."""

from hookpost.aio import AsyncClient
from hookpost.client import Client, StreamingEmitter
from hookpost.connection import Connection
from hookpost.emission import Emitted, Event
from hookpost.emitter import Emitter
from hookpost.errors import FieldViolation, HookpostError

__all__ = [
    "AsyncClient",
    "Client",
    "Connection",
    "Emitted",
    "Emitter",
    "Event",
    "FieldViolation",
    "HookpostError",
    "StreamingEmitter",
]
