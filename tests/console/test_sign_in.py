"""Signing in with an API key: what a session is worth, and when it is worth nothing."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from hookpost.v1 import webhook_pb2, webhook_service_pb2
from hookpost_server.actions import failure_limit
from hookpost_server.domain import ids
from hookpost_server.domain.api_key import ApiKey, Scope
from tests.rpc.serving import connected, eventually

from .locked import Locked, sign_in
from .visitor import Visitor, visiting

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def visitor(place: Locked) -> AsyncIterator[Visitor]:
    async with visiting(place.server.console_address) as opened:
        yield opened


def session(visitor: Visitor) -> str:
    return next(each.value for each in visitor.session.cookie_jar if each.key == "hookpost-session")


@pytest.mark.case("G4")
async def test_the_way_in_and_out(place: Locked, visitor: Visitor) -> None:
    page = await visitor.get("/webhooks?q=crm")
    assert page.path.startswith("/sign-in?next=") and page.hidden("next") == "/webhooks?q=crm"
    assert "Create webhook" not in page.words, "nothing of the inside shows"
    before = session(visitor)
    _, text = await place.key()
    page = await sign_in(visitor, text, page.hidden("next"))
    assert (page.status, page.path) == (200, "/webhooks?q=crm")
    assert text not in page.text and "No keys on this server" not in page.words
    after = session(visitor)
    assert after != before, "a session that somebody knew before is worth nothing"
    page = await visitor.post("/sign-out")
    assert "You are signed out" in page.words
    assert session(visitor) != after
    visitor.carry(after)
    assert (await visitor.get("/webhooks")).path.startswith("/sign-in")


@pytest.mark.case("G5")
async def test_a_wrong_key_and_a_right_one_of_nobody(place: Locked, visitor: Visitor) -> None:
    _, text = await place.key()
    stopped, retired = await place.key()
    await place.keys.revoke(stopped.id)
    wrong = ["", "x", f"{text[:-2]}--", f"hpk_{'0' * 26}_{'a' * 43}", retired]
    pages = [await sign_in(visitor, each) for each in wrong]
    assert {page.status for page in pages} == {401}
    assert len({page.words for page in pages}) == 1, "the same words, whatever was wrong"
    assert "That key was not accepted" in pages[0].words


@pytest.mark.case("G5")
async def test_many_wrong_keys_are_put_off(place: Locked, visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failure_limit, "BURST", 3.0)
    monkeypatch.setattr(failure_limit, "RATE", 0.0)
    statuses = [(await sign_in(visitor, "wrong")).status for _ in range(4)]
    assert statuses == [401, 401, 401, 429]
    _, text = await place.key()
    assert (await sign_in(visitor, text)).status == 200, "who has a key never meets it"


@pytest.mark.case("G4")
async def test_what_is_stored_is_no_session(place: Locked, visitor: Visitor) -> None:
    key, text = await place.key()
    await sign_in(visitor, text)
    digest = await place.sql("select digest from console_sessions where key_id = $1", key.id)
    assert digest == hashlib.sha256(session(visitor).encode()).digest()
    visitor.carry(digest.hex()[:43])
    assert (await visitor.get("/webhooks")).path.startswith("/sign-in")
    noted = "select count(*) from audit_log where action = 'console.signed_in' and target = $1"
    assert await place.sql(noted, ids.text(ids.KEY, key.id)) == 1


@pytest.mark.parametrize(
    ("column", "age"), [("last_use_time", "31 minutes"), ("create_time", "12 hours 1 minute")], ids=["idle", "long"]
)
async def test_sessions_end(place: Locked, visitor: Visitor, column: str, age: str) -> None:
    key, text = await place.key()
    await sign_in(visitor, text)
    await place.sql(f"update console_sessions set {column} = now() - interval '{age}' where key_id = $1", key.id)
    assert (await visitor.get("/webhooks")).path.startswith("/sign-in")
    await sign_in(visitor, text)
    assert await place.sql("select count(*) from console_sessions where key_id = $1", key.id) == 1, (
        "the old one is gone"
    )


async def test_a_use_keeps_a_session(place: Locked, visitor: Visitor) -> None:
    key, text = await place.key()
    await sign_in(visitor, text)
    await place.sql(
        "update console_sessions set last_use_time = now() - interval '29 minutes' where key_id = $1", key.id
    )
    assert (await visitor.get("/webhooks")).path == "/webhooks"
    assert await idle(place, key) < 60


async def idle(place: Locked, key: ApiKey) -> float:
    """Seconds since the session of a key was used."""
    age = await place.sql("select now() - last_use_time from console_sessions where key_id = $1", key.id)
    return float(age.total_seconds())


async def test_what_a_page_asks_by_itself_keeps_no_session(place: Locked, visitor: Visitor) -> None:
    key, text = await place.key()
    await sign_in(visitor, text)
    last_use = "update console_sessions set last_use_time = now() - interval '{} minutes' where key_id = $1"
    await place.sql(last_use.format(29), key.id)
    poll = {"HX-Request": "true", "X-Poll": "true", "HX-Current-URL": f"http://{visitor.address}/system?a=b"}
    assert (await visitor.get("/system", **poll)).status == 200
    async with visitor.session.get(
        f"http://{visitor.address}/live/stream", headers={"Accept": "text/event-stream"}
    ) as answer:
        assert answer.status == 200
    assert await idle(place, key) > 28 * 60
    await place.sql(last_use.format(31), key.id)
    page = await visitor.get("/system", **poll)
    assert (page.status, page.headers["HX-Redirect"]) == (401, "/sign-in?next=%2Fsystem%3Fa%3Db")


async def test_a_revoked_key_ends_its_sessions(place: Locked, visitor: Visitor) -> None:
    key, text = await place.key()
    await sign_in(visitor, text)
    await place.keys.revoke(key.id)

    async def out() -> bool | None:
        return (await visitor.get("/webhooks")).path.startswith("/sign-in") or None

    await eventually(out, seconds=8)


async def test_whose_page_it_is_is_asked_after_who_comes(place: Locked, visitor: Visitor) -> None:
    """A bookmark of a tenant's page leads there by way of the sign-in; strangers learn of no tenant."""
    _, text = await place.key(tenant="acme")
    for tenant in ("acme", "nobodys"):
        page = await visitor.get(f"/t/{tenant}/webhooks?q=crm")
        assert page.path.startswith("/sign-in?next=")
        assert page.hidden("next") == f"/t/{tenant}/webhooks?q=crm"
    page = await sign_in(visitor, text, "/t/acme/webhooks?q=crm")
    assert (page.status, page.path) == (200, "/t/acme/webhooks?q=crm")


