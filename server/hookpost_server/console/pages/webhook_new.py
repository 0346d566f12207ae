"""Creating a webhook: the form, its live checks, and what it would have received."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import ipaddress
import json
import secrets
import socket
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from ...domain import errors, ids, signing
from ...domain.api_key import Scope
from ...domain.errors import Violation
from ...domain.secret import Secret
from ...domain.webhook import MAX_NAME, Settings, changed
from ...store.event_counts import EventCount
from ...store.missed import Missed
from ..picker import picker
from ..route import get, post
from ..translation import fault
from ..visit import Visit
from ..webhook_form import Faults, Form, unfolded

RESOLVE_TIMEOUT = 2.0  # seconds


async def show(visit: Visit) -> web.Response:
    """Empty, or with another webhook's settings."""
    if copied := visit.query.get("copy", ""):
        source = await _source(visit, copied)
        name = visit.texts("webhook_new.copy_of", name=source.name)[:MAX_NAME]
        form = Form.of(dataclasses.replace(source, name=name))
    else:
        form = Form(name=visit.query.get("name", ""), url=visit.query.get("url", ""))
    return await _page(visit, form, copied=copied)


async def create(visit: Visit) -> web.Response:
    """Makes it, and shows its key. The same form sent twice makes one webhook."""
    sent = await visit.form()
    form = Form.read(sent)
    copied, request_id = sent.get("copy", ""), sent.get("request_id", "")
    secret = sent.get("signing_key", "").strip()
    parts = visit.parts
    if sent.get("do") == "preview":
        return await _page(visit, form, copied=copied, count=await _count(visit, form))
    if sent.get("do") == "add-header":
        return await _page(visit, form.with_row(), copied=copied)
    base = await _source(visit, copied) if copied else Settings()
    given, violations, rows = form.given(base, visit.texts)
    if secret and (wrong := signing.check_secret(secret)):
        violations.append(Violation("signing_key", wrong))
    try:
        await parts.known_types.refresh()
        settings = parts.rules.check(changed(Settings(), given), violations)
        if rows:
            raise errors.InvalidFields([])
        webhook = await parts.webhooks.create(
            visit.tenant_id,
            settings,
            Secret(secret or signing.new_secret()),
            request_id=f"console-{request_id}" if request_id else "",
            digest=_digest(sent),
        )
    except errors.InvalidFields as error:
        faults = form.faults(error.violations, rows, visit.texts)
        return await _page(visit, form, faults=faults, copied=copied, status=422)
    created = visit.url(f"/webhooks/{ids.text(ids.WEBHOOK, webhook.id)}/created")
    return visit.see(created, "flash.created", name=settings.name)


async def check_url(visit: Visit) -> web.Response:
    """What this server thinks of a URL, while it is typed: advice only, the real checks come with every attempt."""
    text = visit.query.get("url", "").strip()
    refusal, note = None, ""
    try:
        url = visit.parts.rules.urls.check(text)
    except ValueError as error:
        refusal = fault(str(error), visit.texts) if text else None
    else:
        note = await _look_up(visit, url)
    return visit.page("url_check.html", asked=bool(text), refusal=refusal, note=note)


async def preview(visit: Visit) -> web.Response:
    """How many events of the last 24 h the ticked types match."""
    form = Form.read(visit.request.query)
    return visit.page("preview.html", count=await _count(visit, form))


async def _count(visit: Visit, form: Form) -> EventCount | None:
    if not form.patterns:
        return None
    return await visit.parts.event_counts.matching(visit.tenant_id, Missed.of(form.patterns))


async def _look_up(visit: Visit, url: str) -> str:
    """The key of a warning about the host's addresses; empty if there is none."""
    try:
        async with asyncio.timeout(RESOLVE_TIMEOUT):
            found = await asyncio.get_running_loop().getaddrinfo(urlsplit(url).hostname, None, type=socket.SOCK_STREAM)
    except TimeoutError:  # an OSError, too
        return "slow"
    except (OSError, UnicodeError):
        return "unresolved"
    policy = visit.parts.rules.urls.addresses
    return "" if any(policy.permits(ipaddress.ip_address(entry[4][0])) for entry in found) else "private"


async def _source(visit: Visit, copied: str) -> Settings:
    try:
        webhook_id = ids.parse(ids.WEBHOOK, copied)
    except ValueError:
        raise errors.NotFound("webhook", copied) from None
    return (await visit.parts.webhooks.get(visit.tenant_id, webhook_id)).settings


async def _page(
    visit: Visit,
    form: Form,
    *,
    faults: Faults | None = None,
    copied: str = "",
    count: EventCount | None = None,
    status: int = 200,
) -> web.Response:
    faults = faults or {}
    return visit.page(
        "webhook_new.html",
        status=status,
        form=form,
        faults=faults,
        picker=picker(await visit.parts.event_types.choices(), form.event_types),
        unfolded=unfolded(form, faults),
        copied=copied,
        count=count,
        request_id=secrets.token_hex(16),
    )


def _digest(sent: Any) -> bytes:
    fields = sorted((name, value) for name, value in sent.items() if name not in ("csrf", "request_id"))
    return hashlib.sha256(json.dumps(fields).encode()).digest()


ROUTES = [
    get("/webhooks/new", show, Scope.WEBHOOKS_WRITE),
    post("/webhooks/new", create, Scope.WEBHOOKS_WRITE),
    get("/webhooks/check-url", check_url, Scope.WEBHOOKS_WRITE),
    get("/webhooks/preview", preview, Scope.READ),
]
