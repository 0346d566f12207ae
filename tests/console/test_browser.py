"""The console in a real browser, against a real server, database and receiver."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from hookpost.v1 import webhook_pb2
from tests.receiver import Receiver
from tests.rpc.serving import Client, Server

from .browser import chromium, needs_browser, pictures, sideways, violations, window

pytestmark = [pytest.mark.asyncio(loop_scope="module"), needs_browser]

NO_RETRY = webhook_pb2.RetryPolicy(schedule=webhook_pb2.RETRY_SCHEDULE_NONE)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as running:
        yield running


@pytest.fixture
def root(server: Server, client: Client) -> str:
    """Where the test's own tenant is shown."""
    return f"http://{server.console_address}/t/{client.tenant}"


async def busy(client: Client, receiver: Receiver, **settings: object) -> str:
    """A webhook that has had three requests, one of them refused."""
    given = {"event_types": ["User.Created", "Role.Created"], "retry_policy": NO_RETRY, "name": "crm"} | settings
    webhook = await client.create(receiver.url, **given)
    for answer in ((200, "ok"), (200, "ok"), (404, "<b>no such path</b>")):
        receiver.answers.append(answer)
        await client.ended((await client.emit()).event_id)
    return webhook.id


async def test_from_nothing_to_a_tested_webhook(
    browser: Browser, root: str, client: Client, receiver: Receiver
) -> None:
    """List, create with its live checks, the key, the test, and back to the list."""
    await client.emit()
    async with window(browser, root, permissions=["clipboard-read", "clipboard-write"]) as opened:
        page = opened.page
        await opened.go("/webhooks")
        await page.get_by_role("link", name="Create webhook").first.click()
        await page.get_by_label("Name").first.fill("Billing sync")
        url = page.get_by_label("Endpoint URL")
        await url.fill("http://169.254.169.254/")
        await expect(page.locator("#url-check")).to_contain_text("not public")
        await url.fill(receiver.url)
        await expect(page.locator("#url-check")).to_contain_text("Looks fine")
        await page.get_by_label("Search event types").fill("user.cr")
        await expect(page.get_by_label("Role.Created", exact=True)).to_be_hidden()
        await page.get_by_label("User.Created", exact=True).check()
        await expect(page.locator("#preview")).to_contain_text("would have received 1 event of 1")
        await page.get_by_label("Search event types").fill("")
        group = page.get_by_role("checkbox", name="User", exact=True)
        assert await group.evaluate("box => box.indeterminate")
        await page.get_by_role("checkbox", name="Role", exact=True).check()
        await expect(page.get_by_label("Role.Created", exact=True)).to_be_checked()
        await page.get_by_text("Advanced").click()
        await expect(page.get_by_label("Delays")).to_be_hidden()
        await page.get_by_label("Retries").select_option("custom")
        await page.get_by_label("Delays").fill("1s, 2s")
        await page.get_by_role("button", name="Add another").click()
        await page.get_by_label("Name of header 2").fill("X-Team")
        await page.get_by_label("Value of header 2").fill("billing")
        await page.get_by_role("button", name="Create webhook").last.click()

        await expect(page.get_by_role("status").first).to_contain_text("“Billing sync” is created")
        secret = re.compile(r"whsec_[A-Za-z0-9+/]{40,}")
        assert not secret.search(await page.content()), "the key is not in the page before it is asked for"
        await page.get_by_role("button", name="Copy the key").click()
        await expect(page.locator("#say")).to_have_text("Copied")
        copied = await page.evaluate("navigator.clipboard.readText()")
        await page.get_by_role("button", name="Show key").click()
        await expect(page.locator("#signing-key")).to_contain_text(copied)
        await page.get_by_role("button", name="Hide key").click()
        await expect(page.locator("#signing-key")).not_to_contain_text(copied)
        await page.locator("summary", has_text="Go").click()
        await expect(page.get_by_text("package webhook")).to_be_visible()
        await expect(page.get_by_text("import base64")).to_be_hidden()
        receiver.decide = lambda request: (
            (500, "down") if request.headers["hookpost-event"] == "Role.Deleted" else (200, "")
        )
        await page.get_by_role("button", name="Send test").click()
        await expect(page.get_by_role("row").filter(has_text="User.Created")).to_contain_text("200")
        failed = page.get_by_role("row").filter(has_text="Role.Deleted")
        await expect(failed).to_contain_text("500")
        await expect(failed).to_contain_text("Its own log will say why")

        await page.get_by_role("link", name="Webhooks").first.click()
        await page.get_by_label("Search by name or URL").fill("nothing like it")
        await expect(page.get_by_text("No webhook matches")).to_be_visible()
        assert opened.path.endswith("/webhooks?q=nothing%20like%20it"), (
            "the state is in the address, without empty fields"
        )
        await page.get_by_role("link", name="Clear filters").click()
        await page.locator("summary", has_text="Actions for Billing sync").click()
        await page.get_by_role("link", name="Delete webhook").click()
        dialog = page.get_by_role("dialog", name="Delete “Billing sync”?")
        await expect(dialog.get_by_role("link", name="Cancel")).to_be_focused()
        await dialog.get_by_role("button", name="Delete webhook").click()
        await expect(page.get_by_text("No webhooks yet")).to_be_visible()


