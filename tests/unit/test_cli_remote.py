"""Commands against a small server of the test's own: retries, paging, exit codes, what goes to stdout and stderr."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from hookpost.v1 import event_service_pb2 as events
from hookpost.v1 import event_service_pb2_grpc, webhook_service_pb2_grpc
from hookpost.v1 import webhook_service_pb2 as webhooks
from hookpost.v1.webhook_pb2 import Webhook

from .conftest import Run


class Events(event_service_pb2_grpc.EventServiceServicer):
    """Refuses as often as told, then accepts."""

    def __init__(self) -> None:
        self.refusals: list[grpc.StatusCode] = []
        self.requests: list[events.EmitEventRequest] = []
        self.metadata: dict[str, Any] = {}

    def EmitEvent(self, request: events.EmitEventRequest, context: Any) -> events.EmitEventResponse:
        self.requests.append(request)
        self.metadata = {item.key: item.value for item in context.invocation_metadata()}
        if self.refusals:
            context.abort(self.refusals.pop(0), "not now")
        return events.EmitEventResponse(event_id="evt_1", delivery_count=2)


class Webhooks(webhook_service_pb2_grpc.WebhookServiceServicer):
    """Has 1,234 webhooks and remembers the last update."""

    def __init__(self) -> None:
        self.update = webhooks.UpdateWebhookRequest()

    def ListWebhooks(self, request: webhooks.ListWebhooksRequest, context: Any) -> webhooks.ListWebhooksResponse:
        first = int(request.page_token or 0)
        last = min(first + request.page_size, 1234)
        return webhooks.ListWebhooksResponse(
            webhooks=[Webhook(id=f"whk_{number}", name="n") for number in range(first, last)],
            next_page_token=str(last) if last < 1234 else "",
        )

    def UpdateWebhook(self, request: webhooks.UpdateWebhookRequest, context: Any) -> webhooks.UpdateWebhookResponse:
        self.update = request
        return webhooks.UpdateWebhookResponse(webhook=request.webhook)


class Server:
    """Both services on a port of their own."""

    def __init__(self) -> None:
        self.events = Events()  # type: ignore[abstract]  # the other calls answer UNIMPLEMENTED
        self.webhooks = Webhooks()  # type: ignore[abstract]
        self._server = grpc.server(ThreadPoolExecutor(2))
        event_service_pb2_grpc.add_EventServiceServicer_to_server(self.events, self._server)
        webhook_service_pb2_grpc.add_WebhookServiceServicer_to_server(self.webhooks, self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def stop(self) -> None:
        self._server.stop(0).wait()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    server = Server()
    monkeypatch.setenv("HOOKPOST_ADDRESS", server.address)
    for variable in ("HOOKPOST_API_KEY", "HOOKPOST_API_KEY_FILE"):
        monkeypatch.delenv(variable, raising=False)
    yield server
    server.stop()


def test_a_retried_emit_keeps_its_key(server: Server, hookpost: Run, capsys: pytest.CaptureFixture[str]) -> None:
    server.events.refusals = [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNAVAILABLE]
    assert hookpost("emit", "User.Created", ' {"a":1.0} ', "-o", "id") == 0
    captured = capsys.readouterr()
    assert captured.out == "evt_1\n"
    assert "try 2 of 6" in captured.err
    assert len({request.idempotency_key for request in server.events.requests}) == 1
    assert len(server.events.requests) == 3
    assert server.events.requests[0].json == ' {"a":1.0} '
    assert server.events.requests[0].idempotency_key.startswith("cli-")


def test_a_refusal_is_not_retried(server: Server, hookpost: Run, capsys: pytest.CaptureFixture[str]) -> None:
    server.events.refusals = [grpc.StatusCode.PERMISSION_DENIED]
    assert hookpost("emit", "User.Created") == 4
    assert len(server.events.requests) == 1
    assert capsys.readouterr().err.startswith("Error: not now")


def test_a_key_in_a_file_does_too(
    server: Server, hookpost: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "key"
    file.write_text("hpk_of_a_file\n")
    monkeypatch.setenv("HOOKPOST_API_KEY_FILE", str(file))
    assert hookpost("emit", "User.Created") == 0
    assert server.events.metadata["authorization"] == "Bearer hpk_of_a_file"
    for content in (None, "clé".encode()):
        file.unlink() if content is None else file.write_bytes(content)
        assert hookpost("emit", "User.Created") == 2
        assert f"HOOKPOST_API_KEY_FILE={file}: can't be read" in capsys.readouterr().err
    monkeypatch.setenv("HOOKPOST_API_KEY", "hpk_stronger")
    assert hookpost("emit", "User.Created") == 0
    assert server.events.metadata["authorization"] == "Bearer hpk_stronger"


@pytest.mark.parametrize("key", ["clé", "two keys", "hpk_one\nhpk_two"])
def test_what_can_be_no_key_is_not_sent(
    server: Server, hookpost: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], key: str
) -> None:
    monkeypatch.setenv("HOOKPOST_API_KEY", key)
    assert hookpost("emit", "User.Created") == 2
    told = capsys.readouterr().err
    assert "HOOKPOST_API_KEY: is no API key" in told
    assert key not in told


def test_the_key_travels_as_a_bearer(server: Server, hookpost: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOKPOST_API_KEY", "hpk_secret")
    assert hookpost("emit", "User.Created", "--key", "mine", "--occur-time", "2026-08-21T10:00:00Z") == 0
    assert server.events.metadata["authorization"] == "Bearer hpk_secret"
    assert server.events.requests[0].idempotency_key == "mine"
    assert server.events.requests[0].occur_time.ToJsonString() == "2026-08-21T10:00:00Z"


@pytest.mark.parametrize(("limit", "count"), [(3, 3), (1000, 1000), (1100, 1100), (9999, 1234)])
def test_pages_are_followed(
    server: Server, hookpost: Run, capsys: pytest.CaptureFixture[str], limit: int, count: int
) -> None:
    assert hookpost("webhook", "list", "--limit", str(limit), "-o", "id") == 0
    captured = capsys.readouterr()
    assert captured.out.split() == [f"whk_{number}" for number in range(count)]
    assert ("There are more" in captured.err) is (count < 1234)


def test_update_names_what_was_given(server: Server, hookpost: Run, capsys: pytest.CaptureFixture[str]) -> None:
    code = hookpost("webhook", "update", "whk_1", "--timeout", "3s", "--event", "A", "--reset", "headers", "-o", "json")
    assert code == 0
    assert list(server.webhooks.update.update_mask.paths) == ["event_types", "timeout", "headers"]
    assert json.loads(capsys.readouterr().out)["timeout"] == "3s"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("emit",), 2, "Hint: hookpost emit --help"),
        (("emit", "T", "{}", "--occur-time", "noon"), 2, "neither a time"),
        (("emit", "T", "@/none/such"), 2, "can't read the payload"),
        (("emit", "T", "--address", "nowhere"), 2, "is not an address"),
        (("emitt", "T"), 2, "No such command"),
        (("webhook", "update", "whk_1"), 2, "nothing to change"),
        (("webhook", "update", "whk_1", "--timeout", "3s", "--reset", "timeout"), 2, "either give a value"),
        (("webhook", "create", "--name", "n", "--url", "u", "--event", "A", "--retry", "x"), 2, "Hint: default"),
        (("webhook", "create", "--name", "n", "--url", "u", "--event", "A", "--header", "x"), 2, "Name: value"),
        (("delivery", "get", "dlv_1"), 1, "does not speak"),
        (("webhook", "list", "--address", "127.0.0.1:1"), 5, "Hint: is the server running?"),
        (("serve", "--grpc-address", "here"), 2, "--grpc-address: must be HOST:PORT"),
        (("key", "revoke", "whk_1"), 2, "hookpost key list"),
        (("key", "create", "--name", "n", "--scope", "all"), 2, "events-emit"),
        (("sink", "--status", "maybe"), 2, "neither a status"),
    ],
)
def test_errors(
    server: Server, hookpost: Run, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], code: int, said: str
) -> None:
    assert hookpost(*arguments) == code
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.err.startswith("Error: ")
    assert captured.out == ""


def test_settings_are_printed_without_secrets(
    hookpost: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOOKPOST_DATABASE_URL", "postgresql://u:canary@h/d")
    monkeypatch.setenv("HOOKPOST_MAX_IN_FLIGHT", "7")
    assert hookpost("config", "-o", "json") == 0
    printed = capsys.readouterr().out
    assert json.loads(printed)["HOOKPOST_MAX_IN_FLIGHT"] == "7"
    assert "canary" not in printed
    monkeypatch.setenv("HOOKPOST_MAX_IN_FLIGHT", "many")
    monkeypatch.setenv("HOOKPOST_ALLOW_HTTP", "perhaps")
    assert hookpost("config") == 2
    assert "HOOKPOST_MAX_IN_FLIGHT='many'" in (said := capsys.readouterr().err)
    assert "HOOKPOST_ALLOW_HTTP='perhaps'" in said
