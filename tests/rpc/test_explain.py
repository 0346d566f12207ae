"""The words about a failed attempt: every row of the table is provoked by the real thing, and says what comes next."""

import asyncio
import contextlib
import datetime
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass

import pytest
import trustme
from google.protobuf import duration_pb2

from hookpost.v1 import delivery_pb2, event_service_pb2, webhook_pb2, webhook_service_pb2
from hookpost_server.delivery.aiohttp_sender import AiohttpSender
from hookpost_server.delivery.gate import Gate
from hookpost_server.domain.addresses import AddressPolicy
from hookpost_server.domain.delivery import Attempt, Outcome, Result, Trigger
from hookpost_server.domain.explain import CAUSES, cause_of, explain
from tests.delivery.asking import send
from tests.delivery.conftest import LOCAL, authority, trusting  # noqa: F401
from tests.delivery.wire import Exchange, answering, receiving, saying
from tests.receiver import Receiver
from tests.rpc.serving import Client, eventually

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)
LARGE = '{"text": "%s"}' % ("x" * 200_000)  # more than the buffers in between hold
NO_ROUTE = "http://127.255.255.255/"  # the loopback network's broadcast address, to which no connection leads
SHORT = 0.3  # seconds; a deadline that is meant to pass


@dataclass(frozen=True)
class Ends:
    """The two ends of the exchange that goes wrong."""

    sender: AiohttpSender
    authority: trustme.CA


Provoke = Callable[[Ends], Awaitable[tuple[str, Outcome]]]


def attempt(url: str, outcome: Outcome) -> Attempt:
    return Attempt(
        number=1,
        trigger=Trigger.SCHEDULED,
        result=outcome.result,
        status=outcome.status,
        error=outcome.error,
        url=url,
        start_time=NOW,
        latency=0.1,
        headers=outcome.headers,
        body=outcome.body,
        truncated=outcome.truncated,
    )


def to(url: str) -> Provoke:
    async def provoke(ends: Ends) -> tuple[str, Outcome]:
        return url, await send(ends.sender, url)

    return provoke


async def to_a_port_without_a_server(ends: Ends) -> tuple[str, Outcome]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, so that nobody else takes it, but not listening
        return await to(f"http://127.0.0.1:{taken.getsockname()[1]}/")(ends)


def certified(make: Callable[[trustme.CA], ssl.SSLContext]) -> Provoke:
    async def provoke(ends: Ends) -> tuple[str, Outcome]:
        async with receiving(tls=make(ends.authority)) as receiver:
            return receiver.url, await send(ends.sender, receiver.url)

    return provoke


