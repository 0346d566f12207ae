"""Style, script and icon: read once, compressed once, named by their content, so that browsers keep them for good."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

FOLDER = Path(__file__).parent / "static"
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file as it is served."""

    path: str
    content_type: str
    plain: bytes
    zipped: bytes


class Assets:
    """All files of `static/` that a browser may ask for; a path is looked up whole, so nothing else can be reached."""

    def __init__(self) -> None:
        files = [path for path in sorted(FOLDER.iterdir()) if path.suffix in TYPES]
        self._paths = {}
        self._assets = {}
        for file in files:
            content = file.read_bytes()
            path = f"/static/{hashlib.sha256(content).hexdigest()[:16]}/{file.name}"
            self._paths[file.name] = path
            self._assets[path] = Asset(path, TYPES[file.suffix], content, gzip.compress(content, mtime=0))

    def path(self, name: str) -> str:
        """Where a file is served."""
        return self._paths[name]

    async def serve(self, request: web.Request) -> web.Response:
        """Answers GET /static/…."""
        if (asset := self._assets.get(request.path)) is None:
            raise web.HTTPNotFound
        headers = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}
        body = asset.plain
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            headers["Content-Encoding"] = "gzip"
            body = asset.zipped
        return web.Response(body=body, content_type=asset.content_type, charset="utf-8", headers=headers)