async def test_settings_are_guarded(browser: Browser, root: str, client: Client, receiver: Receiver) -> None:
    """The save bar comes with a change; leaving asks; what somebody else saved meanwhile is not lost."""
    webhook = await client.create(receiver.url, name="crm", event_types=["User.Created"])
    async with window(browser, root) as opened:
        page = opened.page
        opened.expected = ("409",)  # Chromium reports the answer to the stale form
        await opened.go(f"/webhooks/{webhook.id}")
        save = page.get_by_role("button", name="Save changes").last
        await expect(save).to_be_hidden()
        name = page.get_by_label("Name").first
        await name.fill("crm two")
        await expect(save).to_be_visible()
        await name.fill("crm")
        await expect(save).to_be_hidden()
        await name.fill("crm two")
        asked: list[str] = []

        async def stay(dialog: object) -> None:
            asked.append(dialog.type)  # type: ignore[attr-defined]
            await dialog.dismiss()  # type: ignore[attr-defined]

        page.once("dialog", stay)
        await page.get_by_role("link", name="Webhooks").first.click(no_wait_after=True)
        await expect(name).to_have_value("crm two")
        await page.get_by_role("button", name="Test these settings").click()
        await expect(page.locator("#test-results")).to_contain_text("with unsaved settings")
        await expect(page.locator("#test-results")).to_contain_text("200")
        assert asked == ["beforeunload"]
        await client.update(webhook.id, "timeout", timeout={"seconds": 3})
        await save.click()
        await expect(page.get_by_role("alert").filter(has_text="Somebody else")).to_contain_text("Name, Timeout")
        await page.get_by_role("button", name="Overwrite with mine").click()
        await expect(page.get_by_text("Saved.")).to_be_visible()
        await expect(page.get_by_label("Name").first).to_have_value("crm two")


