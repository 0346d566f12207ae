"""The system: figures, the red band, API keys whose secret shows once, and the audit log."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio

from hookpost_server.domain import ids
from hookpost_server.domain.api_key import Scope
from hookpost_server.monitoring import stall
from tests.keys import let_in
from tests.rpc.serving import Client, eventually

from .locked import Locked, sign_in
from .visitor import Page, Visitor, visiting

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECRET = re.compile(r"hpk_[0-9a-z]{26}_[A-Za-z0-9_-]{43}")


@pytest_asyncio.fixture(loop_scope="module")
async def admin(place: Locked) -> AsyncIterator[Visitor]:
    """Signed in with a key that may do everything."""
    _, text = await place.key()
    async with visiting(place.server.console_address) as visitor:
        await sign_in(visitor, text)
        yield visitor


async def test_the_process_tells_its_figures(visitor: Visitor) -> None:
    page = await visitor.get("/system")
    for words in (
        "Attempts under way 0 of 256",
        "Events before commit 0 of 20,000",
        "Oldest due for –",
        "deliveries 7 d",
    ):
        assert words in page.words
    assert "Each process of a server shows its own figures" in page.words


async def test_a_key_of_a_tenant_sees_no_figures_of_others(place: Locked) -> None:
    _, text = await place.key(Scope.READ, tenant="acme")
    async with visiting(place.server.console_address) as visitor:
        await sign_in(visitor, text)
        page = await visitor.get("/system")
        assert "Suspended webhooks of acme 0" in page.words
        assert "Attempts under way" not in page.words and "Due and unclaimed" not in page.words
        assert "API keys" not in page.words and "Audit log" not in page.words.split("How long")[0]
        for path in ("/system/keys", "/system/keys/new", "/system/audit"):
            page = await visitor.get(path)
            assert page.status == 403 and "Your key does not allow this" in page.words
        assert (await visitor.post("/system/keys", {"name": "x", "scope": "ADMIN"})).status == 403


async def test_stalled_deliveries_are_told_on_every_page(
    visitor: Visitor, client: Client, module_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stalls them here: somebody holds the row's lock, so that nobody can claim it."""
    monkeypatch.setattr(stall, "STALLED_AFTER", 0.5)
    monkeypatch.setattr(stall, "INTERVAL", 0.1)

    async def band(shows: bool) -> Page | None:
        page = await visitor.get("/catalogue")
        return page if ("Deliveries have stalled" in page.words) is shows else None

    async def tried_once() -> Page | None:
        page = await visitor.get(f"/t/{client.tenant}/live")
        return page if "Retrying" in page.words else None

    await client.create("http://127.0.0.1:49999/")
    await client.emit()
    await eventually(tried_once)
    assert await band(False), "one that waits for its retry is no stall"
    connection = await asyncpg.connect(module_database_url)
    try:
        await connection.execute(
            "update deliveries set due_at = now() + interval '1 s' where tenant_id = $1", client.tenant
        )
        async with connection.transaction():
            await connection.execute("select from deliveries where tenant_id = $1 for update", client.tenant)
            page = await eventually(lambda: band(True))
            assert 'role="alert"' in page.text and "the oldest has been due for" in page.words
        await eventually(lambda: band(False))
    finally:
        await connection.close()


async def test_making_a_key(place: Locked, admin: Visitor) -> None:
    page = await admin.post("/system/keys", {"name": " orders <u> ", "scope": ["EVENTS_EMIT", "READ"], "life": "30d"})
    found = SECRET.findall(page.text)
    assert len(set(found)) == 1 and "shown this once" in page.words and "<u>" not in page.text
    principal = await let_in(place.database, found[0])
    assert principal is not None and principal.tenant_id == "default"
    assert principal.scopes == {Scope.EVENTS_EMIT, Scope.READ} and principal.name == "orders <u>"
    page = await admin.get("/system/keys")
    assert not SECRET.search(page.text)
    row = page.words.split("orders <u>")[1]
    assert re.match(r" key_\w{26} Works default EVENTS_EMIT READ never in 30 d", row)


