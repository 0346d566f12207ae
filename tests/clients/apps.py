"""The same receiver in each framework, served on a port: it answers with the event's type and id, or with a refusal."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import django.conf
import django.core.wsgi
import django.http
import django.urls
import flask
import uvicorn
from aiohttp import web
from fastapi import Depends, FastAPI, Request

import hookpost_receiver.aiohttp
import hookpost_receiver.django
import hookpost_receiver.flask
from hookpost_receiver import Event
from hookpost_receiver.starlette import receiver
from tests.store.making import until

KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MOST = 10_000  # bytes

Serve = Callable[[], AbstractAsyncContextManager[str]]


def told(event: Event) -> str:
    return f"{event.type} {event.id}"


@contextlib.asynccontextmanager
async def serve_asgi(app: Any) -> AsyncIterator[str]:
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve())
        await until(lambda: server.started)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        server.should_exit = True


@contextlib.asynccontextmanager
async def fastapi() -> AsyncIterator[str]:
    app = FastAPI()

    @app.post("/hook")
    async def hook(event: Event = Depends(receiver(KEY, max_size=MOST))) -> str:  # noqa: B008
        return told(event)

    async def eager(request: Request) -> None:
        async for _ in request.stream():
            pass

    @app.post("/parsed", dependencies=[Depends(eager)])
    async def parsed(event: Event = Depends(receiver(KEY))) -> str:  # noqa: B008
        return told(event)

    async with serve_asgi(app) as url:
        yield url


class Quiet(WSGIRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@contextlib.asynccontextmanager
async def wsgi(app: Callable[..., object]) -> AsyncIterator[str]:
    server = make_server("127.0.0.1", 0, app, handler_class=Quiet)  # type: ignore[arg-type]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        await asyncio.to_thread(server.shutdown)
        thread.join()
        server.server_close()


def flask_app() -> AbstractAsyncContextManager[str]:
    app = flask.Flask("receiver")

    @app.post("/hook")
    @hookpost_receiver.flask.receives(KEY, max_size=MOST)
    def hook(event: Event) -> str:
        return told(event)

    @app.post("/async")
    @hookpost_receiver.flask.receives(KEY)
    async def hook_async(event: Event) -> str:
        return told(event)

    @app.post("/parsed")
    def parsed() -> object:
        flask.request.stream.read()
        return hookpost_receiver.flask.receives(KEY)(hook)()

    return wsgi(app)


@hookpost_receiver.django.receives(KEY, max_size=MOST)
def _django_hook(request: django.http.HttpRequest, event: Event) -> django.http.HttpResponse:
    return django.http.HttpResponse(told(event))


@hookpost_receiver.django.receives(KEY, max_size=MOST)
async def _django_async(request: django.http.HttpRequest, event: Event) -> django.http.HttpResponse:
    return django.http.HttpResponse(told(event))


def _django_parsed(request: django.http.HttpRequest) -> django.http.HttpResponse:
    request.read()
    answer: django.http.HttpResponse = _django_hook(request)
    return answer


_django_parsed.csrf_exempt = True  # type: ignore[attr-defined]
urlpatterns = [
    django.urls.path("hook", _django_hook),
    django.urls.path("async", _django_async),
    django.urls.path("parsed", _django_parsed),
]


def django_app() -> AbstractAsyncContextManager[str]:
    if not django.conf.settings.configured:
        django.conf.settings.configure(
            ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], DEBUG=False, DATA_UPLOAD_MAX_MEMORY_SIZE=MOST
        )
    return wsgi(django.core.wsgi.get_wsgi_application())


@contextlib.asynccontextmanager
async def aiohttp() -> AsyncIterator[str]:
    @hookpost_receiver.aiohttp.receives(KEY)
    async def hook(request: web.Request, event: Event) -> web.Response:
        return web.Response(text=told(event))

    async def parsed(request: web.Request) -> web.StreamResponse:
        await request.content.read()
        return await hook(request)

    app = web.Application(client_max_size=MOST)
    app.router.add_post("/hook", hook)
    app.router.add_post("/parsed", parsed)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield site.name if not site.name.endswith(":0") else f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


APPS: dict[str, Serve] = {"fastapi": fastapi, "flask": flask_app, "django": django_app, "aiohttp": aiohttp}