@pytest.mark.long
async def test_requests_resent_and_replayed(browser: Browser, root: str, client: Client, receiver: Receiver) -> None:
    webhook_id = await busy(client, receiver)
    async with window(browser, root) as opened:
        page = opened.page
        await opened.go(f"/webhooks/{webhook_id}/requests")
        await expect(page.locator("[data-row]")).to_have_count(3)
        await page.get_by_label("State", exact=True).select_option("failed")
        await expect(page.locator("[data-row]")).to_have_count(1)
        assert opened.path.endswith("/requests?state=failed&range=24h")
        await page.get_by_label("State", exact=True).select_option("")
        await expect(page.locator("[data-row]")).to_have_count(3)
        await expect(page.get_by_role("button", name="Resend chosen")).to_be_disabled()
        await page.get_by_label("Choose all").check()
        await page.get_by_role("button", name="Resend chosen").click()
        await expect(page.get_by_role("status").first).to_contain_text("3 deliveries are sent again.")
        await receiver.received(6)
        await client.ended((await client.emit()).event_id)
        await page.get_by_role("link", name="1 new request").click()
        await expect(page.locator("[data-row]")).to_have_count(4)
        await page.get_by_role("link", name="Replay…").click()
        dialog = page.get_by_role("dialog")
        await expect(dialog).to_contain_text("There is nothing to replay.")
        await dialog.get_by_label("All that ended").check()
        await expect(dialog).to_contain_text("This sends 4 requests")
        await dialog.get_by_label("Speed").select_option("500")
        await dialog.get_by_role("button", name="Replay 4 deliveries").click()
        await expect(page.get_by_text("All 4 done")).to_be_visible()


async def test_by_keyboard_alone(browser: Browser, root: str, client: Client, receiver: Receiver) -> None:
    await client.create(receiver.url, name="first", event_types=["User.Created"])
    await client.create(receiver.url, name="second", event_types=["User.Created"])
    async with window(browser, root) as opened:
        page, press = opened.page, opened.page.keyboard.press
        await opened.go("/webhooks")
        await press("Tab")
        await expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
        await press("?")
        await expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
        await press("Escape")
        await expect(page.get_by_role("dialog", name="Keyboard")).to_be_hidden()
        await press("/")
        await page.keyboard.type("second")
        await expect(page.locator("[data-row]")).to_have_count(1)
        await press("Escape")
        await expect(page.locator("[data-row]")).to_have_count(2)
        await press("j")
        await expect(page.get_by_role("link", name="second")).to_be_focused()
        for _ in range(2):
            await press("Tab")
            if await page.evaluate("document.activeElement.tagName") == "SUMMARY":
                break
        await press("ArrowDown")
        await press("ArrowDown")
        await expect(page.get_by_role("link", name="Send test")).to_be_focused()
        await press("Escape")
        await expect(page.locator("summary", has_text="Actions for second")).to_be_focused()
        await press("ArrowDown")
        for _ in range(2):
            await press("ArrowDown")
        await press("Enter")
        dialog = page.get_by_role("dialog", name="Disable “second”?")
        await expect(dialog.get_by_label("Reason")).to_be_focused()
        await press("Escape")
        await expect(page.locator("summary", has_text="Actions for second")).to_be_focused()
        await press("c")
        await expect(page).to_have_url(re.compile("/webhooks/new$"))
        await press("Tab")
        await page.get_by_label("Name").first.focus()
        await page.keyboard.type("third")
        await press("Tab")
        await page.keyboard.type(receiver.url)
        await press("Tab")
        await press("Space")
        await expect(page.get_by_label("All events")).to_be_checked()
        await press("Enter")
        await expect(page.get_by_role("heading", name="“third” is ready")).to_be_visible()
        await press("g")
        await press("w")
        await expect(page.locator("[data-row]")).to_have_count(3)
        for _ in range(2):
            await press("j")
        await press("k")
        await press("Enter")
        await expect(page.get_by_role("heading", name="third")).to_be_visible()
        await press("?")
        await page.get_by_role("button", name="Turn single-key shortcuts off").press("Enter")
        await press("g")
        await press("w")
        await press("c")
        await expect(page.get_by_role("heading", name="third")).to_be_visible()


