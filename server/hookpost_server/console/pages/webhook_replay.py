"""Replaying a webhook's past: counted first, sent at a bounded rate, watched, and stopped if need be."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web
from multidict import MultiMapping

from ...domain import errors, ids
from ...domain.api_key import Scope
from ...domain.delivery import State
from ...domain.webhook import Webhook
from ...store.delivery_log import Filter
from ...store.missed import Missed
from ..request_filter import DEFAULT_RANGE, LAST, RANGES
from ..route import get, post
from ..translation import fault
from ..visit import Visit
from ..webhook_page import asked_for

RATES = (1, 5, 20, 100, 500)  # deliveries a second
DEFAULT_RATE = 20
WHICH = {"failed": [State.FAILED], "ended": [State.FAILED, State.SUCCEEDED, State.CANCELLED]}


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be replayed."""

    which: str
    range: str
    missed: bool
    rate: int

    @classmethod
    def read(cls, given: MultiMapping[str]) -> Wish:
        """What makes no sense is the default."""
        which, span, rate = given.get("which", ""), given.get("range", ""), given.get("rate", "")
        return cls(
            which if which in WHICH else "failed",
            span if span in RANGES else DEFAULT_RANGE,
            "missed" in given,
            int(rate) if rate in map(str, RATES) else DEFAULT_RATE,
        )

    def filter(self, webhook: Webhook, now: float) -> tuple[Filter, Missed | None]:
        """`now` in unix seconds."""
        since = ids.first_of(now - RANGES[self.range])
        filter = Filter(since=since, before=LAST, webhook_id=webhook.id, states=WHICH[self.which])
        return filter, Missed.of(webhook.settings.event_types) if self.missed else None


async def ask(visit: Visit) -> web.Response:
    """How many it would be."""
    webhook = await asked_for(visit)
    wish = Wish.read(visit.request.query)
    try:
        count = await visit.parts.replays.count(visit.tenant_id, *wish.filter(webhook, visit.parts.now()))
        refusal = None
    except (errors.LimitExceeded, errors.PayloadRemoved) as error:
        count, refusal = 0, fault(error.message, visit.texts)
    return visit.page(
        "webhook_replay.html",
        webhook=webhook,
        id=ids.text(ids.WEBHOOK, webhook.id),
        wish=wish,
        count=count,
        refusal=refusal,
        seconds=count / wish.rate,
        choices={"which": list(WHICH), "range": list(RANGES), "rate": list(RATES)},
    )


async def start(visit: Visit) -> web.Response:
    """Puts them back in the queue."""
    webhook = await asked_for(visit)
    sent = await visit.form()
    wish = Wish.read(sent)
    if sent.get("do") == "recount":
        told = {"which": wish.which, "range": wish.range, "rate": wish.rate, "missed": "1" if wish.missed else ""}
        return visit.see(visit.url(visit.path, **told))
    filter, missed = wish.filter(webhook, visit.parts.now())
    replay_id, count = await visit.parts.replays.replay(visit.tenant_id, filter, missed, interval=1 / wish.rate)
    webhook_path = f"/webhooks/{ids.text(ids.WEBHOOK, webhook.id)}"
    if not count:
        return visit.see(visit.url(f"{webhook_path}/requests"), "flash.nothing_replayed")
    visit.parts.wake()
    return visit.see(visit.url(f"{webhook_path}/replays/{ids.text(ids.REPLAY, replay_id)}"))


async def progress(visit: Visit) -> web.Response:
    """How far it has come."""
    webhook = await asked_for(visit)
    replay_id = visit.identity(ids.REPLAY, "replay")
    counts = await visit.parts.replay_progress.of(visit.tenant_id, replay_id)
    total = sum(counts.values())
    return visit.page(
        "webhook_progress.html",
        webhook=webhook,
        id=ids.text(ids.WEBHOOK, webhook.id),
        replay=ids.text(ids.REPLAY, replay_id),
        counts={state.name.lower(): counts.get(state, 0) for state in State},
        total=total,
        done=total - counts.get(State.PENDING, 0),
    )


async def stop(visit: Visit) -> web.Response:
    """Takes back what has not been sent yet."""
    stopped = await visit.parts.replays.stop(visit.tenant_id, visit.identity(ids.REPLAY, "replay"))
    return visit.see(visit.url(visit.path.removesuffix("/stop")), "flash.replay_stopped", n=str(stopped))


ROUTES = [
    get("/webhooks/{id}/replay", ask, Scope.DELIVERIES_RETRY),
    post("/webhooks/{id}/replay", start, Scope.DELIVERIES_RETRY),
    get("/webhooks/{id}/replays/{replay}", progress),
    post("/webhooks/{id}/replays/{replay}/stop", stop, Scope.DELIVERIES_RETRY),
]
