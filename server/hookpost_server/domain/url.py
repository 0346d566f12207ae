"""Which URLs a webhook may have. One parser, yarl, and what it normalised is what is stored and called.

The check at registration is advice with a good message; the check at the socket (`addresses.py`) is the control.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field

import yarl

from .addresses import AddressPolicy

MAX_LENGTH = 2048
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*")
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f\\]|[^\S ]")
_LOCAL_NAMES = ("localhost", "local", "internal")

# Beyond 80 and 443 only unprivileged ports, and of these none that a browser refuses (WHATWG Fetch, "bad port") or
# where a well-known store listens.
_BAD_PORTS = frozenset(
    {1719, 1720, 1723, 2049, 2375, 2379, 3306, 3659, 4045, 4190, 5060, 5061, 5432, 6000, 6379, 6566, 6665, 6666, 6667}
    | {6668, 6669, 6679, 6697, 9200, 10080, 11211, 27017}
)


@dataclass(frozen=True, slots=True)
class UrlRules:
    """What this server allows."""

    allow_http: bool = False
    addresses: AddressPolicy = field(default_factory=AddressPolicy)

    def check(self, text: str) -> str:
        """The normalised URL. Raises ValueError with a sentence that says what to mend; never quotes credentials."""
        if not text:
            raise ValueError("is required: an absolute URL such as https://example.com/hooks")
        if len(text) > MAX_LENGTH:
            raise ValueError(f"must be at most {MAX_LENGTH} characters, is {len(text):,}")
        if _FORBIDDEN.search(text):
            raise ValueError("must not contain spaces, control characters or backslashes")
        scheme, separator, rest = text.partition("://")
        if not separator or scheme.lower() not in ("http", "https"):
            raise ValueError("must be an absolute URL that begins with https://")
        if scheme.lower() == "http" and not self.allow_http:
            raise ValueError("must begin with https:// (the setting HOOKPOST_ALLOW_HTTP allows http)")
        authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
        if "@" in authority:
            raise ValueError("must not contain a user name or password; use a custom header instead")
        if "#" in text:
            raise ValueError("must not have a fragment (#…): it is never sent")
        if "%" in authority:
            raise ValueError("must not have escapes (%) or a zone id in the host")
        try:
            url = yarl.URL(text)
            host, port = url.raw_host, url.port
        except (ValueError, UnicodeError):
            raise ValueError("is not a valid URL: check the host and the port") from None
        if not host:
            raise ValueError("must name a host: https://HOST/…")
        host = self._check_host(host)
        self._check_port(authority, port)
        url = url.with_host(host)
        if len(normal := str(url)) > MAX_LENGTH:
            raise ValueError(f"must be at most {MAX_LENGTH} characters once its characters are escaped")
        return normal

    def _check_host(self, host: str) -> str:
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return self._check_name(host.lower().removesuffix("."))
        if not self.addresses.permits(address):
            raise ValueError("leads to an address that is not public (the setting HOOKPOST_ALLOW_NETWORKS opens some)")
        return host

    def _check_name(self, name: str) -> str:
        labels = name.split(".")
        if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
            raise ValueError("has an invalid host: labels of 1 to 63 letters, digits, hyphens, 253 in all")
        if _NUMERIC.fullmatch(labels[-1]):
            raise ValueError("has an invalid host: an address must be written as four decimal numbers")
        try:
            yarl.URL.build(scheme="https", host=name).host  # noqa: B018  (decodes xn-- labels)
        except (ValueError, UnicodeError):
            raise ValueError("has an invalid international host name: check the label that begins with xn--") from None
        if labels[-1] == "localhost":
            if not self.addresses.opens_loopback:
                raise ValueError("leads to this machine; a public host is needed (`hookpost dev` allows loopback)")
        elif (len(labels) == 1 or labels[-1] in _LOCAL_NAMES) and not self.addresses.allow:
            raise ValueError("must have a public host name (the setting HOOKPOST_ALLOW_NETWORKS opens private ones)")
        return name

    def _check_port(self, authority: str, port: int | None) -> None:
        written = re.search(r":([^:\]]*)$", authority)
        if written and not re.fullmatch(r"[0-9]{1,5}", written.group(1)):
            raise ValueError("has an invalid port: digits, 1 to 65535")
        if port is None or not 1 <= port <= 65535:
            raise ValueError("has an invalid port: 1 to 65535")
        if port not in (80, 443) and (port < 1024 or port in _BAD_PORTS):
            raise ValueError(
                f"must not use port {port}: allowed are 80, 443 and unprivileged ports without a known store"
            )
