"""A webhook's settings: shown, saved, and kept from overwriting what somebody else has saved meanwhile."""

from __future__ import annotations

import dataclasses

from aiohttp import web

from ...domain import errors, ids
from ...domain.api_key import Scope
from ...domain.webhook import Settings, Webhook, changed
from ..picker import picker
from ..route import get, post
from ..visit import Visit
from ..webhook_form import Faults, Form, unfolded
from ..webhook_page import asked_for, webhook_page


async def first(visit: Visit) -> web.Response:
    """A webhook's own address leads to its first tab."""
    return visit.see(visit.url(f"/webhooks/{ids.text(ids.WEBHOOK, visit.identity(ids.WEBHOOK))}/settings"))


async def show(visit: Visit) -> web.Response:
    """As stored."""
    webhook = await asked_for(visit)
    return await _page(visit, webhook, Form.of(webhook.settings))


async def save(visit: Visit) -> web.Response:
    """Saves all fields; refused when the webhook has changed since the form was made, unless told to overwrite."""
    sent = await visit.form()
    form = Form.read(sent)
    webhook = await asked_for(visit)
    if sent.get("do") == "add-header":
        return await _page(visit, webhook, form.with_row(), etag=sent.get("etag", ""), dirty=True)
    given, violations, rows = form.given(webhook.settings, visit.texts)

    def change(settings: Settings) -> Settings:
        after = visit.parts.rules.check(changed(settings, given), violations)
        if rows:
            raise errors.InvalidFields([])
        return after

    etag = sent.get("etag", "")
    try:
        await visit.parts.known_types.refresh()
        overwrite = sent.get("do") == "overwrite"
        saved = await visit.parts.webhooks.update(visit.tenant_id, webhook.id, change, "" if overwrite else etag)
    except errors.InvalidFields as error:
        faults = form.faults(error.violations, rows, visit.texts)
        return await _page(visit, webhook, form, faults=faults, etag=etag, dirty=True, status=422)
    except errors.EtagMismatch:
        stale = _differing(webhook.settings, form, visit)
        return await _page(visit, webhook, form, stale=stale, etag=etag, dirty=True, status=409)
    return visit.see(visit.url(f"/webhooks/{ids.text(ids.WEBHOOK, saved.id)}/settings"), "flash.saved")


def _differing(stored: Settings, form: Form, visit: Visit) -> list[str]:
    """The fields that the form would change, as they are stored now."""
    given, _, _ = form.given(stored, visit.texts)
    wanted = changed(stored, given)
    names = [each.name for each in dataclasses.fields(Settings)]
    return [name for name in names if getattr(wanted, name) != getattr(stored, name)]


async def _page(
    visit: Visit,
    webhook: Webhook,
    form: Form,
    *,
    faults: Faults | None = None,
    stale: list[str] | None = None,
    etag: str = "",
    dirty: bool = False,
    status: int = 200,
) -> web.Response:
    faults = faults or {}
    return await webhook_page(
        visit,
        webhook,
        "settings",
        status=status,
        form=form,
        faults=faults,
        stale=stale,
        etag=etag or webhook.etag,
        dirty=dirty,
        picker=picker(await visit.parts.event_types.choices(), form.event_types),
        unfolded=unfolded(form, faults),
        count=None,
        secrets={},
    )


ROUTES = [
    get("/webhooks/{id}", first),
    get("/webhooks/{id}/settings", show),
    post("/webhooks/{id}/settings", save, Scope.WEBHOOKS_WRITE),
]
