"""From page to page and back, without a script."""

from __future__ import annotations

import html
import re

import pytest

from hookpost_server.console import paging
from hookpost_server.console.pages import webhooks
from tests.rpc.serving import Client

from .visitor import Page, Visitor

pytestmark = pytest.mark.asyncio(loop_scope="module")


def names(page: Page) -> list[str]:
    return re.findall(r"data-open>(w\d)<", page.text)


def link(page: Page, text: str) -> str:
    """Where a button of the pages' own leads; empty if there is none."""
    nav = "".join(re.findall(r'<nav class="pages".*?</nav>', page.text, re.DOTALL))
    asked = re.search(rf'href="([^"]*)"[^>]*>(?:<svg(?:(?!</a>).)*?</svg>)?{text}', nav)
    return html.unescape(asked.group(1)) if asked else ""


async def test_there_and_back(visitor: Visitor, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "SIZE", 2)
    for number in range(7):
        await client.create(name=f"w{number}")
    page = await visitor.get(f"/t/{client.tenant}/webhooks?q=w")
    seen = [page]
    while older := link(page, "Older"):
        page = await visitor.get(older)
        seen.append(page)
    assert [names(each) for each in seen] == [["w6", "w5"], ["w4", "w3"], ["w2", "w1"], ["w0"]]
    for before in reversed(seen[:-1]):
        page = await visitor.get(link(page, "Newer"))
        assert names(page) == names(before)
        assert "q=w" in page.path
    assert not link(page, "Newer")
    assert not link(page, "Newest")
    assert names(await visitor.get(link(seen[-1], "Newest"))) == ["w6", "w5"]


async def test_the_trail_is_bounded(visitor: Visitor, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever an address says, what is made of it stays short, and nonsense leads to a page."""
    monkeypatch.setattr(webhooks, "SIZE", 1)
    for number in range(3):
        await client.create(name=f"w{number}")
    older = link(await visitor.get(f"/t/{client.tenant}/webhooks"), "Older")
    page = await visitor.get(re.sub("trail=[^&]*", f"trail={'x.' * 500}", older))
    assert names(page) == ["w1"]
    (trail,) = re.findall("trail=([^&]*)", link(page, "Older"))
    assert trail.count(".") == paging.MOST - 1
    assert names(await visitor.get(link(page, "Newer"))) == ["w2"]
