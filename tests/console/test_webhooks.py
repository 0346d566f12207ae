"""The list of webhooks, creating one, and what is done to one, all without script."""

from __future__ import annotations

import html
import re

import asyncpg
import pytest

from hookpost.v1 import webhook_pb2, webhook_service_pb2
from hookpost_server.console.pages import webhook_new
from hookpost_server.domain import ids
from hookpost_server.store.database import Database
from hookpost_server.store.webhooks import Webhooks
from tests.keys import RING
from tests.receiver import Receiver
from tests.rpc.serving import Client, eventually

from .visitor import Page, Visitor

pytestmark = pytest.mark.asyncio(loop_scope="module")

NO_RETRY = webhook_pb2.RetryPolicy(schedule=webhook_pb2.RETRY_SCHEDULE_NONE)


def row(page: Page, name: str) -> str:
    """The words of the row that has this name."""
    rows = re.findall(r"<tr data-row>.*?</tr>", page.text, flags=re.DOTALL)
    found = [each for each in rows if f">{html.escape(name)}<" in each]
    assert len(found) == 1, f"{len(found)} rows of {name}"
    return Page(200, "", found[0], {}).words


async def test_how_each_has_been_doing(visitor: Visitor, client: Client, receiver: Receiver) -> None:
    """99 % and more is good, 90 % and more fair; without a request it is neither 0 nor 100 %."""
    receiver.decide = lambda request: (500, "") if request.path == "/bad" else (200, "")
    await client.create(f"{receiver.url}/good", name="good", event_types=["User.Created"])
    await client.create(f"{receiver.url}/bad", name="bad", event_types=["*"], retry_policy=NO_RETRY)
    await client.create(f"{receiver.url}/idle", name="idle", event_types=["Role.Created", "Role.*", "User.Deleted"])
    off = await client.create(f"{receiver.url}/off", name="off", event_types=["Role.Created"])
    await client.webhooks.DisableWebhook(
        webhook_service_pb2.DisableWebhookRequest(webhook_id=off.id, tenant_id=client.tenant, reason="until Friday")
    )
    await client.ended((await client.emit()).event_id)
    page = await visitor.get(f"/t/{client.tenant}/webhooks")
    good, bad, idle = (row(page, name) for name in ("good", "bad", "idle"))
    assert "User.Created Active 100 % 1 " in good
    assert "All events Active 0 % 1 " in bad
    assert "Role.Created Role.* +1 Active – – –" in idle
    assert "Disabled" in row(page, "off") and 'title="until Friday"' in page.text
    assert page.text.count('class="rate good"') == page.text.count('class="rate bad"') == 1
    assert 'aria-label="1 requests, 1 of them failed"' in page.text


async def test_search_filters_and_pages(visitor: Visitor, client: Client) -> None:
    for number in range(23):
        types = ["Role.*"] if number % 2 else ["User.Created"]
        await client.create(f"https://example.com/{number}", name=f"webhook {number:02}", event_types=types)
    base = f"/t/{client.tenant}/webhooks"

    def names(page: Page) -> list[str]:
        return re.findall(r"data-open>(webhook \d+)<", page.text)

    first = await visitor.get(base)
    assert names(first) == [f"webhook {number:02}" for number in range(22, 2, -1)]
    older = next(each for each in first.links if "before=" in each)
    assert names(await visitor.get(older)) == ["webhook 02", "webhook 01", "webhook 00"]
    assert names(await visitor.get(f"{base}?q=webhook+07")) == ["webhook 07"]
    assert names(await visitor.get(f"{base}?q=EXAMPLE.com/9")) == ["webhook 09"]
    assert len(names(await visitor.get(f"{base}?event=Role.Created"))) == 11
    assert names(await visitor.get(f"{base}?event=*")) == []
    assert names(await visitor.get(f"{base}?state=disabled")) == []
    for nothing in ("q=zzz", "event=no+type", "state=suspended", f"before={'whk_' + '0' * 26}"):
        page = await visitor.get(f"{base}?{nothing}")
        assert "No webhook matches" in page.words and base in page.links, nothing