async def test_scopes_and_tenants_hold(place: Locked, visitor: Visitor) -> None:
    _, text = await place.key(Scope.READ, tenant="acme")
    page = await sign_in(visitor, text)
    assert page.status == 200
    assert "<b>acme</b>" in page.text
    assert (await visitor.get("/t/acme/webhooks")).status == 200
    page = await visitor.get("/t/default/webhooks")
    assert page.status == 404
    assert "<b>acme</b>" in page.text and not [each for each in page.links if each.startswith("/t/")], "a way home"
    page = await visitor.get("/webhooks/new")
    assert page.status == 403
    assert "Your key does not allow this" in page.words
    assert (await visitor.post("/webhooks/new", {"name": "x"})).status == 403


@pytest.mark.parametrize("scope", [Scope.READ, Scope.ADMIN])
async def test_nothing_is_offered_that_the_key_does_not_allow(place: Locked, scope: Scope) -> None:
    """Neither a link nor a button of a reader's pages is answered with 403; an administrator has all of them."""
    _, admin = await place.key()
    _, reader = await place.key(scope)
    metadata = [("authorization", f"Bearer {admin}")]
    webhook = webhook_pb2.Webhook(name="crm", url="http://127.0.0.1:1024/", event_types=["*"], tenant_id="default")
    async with connected(place.server.address) as client, visiting(place.server.console_address) as visitor:
        request = webhook_service_pb2.CreateWebhookRequest(webhook=webhook)
        webhook_id = (await client.webhooks.CreateWebhook(request, metadata=metadata)).webhook.id
        emitted = await client.events.EmitEvent(client.emit_request(tenant_id="default"), metadata=metadata)
        disabling = webhook_service_pb2.DisableWebhookRequest(webhook_id=webhook_id)
        await client.webhooks.DisableWebhook(disabling, metadata=metadata)
        await sign_in(visitor, reader)
        base = f"/webhooks/{webhook_id}"
        offered, deeds = set(), set()
        for path in ("/webhooks", f"{base}/settings", f"{base}/requests", f"{base}/health", "/events", "/system",
                     f"/events/{emitted.event_id}", "/live", "/catalogue"):  # fmt: skip
            page = await visitor.get(path)
            assert page.status == 200
            offered |= {each.split("#")[0] for each in page.links if each.startswith("/") and "/static/" not in each}
            forms = re.findall(r'<form method="post".*?</form>', page.text, flags=re.DOTALL)
            sent = " ".join(form for form in forms if "<button" in form and "<fieldset disabled>" not in form)
            deeds |= set(re.findall(r'action="([^"]+)"', sent)) - {"/preferences", "/sign-out"}
        assert (f"{base}/test" in offered) == (f"{base}/enable" in deeds) == (scope is Scope.ADMIN)
        assert [each for each in sorted(offered) if (await visitor.get(each)).status == 403] == []
        assert deeds == set() or scope is Scope.ADMIN


async def test_the_script_is_told_to_sign_in(place: Locked, visitor: Visitor) -> None:
    page = await visitor.get("/webhooks", **{"HX-Request": "true"})
    assert page.status == 401
    assert page.headers["HX-Redirect"].startswith("/sign-in")
