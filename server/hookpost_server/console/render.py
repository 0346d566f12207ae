"""Templates to HTML: everything that comes from outside is escaped, and a name that is not given is a fault."""

from __future__ import annotations

import asyncio
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
from markupsafe import Markup

from .. import __version__
from ..domain import ids
from ..domain.api_key import Scope
from . import charts, figures, paging
from .assets import Assets
from .icons import ICONS
from .nav import NAV

if TYPE_CHECKING:
    from .visit import Visit

FOLDER = Path(__file__).parent / "templates"
THEMES = ("light", "dark")
WARM_UP_AFTER, WARM_UP_PAUSE = 1.0, 0.03  # seconds


@cache
def _environment() -> jinja2.Environment:
    """One for the process, whatever consoles it has: to compile all templates takes half a second."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.globals |= {
        "icons": ICONS,
        "id_text": ids.text,
        "grade": figures.grade,
        "span": figures.span,
        "exact": figures.exact,
        "spark": charts.spark,
        "version": __version__,
    }
    return environment


class Renderer:
    """Templates are compiled when first used, or by `warm_up` before that."""

    def __init__(self, assets: Assets) -> None:
        self._environment = _environment()
        self._assets = assets

    async def warm_up(self) -> None:
        """Compiles one template after another, with pauses, so that no visitor waits for it and no delivery either."""
        await asyncio.sleep(WARM_UP_AFTER)
        for name in self._environment.list_templates():
            await asyncio.to_thread(self._environment.get_template, name)
            await asyncio.sleep(WARM_UP_PAUSE)

    def render(self, template: str, visit: Visit, **context: Any) -> str:
        """The page. Besides `context`, every template has what `_always` lists."""
        return self._environment.get_template(template).render(**self._always(visit), **context)

    def _always(self, visit: Visit) -> dict[str, Any]:
        t = visit.texts
        theme = visit.cookie("hookpost-theme")

        def when(moment: datetime) -> Markup:
            return Markup('<time datetime="{}" title="{}">{}</time>').format(
                moment.isoformat(timespec="milliseconds"),
                figures.exact(moment),
                figures.ago(moment, visit.parts.now(), t),
            )

        return {
            "t": t,
            "asset": self._assets.path,
            "visit": visit,
            "may": lambda scope: visit.caller.may(Scope[scope]),
            "url": visit.url,
            "paged": lambda path, older, query: paging.pages(visit, path, older, query),
            "nav": NAV,
            "theme": theme if theme in THEMES else "",
            "keys_off": visit.cookie("hookpost-keys") == "off",
            "when": when,
            "number": lambda value, digits=0: figures.number(value, t, digits),
            "percent": lambda part, whole: figures.percent(part, whole, t),
        }