async def test_nothing_yet_says_what_to_do(visitor: Visitor, client: Client) -> None:
    page = await visitor.get(f"/t/{client.tenant}/webhooks")
    assert "No webhooks yet" in page.words and "hookpost webhook create" in page.words
    assert f"/t/{client.tenant}/webhooks/new" in page.links


def form(**fields: object) -> dict[str, object]:
    return {"name": "crm", "url": "https://example.com/hooks", "event_types": ["User.Created"], "do": "create"} | fields


async def test_created_it_is_active_and_shows_its_key_when_asked(
    visitor: Visitor, client: Client, module_database_url: str
) -> None:
    base = f"/t/{client.tenant}"
    fields = form(
        **{
            "event_types": ["User.Created", "Role.*"],
            "more": "User.Deleted, Organization.*",
            "header-name": ["X-Team", "", "Authorization"],
            "header-value": ["billing", "", "Bearer canary-71"],
            "header-kept": ["", "", ""],
            "schedule": "custom",
            "delays": "1s, 1m30s",
            "jitter": "0",
            "timeout": "2.5s",
            "payload_format": "standard",
            "max_in_flight": "3",
            "rate_limit": "0.5",
            "labels": "team=billing\r\nstage = test",
        }
    )
    page = await visitor.post(f"{base}/webhooks/new", fields)
    assert page.status == 200 and page.path.endswith("/created")
    assert "“crm” is created and active." in page.words
    webhook_id = page.path.split("/")[-2]
    webhook = await client.webhook(webhook_id)
    assert list(webhook.event_types) == ["User.Created", "Role.*", "User.Deleted", "Organization.*"]
    assert await stored_headers(module_database_url, webhook) == {
        "X-Team": "billing",
        "Authorization": "Bearer canary-71",
    }
    assert [each.ToTimedelta().total_seconds() for each in webhook.retry_policy.delays] == [1, 90]
    assert webhook.timeout.ToTimedelta().total_seconds() == 2.5
    assert (webhook.payload_format, webhook.max_in_flight, webhook.rate_limit) == (2, 3, 0.5)
    assert webhook.labels == {"team": "billing", "stage": "test"}
    for language in ("Python", "TypeScript", "Go", "Java"):
        assert language in page.words
    request = webhook_service_pb2.GetSigningKeyRequest(webhook_id=webhook_id, tenant_id=client.tenant)
    secret = (await client.webhooks.GetSigningKey(request)).keys[0].secret
    assert secret not in page.text
    page = await visitor.post(f"{base}/webhooks/{webhook_id}/signing-key")
    assert secret in page.words
    page = await visitor.send(f"{base}/webhooks/{webhook_id}/signing-key", Accept="text/plain")
    assert page.text == secret
    page = await visitor.get(f"{base}/webhooks/{webhook_id}/settings")
    assert secret not in page.text and "canary-71" not in page.text
    assert 'value="billing"' in page.text


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"name": " "}, "name", "is required"),
        ({"name": "x" * 257}, "name", "at most 256"),
        ({"url": "javascript:alert(1)"}, "url", "begins with https://"),
        ({"url": "https://u:p@example.com"}, "url", "user name or password"),
        ({"url": "http://169.254.169.254/latest"}, "url", "not public"),
        ({"event_types": []}, "event_types", "at least one event type"),
        ({"more": "No.Such.Type"}, "event_types", "not a known event type"),
        ({"timeout": "soon"}, "timeout", "not a duration"),
        ({"timeout": "31s"}, "timeout", "100 ms to 30 s"),
        ({"max_in_flight": "many"}, "max_in_flight", "must be a number"),
        ({"rate_limit": "nan"}, "rate_limit", "0.1 to 10000"),
        ({"schedule": "custom", "delays": ""}, "retry_policy", "1 to 19 entries"),
        ({"schedule": "custom", "delays": "5s, x"}, "retry_policy", "not a duration"),
        ({"schedule": "custom", "delays": "8d"}, "retry_policy", "24 h"),
        ({"jitter": "51"}, "retry_policy", "0 to 0.5"),
        ({"jitter": "a little"}, "retry_policy", "must be a number"),
        ({"labels": "a b=c"}, "labels", "key must be"),
        ({"signing_key": "short"}, "signing_key", "16 to 128"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
async def test_each_fault_stands_by_its_field(
    visitor: Visitor, client: Client, fields: dict[str, object], field: str, words: str
) -> None:
    page = await visitor.post(f"/t/{client.tenant}/webhooks/new", form(**fields))
    assert page.status == 422
    fault = re.search(rf'id="{field}-fault">(.*?)</p>', page.text, flags=re.DOTALL)
    assert fault and words in html.unescape(fault[1])
    assert f'{field}-fault"' in page.text.replace(fault[0], ""), "the field is described by its fault"
    assert ('role="alert"' in page.text and "needs mending" in page.words) or "need mending" in page.words
    if "name" not in fields:
        assert 'value="crm"' in page.text, "what was typed is kept"


async def test_each_header_row_has_its_own_fault(visitor: Visitor, client: Client) -> None:
    rows = [("X-Ok", "1"), ("x-ok", "2"), ("", "value"), ("X-Empty", ""), ("Host", "h"), ("X-Bad", "é"), ("a b", "c")]
    fields = form(
        **{
            "header-name": [name for name, _ in rows],
            "header-value": [value for _, value in rows],
            "header-kept": ["" for _ in rows],
        }
    )
    page = await visitor.post(f"/t/{client.tenant}/webhooks/new", fields)
    assert page.status == 422
    found = dict(re.findall(r'id="headers\.(\d)-fault">(.*?)</p>', page.text, flags=re.DOTALL))
    words = {number: Page(0, "", text, {}).words for number, text in found.items()}
    assert words.keys() == {"1", "2", "3", "4", "5", "6"}
    assert "twice" in words["1"] and "name is required" in words["2"] and "value is required" in words["3"]
    assert "Hookpost's own or the connection's" in words["4"]
    assert "printable ASCII" in words["5"] and "letters, digits" in words["6"]


async def test_faults_are_told_from_top_to_bottom(visitor: Visitor, client: Client) -> None:
    fields = form(
        name="",
        url="x",
        event_types=[],
        timeout="x",
        labels="a b=c",
        **{"header-name": ["", "Host"], "header-value": ["a", "b"], "header-kept": ["", ""]},
    )
    page = await visitor.post(f"/t/{client.tenant}/webhooks/new", fields)
    summary = page.text.split('id="summary"')[1].split("</ul>")[0]
    places = ["name", "url", "picker", "headers.0", "headers.1", "timeout", "labels"]
    assert re.findall(r'href="#([\w.]+)"', summary) == places
    assert all(f'id="{place}"' in page.text for place in places)


async def test_the_same_form_sent_twice_makes_one(visitor: Visitor, client: Client) -> None:
    base = f"/t/{client.tenant}/webhooks"
    request_id = (await visitor.get(f"{base}/new")).hidden("request_id")
    first = await visitor.send(f"{base}/new", form(request_id=request_id))
    again = await visitor.send(f"{base}/new", form(request_id=request_id))
    assert first.headers["Location"] == again.headers["Location"]
    other = await visitor.send(f"{base}/new", form(request_id=request_id, name="another"))
    assert other.status == 409
    assert len(re.findall("<tr data-row>", (await visitor.get(base)).text)) == 1


async def test_without_script_there_are_more_rows_and_a_preview(visitor: Visitor, client: Client) -> None:
    base = f"/t/{client.tenant}/webhooks/new"
    page = await visitor.post(
        base, form(**{"do": "add-header", "header-name": "A", "header-value": "b", "header-kept": ""})
    )
    assert page.status == 200 and page.text.count('name="header-name"') == 2 and 'value="crm"' in page.text
    for _ in range(3):
        await client.emit()
    await client.emit(type="Role.Created")
    page = await visitor.post(base, form(do="preview"))
    assert "In the last 24 hours this would have received 3 events of 4." in page.words
    page = await visitor.get(f"/t/{client.tenant}/webhooks/preview?event_types=*")
    assert "4 events of 4" in page.words
    page = await visitor.get(f"/t/{client.tenant}/webhooks/preview?event_types=Role.*&more=User.Created")
    assert "4 events of 4" in page.words
    assert "Choose events" in (await visitor.get(f"/t/{client.tenant}/webhooks/preview")).words


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", ""),
        ("http://127.0.0.1:9000/", "Looks fine"),
        ("http://169.254.169.254/", "not public"),
        ("ftp://example.com", "begins with https://"),
        ("https://no-such-host.invalid/", "no address right now"),
        ("https://2130706433/", "four decimal numbers"),
    ],
)
async def test_a_url_is_judged_while_it_is_typed(visitor: Visitor, url: str, words: str) -> None:
    page = await visitor.get(f"/webhooks/check-url?url={url}")
    assert words in page.words and bool(page.words) == bool(words)


