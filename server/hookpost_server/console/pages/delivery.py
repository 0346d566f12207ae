"""One delivery: what became of it and why, the bytes that went and came, and sending it again."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from ...domain import errors, event, ids
from ...domain.api_key import Scope
from ...domain.delivery import Attempt, Delivery, State
from ...domain.request import Request
from ...domain.webhook import Webhook
from .. import commands
from ..body_view import view
from ..delivery_story import headline, reasons, steps
from ..figures import span
from ..outcomes import of_attempt, of_delivery
from ..route import get, post
from ..translation import waiting
from ..visit import Visit

TABS = ("request", "response", "attempts", "why")


async def show(visit: Visit) -> web.Response:
    """A tab; `attempt` in the query chooses which attempt's bytes, else they are the last one's."""
    tab = visit.request.match_info.get("tab", TABS[0])
    if tab not in TABS:
        raise web.HTTPNotFound
    try:
        delivery = await _asked_for(visit)
    except errors.NotFound:
        return _gone(visit)
    chosen = _chosen(visit, delivery)
    context: dict[str, Any] = {}
    if tab == "request":
        request, removed = await _sent(visit, delivery, chosen)
        context = {"request": request, "removed": removed}
        context["body"] = None if request is None else view(request.body, tidy=_tidy(visit))
    elif tab == "response" and chosen is not None:
        context = {"body": view(chosen.body, tidy=_tidy(visit))}
    elif tab == "attempts":
        context = {"verdicts": {each.number: of_attempt(each, visit.texts) for each in delivery.attempts}}
    elif tab == "why":
        context = {"reasons": reasons(delivery, visit.texts)}
    webhook = await _webhook(visit, delivery)
    most = None if webhook is None else webhook.settings.retry_policy.max_attempts
    held_for = visit.parts.held_for(delivery.webhook_id)
    return visit.page(
        f"delivery_{tab}.html",
        delivery=delivery,
        id=ids.text(ids.DELIVERY, delivery.id),
        webhook=webhook,
        webhook_id=ids.text(ids.WEBHOOK, delivery.webhook_id),
        verdict=of_delivery(delivery, visit.texts),
        headline=headline(delivery, most, visit.texts),
        waits=waiting(delivery, held_for, visit.texts),
        steps=steps(delivery, visit.texts, held=held_for is not None),
        tabs=TABS,
        tab=tab,
        chosen=chosen,
        tidy=_tidy(visit),
        may_resend=webhook is not None
        and delivery.state is not State.PENDING
        and visit.caller.may(Scope.DELIVERIES_RETRY),
        may_reveal=webhook is not None and visit.caller.may(Scope.SECRETS_REVEAL),
        may_emit=not event.is_operational(delivery.event_type),
        **context,
    )


async def download(visit: Visit) -> web.Response:
    """The bytes of an attempt's request or answer, as a file that no browser runs."""
    delivery = await _asked_for(visit)
    chosen = _chosen(visit, delivery)
    part = visit.query.get("of", "")
    if part == "response" and chosen is not None:
        body = chosen.body
    else:
        request, _ = await _sent(visit, delivery, chosen)
        if request is None:
            raise web.HTTPNotFound
        body, part = request.body, "request"
    number = chosen.number if chosen else 0
    name = f"{ids.text(ids.DELIVERY, delivery.id)}-{number}-{part}.bin"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return web.Response(body=body, content_type="application/octet-stream", headers=headers)


async def curl(visit: Visit) -> web.Response:
    """A command that sends it from a terminal, signed at this moment: as text for the script, or as a page."""
    delivery = await _asked_for(visit)
    return _command(visit, delivery, "curl", commands.curl(await visit.parts.fresh.of(delivery)))


async def grpcurl(visit: Visit) -> web.Response:
    """A command that emits the event anew."""
    delivery = await _asked_for(visit)
    found = await visit.parts.events.get(delivery.tenant_id, delivery.event_id)
    if found.payload_removed:
        raise errors.PayloadRemoved(ids.text(ids.EVENT, found.id))
    text = commands.grpcurl(found, visit.parts.node, with_key=not visit.open_door)
    return _command(visit, delivery, "grpcurl", text)


def _command(visit: Visit, delivery: Delivery, name: str, text: str) -> web.Response:
    if visit.request.headers.get("Accept") == "text/plain":
        return web.Response(text=text)
    return visit.page("delivery_command.html", id=ids.text(ids.DELIVERY, delivery.id), name=name, text=text)


async def resend(visit: Visit) -> web.Response:
    """One more attempt, soon."""
    delivery_id = visit.identity(ids.DELIVERY)
    found = await visit.parts.replays.redeliver(visit.tenant_id, delivery_id)
    visit.parts.wake()
    done = int(found.state is State.PENDING)
    return visit.see(visit.url(f"/deliveries/{ids.text(ids.DELIVERY, delivery_id)}"), "flash.resent", n=str(done))


def _gone(visit: Visit) -> web.Response:
    """An id tells when its event came, so an entry that retention has removed is told from one that never was."""
    kept = visit.parts.node.lifetimes.entries
    age = visit.parts.now() - ids.seconds_of(visit.identity(ids.DELIVERY))
    if kept.seconds is None or age < kept.seconds:
        raise web.HTTPNotFound
    return visit.page("delivery_gone.html", status=404, kept=span(kept.seconds))


async def _asked_for(visit: Visit) -> Delivery:
    return await visit.parts.deliveries.get(visit.tenant_id, visit.identity(ids.DELIVERY))


def _chosen(visit: Visit, delivery: Delivery) -> Attempt | None:
    number = visit.query.get("attempt", "")
    last = delivery.attempts[-1] if delivery.attempts else None
    return next((each for each in delivery.attempts if str(each.number) == number), last)


def _tidy(visit: Visit) -> bool:
    return visit.query.get("as") != "raw"


async def _sent(visit: Visit, delivery: Delivery, chosen: Attempt | None) -> tuple[Request | None, bool]:
    """The request of an attempt; and whether it can't be shown because retention has removed the payload."""
    if chosen is None:
        return None, False
    try:
        found = (await visit.parts.sent.of(delivery))[delivery.attempts.index(chosen)]
    except errors.NotFound:
        return None, True
    return found, found is None


async def _webhook(visit: Visit, delivery: Delivery) -> Webhook | None:
    try:
        return await visit.parts.webhooks.get(visit.tenant_id, delivery.webhook_id)
    except errors.NotFound:
        return None


ROUTES = [
    get("/deliveries/{id}", show),
    get("/deliveries/{id}/body", download),
    get("/deliveries/{id}/{tab}", show),
    post("/deliveries/{id}/curl", curl, Scope.SECRETS_REVEAL),
    post("/deliveries/{id}/grpcurl", grpcurl, Scope.READ),
    post("/deliveries/{id}/resend", resend, Scope.DELIVERIES_RETRY),
]
