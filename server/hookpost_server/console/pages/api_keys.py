"""API keys: listed, made with the secret shown once, revoked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from uuid import UUID

from aiohttp import web
from multidict import MultiDict, MultiMapping

from ...domain import errors, ids
from ...domain.api_key import ALL_TENANTS, ApiKey, Scope
from ..route import get, post
from ..system_page import realm, system_page
from ..translation import Fault, fault
from ..visit import Visit

SIZE = 25  # rows of a page
LAST = UUID(int=2**128 - 1)
LIVES = {"30d": 30, "90d": 90, "1y": 365, "never": 0}  # days; 0: for ever
DEFAULT_LIFE = "90d"


async def show(visit: Visit) -> web.Response:
    """Newest first, those that work no more too."""
    try:
        before = ids.parse(ids.KEY, visit.query.get("before", ""))
    except ValueError:
        before = LAST
    found = await visit.parts.records.api_keys.list(realm(visit), before=before, limit=SIZE + 1)
    page = found[:SIZE]
    return system_page(
        visit,
        "keys",
        rows=[(key, ids.text(ids.KEY, key.id), _state(visit, key)) for key in page],
        first_page=before == LAST,
        older=ids.text(ids.KEY, page[-1].id) if len(found) > SIZE else "",
    )


def _state(visit: Visit, key: ApiKey) -> str:
    if key.revoke_time is not None:
        return "revoked"
    return "works" if key.works(visit.parts.now()) else "expired"


async def ask_new(visit: Visit) -> web.Response:
    """What the key shall be called and may do."""
    return _form(visit, MultiDict({"life": DEFAULT_LIFE, "scope": Scope.READ.name}), {})


async def create(visit: Visit) -> web.Response:
    """Shows the secret, this once. A key of a tenant makes keys of that tenant only."""
    sent = await visit.form()
    everywhere = visit.caller.tenant_id is None and sent.get("tenant") == ALL_TENANTS
    days = LIVES.get(sent.get("life", "") or "", LIVES[DEFAULT_LIFE])
    expire_time = datetime.fromtimestamp(visit.parts.now() + days * 86400, UTC) if days else None
    scopes = [scope for scope in Scope if scope.name in sent.getall("scope", [])]
    name = (sent.get("name", "") or "").strip()
    try:
        key, secret = await visit.parts.records.api_keys.create(
            ALL_TENANTS if everywhere else visit.tenant_id, name, scopes, expire_time
        )
    except errors.InvalidFields as error:
        faults: dict[str, list[Fault]] = {}
        for each in error.violations:
            field = each.field.removeprefix("api_key.")
            faults.setdefault(field, []).append(fault(each.description, visit.texts))
        return _form(visit, sent, faults, status=422)
    return visit.page("api_key_created.html", key=key, secret=secret)


def _form(
    visit: Visit, sent: MultiMapping[str], faults: Mapping[str, Sequence[Fault]], status: int = 200
) -> web.Response:
    return visit.page(
        "api_key_new.html",
        status=status,
        name=sent.get("name", ""),
        chosen=sent.getall("scope", []),
        tenant=sent.get("tenant", ""),
        life=sent.get("life", DEFAULT_LIFE),
        lives=list(LIVES),
        scopes=[scope.name for scope in Scope],
        everywhere=ALL_TENANTS if visit.caller.tenant_id is None else "",
        faults=faults,
    )


async def ask_revoke(visit: Visit) -> web.Response:
    """Whether it shall really stop."""
    key = await _asked_for(visit)
    return visit.page("api_key_revoke.html", key=key, id=ids.text(ids.KEY, key.id), own=key.id == visit.caller.id)


async def revoke(visit: Visit) -> web.Response:
    """For good."""
    key = await visit.parts.records.api_keys.revoke(visit.identity(ids.KEY), visit.caller.tenant_id)
    return visit.see(visit.url("/system/keys"), "flash.revoked", name=key.name)


async def _asked_for(visit: Visit) -> ApiKey:
    key_id = visit.identity(ids.KEY)
    key = (await visit.parts.records.api_keys.get_many([key_id])).get(key_id)
    if key is None or visit.caller.tenant_id not in (None, key.tenant_id):
        raise errors.NotFound("API key", ids.text(ids.KEY, key_id))
    return key


ROUTES = [
    get("/system/keys", show, Scope.ADMIN),
    get("/system/keys/new", ask_new, Scope.ADMIN),
    post("/system/keys", create, Scope.ADMIN),
    get("/system/keys/{id}/revoke", ask_revoke, Scope.ADMIN),
    post("/system/keys/{id}/revoke", revoke, Scope.ADMIN),
]