def serving(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def self_signed(_: trustme.CA) -> ssl.SSLContext:
    """A certificate that vouches for itself: an authority's own."""
    own = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with own.cert_pem.tempfile() as certificate, own.private_key_pem.tempfile() as key:
        context.load_cert_chain(certificate, key)
    return context


async def tls_to_a_plain_server(ends: Ends) -> tuple[str, Outcome]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        return url, await send(ends.sender, url)


async def a_handshake_that_never_ends(ends: Ends) -> tuple[str, Outcome]:
    async with receiving() as silent:
        url = silent.url.replace("http:", "https:")
        return url, await send(ends.sender, url, timeout=SHORT)


def answered(answer: Callable[[Exchange], Awaitable[object]], timeout: float = 20.0) -> Provoke:
    async def provoke(ends: Ends) -> tuple[str, Outcome]:
        async with receiving(answer) as receiver:
            return receiver.url, await send(ends.sender, receiver.url, timeout=timeout)

    return provoke


@contextlib.contextmanager
def never_reading() -> Iterator[str]:
    """Takes connections and no more of a request than a few small packets."""
    with socket.socket() as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"


async def a_body_that_is_not_read(ends: Ends) -> tuple[str, Outcome]:
    with never_reading() as url:
        return url, await send(ends.sender, url, timeout=SHORT, body=LARGE.encode())


async def reset(exchange: Exchange) -> None:
    exchange.reset()


async def to_an_address_that_is_refused(ends: Ends) -> tuple[str, Outcome]:
    async with receiving() as receiver:
        strict = AiohttpSender(Gate(AddressPolicy()))
        try:
            return receiver.url, await send(strict, receiver.url)
        finally:
            await strict.close()


def status(number: int, headers: str = "") -> Provoke:
    return answered(answering(number, b"", headers))


def html(number: int) -> Provoke:
    return answered(answering(number, b"<html>no</html>", "content-type: text/html; charset=utf-8\r\n"))


# The row's name and the real thing that leads to it.
REAL: list[tuple[str, Provoke]] = [
    ("dns", to("http://no-such-host.invalid/")),
    ("refused", to_a_port_without_a_server),
    ("unreachable", to(NO_ROUTE)),
    ("tls-expired", certified(
        lambda ca: serving(ca.issue_cert("127.0.0.1", not_before=NOW - 3 * DAY, not_after=NOW - DAY)))),
    ("tls-host", certified(lambda ca: serving(ca.issue_cert("example.org")))),
    ("tls-host", certified(lambda ca: serving(ca.issue_cert("127.0.0.2")))),
    ("tls-self-signed", certified(self_signed)),
    ("tls-issuer", certified(lambda ca: serving(trustme.CA().issue_cert("127.0.0.1")))),
    ("tls-plain", tls_to_a_plain_server),
    ("tls", certified(lambda ca: serving(ca.issue_cert("127.0.0.1", not_before=NOW + DAY, not_after=NOW + 2 * DAY)))),
    ("timeout-connect", a_handshake_that_never_ends),
    ("timeout-send", a_body_that_is_not_read),
    ("timeout", answered(Exchange.left, SHORT)),
    ("lost", answered(reset)),
    ("lost", answered(saying())),
    ("invalid", answered(saying(b"SSH-2.0-OpenSSH_9.9\r\n"))),
    ("address", to_an_address_that_is_refused),
    ("internal", to("http://")),
    *(
        ("redirect-login", status(302, f"location: {target}\r\n"))
        for target in ("/login?next=/hook", "https://x.example/SignIn")
    ),
    ("redirect-https", status(301, "location: https://127.0.0.1/hook\r\n")),
    ("redirect-https", status(308, "location: https://example.com/\r\n")),
    ("redirect", status(302, "location: /elsewhere\r\n")),
    ("redirect", status(304)),
    ("401", status(401)),
    ("401", html(401)),
    ("403", status(403)),
    ("403-html", html(403)),
    ("404", status(404)),
    ("404", html(404)),
    ("405", status(405)),
    ("408", status(408)),
    ("410", status(410)),
    ("413", status(413)),
    ("415", status(415)),
    ("422", status(422)),
    ("422", status(400)),
    ("429", status(429)),
    *(("proxy-html", html(number)) for number in (502, 503, 504)),
    ("502", status(502)),
    ("502", status(504)),
    ("503", status(503)),
    ("5xx", status(500)),
    ("5xx", html(500)),
    ("5xx", status(599)),
    ("1xx", answered(saying(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"))),
    ("4xx", status(418)),
    ("4xx", status(499)),
]  # fmt: skip

# What not every machine can be made to do.
TOLD: list[tuple[str, Outcome]] = [
    ("unreachable", Outcome(result=Result.CONNECT_FAILED, error="no route to host")),
    ("connect", Outcome(result=Result.CONNECT_FAILED, error="connection timed out")),
    ("tls-self-signed", Outcome(
        result=Result.TLS_FAILED, error="certificate: self-signed certificate in certificate chain")),
    ("tls-plain", Outcome(result=Result.TLS_FAILED, error="TLS: wrong version number")),
    ("tls-plain", Outcome(result=Result.TLS_FAILED, error="TLS: record layer failure")),
]  # fmt: skip


@pytest.fixture
async def ends(authority: trustme.CA, trusting: ssl.SSLContext) -> AsyncIterator[Ends]:  # noqa: F811
    sender = AiohttpSender(Gate(LOCAL), tls=trusting)
    yield Ends(sender, authority)
    await sender.close()


@pytest.mark.parametrize(("name", "provoke"), REAL, ids=[f"{name}-{n}" for n, (name, _) in enumerate(REAL)])
async def test_the_real_thing(ends: Ends, name: str, provoke: Provoke) -> None:
    url, outcome = await provoke(ends)
    failed = attempt(url, outcome)
    assert failed.result is not Result.SUCCEEDED
    assert cause_of(failed) == name, outcome
    text = next(cause.text for cause in CAUSES if cause.name == name)
    assert explain(failed) == text
    assert explain(failed, "And then.") == f"{text} And then."


@pytest.mark.parametrize(("name", "outcome"), TOLD, ids=[f"{name}-{n}" for n, (name, _) in enumerate(TOLD)])
def test_what_can_only_be_told(name: str, outcome: Outcome) -> None:
    assert cause_of(attempt("https://example.com/", outcome)) == name


def test_no_row_without_a_test() -> None:
    names = [cause.name for cause in CAUSES]
    assert len(set(names)) == len(names)
    assert {name for name, _ in (*REAL, *TOLD)} == set(names)


@pytest.mark.parametrize("result", [each for each in Result if each is not Result.SUCCEEDED])
@pytest.mark.parametrize("number", [None, 100, 199, 300, 399, 400, 451, 499, 500, 599])
def test_no_failure_without_words(result: Result, number: int | None) -> None:
    """Whatever comes, sentences that end, and no address in them: the log is not a port scanner."""
    words = explain(attempt("https://10.1.2.3/", Outcome(result=result, status=number, error="strange 10.1.2.3")))
    assert words.endswith(".")
    assert "10.1.2.3" not in words


@pytest.mark.parametrize(
    ("target", "cause"),
    [
        *(
            (target, "redirect-login")
            for target in (
                *("/login", "/Login", "/users/log_in", "/wp-login.php?redirect_to=%2Fhook", "/login;jsessionid=1"),
                *("/signin", "/sign-in#top", "/UserSignIn", "/api/auth/signon", "/accounts/login/?next=/hook"),
                *("https://auth.example.com/", "https://id.example/auth/realms", "/oauth2/authorize", "/saml/sso"),
                *("https://accounts.google.com/v3", "https://login.microsoftonline.com/common", "//sso.example/x"),
            )
        ),
        *(
            (target, "redirect")
            for target in (
                *("/authors", "/authors/7/hooks", "/author", "/authority", "/blogins", "/assigning", "/design-inn"),
                *("/accounts/7/hooks", "/hook?from=/login", "/hook#login", "/authentic", "/lessons", "/processors"),
                *("https://authors.example.com/", "https://example.com/catalogin", "/SignInn", "", "/"),
            )
        ),
    ],
)
def test_where_a_redirect_leads(target: str, cause: str) -> None:
    """A page to sign in at is known by a word of the host or the path, not by letters amid a word or by the query."""
    redirected = Outcome(result=Result.REDIRECTED, status=302, headers=(("location", target),))
    assert cause_of(attempt("https://example.com/hook", redirected)) == cause


def test_success_needs_no_words() -> None:
    assert explain(attempt("https://example.com/", Outcome(result=Result.SUCCEEDED, status=204)), "And then.") == ""


class TestWhatComesNext:
    """As callers read it, in the log and in a test's result."""

    pytestmark = pytest.mark.asyncio(loop_scope="module")
    LATER = webhook_pb2.RetryPolicy(delays=[duration_pb2.Duration(), duration_pb2.Duration(seconds=3600)], jitter=0.0)

    async def test_while_it_is_retried_and_at_the_end(self, client: Client, receiver: Receiver) -> None:
        receiver.answers.extend([(500, ""), (503, "")])
        webhook = await client.create(receiver.url, retry_policy=self.LATER)
        event = await client.emit()
        await receiver.received(2)
        (listed,) = (await client.event(event.event_id)).deliveries

        async def tried_twice() -> delivery_pb2.Delivery | None:
            found = await client.delivery(listed.id)
            return found if found.attempt_count == 2 else None

        entry = await eventually(tried_twice)
        first, second = entry.attempts
        assert first.explanation == (
            "The receiver failed while it handled the request. Its own log will say why. It was tried again."
        )
        due = entry.next_attempt_time.ToDatetime()
        assert second.explanation.startswith("The receiver says that it is unavailable for now")
        assert second.explanation.endswith(f"The next attempt is due at {due:%Y-%m-%d %H:%M:%S} UTC.")

        await client.webhooks.DeleteWebhook(
            webhook_service_pb2.DeleteWebhookRequest(webhook_id=webhook.id, tenant_id=client.tenant)
        )
        first, second = (await client.delivery(entry.id)).attempts
        assert first.explanation.endswith("It was tried again.")
        assert second.explanation.endswith("It is not tried again by itself.")

    async def test_while_the_webhook_is_stopped(self, client: Client, receiver: Receiver) -> None:
        receiver.answers.extend([(500, ""), (410, "")])
        later = webhook_pb2.RetryPolicy(delays=[duration_pb2.Duration(seconds=3600)], jitter=0.0)
        webhook = await client.create(receiver.url, retry_policy=later)
        event = await client.emit()
        (listed,) = (await client.event(event.event_id)).deliveries
        named = {"webhook_id": webhook.id, "tenant_id": client.tenant}

        async def told() -> str | None:
            attempts = (await client.delivery(listed.id)).attempts
            return attempts[0].explanation.removeprefix(next(c.text for c in CAUSES if c.name == "5xx") + " ") or None

        async def tried() -> bool | None:
            return True if (await client.delivery(listed.id)).attempt_count else None

        await eventually(tried)
        assert (await told()).startswith("The next attempt is due at")
        await client.webhooks.DisableWebhook(webhook_service_pb2.DisableWebhookRequest(**named))
        assert await told() == "The webhook is disabled: the next attempt waits until it is enabled."
        await client.webhooks.EnableWebhook(webhook_service_pb2.EnableWebhookRequest(**named))
        assert (await told()).startswith("The next attempt is due at")
        await client.ended((await client.emit()).event_id)  # 410

        async def suspended() -> bool | None:
            return True if (await client.webhook(webhook.id)).state == webhook_pb2.WEBHOOK_STATE_SUSPENDED else None

        await eventually(suspended)
        assert await told() == "The webhook is suspended: the next attempt waits until it is enabled."

    async def test_sent_again_while_the_webhook_is_stopped(self, client: Client, receiver: Receiver) -> None:
        """The attempt of before succeeded, and has nothing to tell."""
        webhook = await client.create(receiver.url)
        (entry,) = await client.ended((await client.emit()).event_id)
        named = {"webhook_id": webhook.id, "tenant_id": client.tenant}
        await client.webhooks.DisableWebhook(webhook_service_pb2.DisableWebhookRequest(**named))
        await client.redeliver(entry.id)
        waiting = await client.delivery(entry.id)
        assert waiting.state == delivery_pb2.DELIVERY_STATE_PENDING
        assert waiting.explanation == "The webhook is disabled: the delivery waits until it is enabled."
        assert not waiting.attempts[0].explanation
        await client.webhooks.EnableWebhook(webhook_service_pb2.EnableWebhookRequest(**named))
        await client.ended(entry.event_id)
        assert not (await client.delivery(entry.id)).explanation

    async def test_while_an_attempt_is_under_way(self, client: Client, receiver: Receiver) -> None:
        at_once = webhook_pb2.RetryPolicy(
            delays=[duration_pb2.Duration(nanos=1), duration_pb2.Duration(seconds=3600)], jitter=0.0
        )
        receiver.decide = lambda request: (500, "")
        await client.create(receiver.url, retry_policy=at_once)
        receiver.hold()
        event = await client.emit()
        await receiver.received(1)
        receiver.release()
        receiver.hold()
        await receiver.received(2)
        (listed,) = (await client.event(event.event_id)).deliveries
        (first,) = (await client.delivery(listed.id)).attempts
        assert first.explanation.endswith("The next attempt is under way, or about to be.")
        receiver.release()

        async def second() -> str | None:
            attempts = (await client.delivery(listed.id)).attempts
            return attempts[1].explanation if len(attempts) == 2 else None

        assert "The next attempt is due at" in await eventually(second)

    async def test_refused_for_good_and_repaired(self, client: Client, receiver: Receiver) -> None:
        receiver.answers.append((404, ""))
        await client.create(receiver.url)
        event = await client.emit()
        (entry,) = await client.ended(event.event_id)
        (only,) = entry.attempts
        assert only.explanation == (
            "The receiver does not know this path. Check the path in the webhook's URL. "
            "It is not tried again by itself."
        )
        await client.redeliver(entry.id)
        (entry,) = await client.ended(event.event_id)
        assert [each.explanation[-20:] for each in entry.attempts] == [" It was tried again.", ""]

    async def test_of_a_test_nothing_follows(self, client: Client, receiver: Receiver) -> None:
        receiver.decide = lambda request: (410, "")
        webhook = await client.create(receiver.url)
        ((_, told),) = await client.test(webhook.id, "User.Created")
        assert told.explanation == next(cause.text for cause in CAUSES if cause.name == "410")
        assert (await client.webhook(webhook.id)).state == webhook_pb2.WEBHOOK_STATE_ACTIVE

    @pytest.mark.parametrize("name", ["unreachable", "timeout-send"])
    async def test_of_what_no_receiver_can_tell(self, client: Client, name: str) -> None:
        with never_reading() as deaf:
            url = {"unreachable": NO_ROUTE, "timeout-send": deaf}[name]
            await client.create(url, retry_policy=self.LATER, timeout=duration_pb2.Duration(seconds=1))
            emitted = await client.emit(LARGE, wait=event_service_pb2.Wait(timeout=duration_pb2.Duration(seconds=20)))
        (told,) = emitted.deliveries
        assert told.attempt.explanation == next(cause.text for cause in CAUSES if cause.name == name)

    async def test_the_log_is_no_port_scanner(self, client: Client) -> None:
        webhook = await client.create("http://127.0.0.1:1025/")
        ((_, told),) = await client.test(webhook.id, "User.Created")
        assert told.outcome == delivery_pb2.ATTEMPT_OUTCOME_CONNECT_FAILED
        assert told.explanation.startswith("The host refused the connection")
        assert "127.0.0.1" not in told.explanation + told.error_message
