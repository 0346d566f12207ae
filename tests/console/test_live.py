"""The live page: a stream of rows where scripts run, a page to load again where not."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import pytest

from hookpost.v1 import webhook_pb2
from hookpost_server.console import live_stream
from hookpost_server.store.changes import Place
from tests.receiver import Receiver
from tests.rpc.serving import Client

from .visitor import Page, Visitor

pytestmark = pytest.mark.asyncio(loop_scope="module")

NO_RETRY = webhook_pb2.RetryPolicy(schedule=webhook_pb2.RETRY_SCHEDULE_NONE)


@dataclass(frozen=True)
class Said:
    """One server-sent event."""

    name: str
    id: str
    data: str


class Stream:
    """What an EventSource hears."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer

    async def next(self, *names: str) -> Said:
        """The next event, of these names if any are given."""
        fields: dict[str, list[str]] = {}
        async with asyncio.timeout(30):
            while line := (await self.answer.content.readline()).decode():
                if line != "\n":
                    name, _, value = line.rstrip("\n").partition(": ")
                    fields.setdefault(name, []).append(value)
                    continue
                said = Said(
                    "".join(fields.get("event", [])), "".join(fields.get("id", [])), "\n".join(fields.get("data", []))
                )
                fields = {}
                if said.name in names or (said.name and not names):
                    return said
        raise EOFError


@asynccontextmanager
async def listening(visitor: Visitor, path: str, **headers: str) -> AsyncIterator[Stream]:
    async with visitor.session.get(f"http://{visitor.address}{path}", headers=headers) as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        yield Stream(answer)


async def webhook(client: Client, receiver: Receiver, name: str = "crm") -> None:
    await client.create(receiver.url, name=name, retry_policy=NO_RETRY)


async def test_without_script(visitor: Visitor, client: Client, receiver: Receiver) -> None:
    base = f"/t/{client.tenant}/live"
    page = await visitor.get(base)
    assert "Waiting for the first delivery" in page.words and "hidden" not in page.text.split('id="live-none"')[1][:10]
    await webhook(client, receiver, "<i>crm</i>")
    await client.ended((await client.emit()).event_id)
    page = await visitor.get(base)
    assert "Delivered 200 User.Created" in page.words and "<i>crm" not in page.text and "<i>crm</i>" in page.words
    assert base in page.links, "a link loads it again"
    page = await visitor.get(f"{base}?state=failed")
    assert "Nothing like that yet" in page.words and f"{base}?state=failed" in page.links


async def test_rows_come_as_things_happen(visitor: Visitor, client: Client, receiver: Receiver) -> None:
    await webhook(client, receiver, "<i>crm</i>")
    page = await visitor.get(f"/t/{client.tenant}/live")
    after = html.unescape(re.findall(r'data-after="([^"]*)"', page.text)[0])
    event_id = (await client.emit()).event_id  # between the page and its stream: nothing is missed
    delivery = (await client.ended(event_id))[0]
    async with listening(visitor, f"/t/{client.tenant}/live/stream?after={after}") as stream:
        said = await stream.next("row")
        assert f'id="{delivery.id}"' in said.data and "<i>crm" not in said.data and "&lt;i&gt;crm" in said.data
        while "Delivered 200" not in said.data:
            said = await stream.next("row")
    second = (await client.ended((await client.emit()).event_id))[0]
    async with listening(visitor, f"/t/{client.tenant}/live/stream", **{"Last-Event-ID": said.id}) as stream:
        said = await stream.next("row")
        assert f'id="{second.id}"' in said.data, "a lost connection goes on where it was, without repeats"


async def test_the_filter_holds(visitor: Visitor, client: Client, receiver: Receiver) -> None:
    await webhook(client, receiver)
    async with listening(visitor, f"/t/{client.tenant}/live/stream?event=Role.Created") as stream:
        await stream.next("beat")
        await client.ended((await client.emit()).event_id)
        await client.ended((await client.emit(type="Role.Created")).event_id)
        assert "Role.Created" in (await stream.next("row")).data


async def test_more_than_can_be_read_is_counted(
    visitor: Visitor, client: Client, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_stream, "MOST_ROWS", 2)
    await webhook(client, receiver)
    after = re.findall(r'data-after="([^"]*)"', (await visitor.get(f"/t/{client.tenant}/live")).text)[0]
    emitted = [(await client.emit()).event_id for _ in range(12)]
    for event_id in emitted:
        await client.ended(event_id)
    async with listening(visitor, f"/t/{client.tenant}/live/stream?after={after}") as stream:
        await stream.next("beat")
        said = [await stream.next("row", "left-out") for _ in range(2)]
        assert [each.name for each in said] == ["row", "row"]
        async with asyncio.TaskGroup() as group:
            told = group.create_task(stream.next("left-out"))
            while not told.done():  # it is told with the first change of another second
                await client.emit()
                await asyncio.sleep(0.1)
        assert int(told.result().data) >= 10


async def test_a_place_that_is_none(visitor: Visitor, client: Client, receiver: Receiver) -> None:
    """Nonsense begins from now; a place that the database has no more is told."""
    await webhook(client, receiver)
    for text in ("x", "1.2", "-1.0.0", "9" * 30, f"5.4.{'0' * 32}"):
        assert live_stream.read_place(text) is None
        async with listening(visitor, f"/t/{client.tenant}/live/stream?after={text}") as stream:
            assert (await stream.next()).name == "beat"
    place = Place(3, 7)
    assert live_stream.read_place(live_stream.place_text(place)) == place
    ahead = live_stream.place_text(Place(2**62))
    async with listening(visitor, f"/t/{client.tenant}/live/stream?after={ahead}") as stream:
        assert [(await stream.next()).name for _ in range(2)] == ["gap", "beat"]


async def test_streams_are_bounded(
    visitor: Visitor, client: Client, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_stream, "MOST_STREAMS", 0)
    page: Page = await visitor.get(f"/t/{client.tenant}/live/stream")
    assert page.status == 503 and "too many live pages are open" in page.words


async def test_it_ends_in_time_to_look_at_the_key_again(
    visitor: Visitor, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_stream, "LIFE", 0.0)
    async with listening(visitor, f"/t/{client.tenant}/live/stream") as stream:
        assert [(await stream.next()).name for _ in range(2)] == ["beat", "again"]
        with pytest.raises(EOFError):
            await stream.next()