async def test_a_key_for_all_tenants_is_chosen(place: Locked, admin: Visitor) -> None:
    page = await admin.post("/t/acme/system/keys", {"name": "one", "scope": "READ", "life": "never"})
    assert (await let_in(place.database, SECRET.findall(page.text)[0])).tenant_id == "acme"  # type: ignore[union-attr]
    page = await admin.post("/system/keys", {"name": "all", "scope": "READ", "tenant": "*"})
    assert (await let_in(place.database, SECRET.findall(page.text)[0])).tenant_id is None  # type: ignore[union-attr]
    assert "all key_" not in (await admin.get("/t/acme/system/keys")).words


async def test_a_key_that_makes_no_sense(admin: Visitor) -> None:
    page = await admin.post("/system/keys", {"name": "", "scope": "NONSENSE", "life": "x"})
    assert page.status == 422 and page.words.count("is required") == 2 and not SECRET.search(page.text)


async def test_an_administrator_of_a_tenant_stays_within(place: Locked) -> None:
    _, text = await place.key(tenant="acme")
    foreign, _ = await place.key(tenant="other")
    async with visiting(place.server.console_address) as visitor:
        await sign_in(visitor, text)
        page = await visitor.post("/system/keys", {"name": "mine", "scope": "READ", "tenant": "*"})
        principal = await let_in(place.database, SECRET.findall(page.text)[0])
        assert principal is not None and principal.tenant_id == "acme"
        page = await visitor.get("/system/keys")
        path = next(link for link in page.links if link.endswith("/revoke"))
        assert "other" not in page.words.split("Works", 1)[1] and "All tenants" not in page.words
        head, _, _ = path.rpartition("/key_")
        stranger = f"{head}/{ids.text(ids.KEY, foreign.id)}/revoke"
        assert (await visitor.get(stranger)).status == 404
        assert (await visitor.post(stranger)).status == 404
        assert "acme" in (await visitor.get("/system/audit")).words
        assert "first" not in (await visitor.get("/system/audit")).words


async def test_revoking(place: Locked, admin: Visitor) -> None:
    page = await admin.post("/system/keys", {"name": "doomed", "scope": "READ"})
    text = SECRET.findall(page.text)[0]
    page = await admin.get("/system/keys")
    path = next(link for link in page.links if link.endswith("/revoke"))
    page = await admin.get(path)
    assert "Revoke “doomed”?" in page.words and "this very key" not in page.words
    page = await admin.post(path)
    assert "The key “doomed” is revoked" in page.words and "Revoked" in page.words
    assert await let_in(place.database, text) is None


async def test_revoking_ones_own_key_warns(place: Locked) -> None:
    key, text = await place.key()
    async with visiting(place.server.console_address) as visitor:
        await sign_in(visitor, text)
        page = await visitor.get("/system/keys")
        own = next(link for link in page.links if link.endswith("/revoke"))  # the newest is first
        page = await visitor.get(own)
        assert "signed in with this very key" in page.words and key.name in page.words


async def test_keys_and_deeds_come_in_pages(place: Locked, admin: Visitor) -> None:
    for _ in range(27):
        await place.key(tenant="many")
    first = await admin.get("/t/many/system/keys")
    assert first.text.count("<tr data-row>") == 25
    second = await admin.get(next(link for link in first.links if "before=" in link))
    assert second.text.count("<tr data-row>") == 2
    page = await admin.get("/t/many/system/audit")
    assert page.text.count("<tr data-row>") == 27 and "api_key.created" in page.words
    for _ in range(30):
        await place.key(tenant="many")
    first = await admin.get("/t/many/system/audit")
    second = await admin.get(next(link for link in first.links if "before=" in link))
    assert (first.text.count("<tr data-row>"), second.text.count("<tr data-row>")) == (50, 7)


async def test_the_audit_log_is_narrowed_by_ids(place: Locked, admin: Visitor) -> None:
    key, _ = await place.key(tenant="narrow")
    page = await admin.get(f"/t/narrow/system/audit?target={ids.text(ids.KEY, key.id)}")
    assert page.text.count("<tr data-row>") == 1 and "scopes: ADMIN" in page.words
    page = await admin.get("/t/narrow/system/audit?actor=nobody")
    assert "No entry matches" in page.words and "/t/narrow/system/audit" in page.links
    assert "Nothing noted yet" in (await admin.get("/t/empty/system/audit")).words
    assert (await admin.get("/system/audit?before=-1")).status == 200