async def test_a_host_that_is_looked_up_too_slowly(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook_new, "RESOLVE_TIMEOUT", 0.0)
    page = await visitor.get("/webhooks/check-url?url=https://no-such-host.invalid/")
    assert "could not be looked up in time" in page.words


async def test_a_copy_has_everything_but_the_key(visitor: Visitor, client: Client, module_database_url: str) -> None:
    webhook = await client.create(
        name="crm", event_types=["User.*"], headers={"Authorization": "Bearer canary", "X-Team": "a"}
    )
    base = f"/t/{client.tenant}/webhooks"
    page = await visitor.get(f"{base}/new?copy={webhook.id}")
    assert 'value="crm (copy)"' in page.text and "canary" not in page.text
    fields = form(
        **{
            "name": "crm (copy)",
            "copy": page.hidden("copy"),
            "event_types": ["User.*"],
            "header-name": ["Authorization", "X-Team"],
            "header-value": ["", "a"],
            "header-kept": ["1", ""],
        }
    )
    page = await visitor.post(f"{base}/new", fields)
    copy = await client.webhook(page.path.split("/")[-2])
    assert copy.id != webhook.id
    assert await stored_headers(module_database_url, copy) == await stored_headers(module_database_url, webhook)


async def stored_headers(url: str, webhook: webhook_pb2.Webhook) -> dict[str, str]:
    """With their values, of which answers show none that looks like a secret."""
    database = await Database.open(url)
    try:
        found = await Webhooks(database, RING).get(webhook.tenant_id, ids.parse(ids.WEBHOOK, webhook.id))
        return dict(found.settings.headers)
    finally:
        await database.close()


