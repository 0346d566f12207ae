"""A webhook's tests, requests, replays and health, without script; and what a stranger wrote, inert everywhere."""

from __future__ import annotations

import csv
import html
import io
import json
import re

import pytest

from hookpost.v1 import webhook_pb2
from hookpost_server.console.pages.webhook_export import harmless
from tests.receiver import Receiver
from tests.rpc.serving import Client, eventually

from .visitor import Page, Visitor

pytestmark = pytest.mark.asyncio(loop_scope="module")

NO_RETRY = webhook_pb2.RetryPolicy(schedule=webhook_pb2.RETRY_SCHEDULE_NONE)


def rows(page: Page) -> list[str]:
    """The words of each row, without their dashes."""
    found = re.findall(r"<tr data-row>.*?</tr>", page.text, flags=re.DOTALL)
    return [Page(200, "", each, {}).words for each in found]


async def sent(client: Client, receiver: Receiver, *answers: tuple[int, str], **settings: object) -> tuple[str, str]:
    """A webhook that got an event for each answer, and the path of its pages."""
    given = {"retry_policy": NO_RETRY, "event_types": ["User.Created", "Role.Created"]} | settings
    webhook = await client.create(receiver.url, **given)
    for answer in answers:
        receiver.answers.append(answer)
        await client.ended((await client.emit()).event_id)
    return webhook.id, f"/t/{client.tenant}/webhooks/{webhook.id}"


async def test_a_test_shows_a_result_for_each_type(visitor: Visitor, client: Client, receiver: Receiver) -> None:
    receiver.decide = lambda request: (
        (404, "<b>no</b> such path\nmore") if request.headers["hookpost-event"] == "User.Created" else (200, "fine")
    )
    _, base = await sent(client, receiver)
    page = await visitor.post(f"{base}/test", {"no-script": "1"})
    assert "2 results" in page.words
    assert "User.Created 404" in page.words and "The receiver does not know this path" in page.words
    assert "<b>no</b> such path" in page.words and "more" not in page.words.split("such path")[1][:6]
    assert re.search(r"Role.Created 200 \d+ ms fine", page.words)
    assert all(each.headers["hookpost-test"] == "true" for each in receiver.requests)
    assert "No requests in this time" in (await visitor.get(f"{base}/requests")).words, "tests are in no log"


async def test_the_first_test_needs_no_script(visitor: Visitor, client: Client, receiver: Receiver) -> None:
    _, base = await sent(client, receiver)
    page = await visitor.get(f"{base}/created")
    form = page.text.split(f'action="{base}/test">')[1].split("</form>")[0]
    page = await visitor.post(f"{base}/test", dict(re.findall(r'name="([^"]+)" value="([^"]*)"', form)), csrf=False)
    assert "2 results" in page.words and "Sending…" not in page.words and len(receiver.requests) == 2


async def test_with_script_each_row_asks_for_its_own(visitor: Visitor, client: Client, receiver: Receiver) -> None:
    _, base = await sent(client, receiver)
    page = await visitor.post(f"{base}/test", {"type": "Role.Created"}, **{"HX-Request": "true"})
    assert page.text.count("hx-post=") == 1 and "Sending…" in page.words and not receiver.requests
    page = await visitor.post(f"{base}/test/one", {"only": "Role.Created"}, **{"HX-Request": "true"})
    assert re.match(r"Role.Created 200 \d+ ms ok", page.words)
    assert [each.headers["hookpost-event"] for each in receiver.requests] == ["Role.Created"]


async def test_settings_are_tested_before_they_are_saved(visitor: Visitor, client: Client, receiver: Receiver) -> None:
    webhook_id, base = await sent(client, receiver, headers={"Authorization": "Bearer stored"})
    unsaved = {
        "url": f"{receiver.url}/elsewhere",
        "header-name": ["Authorization", "X-New"],
        "header-value": ["", "1"],
        "header-kept": ["1", ""],
        "no-script": "1",
    }
    page = await visitor.post(f"{base}/test", unsaved)
    assert "with unsaved settings" in page.words
    assert {each.path for each in receiver.requests} == {"/elsewhere"}
    assert receiver.requests[0].headers["authorization"] == "Bearer stored"
    assert receiver.requests[0].headers["x-new"] == "1"
    assert (await client.webhook(webhook_id)).url == receiver.url
    page = await visitor.post(f"{base}/test", unsaved | {"url": "http://10.0.0.1/"})
    assert page.status == 422 and "Not sent." in page.words and "not public" in page.words


