"""Templates: there before anybody asks for them, and of one mind about what asks by itself."""

from __future__ import annotations

import pytest

from hookpost_server.console import render
from hookpost_server.console.assets import Assets


@pytest.mark.asyncio
async def test_no_visitor_waits_for_a_template(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render, "WARM_UP_AFTER", 0)
    monkeypatch.setattr(render, "WARM_UP_PAUSE", 0)
    render._environment.cache_clear()
    await render.Renderer(Assets()).warm_up()
    environment = render._environment()
    assert environment.cache is not None
    assert {name for _, name in environment.cache.keys()} == {each.name for each in render.FOLDER.iterdir()}  # noqa: SIM118


def test_every_poll_says_so() -> None:
    templates = {each.name: each.read_text() for each in render.FOLDER.glob("*.html")}
    assert [name for name, text in templates.items() if 'hx-trigger="every' in text] == ["ui.html"]
    assert sum(text.count("ui.poll(") for text in templates.values()) == 3
