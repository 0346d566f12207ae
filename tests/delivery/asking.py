"""Requests for the sender's tests."""

from __future__ import annotations

import asyncio

from hookpost_server.delivery.sender import Sender
from hookpost_server.domain.delivery import Outcome
from hookpost_server.domain.request import Request

from .wire import PATIENCE

HEADERS = (("content-type", "application/json"), ("webhook-id", "evt_1"))


def request(url: str, *, timeout: float = PATIENCE, body: bytes = b'{"n": 1.0}', headers=HEADERS) -> Request:  # type: ignore[no-untyped-def]
    return Request(url, tuple(headers), body, timeout)


async def send(sender: Sender, url: str, **given: object) -> Outcome:
    """Sends; a sender that forgets its own deadline fails the test instead of hanging it."""
    async with asyncio.timeout(PATIENCE * 2):
        return await sender.send(request(url, **given))  # type: ignore[arg-type]
