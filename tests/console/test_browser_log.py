"""Deliveries, events, the live page, the catalogue and the system in a real browser."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from google.protobuf import duration_pb2
from playwright.async_api import Browser, expect

from hookpost.v1 import webhook_pb2
from hookpost_server.console import live_stream
from hookpost_server.domain.api_key import Scope
from tests.receiver import Receiver
from tests.rpc.serving import Client, Server

from .browser import chromium, needs_browser, pictures, sideways, violations, window
from .locked import Locked

pytestmark = [pytest.mark.asyncio(loop_scope="module"), needs_browser]

NO_RETRY = webhook_pb2.RetryPolicy(schedule=webhook_pb2.RETRY_SCHEDULE_NONE)
ATTACK = '<img src=x onerror="window.taken = 1"><script>window.taken = 1</script>'


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as running:
        yield running


@pytest.fixture
def root(server: Server, client: Client) -> str:
    return f"http://{server.console_address}/t/{client.tenant}"


async def delivered(client: Client, receiver: Receiver, answer: tuple[int, str] = (200, "ok")) -> tuple[str, str]:
    """The ids of an event and of its delivery."""
    await client.create(receiver.url, name=ATTACK, retry_policy=NO_RETRY, event_types=["User.Created"])
    receiver.answers.append(answer)
    event_id = (await client.emit(json.dumps({"data": {"name": ATTACK}}))).event_id
    return event_id, (await client.ended(event_id))[0].id


async def test_commands_are_copied(browser: Browser, root: str, client: Client, receiver: Receiver) -> None:
    _, delivery_id = await delivered(client, receiver)
    async with window(browser, root, permissions=["clipboard-read", "clipboard-write"]) as opened:
        page = opened.page
        await opened.go(f"/deliveries/{delivery_id}")
        for name, part in (("curl", "webhook-signature: v1,"), ("grpcurl", "hookpost.v1.EventService/EmitEvent")):
            assert part not in await page.content(), "it is made when it is asked for"
            await page.get_by_role("button", name=f"Copy as {name}").click()
            await expect(page.locator("#say")).to_have_text("Copied")
            await page.evaluate("document.querySelector('#say').textContent = ''")
            assert part in await page.evaluate("navigator.clipboard.readText()")


async def test_live_rows_come_wait_and_go_on(browser: Browser, root: str, client: Client, receiver: Receiver) -> None:
    await client.create(receiver.url, name="crm", retry_policy=NO_RETRY)
    async with window(browser, root) as opened:
        page, rows = opened.page, opened.page.locator("#rows tbody tr")
        await opened.go("/live")
        await expect(page.get_by_text("Waiting for the first delivery")).to_be_visible()
        await expect(page.locator("#pulse")).to_have_attribute("data-state", "open")
        first = (await client.ended((await client.emit()).event_id))[0].id
        await expect(page.locator(f"[id='{first}']")).to_contain_text("Delivered 200")
        await expect(page.get_by_text("Waiting for the first delivery")).to_be_hidden()
        assert await rows.count() == 1, "a delivery has one row, whatever happens to it"

        await page.keyboard.press("p")
        await expect(page.get_by_role("button", name="Go on")).to_have_attribute("aria-pressed", "true")
        second = (await client.ended((await client.emit(type="Role.Created")).event_id))[0].id
        await expect(page.locator("#pulse")).to_contain_text(re.compile(r"Paused; \d changes? wait"))
        assert await rows.count() == 1
        await page.get_by_role("button", name="Go on").click()
        await expect(rows.first).to_have_attribute("id", second)

        await page.get_by_label("Event", exact=True).select_option("Role.Created")
        await page.wait_for_url("**/live?event=Role.Created")
        assert await rows.count() == 1, "without empty fields in the address"
        await page.get_by_role("link", name="Clear filters").click()
        await expect(rows).to_have_count(2)


async def test_long_words_fit_into_narrow_windows(
    browser: Browser, root: str, client: Client, receiver: Receiver
) -> None:
    await client.create(receiver.url, retry_policy=NO_RETRY, timeout=duration_pb2.Duration(nanos=100_000_000))
    receiver.hold()
    await client.ended((await client.emit()).event_id)
    async with window(browser, root, locale="es") as opened:
        await opened.go("/live")
        await expect(opened.page.get_by_text("Fallida sin respuesta a tiempo")).to_be_visible()
        assert await sideways(opened.page) == []


async def test_live_says_when_the_connection_is_lost(
    browser: Browser, root: str, client: Client, receiver: Receiver
) -> None:
    await client.create(receiver.url, name="crm", retry_policy=NO_RETRY)
    async with window(browser, root) as opened:
        opened.expected = ("net::", "stream")
        page = opened.page
        await page.route("**/live/stream*", lambda route: route.abort())
        await opened.go("/live")
        await expect(page.locator("#pulse")).to_contain_text("Connection lost")
        delivery_id = (await client.ended((await client.emit()).event_id))[0].id
        await page.unroute("**/live/stream*")
        await expect(page.locator(f"[id='{delivery_id}']")).to_contain_text("Delivered 200")  # nothing was missed


async def test_who_is_signed_in_fits_into_narrow_windows(browser: Browser, place: Locked) -> None:
    for tenant in ("*", "t" * 64):
        _, key = await place.keys.create(tenant, "W" * 256, [Scope.READ])
        async with window(browser, f"http://{place.server.console_address}", locale="es") as opened:
            page = opened.page
            await opened.go("/sign-in")
            await page.locator("#key").fill(key)
            await page.get_by_role("main").get_by_role("button").click()
            await page.wait_for_url("**/webhooks")
            assert await sideways(page) == []
            await page.get_by_role("button", name="Cerrar sesión").click(trial=True)


async def test_a_copy_that_fails_is_seen(browser: Browser, place: Locked) -> None:
    _, key = await place.key()
    options = {"permissions": ["clipboard-read", "clipboard-write"]}
    async with window(browser, f"http://{place.server.console_address}", **options) as opened:
        page = opened.page
        await opened.go("/sign-in?next=/webhooks/new?name=crm%26url=https://example.com/")
        await page.get_by_label("API key").fill(key)
        await page.get_by_role("button", name="Sign in").click()
        await page.get_by_label("All events").check()
        await page.get_by_role("button", name="Create webhook").last.click()
        await page.get_by_role("heading", name="“crm” is ready").wait_for()
        await place.sql("delete from console_sessions")
        await page.get_by_role("button", name="Copy the key").click()
        await expect(page.get_by_text("Could not be copied")).to_be_in_viewport(ratio=1)
        told = await page.get_by_text("Could not be copied").bounding_box()
        assert told is not None and told["width"] > 100


async def test_live_asks_to_sign_in_once_the_session_is_over(
    browser: Browser, place: Locked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_stream, "LIFE", 0.0)  # the stream ends with its next heartbeat, and is asked for anew
    _, key = await place.key()
    async with window(browser, f"http://{place.server.console_address}") as opened:
        opened.expected = ("text/event-stream",)
        page = opened.page
        await opened.go("/sign-in?next=/t/default/live")
        await page.get_by_label("API key").fill(key)
        await page.get_by_role("button", name="Sign in").click()
        await page.wait_for_url("**/t/default/live")
        await expect(page.locator("#pulse")).to_have_attribute("data-state", "open")
        await place.sql("delete from console_sessions")
        await page.wait_for_url("**/sign-in?next=*", timeout=60_000)


async def test_what_strangers_wrote_does_nothing(
    browser: Browser, root: str, client: Client, receiver: Receiver
) -> None:
    event_id, delivery_id = await delivered(client, receiver, (500, ATTACK))
    async with window(browser, root) as opened:
        for path in (
            *(f"/deliveries/{delivery_id}/{tab}" for tab in ("request", "response", "why")),
            *(f"/events/{event_id}", f"/events/{event_id}?as=raw", "/live"),
        ):
            await opened.go(path)
            assert "onerror" in await opened.page.inner_text("body"), path
            assert not await opened.page.evaluate("window.taken"), path
            assert await opened.page.locator("main img").count() == 0, path


@pytest.mark.long
async def test_every_page_is_for_everybody(browser: Browser, root: str, client: Client, receiver: Receiver) -> None:
    """axe finds nothing in either theme, and nothing is cut off."""
    event_id, delivery_id = await delivered(client, receiver, (503, "x" * 3000))
    pages = {
        **{f"delivery-{tab}": f"/deliveries/{delivery_id}/{tab}" for tab in ("request", "response", "attempts", "why")},
        "events": "/events",
        "event": f"/events/{event_id}",
        "live": "/live",
        "catalogue": "/catalogue?q=user",
        "type": "/catalogue/types/User.Created",
        "system": "/system",
        "keys": "/system/keys",
        "key-new": "/system/keys/new",
        "audit": "/system/audit",
    }
    found: dict[str, list[object]] = {}
    async with window(browser, root) as opened:
        for name, path in pages.items():
            await opened.go(path)
            found[name] = [*await violations(opened.page), *await sideways(opened.page)]
            await pictures(opened.page, name)
        await opened.go("/system/keys/new")
        await opened.page.get_by_label("Name").fill("orders")
        await opened.page.get_by_role("button", name="Create API key").click()
        await opened.page.get_by_text("shown this once").wait_for()
        found["key-created"] = [*await violations(opened.page), *await sideways(opened.page)]
    assert not {name: each for name, each in found.items() if each}
