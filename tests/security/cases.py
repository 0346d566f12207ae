"""The ninety adversarial cases, and which tests are about each.

A test says so by its name, `test_c1_…` (several: `test_a5_a6_…`), or by the marker `case`, on a test anywhere or on
one of its parameters: `@pytest.mark.case("B3", "B4")`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import pytest

GROUPS = {
    "A": "destination address",
    "B": "URL spelling",
    "C": "DNS and connection",
    "D": "response",
    "E": "headers, signature, secrets",
    "F": "gRPC and API",
    "G": "console",
    "H": "delivery state races",
}
CASES = {
    "A1": "loopback",
    "A2": "metadata services, even where everything is allowed",
    "A3": "first and last address of every range, and those just outside",
    "A4": "unspecified addresses",
    "A5": "IPv4 mapped into, compatible with, or translated to IPv6",
    "A6": "NAT64",
    "A7": "6to4 and Teredo",
    "A8": "link-local, site-local, unique local, multicast, segment routing, documentation",
    "A9": "this server's own ports, on any address of the machine",
    "A10": "what the operator denies",
    "A11": "denied IPv4 in every carrier prefix",
    "B1": "numeric spellings of an address",
    "B2": "full-width, circled and other digits",
    "B3": "user information",
    "B4": "where the host ends",
    "B5": "names of this machine and this network",
    "B6": "public names that lead to loopback",
    "B7": "ports",
    "B8": "other schemes, no scheme, no host, too long",
    "B9": "hosts that are none",
    "B10": "control characters",
    "B11": "homographs",
    "B12": "brackets",
    "C1": "rebinding",
    "C2": "public and private addresses in one answer",
    "C3": "300 addresses in one answer",
    "C4": "name servers that fail or keep silent",
    "C5": "chains and loops of canonical names",
    "C6": "the environment",
    "C7": "certificates",
    "C8": "no answer, black holes, resets",
    "C9": "an idle connection that the receiver has closed",
    "C10": "test sends",
    "D1": "redirects",
    "D2": "compressed bombs",
    "D3": "an endless body",
    "D4": "a drip",
    "D5": "endless interim answers, 101",
    "D6": "heads that are no HTTP",
    "D7": "bodies that are hostile to readers",
    "D8": "cookies",
    "D9": "Retry-After",
    "D10": "an answer before the request was read",
    "D11": "a body that breaks off",
    "D12": "an answer at the very deadline",
    "D13": "410 Gone: suspended and told of, what waits is kept",
    "E1": "header values with controls",
    "E2": "header names that are none",
    "E3": "headers of the connection",
    "E4": "headers of ours",
    "E5": "event types and ids with separators",
    "E6": "payload bytes",
    "E7": "rotation with requests under way",
    "E8": "secrets in what is shown",
    "E9": "ciphertext that was moved or changed",
    "E10": "starting without the right key",
    "F1": "bad credentials",
    "F2": "every method, scope and tenant",
    "F3": "a method without a scope",
    "F4": "foreign ids",
    "F5": "page tokens",
    "F6": "messages that are none",
    "F7": "payloads that are none",
    "F8": "secrets in a fault's text",
    "F9": "cancelled calls",
    "F10": "an idempotency key a thousand times at once",
    "F11": "floods",
    "F12": "deadlines",
    "F13": "metadata",
    "F14": "page sizes and large replies",
    "F15": "a second server on the port",
    "F16": "listening beyond loopback",
    "F17": "SQL and other metacharacters",
    "F18": "ten thousand webhooks",
    "F19": "a receiver that emits",
    "G1": "cross-site requests",
    "G2": "hostile text on pages",
    "G3": "foreign Host",
    "G4": "stolen and fixed sessions",
    "G5": "guessed passwords",
    "G6": "paths and frames",
    "G7": "formulas in exports",
    "H1": "a webhook disabled or deleted under an attempt",
    "H2": "a URL changed while deliveries are due",
    "H3": "many redeliveries at once",
    "H4": "two nodes that claim at once",
    "H5": "an outcome after its lease",
    "H6": "emit beside a change of subscriptions",
    "H7": "all webhooks of a tenant deleted under its deliveries",
    "H8": "the half-open breaker",
}
_NAME = re.compile(r"test((?:_[a-h]\d{1,2})+)(?:_|\[|$)")


def named(name: str) -> list[str]:
    """The cases that a test's name begins with."""
    found = _NAME.match(name)
    return found[1].upper().split("_")[1:] if found else []


def cases_of(item: pytest.Item) -> list[str]:
    """In order, each once. Raises UsageError for an id that is none."""
    marked = (case for mark in item.iter_markers("case") for case in mark.args)
    return _known([*named(item.name), *marked], item.nodeid)


def _known(cases: Iterable[str], where: str) -> list[str]:
    found = list(dict.fromkeys(cases))
    if unknown := [case for case in found if case not in CASES]:
        raise pytest.UsageError(f"{where} is about {', '.join(unknown)}: no case of tests/security/cases.py")
    return found
