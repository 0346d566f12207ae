"""The pages: one module and one template each. `console/README.md` says how one is made."""

from __future__ import annotations

from . import (
    preferences,
    webhook_created,
    webhook_key,
    webhook_new,
    webhook_settings,
    webhook_state,
    webhooks,
)

PAGES = (
    webhooks,
    webhook_new,
    webhook_created,
    webhook_settings,
    webhook_key,
    webhook_state,
    preferences,
)