async def test_requests_are_found_by_what_became_of_them(visitor: Visitor, client: Client, receiver: Receiver) -> None:
    _, base = await sent(client, receiver, (200, ""), (404, ""), (503, ""))
    gone = await client.create("http://127.0.0.1:1024/", event_types=["Role.Created"], retry_policy=NO_RETRY)

    async def found(query: str) -> list[str]:
        page = await visitor.get(f"{base}/requests?{query}")
        return [re.search(r"(Delivered|Failed|Waiting|Retrying) ?\d*", each)[0] for each in rows(page)]

    assert await found("") == ["Failed 503", "Failed 404", "Delivered 200"]
    assert await found("state=failed") == ["Failed 503", "Failed 404"]
    assert await found("code=4xx") == ["Failed 404"]
    assert await found("code=none") == []
    assert await found("event=Role.Created") == []
    assert await found("range=1h&state=succeeded") == ["Delivered 200"]
    assert await found("range=custom&from=2020-01-01T00:00&to=2020-01-02T00:00") == []
    assert await found("range=custom&from=2020-01-01T00:00") == ["Failed 503", "Failed 404", "Delivered 200"]
    page = await visitor.get(f"{base}/requests")
    delivery_id = re.search(r"/deliveries/(dlv_\w+)", page.text)[1]
    event_id = re.search(r"evt_\w{26}", page.text)[0]
    assert await found(f"id={delivery_id}") == await found(f"id={event_id}") == ["Failed 503"]
    for query, words in (
        ("id=nonsense", "An id begins with evt_ or dlv_"),
        ("range=custom&from=yesterday", "That is no time."),
        ("event=no+type", "can't be the name of an event type"),
        ("state=cancelled", "No request matches"),
    ):
        page = await visitor.get(f"{base}/requests?{query}")
        assert words in page.words and not rows(page)
    await client.ended((await client.emit(type="Role.Created")).event_id)
    page = await visitor.get(f"/t/{client.tenant}/webhooks/{gone.id}/requests?code=none")
    assert "Failed refused" in rows(page)[0]


async def test_pages_of_requests_and_new_ones(visitor: Visitor, client: Client, receiver: Receiver) -> None:
    _, base = await sent(client, receiver, *[(200, "")] * 27)
    first = await visitor.get(f"{base}/requests")
    assert len(rows(first)) == 25
    older = next(each for each in first.links if "before=" in each)
    page = await visitor.get(older)
    assert len(rows(page)) == 2 and f"{base}/requests" in page.links
    newest = html.unescape(re.search(r'class="newer"[^>]*hx-get="([^"]+)"', first.text)[1])
    assert (await visitor.get(newest)).words == ""
    await client.ended((await client.emit()).event_id)
    assert (await visitor.get(newest)).words == "1 new request"


async def test_resending_one_and_several(visitor: Visitor, client: Client, receiver: Receiver) -> None:
    _, base = await sent(client, receiver, (500, ""), (500, ""), (500, ""))
    path = f"{base}/requests?state=failed"
    page = await visitor.get(path)
    ids = re.findall(r'name="delivery" value="(dlv_\w+)"', page.text)
    assert len(ids) == 3
    page = await visitor.post(f"{base}/requests/resend", {"next": path, "only": ids[0]})
    assert page.path == path and "1 delivery is sent again." in page.words
    page = await visitor.post(f"{base}/requests/resend", {"next": path, "delivery": ids[1:]})
    assert "2 deliveries are sent again." in page.words

    async def delivered() -> bool | None:
        return len(rows(await visitor.get(f"{base}/requests?state=succeeded"))) == 3 or None

    await eventually(delivered)
    page = await visitor.post(f"{base}/requests/resend", {"next": path, "only": "dlv_00000000000000000000000000"})
    assert "0 sent again. Not all: no delivery" in page.words


async def test_a_replay_is_counted_watched_and_stopped(visitor: Visitor, client: Client, receiver: Receiver) -> None:
    _, base = await sent(client, receiver, (500, ""), (500, ""), (200, ""))
    page = await visitor.get(f"{base}/replay")
    assert "This sends 2 requests" in page.words and receiver.url in page.words and "Replay 2 deliveries" in page.words
    page = await visitor.get(f"{base}/replay?which=ended&rate=1")
    assert "This sends 3 requests over about 3.0 s" in page.words
    page = await visitor.post(f"{base}/replay", {"do": "recount", "which": "ended", "range": "7d", "rate": "1"})
    assert "which=ended" in page.path and "csrf" not in page.path and "This sends 3 requests" in page.words
    before = len(receiver.requests)
    assert before == 3, "counting sends nothing"
    page = await visitor.post(f"{base}/replay", {"which": "ended", "range": "24h", "rate": "1"})
    assert "/replays/rpl_" in page.path and 'max="3"' in page.text
    await receiver.received(4)
    page = await visitor.post(f"{page.path}/stop")
    assert "taken back" in page.words

    async def over() -> str | None:
        words = (await visitor.get(page.path)).words
        return words if "All 3 done" in words else None

    assert "Waiting 0" in await eventually(over)
    assert len(receiver.requests) < 6
    _, idle = await sent(client, receiver, event_types=["Role.Deleted"])
    page = await visitor.get(f"{idle}/replay")
    assert "There is nothing to replay." in page.words and "disabled" in page.text
    assert "nothing was sent" in (await visitor.post(f"{idle}/replay")).words


