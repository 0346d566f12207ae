"""The pages: one module and one template each. `console/README.md` says how one is made."""

from __future__ import annotations

from . import (
    api_keys,
    audit,
    catalogue,
    delivery,
    event,
    events,
    live,
    preferences,
    system,
    webhook_created,
    webhook_export,
    webhook_health,
    webhook_key,
    webhook_new,
    webhook_replay,
    webhook_requests,
    webhook_settings,
    webhook_state,
    webhook_test,
    webhooks,
)

PAGES = (
    webhooks,
    webhook_new,
    webhook_created,
    webhook_settings,
    webhook_key,
    webhook_test,
    webhook_requests,
    webhook_export,
    webhook_replay,
    webhook_health,
    webhook_state,
    delivery,
    events,
    event,
    live,
    catalogue,
    system,
    api_keys,
    audit,
    preferences,
)
