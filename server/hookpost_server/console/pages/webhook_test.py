"""Test sends: a row for each event type, filled in as its answer comes, and explained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from ...actions.testing import subscribed
from ...domain import errors, ids
from ...domain.api_key import Scope
from ...domain.delivery import Attempt
from ...domain.webhook import Webhook, changed
from ..outcomes import first_line, of_attempt
from ..route import get, post
from ..translation import Fault, explained, fault
from ..visit import Visit
from ..webhook_form import Form
from ..webhook_page import asked_for, webhook_page

UNSAVED = ("url", "headers", "payload_format")  # what a test takes from a form that is not saved


async def show(visit: Visit) -> web.Response:
    """Which types to test; at first all that the webhook subscribes to."""
    webhook = await asked_for(visit)
    offered = await _offered(visit, webhook)
    return await _page(visit, webhook, offered, offered)


async def send(visit: Visit) -> web.Response:
    """With the script a row for each type, which then asks for its own result; without it, all results at once."""
    sent = await visit.form()
    webhook = await asked_for(visit)
    offered = await _offered(visit, webhook)
    chosen = [name for name in offered if name in sent.getall("type", offered)] or offered
    unsaved = _unsaved(visit, webhook, sent)
    try:
        if unsaved:
            await visit.parts.known_types.refresh()
            visit.parts.rules.check(changed(webhook.settings, unsaved), prefix="")
        results = await _results(visit, webhook, chosen, unsaved) if "no-script" in sent else None
    except errors.InvalidFields as error:
        refusal = [fault(each.description, visit.texts) for each in error.violations]
        return await _page(visit, webhook, offered, chosen, rows=[], refusal=refusal, status=422)
    rows = results if results is not None else [(name, None) for name in chosen]
    return await _page(visit, webhook, offered, chosen, rows=rows, unsaved=bool(unsaved))


async def send_one(visit: Visit) -> web.Response:
    """The row of one type."""
    sent = await visit.form()
    webhook = await asked_for(visit)
    results = await _results(visit, webhook, [sent.get("only", "") or ""], _unsaved(visit, webhook, sent))
    return visit.page("test_row.html", name=results[0][0], result=results[0][1])


async def _results(
    visit: Visit, webhook: Webhook, names: Sequence[str], unsaved: dict[str, Any]
) -> list[tuple[str, dict[str, Any] | None]]:
    found = await visit.parts.tester.test(visit.tenant_id, webhook.id, names, unsaved)
    return [(name, _told(attempt, visit)) for name, attempt in found]


def _told(attempt: Attempt, visit: Visit) -> dict[str, Any]:
    return {
        "verdict": of_attempt(attempt, visit.texts),
        "latency": attempt.latency,
        "line": first_line(attempt),
        "why": explained(attempt, visit.texts),
    }


async def _offered(visit: Visit, webhook: Webhook) -> list[str]:
    try:
        return subscribed(webhook, await visit.parts.event_types.examples())
    except errors.InvalidFields:
        return []


def _unsaved(visit: Visit, webhook: Webhook, sent: Any) -> dict[str, Any]:
    """The settings form comes with a URL; the test form does not."""
    if "url" not in sent:
        return {}
    given, _, _ = Form.read(sent).given(webhook.settings, visit.texts)
    return {name: given[name] for name in UNSAVED}


async def _page(
    visit: Visit,
    webhook: Webhook,
    offered: Sequence[str],
    chosen: Sequence[str],
    *,
    rows: Sequence[tuple[str, Any]] | None = None,
    refusal: Sequence[Fault] = (),
    unsaved: bool = False,
    status: int = 200,
) -> web.Response:
    context: dict[str, Any] = {"offered": offered, "chosen": chosen, "rows": rows}
    context |= {"refusal": refusal, "unsaved": unsaved}
    if visit.partial:
        return visit.page("test_results.html", webhook=webhook, id=ids.text(ids.WEBHOOK, webhook.id), **context)
    return await webhook_page(visit, webhook, "test", status=status, **context)


ROUTES = [
    get("/webhooks/{id}/test", show, Scope.WEBHOOKS_WRITE),
    post("/webhooks/{id}/test", send, Scope.WEBHOOKS_WRITE),
    post("/webhooks/{id}/test/one", send_one, Scope.WEBHOOKS_WRITE),
]
