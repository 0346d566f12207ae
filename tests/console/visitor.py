"""A browser without script, as far as pages need one: cookies, forms with their hidden fields, redirects on request."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import yarl

from hookpost_server.config import Address

Fields = Mapping[str, str | Sequence[str]]


@dataclass(frozen=True)
class Page:
    """An answer. `text` is the HTML, `words` what a reader sees of it."""

    status: int
    path: str
    text: str
    headers: Mapping[str, str]

    @property
    def words(self) -> str:
        bare = re.sub(r"<(script|style|template)\b.*?</\1>", " ", self.text, flags=re.DOTALL)
        return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", bare))).strip()

    def hidden(self, name: str) -> str:
        """The value of the last field of this name: forms of the frame come first."""
        found = re.findall(rf'name="{re.escape(name)}" value="([^"]*)"', self.text)
        assert found, f"no field {name} in {self.path}"
        return html.unescape(found[-1])

    @property
    def links(self) -> list[str]:
        return [html.unescape(each) for each in re.findall(r'href="([^"]*)"', self.text)]


class Visitor:
    """Visits one console."""

    def __init__(self, session: aiohttp.ClientSession, address: Address) -> None:
        self.session = session
        self.address = address

    def carry(self, session: str) -> None:
        """Goes on with this session and no other cookie."""
        self.session.cookie_jar.clear()
        self.session.cookie_jar.update_cookies({"hookpost-session": session}, yarl.URL(f"http://{self.address}"))

    async def get(self, path: str, *, follow: bool = True, **headers: str) -> Page:
        url = f"http://{self.address}{path}"
        async with self.session.get(url, headers=headers, allow_redirects=follow) as answer:
            return await _page(answer)

    async def post(self, path: str, fields: Fields | None = None, *, csrf: bool = True, **headers: str) -> Page:
        """Posts a form with its token and follows to the page that it leads to."""
        return await self.send(path, fields, csrf=csrf, follow=True, **headers)

    async def send(
        self, path: str, fields: Fields | None = None, *, csrf: bool = True, follow: bool = False, **headers: str
    ) -> Page:
        pairs: list[tuple[str, Any]] = []
        for name, value in (fields or {}).items():
            pairs += [(name, value)] if isinstance(value, str) else [(name, each) for each in value]
        if csrf:
            pairs.append(("csrf", (await self.get("/keyboard")).hidden("csrf")))
        url = f"http://{self.address}{path}"
        data = aiohttp.FormData(pairs)
        async with self.session.post(url, data=data, headers=headers, allow_redirects=follow) as answer:
            return await _page(answer)


async def _page(answer: aiohttp.ClientResponse) -> Page:
    return Page(answer.status, answer.url.raw_path_qs, await answer.text(), answer.headers)


@asynccontextmanager
async def visiting(address: Address | None) -> AsyncIterator[Visitor]:
    assert address is not None, "the console is off"
    jar = aiohttp.CookieJar(unsafe=True)  # cookies of an address, which the console has in tests
    async with aiohttp.ClientSession(cookie_jar=jar) as session:
        yield Visitor(session, address)