async def test_keys_of_rows_are_for_the_chosen_row(
    browser: Browser, root: str, client: Client, receiver: Receiver
) -> None:
    policy = webhook_pb2.RetryPolicy(schedule=webhook_pb2.RETRY_SCHEDULE_CUSTOM)
    policy.delays.add(seconds=3600)
    webhook_id = (await client.create(receiver.url, retry_policy=policy)).id
    first, second = [(await client.emit()).event_id for _ in range(2)]
    await client.ended(first)
    await client.ended(second)
    receiver.answers.append((500, "later"))
    await client.emit()
    await receiver.received(3)
    async with window(browser, root) as opened:
        page, press = opened.page, opened.page.keyboard.press
        await opened.go(f"/webhooks/{webhook_id}/requests")
        for key in ("r", "j", "r"):  # no row is chosen, then one that waits
            await press(key)
        for _ in range(2):
            await press("j")
        await press("r")
        await expect(page.get_by_text("1 delivery is sent again")).to_be_visible()
        assert (await receiver.received(4))[3].event_id == first


async def test_a_new_row_of_headers_keeps_nothing(browser: Browser, root: str, client: Client) -> None:
    webhook = await client.create(headers={"Authorization": "Bearer canary-72"})
    async with window(browser, root) as opened:
        await opened.go(f"/webhooks/{webhook.id}/settings")
        await opened.page.get_by_role("button", name="Add another").click()
        for number, told in ((1, "stored, not shown; type to replace"), (2, "value")):
            value = opened.page.get_by_label(f"Value of header {number}")
            await expect(value).to_have_attribute("placeholder", told)


async def test_nothing_is_tested_when_nothing_is_chosen(browser: Browser, root: str, client: Client) -> None:
    """A form without a choice means all that the webhook subscribes to."""
    webhook = await client.create(event_types=["User.Created", "Role.Created"])
    async with window(browser, root) as opened:
        await opened.go(f"/webhooks/{webhook.id}/test")
        send = opened.page.get_by_role("button", name="Send test")
        await opened.page.get_by_label("All of them").uncheck()
        await expect(send).to_be_disabled()
        await opened.page.get_by_label("User.Created").check()
        await expect(send).to_be_enabled()


async def test_without_script(browser: Browser, root: str, client: Client, receiver: Receiver) -> None:
    async with window(browser, root, java_script_enabled=False) as opened:
        page = opened.page
        await opened.go("/webhooks/new")
        await page.get_by_label("Name").first.fill("plain")
        await page.get_by_label("Endpoint URL").fill(receiver.url)
        await page.get_by_label("User.Created", exact=True).check()
        await page.get_by_label("Endpoint URL").press("Enter")
        await expect(page.get_by_role("heading", name="“plain” is ready")).to_be_visible()
        await page.get_by_role("button", name="Show key").click()
        await expect(page.get_by_text(re.compile("whsec_[A-Za-z0-9+/]{40,}"))).to_be_visible()
        await page.get_by_role("link", name="plain").click()
        await page.get_by_text("Advanced").click()
        await page.get_by_role("button", name="Add another").click()
        await expect(page.get_by_label("Name of header 2")).to_be_visible()
        await page.get_by_label("Name").first.fill("plainer")
        await page.get_by_role("button", name="Save changes").last.click()
        await expect(page.get_by_role("heading", name="plainer")).to_be_visible()
        await page.get_by_role("link", name="Test", exact=True).click()
        await page.get_by_role("button", name="Send test").click()
        await expect(page.get_by_role("row").filter(has_text="User.Created")).to_contain_text("200")
        await page.locator("summary", has_text="Actions for plainer").click()
        await page.get_by_role("link", name="Disable webhook").click()
        await page.get_by_role("button", name="Disable webhook").click()
        await expect(page.get_by_text("“plainer” is disabled")).to_be_visible()
        await page.get_by_role("link", name="Webhooks").first.click()
        await page.get_by_label("State", exact=True).select_option("active")
        await page.get_by_role("button", name="Filter").click()
        await expect(page.get_by_text("No webhook matches")).to_be_visible()