async def settings(visitor: Visitor, client: Client, webhook: webhook_pb2.Webhook, **fields: object) -> Page:
    path = f"/t/{client.tenant}/webhooks/{webhook.id}/settings"
    etag = (await visitor.get(path)).hidden("etag")
    stored = {"name": webhook.name, "url": webhook.url, "event_types": list(webhook.event_types), "etag": etag}
    return await visitor.post(path, stored | {"do": "save"} | fields)


async def test_settings_are_saved(visitor: Visitor, client: Client, module_database_url: str) -> None:
    webhook = await client.create(headers={"Authorization": "Bearer old", "X-Token": "t"})
    kept = {"header-name": ["Authorization", "X-Token"], "header-value": ["", "new"], "header-kept": ["1", "1"]}
    page = await settings(visitor, client, webhook, name="renamed", event_types=["User.Created"], **kept)
    assert page.status == 200 and "Saved." in page.words
    after = await client.webhook(webhook.id)
    assert (after.name, list(after.event_types)) == ("renamed", ["User.Created"])
    assert await stored_headers(module_database_url, after) == {"Authorization": "Bearer old", "X-Token": "new"}
    page = await settings(visitor, client, after, url="nonsense")
    assert page.status == 422 and "begins with https://" in page.words


async def test_numbers_are_shown_to_their_last_digit(visitor: Visitor, client: Client) -> None:
    """Who saves another field would save them rounded."""
    policy = webhook_pb2.RetryPolicy(schedule=webhook_pb2.RETRY_SCHEDULE_STANDARD_WEBHOOKS, jitter=0.07)
    webhook = await client.create(rate_limit=1234.5678, retry_policy=policy)
    page = await visitor.get(f"/t/{client.tenant}/webhooks/{webhook.id}/settings")
    assert (page.hidden("rate_limit"), page.hidden("jitter")) == ("1234.5678", "7")