async def test_a_replay_of_what_was_missed(visitor: Visitor, client: Client, receiver: Receiver) -> None:
    await client.emit()
    _, base = await sent(client, receiver)
    assert "nothing to replay" in (await visitor.get(f"{base}/replay")).words
    assert "This sends 1 request, at once" in (await visitor.get(f"{base}/replay?missed=1")).words
    await visitor.post(f"{base}/replay", {"missed": "1"})
    await receiver.received(1)


async def test_exports(visitor: Visitor, client: Client, receiver: Receiver) -> None:
    webhook_id, base = await sent(client, receiver, (200, ""), (404, ""))
    page = await visitor.get(f"{base}/requests/export")
    assert page.headers["Content-Disposition"] == f'attachment; filename="{webhook_id}.csv"'
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    table = list(csv.DictReader(io.StringIO(page.text)))
    assert [(each["state"], each["last_status_code"]) for each in table] == [("FAILED", "404"), ("SUCCEEDED", "200")]
    assert table[0]["webhook_id"] == webhook_id and table[0]["event_type"] == "User.Created"
    page = await visitor.get(f"{base}/requests/export?format=jsonl&state=failed")
    lines = [json.loads(line) for line in page.text.splitlines()]
    assert [(each["state"], each["attempt_count"]) for each in lines] == [("FAILED", 1)]
    assert page.headers["Content-Disposition"].endswith('.jsonl"')


@pytest.mark.parametrize("cell", ["=cmd|'/c calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
@pytest.mark.case("G7")
async def test_no_cell_is_a_formula(cell: str) -> None:
    assert harmless(cell) == f"'{cell}"
    assert harmless("User.Created") == "User.Created"


async def test_health_has_figures_charts_and_tables(visitor: Visitor, client: Client, receiver: Receiver) -> None:
    _, base = await sent(client, receiver, (200, ""), (200, ""), (404, ""))
    for window in ("1h", "24h", "7d"):
        page = await visitor.get(f"{base}/health?window={window}")
        assert "Success rate 66.67 %" in page.words and "Requests 3" in page.words and "Failed in a row 1" in page.words
        assert page.text.count("<svg viewBox") == 2 and 'aria-label="3 requests, 1 of them failed"' in page.text
        assert re.search(r"UTC 2 1 3", page.words), "the table says what the chart shows"
    _, idle = await sent(client, receiver, event_types=["Role.Deleted"])
    page = await visitor.get(f"{idle}/health")
    assert (
        "Nothing to measure in this time" in page.words
        and "100 %" in page.words
        and '<svg viewBox="0 0 960' not in page.text
    )


HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>{{31337*31337}}'


@pytest.mark.case("G2")
async def test_what_a_stranger_wrote_is_inert(visitor: Visitor, client: Client, receiver: Receiver) -> None:
    """In names, URLs, headers, labels, reasons, answers, and in what is typed into fields and addresses."""
    receiver.decide = lambda request: (400, HOSTILE)
    webhook = await client.create(
        f"{receiver.url}/{'<b>'}?q='onload=",
        name=HOSTILE,
        headers={"X-Hostile": '"><b>'},
        labels={"k": HOSTILE},
        retry_policy=NO_RETRY,
    )
    await client.ended((await client.emit()).event_id)
    base = f"/t/{client.tenant}/webhooks"
    mine = f"{base}/{webhook.id}"
    quoted = "%22%3E%3Cscript%3Ealert(1)%3C/script%3E"
    pages = [
        await visitor.get(path)
        for path in (
            base,
            f"{base}?q={quoted}&event={quoted}&state={quoted}",
            f"{base}/new?copy={webhook.id}",
            f"{base}/new?name={quoted}&url={quoted}",
            f"{base}/check-url?url={quoted}",
            *(f"{mine}/{tab}" for tab in ("settings", "test", "requests", "health", "created", "disable", "delete")),
            f"{mine}/requests?id={quoted}&event={quoted}&range=custom&from={quoted}&before={quoted}",
            f"{mine}/replay",
            f"/nowhere/{quoted}",
            f"/sign-in?next={quoted}",
            f"/tenant?id={quoted}",
        )
    ]
    pages.append(
        await visitor.post(f"{base}/new", dict.fromkeys(("name", "url", "more", "labels", "timeout"), HOSTILE))
    )
    pages.append(await visitor.post(f"{mine}/test", {"no-script": "1", "type": "User.Created"}))
    pages.append(await visitor.post(f"{mine}/disable", {"reason": HOSTILE}))
    for page in pages:
        scripts = re.findall(r"<script[^>]*>", page.text)
        assert all(
            re.fullmatch(r'<script src="/static/[\w/.]+"( data-htmx="/static/[\w/.]+")? defer>', each)
            for each in scripts
        ), page.path
        assert "<img" not in page.text and "<b>'" not in page.text, page.path
        assert "982007569" not in page.text, f"{page.path} was taken for a template"
    assert HOSTILE in pages[0].words and HOSTILE in pages[-2].words and HOSTILE in pages[-1].words
