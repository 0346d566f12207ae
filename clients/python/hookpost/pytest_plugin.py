"""For tests of what emits: a real Hookpost, and `assert_delivered`. Needs `pip install hookpost[pytest]`.

    def test_an_order_is_told_of(hookpost):
        shop = Shop(hookpost.address)
        shop.order("book")
        event = hookpost.assert_delivered("Order.Created", {"title": "book"})

The server (on an embedded PostgreSQL) is started once a session; HOOKPOST_ADDRESS points at it meanwhile. Each test has
a webhook for everything of the tenant `hookpost_tenant` (by default "default"), whose deliveries are verified.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from hookpost.client import Client
    from hookpost_receiver import Event

START = 60.0  # seconds for the server to come up, its database made
_COMMAND = "from hookpost_server.cli.main import main; main()"


@pytest.fixture(scope="session")
def hookpost_address() -> Iterator[str]:
    """Where a Hookpost for this session listens. Event types are open: any well-formed name may be emitted."""
    folder = tempfile.mkdtemp(prefix="hookpost-")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HOOKPOST_")}
    environment |= {"HOOKPOST_EVENT_TYPES": "open", "HOOKPOST_LOG_LEVEL": "warning"}
    environment |= {"HOOKPOST_METRICS_ADDRESS": "off", "HOOKPOST_CONSOLE_ADDRESS": "off"}  # their ports are fixed
    command = [sys.executable, "-c", _COMMAND, "dev", "--data-dir", folder, "--grpc-address", "127.0.0.1:0"]
    before = os.environ.get("HOOKPOST_ADDRESS")
    server = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True)
    try:
        address = _address(server)
        os.environ["HOOKPOST_ADDRESS"] = address
        yield address
    finally:
        os.environ.pop("HOOKPOST_ADDRESS", None)
        if before is not None:
            os.environ["HOOKPOST_ADDRESS"] = before
        server.terminate()
        server.communicate(timeout=START)
        shutil.rmtree(folder, ignore_errors=True)


def _address(server: subprocess.Popen[str]) -> str:
    """Reads what the server says until it says where it listens."""
    killer = threading.Timer(START, server.kill)
    killer.start()
    try:
        for line in server.stdout or ():
            if line.strip().startswith("gRPC "):
                return line.split()[1]
    finally:
        killer.cancel()
    raise RuntimeError(f"Hookpost did not start within {START:g} s; its error output is above")


@pytest.fixture
def hookpost_tenant() -> str:
    """Whose events are watched; override it to watch another's."""
    return "default"


@pytest.fixture
def hookpost(hookpost_address: str, hookpost_tenant: str) -> Iterator[Hookpost]:
    """A server and a webhook that gets everything; see the module."""
    from hookpost.client import Client
    from hookpost.v1 import webhook_pb2, webhook_service_pb2

    with contextlib.closing(_Inbox()) as inbox, Client(hookpost_address) as client:
        webhook = webhook_pb2.Webhook(name="pytest", url=inbox.url, event_types=["*"], tenant_id=hookpost_tenant)
        webhook.max_in_flight = 64
        made = client.services.webhooks.CreateWebhook(
            webhook_service_pb2.CreateWebhookRequest(webhook=webhook), timeout=START
        )
        inbox.key = made.signing_key
        try:
            yield Hookpost(hookpost_address, hookpost_tenant, client, inbox)
        finally:
            client.services.webhooks.DeleteWebhook(
                webhook_service_pb2.DeleteWebhookRequest(webhook_id=made.webhook.id, tenant_id=hookpost_tenant),
                timeout=START,
            )


class Hookpost:
    """A running server, as a test sees it."""

    def __init__(self, address: str, tenant: str, client: Client, inbox: _Inbox) -> None:
        self.address = address
        self.tenant = tenant
        self.client = client
        self._inbox = inbox

    @property
    def delivered(self) -> list[Event]:
        """What has come in this test so far, each event once, in order of arrival."""
        with self._inbox.changed:
            return list(self._inbox.events.values())

    def assert_delivered(self, type: str, members: Mapping[str, Any] | None = None, *, timeout: float = 5.0) -> Event:
        """Waits for an event of this type whose payload has these members, and returns it."""
        end = time.monotonic() + timeout
        with self._inbox.changed:
            while True:
                for event in self._inbox.events.values():
                    if event.type == type and _has(event.data, members or {}):
                        return event
                if not self._inbox.changed.wait(end - time.monotonic()):
                    break
            seen = [f"{event.type} {event.data}" for event in self._inbox.events.values()]
        told = "\n  ".join(seen) or "nothing"
        raise AssertionError(f"no {type} with {dict(members or {})} within {timeout:g} s; delivered was:\n  {told}")

    def assert_not_delivered(self, type: str, members: Mapping[str, Any] | None = None) -> None:
        """Fails if such an event has come. What was emitted just before may be on its way: emit something after it, and
        wait for that first.
        """
        for event in self.delivered:
            if event.type == type and _has(event.data, members or {}):
                raise AssertionError(f"{type} was delivered: {event.data}")


def _has(data: Mapping[str, Any], members: Mapping[str, Any]) -> bool:
    return all(name in data and data[name] == value for name, value in members.items())


class _Inbox:
    """A receiver in a thread. What does not verify is answered 401 and forgotten."""

    def __init__(self) -> None:
        self.key = ""
        self.events: dict[str, Event] = {}
        self.changed = threading.Condition()
        inbox = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                self.send_response(204 if inbox.take(body, dict(self.headers.items())) else 401)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/"

    def take(self, body: bytes, headers: dict[str, str]) -> bool:
        from hookpost_receiver import InvalidWebhook, verify

        try:
            event = verify(body, headers, self.key)
        except InvalidWebhook:
            return False
        with self.changed:
            self.events.setdefault(event.id, event)
            self.changed.notify_all()
        return True

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