async def test_a_kept_value_is_not_lost_with_its_name(
    visitor: Visitor, client: Client, module_database_url: str
) -> None:
    webhook = await client.create(headers={"Authorization": "Bearer old", "X-Empty": ""})
    rows = {"header-value": ["", ""], "header-kept": ["1", ""]}
    page = await settings(visitor, client, webhook, **rows | {"header-name": ["X-Auth", "X-Empty"]})
    assert page.status == 422
    assert page.text.count("A value is required.") == 2 and 'id="headers.0-fault"' in page.text, "there and at the top"
    page = await settings(visitor, client, webhook, **rows | {"header-name": ["Authorization", "X-Empty"]})
    assert page.status == 200 and "Saved." in page.words
    after = await client.webhook(webhook.id)
    assert await stored_headers(module_database_url, after) == {"Authorization": "Bearer old", "X-Empty": ""}


async def test_somebody_elses_change_is_not_overwritten_unseen(visitor: Visitor, client: Client) -> None:
    webhook = await client.create(name="before", event_types=["User.Created"])
    path = f"/t/{client.tenant}/webhooks/{webhook.id}/settings"
    etag = (await visitor.get(path)).hidden("etag")
    await client.update(webhook.id, "name", name="theirs")
    page = await settings(visitor, client, webhook, etag=etag, name="mine")
    assert page.status == 409
    assert (
        "Somebody else has changed this webhook" in page.words and "differs from what is stored in: Name." in page.words
    )
    assert 'value="mine"' in page.text and page.hidden("etag") == html.unescape(etag)
    assert (await client.webhook(webhook.id)).name == "theirs"
    page = await settings(visitor, client, webhook, etag=etag, name="mine", do="overwrite")
    assert page.status == 200
    assert (await client.webhook(webhook.id)).name == "mine"


async def test_who_sees_a_key_is_noted(visitor: Visitor, client: Client, module_database_url: str) -> None:
    webhook = await client.create()
    base = f"/t/{client.tenant}/webhooks/{webhook.id}"
    connection = await asyncpg.connect(module_database_url)
    try:

        async def noted() -> list[str]:
            found = "select action from audit_log where target = $1 and action like 'signing_key.%' order by id"
            return [row["action"] for row in await connection.fetch(found, webhook.id)]

        for hidden in ("settings", "created", "signing-key", "rotate"):
            await visitor.get(f"{base}/{hidden}")
        assert await noted() == []
        await visitor.post(f"{base}/signing-key")
        await visitor.post(f"{base}/signing-key", Accept="text/plain")
        await visitor.post(f"{base}/rotate", {"overlap": "1h"})
        assert await noted() == ["signing_key.revealed", "signing_key.revealed", "signing_key.rotated"]
    finally:
        await connection.close()


async def test_keys_rotate_with_an_overlap(visitor: Visitor, client: Client) -> None:
    webhook = await client.create()
    base = f"/t/{client.tenant}/webhooks/{webhook.id}"
    page = await visitor.get(f"{base}/rotate")
    assert "Regenerate the signing key" in page.words and 'value="24h" checked' in page.text
    page = await visitor.post(f"{base}/rotate", {"overlap": "1h"})
    assert "A new signing key is in force" in page.words and "signs until" in page.words
    assert len((await client.webhook(webhook.id)).signing_keys) == 2
    await visitor.post(f"{base}/rotate", {"overlap": "0"})
    assert len((await client.webhook(webhook.id)).signing_keys) == 1