async def test_a_part_that_fails_can_be_tried_again(browser: Browser, root: str, client: Client) -> None:
    await client.create(name="crm")
    async with window(browser, root) as opened:
        page = opened.page
        opened.expected = ("Failed to load resource", "htmx:")
        await opened.go("/webhooks")
        await page.route("**/webhooks?q=*", lambda route: route.abort())
        await page.get_by_label("Search by name or URL").fill("crm")
        alert = page.get_by_role("alert").filter(has_text="could not be loaded")
        await expect(alert).to_be_visible()
        await page.unroute("**/webhooks?q=*")
        await alert.get_by_role("button", name="Try again").click()
        await expect(alert).to_be_hidden()
        await expect(page.locator("[data-row]")).to_have_count(1)


async def test_hostile_text_does_nothing(browser: Browser, root: str, client: Client, receiver: Receiver) -> None:
    attack = '"><script>window.taken=1</script><img src=x onerror="window.taken=1">'
    receiver.decide = lambda request: (400, attack)
    webhook_id = await busy(client, receiver, name=attack, labels={"k": attack})
    async with window(browser, root) as opened:
        for path in ("", *(f"/{webhook_id}/{tab}" for tab in ("settings", "requests", "health", "delete"))):
            await opened.go(f"/webhooks{path}")
            assert attack in await opened.page.inner_text("main"), path
            assert not await opened.page.evaluate("window.taken"), path
        await opened.go(f"/webhooks/{webhook_id}/test")
        await opened.page.get_by_role("button", name="Send test").click()
        await expect(opened.page.get_by_role("row").filter(has_text="User.Created")).to_contain_text(attack)
        assert await opened.page.locator("main img").count() == 0
        assert not await opened.page.evaluate("window.taken")


PAGES = {
    "list": "/webhooks",
    "no-match": "/webhooks?q=zzz",
    "new": "/webhooks/new",
    "settings": "/webhooks/{id}/settings",
    "created": "/webhooks/{id}/created",
    "test": "/webhooks/{id}/test",
    "requests": "/webhooks/{id}/requests",
    "health": "/webhooks/{id}/health",
    "rotate": "/webhooks/{id}/rotate",
    "disable": "/webhooks/{id}/disable",
    "delete": "/webhooks/{id}/delete",
    "replay": "/webhooks/{id}/replay?which=ended",
    "keyboard": "/keyboard",
    "missing": "/nowhere",
}


@pytest.mark.long
async def test_every_page_is_for_everybody(browser: Browser, root: str, client: Client, receiver: Receiver) -> None:
    """axe finds nothing in either theme, nothing is cut off, also on a form with faults, an open menu and a dialog."""
    webhook_id = await busy(client, receiver, name="a-rather-long-name-without-any-space-in-it-at-all-to-break-it")
    found: dict[str, list[object]] = {}
    async with window(browser, root) as opened:
        opened.expected = ("404", "422")
        page = opened.page

        async def look(name: str) -> None:
            found[name] = [*await violations(page), *await sideways(page)]
            await pictures(page, name)

        await opened.go("/webhooks/new")
        await page.evaluate("document.querySelector('form.card').noValidate = true")
        await page.get_by_text("Advanced").click()
        await page.get_by_label("Timeout").fill("soon")
        await page.get_by_role("button", name="Create webhook").last.click()
        await page.locator("#summary").wait_for()
        await look("faults")
        for name, path in PAGES.items():
            await opened.go(path.format(id=webhook_id))
            if name == "health":
                for each in await page.get_by_text("As a table").all():
                    await each.click()
            await look(name)
        await opened.go("/webhooks")
        await page.locator("summary", has_text="Actions for a-rather").click()
        await look("menu")
        await page.get_by_role("link", name="Disable webhook").click()
        await page.get_by_role("dialog").wait_for()
        await look("dialog")
        opened.root = f"{root}-none"
        await opened.go("/webhooks")
        await look("none")
    assert not {name: each for name, each in found.items() if each}
