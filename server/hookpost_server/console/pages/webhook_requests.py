"""A webhook's deliveries: filtered, resent one by one or several at once, and told of when new ones come."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from aiohttp import web

from ...domain import errors, ids
from ...domain.api_key import Scope
from ...domain.delivery import Delivery, State
from ..outcomes import Verdict, of_delivery
from ..request_filter import CLASSES, NO_ANSWER, RANGES, STATES, RequestFilter
from ..route import get, post
from ..translation import fault
from ..visit import Visit
from ..webhook_page import asked_for, webhook_page
from .preferences import own_path

SIZE = 25  # rows of a page
MOST_NEW = 100


@dataclass(frozen=True, slots=True)
class Row:
    """One delivery."""

    delivery: Delivery
    id: str
    verdict: Verdict
    create_time: datetime


async def show(visit: Visit) -> web.Response:
    """Newest event first."""
    webhook = await asked_for(visit)
    chosen = RequestFilter.read(visit.query, visit.parts.now(), webhook.id)
    filter = chosen.filter
    try:
        filter = dataclasses.replace(filter, before=ids.parse(ids.DELIVERY, visit.query.get("before", "")))
    except ValueError:
        first_page = True
    else:
        first_page = False
    found, following = await visit.parts.deliveries.list(visit.tenant_id, filter, limit=SIZE)
    return await webhook_page(
        visit,
        webhook,
        "requests",
        chosen=chosen,
        rows=rows(visit, found),
        older="" if following is None else ids.text(ids.DELIVERY, following),
        first_page=first_page,
        states=list(STATES),
        codes=[*CLASSES, NO_ANSWER],
        ranges=[*RANGES, "all", "custom"],
        types=list(await visit.parts.event_types.examples()),
        max_attempts=webhook.settings.retry_policy.max_attempts,
    )


def rows(visit: Visit, found: Sequence[Delivery]) -> list[Row]:
    """As lists show deliveries."""
    return [
        Row(each, ids.text(ids.DELIVERY, each.id), of_delivery(each, visit.texts), ids.time_of(each.event_id))
        for each in found
    ]


async def newer(visit: Visit) -> web.Response:
    """How many have come since the newest that is shown; they are not put under the pointer."""
    webhook_id = visit.identity(ids.WEBHOOK)
    chosen = RequestFilter.read(visit.query, visit.parts.now(), webhook_id)
    try:
        shown = ids.parse(ids.DELIVERY, visit.query.get("since", ""))
    except ValueError:
        raise errors.InvalidFields.one("since", "must be a delivery's id") from None
    filter = dataclasses.replace(chosen.filter, since=max(chosen.filter.since, ids.after(shown)))
    found, _ = await visit.parts.deliveries.list(visit.tenant_id, filter, limit=MOST_NEW)
    return visit.page("requests_newer.html", count=len(found), most=MOST_NEW, chosen=chosen)


async def resend(visit: Visit) -> web.Response:
    """Those that were ticked, or the one whose button was pressed; what can't be sent again is told."""
    sent = await visit.form()
    chosen = [sent["only"]] if "only" in sent else sent.getall("delivery", [])
    done, refused = 0, ""
    for text in chosen[:SIZE]:
        try:
            found = await visit.parts.replays.redeliver(visit.tenant_id, ids.parse(ids.DELIVERY, text))
        except ValueError:
            refused = text
        except (errors.NotFound, errors.DeliveryNotEnded, errors.PayloadRemoved) as error:
            refused = fault(error.message, visit.texts).text
        else:
            done += found.state is State.PENDING
    visit.parts.wake()
    following = own_path(sent.get("next", "") or "")
    if refused:
        return visit.see(following, "flash.resent_some", n=str(done), why=refused)
    return visit.see(following, "flash.resent", n=str(done))


ROUTES = [
    get("/webhooks/{id}/requests", show),
    get("/webhooks/{id}/requests/newer", newer),
    post("/webhooks/{id}/requests/resend", resend, Scope.DELIVERIES_RETRY),
]