async def test_disabled_enabled_deleted(visitor: Visitor, client: Client, receiver: Receiver) -> None:
    receiver.decide = lambda request: (503, "")
    webhook = await client.create(receiver.url, name="crm")
    event_id = (await client.emit()).event_id

    async def waits() -> bool | None:
        return (await client.event(event_id)).deliveries[0].attempt_count > 0 or None

    await eventually(waits)
    base = f"/t/{client.tenant}/webhooks/{webhook.id}"
    page = await visitor.get(f"{base}/disable")
    assert "Disable “crm”?" in page.words and "1 delivery waits for a retry" in page.words
    assert "reactivate this webhook?" not in page.words, "Logto's slip"
    page = await visitor.post(f"{base}/disable", {"reason": "until Friday"})
    assert "“crm” is disabled" in page.words and "Reason: until Friday" in page.words
    assert (await client.webhook(webhook.id)).state == webhook_pb2.WEBHOOK_STATE_DISABLED
    page = await visitor.post(f"{base}/enable")
    assert "is active again" in page.words
    assert (await client.webhook(webhook.id)).state == webhook_pb2.WEBHOOK_STATE_ACTIVE
    page = await visitor.get(f"{base}/delete")
    assert "Delete “crm”?" in page.words and "can't be brought back" in page.words
    assert "1 waiting delivery is cancelled" in page.words
    page = await visitor.post(f"{base}/delete")
    assert page.path == f"/t/{client.tenant}/webhooks" and "“crm” is deleted" in page.words
    assert (await visitor.get(f"{base}/settings")).status == 404


@pytest.mark.parametrize("character", ["🦄", ";", "é"])
async def test_what_is_said_once_fits_into_a_cookie(visitor: Visitor, client: Client, character: str) -> None:
    webhook = await client.create(name=character * 256)
    page = await visitor.send(f"/t/{client.tenant}/webhooks/{webhook.id}/disable")
    assert len(page.headers["Set-Cookie"]) < 4096
    page = await visitor.get(page.headers["Location"])
    assert f"“{character * 200}…” is disabled" in page.words


async def test_spanish_for_who_reads_it(visitor: Visitor, client: Client) -> None:
    page = await visitor.get(f"/t/{client.tenant}/webhooks", **{"Accept-Language": "es-ES,es"})
    assert 'lang="es"' in page.text and "Aún no hay webhooks" in page.words
    base = f"/t/{client.tenant}/webhooks/new"
    csrf = (await visitor.get(base)).hidden("csrf")
    page = await visitor.send(base, {"csrf": csrf, "name": ""}, csrf=False, **{"Accept-Language": "es"})
    assert "<span>es obligatorio: de 1 a 256 caracteres</span>" in page.text
    page = await visitor.get(f"/t/{client.tenant}/webhooks/nothing/settings", **{"Accept-Language": "es"})
    assert page.status == 404 and "<span>no hay ningún webhook «nothing»</span>" in page.text


async def test_one_that_can_not_be_read_can_be_deleted(
    visitor: Visitor, client: Client, module_database_url: str
) -> None:
    webhook = await client.create(name="broken")
    connection = await asyncpg.connect(module_database_url)
    try:
        sealed = "headers || '\\x00'"
        await connection.execute(f"update webhooks set headers = {sealed} where tenant_id = $1", client.tenant)
    finally:
        await connection.close()
    path = f"/t/{client.tenant}/webhooks/{webhook.id}/delete"
    page = await visitor.get(path)
    assert page.status == 200 and "broken" in page.words
    assert (await visitor.post(path)).status == 200
    assert webhook.id not in (await visitor.get(f"/t/{client.tenant}/webhooks")).text
