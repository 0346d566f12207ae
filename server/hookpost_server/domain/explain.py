"""Why an attempt failed, in a sentence for people: what happened, why probably, what to do."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from . import webhook
from .delivery import Attempt, Delivery, Result, State


@dataclass(frozen=True, slots=True)
class Cause:
    """A row of the table: the first whose test holds explains the attempt."""

    name: str
    holds: Callable[[Attempt], bool]
    text: str


def _status(*statuses: int) -> Callable[[Attempt], bool]:
    return lambda attempt: attempt.status in statuses


def _result(result: Result, *words: str) -> Callable[[Attempt], bool]:
    """The result, with one of the words in the technical cause if any are given."""
    return lambda attempt: attempt.result is result and (not words or any(word in attempt.error for word in words))


def _html(attempt: Attempt) -> bool:
    kind = next((value for name, value in attempt.headers if name == "content-type"), "")
    return attempt.status is not None and attempt.status >= 400 and kind.startswith("text/html")


# Words of a host or a path that a person signs in at; other words that have them inside, as /authors, are none.
_SIGN_IN = re.compile(
    r"(?<![a-z0-9])"
    r"(log-?[io]n|sign-?[io]n|sso|saml2?|o?auth2?|authn|authenticate|authentication|authorize|openid|oidc"
    r"|(?<=//)accounts(?=\.))"
    r"(?![a-z0-9])"
)
_AMID_A_NAME = re.compile(r"(?<=[a-z])(?=[A-Z])|_")  # UserSignIn, sign_in


def _login_page(attempt: Attempt) -> bool:
    target = next((value for name, value in attempt.headers if name == "location"), "")
    place = _AMID_A_NAME.sub("-", re.split(r"[?#]", target, maxsplit=1)[0]).lower()
    return attempt.result is Result.REDIRECTED and _SIGN_IN.search(place) is not None


def _only_https(attempt: Attempt) -> bool:
    target = next((value for name, value in attempt.headers if name == "location"), "")
    return attempt.result is Result.REDIRECTED and attempt.url.startswith("http:") and target.startswith("https:")


# From the particular to the general; the last rows catch everything, so that no failure is without words.
CAUSES: tuple[Cause, ...] = (
    Cause("dns", _result(Result.DNS_FAILED), "The host's name could not be resolved. Check its spelling and that it has a public DNS record."),
    Cause("refused", _result(Result.CONNECT_FAILED, "refused"), "The host refused the connection: nothing listens on that port. Check the port and that the receiver runs."),
    Cause("unreachable", _result(Result.CONNECT_FAILED, "unreachable", "no route"), "There is no route to the host. Check its network and firewall."),
    Cause("connect", _result(Result.CONNECT_FAILED), "No connection to the host could be made. Check that the receiver runs and that a firewall lets this server through."),
    Cause("tls-expired", _result(Result.TLS_FAILED, "expired"), "The receiver's TLS certificate has expired. Renew it."),
    Cause("tls-host", _result(Result.TLS_FAILED, "mismatch", "not valid for"), "The receiver's TLS certificate is for another host name. Install one for the name in the URL."),
    Cause("tls-self-signed", _result(Result.TLS_FAILED, "self-signed", "self signed"), "The receiver's TLS certificate is self-signed. Use one of a public certificate authority."),
    Cause("tls-issuer", _result(Result.TLS_FAILED, "issuer"), "The receiver's TLS certificate is of an unknown authority, or the receiver does not send the certificates in between. Install the full chain."),
    Cause("tls-plain", _result(Result.TLS_FAILED, "wrong version number", "record layer"), "The receiver does not speak TLS on this port. Check the port, or whether the URL should begin with http."),
    Cause("tls", _result(Result.TLS_FAILED), "No trusted TLS connection could be made. Check the receiver's certificate and that it offers TLS 1.2 or newer."),
    Cause("timeout-connect", _result(Result.TIMED_OUT, "connecting"), "The host did not answer the connection in time: it is down, or a firewall drops the packets silently."),
    Cause("timeout-send", _result(Result.TIMED_OUT, "sending"), "The receiver accepted the connection but did not read the request in time. It may be overloaded."),
    Cause("timeout", _result(Result.TIMED_OUT), "The receiver got the request but did not answer in time. Let it answer 2xx first and do the work afterwards."),
    Cause("lost", _result(Result.CONNECTION_LOST), "The connection broke before an answer came. The receiver or a proxy before it crashed, restarted or closed it; it may have got the request."),
    Cause("invalid", _result(Result.INVALID_RESPONSE), "What came back is not HTTP. Another service listens on this port, or the receiver's answer is malformed."),
    Cause("address", _result(Result.ADDRESS_REFUSED), "The host leads to an address that Hookpost must not reach, such as a private or local one. Use a public address, or let the operator allow the network."),
    Cause("internal", _result(Result.INTERNAL), "Hookpost could not make the request; this is not the receiver's fault. The server's log says why."),
    Cause("redirect-login", _login_page, "The receiver redirected to a page to sign in: it does not let unauthenticated requests through. Exempt the path, or add an authorization header."),
    Cause("redirect-https", _only_https, "The receiver redirected to https, and redirects are not followed. Change the webhook's URL to begin with https."),
    Cause("redirect", _result(Result.REDIRECTED), "The receiver redirected, and redirects are not followed. Change the webhook's URL to where it points."),
    Cause("401", _status(401), "The receiver wants authentication. Check the signing key on its side, or add the authorization header that it expects."),
    Cause("403-html", lambda attempt: attempt.status == 403 and _html(attempt), "A page in HTML forbade the request: probably a firewall or bot protection before the receiver. Let this server's requests through."),
    Cause("403", _status(403), "The receiver forbade the request. Check the signing key on its side, its allow-list of addresses, and CSRF protection on the path."),
    Cause("404", _status(404), "The receiver does not know this path. Check the path in the webhook's URL."),
    Cause("405", _status(405), "The receiver does not take POST on this path. Check the path and the route's methods."),
    Cause("408", _status(408), "The receiver, or a proxy before it, gave up waiting for the request. It may be overloaded."),
    Cause("410", _status(410), "The receiver said that it is gone for good, which suspends the webhook. Enable it once the receiver is back."),
    Cause("413", _status(413), "The payload is larger than the receiver takes. Raise its body limit."),
    Cause("415", _status(415), "The receiver does not take this content type. Check what it expects; a custom content-type header overrides the default."),
    Cause("422", _status(400, 422), "The receiver did not accept the payload. Its answer may say why; check the payload format and whether it parses JSON."),
    Cause("429", _status(429), "The receiver got more requests than it takes. Lower the webhook's rate limit, or raise the receiver's."),
    Cause("proxy-html", lambda attempt: attempt.status in (502, 503, 504) and _html(attempt), "A proxy before the receiver answered with a page of its own: it could not reach the receiver behind it."),
    Cause("502", _status(502, 504), "A proxy could not get an answer from the receiver behind it. Check that the receiver runs."),
    Cause("503", _status(503), "The receiver says that it is unavailable for now: overloaded, or in maintenance."),
    Cause("5xx", lambda attempt: (attempt.status or 0) >= 500, "The receiver failed while it handled the request. Its own log will say why."),
    Cause("1xx", lambda attempt: (attempt.status or 999) < 200, "The receiver wanted to change the protocol instead of answering. Check what listens on this path."),
    Cause("4xx", lambda attempt: True, "The receiver refused the request. Its answer may say why."),
)  # fmt: skip


def explain(attempt: Attempt, following: str = "") -> str:
    """One or two sentences about a failed attempt, with what happens next; empty if it succeeded."""
    if attempt.result is Result.SUCCEEDED:
        return ""
    text = next(cause.text for cause in CAUSES if cause.holds(attempt))
    return f"{text} {following}".rstrip()


# Why no attempt is made though one is due, and what comes after a failed one.
WAITS = {
    "expired": "Given up without a further attempt: the receiver was down for so long that it came too late. "
    "Redeliver it once the receiver is back.",
    "held": "Held back, with no attempt used up: the receiver has failed several times in a row and is thought to be "
    "down. It is tried again in {seconds} s, with one delivery; the others follow once that succeeds.",
    "held-now": "Held back, with no attempt used up: the receiver has failed several times in a row and is thought to "
    "be down. It is tried again now, with one delivery; the others follow once that succeeds.",
    "disabled": "The webhook is disabled: the delivery waits until it is enabled.",
    "suspended": "The webhook is suspended: the delivery waits until it is enabled.",
}
FOLLOWING = {
    "tried": "It was tried again.",
    "ended": "It is not tried again by itself.",
    "under-way": "The next attempt is under way, or about to be.",
    "disabled": "The webhook is disabled: the next attempt waits until it is enabled.",
    "suspended": "The webhook is suspended: the next attempt waits until it is enabled.",
    "due": "The next attempt is due at {time} UTC.",
}


def wait_of(delivery: Delivery, held_for: float | None) -> tuple[str, dict[str, str]]:
    """The name in WAITS and its values; no name when the attempts tell all.

    `held_for`: seconds until the webhook is tried again; None if it is not held back.
    """
    if delivery.expired:
        return "expired", {}
    if delivery.state is not State.PENDING:
        return "", {}
    if held_for is not None:
        return ("held", {"seconds": f"{held_for:.0f}"}) if held_for else ("held-now", {})
    failed = delivery.attempts and delivery.attempts[-1].result is not Result.SUCCEEDED  # it tells what follows
    stands = delivery.webhook_state
    if not failed and not delivery.under_way and stands is not None and stands is not webhook.State.ACTIVE:
        return stands.name.lower(), {}
    return "", {}


def explain_wait(delivery: Delivery, held_for: float | None) -> str:
    """Why no attempt is made though one is due, or was made; empty when the attempts tell all."""
    name, values = wait_of(delivery, held_for)
    return WAITS[name].format(**values) if name else ""


def following_of(delivery: Delivery, *, last: bool) -> tuple[str, dict[str, str]]:
    """What came after a failed attempt, or will: the name in FOLLOWING and its values."""
    if not last:
        return "tried", {}
    if delivery.state is not State.PENDING or delivery.webhook_state is None:
        return "ended", {}
    if delivery.under_way:
        return "under-way", {}
    if delivery.webhook_state is not webhook.State.ACTIVE:
        return delivery.webhook_state.name.lower(), {}
    return "due", {"time": f"{delivery.due_time:%Y-%m-%d %H:%M:%S}"}


def following(delivery: Delivery, *, last: bool) -> str:
    """What came after a failed attempt, or will."""
    name, values = following_of(delivery, last=last)
    return FOLLOWING[name].format(**values)


def cause_of(attempt: Attempt) -> str:
    """The name of the row that explains the attempt."""
    return next(cause.name for cause in CAUSES if cause.holds(attempt))
