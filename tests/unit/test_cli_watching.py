"""Watching, verifying and forwarding without a server, or with one that goes away."""

from __future__ import annotations

import http.server
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from hookpost.v1 import delivery_service_pb2_grpc
from hookpost.v1.delivery_pb2 import Delivery, Header, SentRequest
from hookpost.v1.delivery_service_pb2 import DeliveryFilter, WatchDeliveriesRequest, WatchDeliveriesResponse
from hookpost_server.cli import watching
from hookpost_server.cli.channel import Remote
from hookpost_server.cli.failures import ExitCode, Failure
from hookpost_server.cli.forward import Forwarder
from hookpost_server.cli.verify import parse_headers
from hookpost_server.cli.watching import Watch

from .conftest import Run

Step = list[WatchDeliveriesResponse] | grpc.StatusCode


class Deliveries(delivery_service_pb2_grpc.DeliveryServiceServicer):
    """Plays its steps, one for each call: answers and then UNAVAILABLE, or a status at once."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.tokens: list[str] = []

    def WatchDeliveries(self, request: WatchDeliveriesRequest, context: Any) -> Iterator[WatchDeliveriesResponse]:
        self.tokens.append(request.resume_token)
        step = self.steps.pop(0)
        if isinstance(step, list):
            yield from step
            step = grpc.StatusCode.UNAVAILABLE
        context.abort(step, "so it is")


@pytest.fixture
def deliveries(monkeypatch: pytest.MonkeyPatch) -> Iterator[Deliveries]:
    servicer = Deliveries()  # type: ignore[abstract]
    server = grpc.server(ThreadPoolExecutor(2))
    delivery_service_pb2_grpc.add_DeliveryServiceServicer_to_server(servicer, server)
    monkeypatch.setenv("HOOKPOST_ADDRESS", f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
    monkeypatch.delenv("HOOKPOST_API_KEY", raising=False)
    monkeypatch.setattr(watching, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(watching, "LONGEST_PAUSE", 0.05)
    server.start()
    yield servicer
    server.stop(0).wait()


def heartbeat(token: str) -> WatchDeliveriesResponse:
    return WatchDeliveriesResponse(resume_token=token)


def change(identity: str, token: str = "") -> WatchDeliveriesResponse:
    return WatchDeliveriesResponse(delivery=Delivery(id=identity, state="DELIVERY_STATE_FAILED"), resume_token=token)


def test_a_watch_goes_on_where_it_was(
    deliveries: Deliveries,
    hookpost: Run,
    capsys: pytest.CaptureFixture[str],
) -> None:
    deliveries.steps = [
        [heartbeat("t0"), change("dlv_1"), change("dlv_2", "t2"), change("dlv_3")],
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.UNAVAILABLE,
        [change("dlv_3"), change("dlv_4", "t4")],
    ]
    assert hookpost("delivery", "watch", "-o", "id", "--limit", "5", "--resume", "mine") == 0
    captured = capsys.readouterr()
    assert captured.out.split() == ["dlv_1", "dlv_2", "dlv_3", "dlv_3", "dlv_4"]
    assert deliveries.tokens == ["mine", "t2", "t2", "t2"], "a step is only done with once its token has come"
    assert captured.err.count("The server is away") == 1
    assert captured.err.count("The server is back") == 1


def test_a_watcher_that_fell_behind_is_told_why(
    deliveries: Deliveries,
    hookpost: Run,
    capsys: pytest.CaptureFixture[str],
) -> None:
    deliveries.steps = [[heartbeat("t0")], grpc.StatusCode.OUT_OF_RANGE]
    assert hookpost("delivery", "watch", "-o", "jsonl") == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Error: so it is" in captured.err


def test_a_server_that_was_never_there(
    deliveries: Deliveries,
    hookpost: Run,
    capsys: pytest.CaptureFixture[str],
) -> None:
    deliveries.steps = [grpc.StatusCode.UNAVAILABLE]
    assert hookpost("delivery", "watch") == ExitCode.UNREACHABLE
    assert deliveries.tokens == [""]


def test_a_silent_connection_is_made_anew(deliveries: Deliveries, monkeypatch: pytest.MonkeyPatch) -> None:
    deliveries.steps = [[heartbeat("t0")], grpc.StatusCode.DEADLINE_EXCEEDED, [heartbeat("t1")]]
    with Remote(os.environ["HOOKPOST_ADDRESS"]) as remote:
        answers = iter(Watch(remote, DeliveryFilter()))
        assert [next(answers).resume_token for _ in range(2)] == ["t0", "t1"]
        answers.close()  # type: ignore[attr-defined]
    assert deliveries.tokens == ["", "t0", "t0"]


@pytest.mark.parametrize(
    "text",
    [
        "Webhook-Id: evt_1\r\nX-Y:  a: b \r\n\r\n",
        "POST /hook HTTP/1.1\nwebhook-id: evt_1\nx-y: a: b",
        "> webhook-id: evt_1\n> x-y: a: b\n",
        '{"Webhook-Id": "evt_1", "x-y": ["a: b"]}',
        '[{"name": "webhook-id", "value": "evt_1"}, {"name": "X-Y", "value": "a: b"}]',
    ],
)
def test_headers_as_they_are_at_hand(text: str) -> None:
    assert parse_headers(text) == {"webhook-id": "evt_1", "x-y": "a: b"}


@pytest.mark.parametrize("url", ["127.0.0.1:3000", "ftp://h/", "http://", "http://[::1/", "http://h:port/"])
def test_urls_that_can_not_be_forwarded_to(url: str) -> None:
    with pytest.raises(Failure) as caught:
        Forwarder(url)
    assert caught.value.code is ExitCode.USAGE


class Handler(http.server.BaseHTTPRequestHandler):
    got: tuple[str, list[tuple[str, str]], bytes]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        type(self).got = (self.path, [(name.lower(), value) for name, value in self.headers.items()], body)
        self.send_response(207)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_a_request_is_forwarded_as_it_was_sent() -> None:
    sent = SentRequest(
        headers=[Header(name="webhook-signature", value="v1,x"), Header(name="authorization", value="***")],
        body='{"ü": 1.0}',
    )
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        port = server.server_port
        assert Forwarder(f"http://127.0.0.1:{port}/a?b=c").post(sent).startswith("207 after ")
        thread.join()
    path, headers, body = Handler.got
    assert (path, body) == ("/a?b=c", '{"ü": 1.0}'.encode())
    assert headers == [
        ("host", f"127.0.0.1:{port}"),
        ("webhook-signature", "v1,x"),
        ("content-length", "11"),
    ], "and no value that the log hides"
    assert "refused" in Forwarder(f"http://127.0.0.1:{port}/").post(sent).lower()


def test_verify_needs_files(hookpost: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    body = tmp_path / "body"
    body.write_bytes(b"{}")
    assert hookpost("verify", "--secret", "k", "--headers", str(tmp_path / "none"), "--body", str(body)) == 2
    assert hookpost("verify", "--secret", " ", "--headers", str(body), "--body", str(body)) == 2
    assert "the secret is empty" in capsys.readouterr().err
    assert hookpost("verify", "--secret", "k", "--headers", str(body), "--body", str(body)) == 1
    assert "Error: there is no signature to verify" in capsys.readouterr().err
