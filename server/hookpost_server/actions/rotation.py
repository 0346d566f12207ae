"""A new signing key, answered when no node signs any more with what must not sign."""

from __future__ import annotations

import asyncio
from uuid import UUID

from ..domain.secret import Secret
from ..domain.webhook import STALE_AFTER, Webhook
from ..store.webhooks import Webhooks


async def rotate(
    webhooks: Webhooks, tenant_id: str, webhook_id: UUID, secret: Secret, overlap: float, *, request_id: str = ""
) -> tuple[Webhook, Secret]:
    """As `Webhooks.rotate_key`. Every node may go by what it knew for STALE_AFTER, so an overlap shorter than that is
    waited for, 2 s at most.
    """
    rotated = await webhooks.rotate_key(tenant_id, webhook_id, secret, overlap, request_id=request_id)
    await asyncio.sleep(max(0.0, STALE_AFTER - overlap))
    return rotated
