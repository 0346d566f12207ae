"""Which URLs a webhook may have: the check at registration."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

import pytest
import yarl
from hypothesis import given
from hypothesis import strategies as st

from hookpost_server.domain.addresses import AddressPolicy
from hookpost_server.domain.url import UrlRules

from .samples import CANARY

STRICT = UrlRules()
HTTP = UrlRules(allow_http=True)
LOOPBACK = AddressPolicy(allow=(ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128")))
DEV = UrlRules(allow_http=True, addresses=LOOPBACK)
ALL_OPEN = UrlRules(
    allow_http=True,
    addresses=AddressPolicy(allow=(ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))),
)


def refusal(text: str, rules: UrlRules = HTTP) -> str:
    with pytest.raises(ValueError) as caught:
        rules.check(text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("https://example.com", "https://example.com"),
        ("https://example.com/", "https://example.com/"),
        ("HTTPS://EXAMPLE.Com/Path?Q=1", "https://example.com/Path?Q=1"),
        ("https://example.com./x", "https://example.com/x"),
        ("https://example.com:443/x", "https://example.com/x"),
        ("https://example.com:80/x", "https://example.com:80/x"),
        ("https://example.com:1024/x", "https://example.com:1024/x"),
        ("https://example.com:65535/x", "https://example.com:65535/x"),
        ("https://example.com:8443", "https://example.com:8443"),
        ("https://a_b.my-host.example/x", "https://a_b.my-host.example/x"),
        ("https://example.com/a%2Fb?c=%2B+d&e=%26", "https://example.com/a%2Fb?c=%2B+d&e=%26"),
        ("https://example.com/ü?ü=%0d%0a", "https://example.com/%C3%BC?%C3%BC=%0D%0A"),
        ("https://example.com/a@b:c", "https://example.com/a@b:c"),
        ("https://example.com?x=a@b", "https://example.com/?x=a@b"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        ("https://straße.example/", "https://xn--strae-oqa.example/"),
        ("https://xn--strae-oqa.example/", "https://xn--strae-oqa.example/"),
        ("https://日本語.example/", "https://xn--wgv71a119e.example/"),
        ("https://example。com/", "https://example.com/"),
        pytest.param(  # Cyrillic, shown as what it is
            "https://аррӏе.com/", "https://xn--80ak6aa92e.com/", marks=pytest.mark.case("B11"), id="homograph"
        ),
        ("https://8.8.8.8/x", "https://8.8.8.8/x"),
        ("https://[2606:4700::1111]:8443/x", "https://[2606:4700::1111]:8443/x"),
        ("https://1.example/", "https://1.example/"),
        ("https://0x7f.example/", "https://0x7f.example/"),
        ("https://" + "a" * 63 + ".example/", "https://" + "a" * 63 + ".example/"),
        ("https://example.com/" + "a" * 2028, "https://example.com/" + "a" * 2028),
    ],
    ids=lambda text: ascii(text[:40]),
)
def test_accepted_and_normalised(text: str, normal: str) -> None:
    assert STRICT.check(text) == normal
    assert STRICT.check(normal) == normal


ADDRESSES = {
    "A1": ["127.0.0.1", "127.255.255.254", "[::1]", "[0:0:0:0:0:0:0:1]"],
    "A2": ["169.254.169.254", "169.254.170.2", "[fd00:ec2::254]", "100.100.100.200", "192.0.0.192", "168.63.129.16"],
    "A4": ["0.0.0.0", "0.1.2.3", "[::]"],
    "A5": ["[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[::ffff:0:127.0.0.1]"],
    "A6": ["[64:ff9b::7f00:1]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::1]"],
    "A7": ["[2002:7f00:1::]", "[2002:a9fe:a9fe::]", "[2001:0:a9fe:a9fe::1]"],
    "A8": ["[fe80::1]", "[fec0::1]", "[fd12::1]", "[ff02::1]", "[5f00::1]", "[3fff::1]"],
    "B2": ["①②⑦.0.0.1", "１２７.0.0.1", "127。0。0。1"],
    "private": ["10.0.0.1", "172.16.0.1", "192.168.1.1", "198.18.0.1", "[2001:db8::1]", "255.255.255.255"],
}


def by_case(table: dict[str, Any]) -> list[Any]:
    """The entries of each case, marked with it; the key may name several, or none."""
    return [
        pytest.param(
            *(entry if isinstance(entry, tuple) else (entry,)),
            marks=[pytest.mark.case(*re.findall(r"\b[A-H][0-9]+\b", case))],
            id=ascii(entry[0] if isinstance(entry, tuple) else entry)[:50],
        )
        for case, entries in table.items()
        for entry in (entries.items() if isinstance(entries, dict) else entries)
    ]


@pytest.mark.parametrize("host", by_case(ADDRESSES))
@pytest.mark.parametrize("form", ["http://{}/", "https://{}:8443/x?y=z"])
def test_addresses_that_are_not_public(host: str, form: str) -> None:
    assert "leads to an address that is not public" in refusal(form.format(host))


@pytest.mark.parametrize("host", ADDRESSES["A2"])
@pytest.mark.case("A2")
def test_metadata_is_refused_even_where_everything_is_open(host: str) -> None:
    assert ALL_OPEN.check("http://10.0.0.1/")
    assert "not public" in refusal(f"http://{host}/", ALL_OPEN)


REFUSED = {
    "B1": {  # spellings of 127.0.0.1 that some resolver understands
        "http://2130706433/": "four decimal numbers",
        "http://0x7f000001/": "four decimal numbers",
        "http://0x7f.0.0.1/": "four decimal numbers",
        "http://0X7F.1/": "four decimal numbers",
        "http://127.0.0.0x1/": "four decimal numbers",
        "http://0x/": "four decimal numbers",
        "http://017700000001/": "four decimal numbers",
        "http://0177.0.0.1/": "four decimal numbers",
        "http://127.1/": "four decimal numbers",
        "http://127.0.0.1./": "four decimal numbers",
        "http://0/": "four decimal numbers",
        "http://256.256.256.256/": "four decimal numbers",
        "http://example.123/": "four decimal numbers",
    },
    "B2": {"http://١٢٧.0.0.1/": "host"},
    "B3 B4": {  # who is the host?
        "http://ok.example@127.0.0.1/": "user name or password",
        "http://user:pw@ok.example/": "user name or password",
        "http://@ok.example/": "user name or password",
        "http://ok.example＠127.0.0.1/": "check the host",
        "http://ok.example／@x/": "user name or password",
        "http://127.0.0.1#@ok.example/": "fragment",
        "https://ok.example/#": "fragment",
        "http://ok.example\\@127.0.0.1/": "backslashes",
        "http://127.0.0.1%2f@x/": "user name or password",
        "http://127.0.0.1%2f/": "escapes (%)",
        "http://ok%2eexample/": "escapes (%)",
        "http://[fe80::1%25eth0]/": "zone id",  # A8
        "http://[fe80::1%eth0]/": "zone id",
    },
    "B5": {  # names of this machine and this network
        "http://localhost/": "leads to this machine",
        "http://localhost./": "leads to this machine",
        "http://LOCALHOST/": "leads to this machine",
        "http://x.localhost:8080/": "leads to this machine",
        "http://metadata.google.internal/": "public host name",
        "http://printer.local/": "public host name",
        "http://metadata/": "public host name",
    },
    "B7": {  # ports
        "http://ok.example:0/": "invalid port: 1 to 65535",
        "http://ok.example:99999/": "port",
        "http://ok.example:65536/": "port",
        "http://ok.example:000080/": "port",
        "http://ok.example:22/": "must not use port 22",
        "http://ok.example:25/": "must not use port 25",
        "http://ok.example:1023/": "must not use port 1023",
        "http://ok.example:5432/": "must not use port 5432",
        "http://ok.example:6379/": "must not use port 6379",
        "http://8.8.8.8:6379/": "must not use port 6379",
        "http://[2606:4700::1111]:22/": "must not use port 22",
        "http://ok.example:80:81/": "port",
        "http://ok.example:/": "port",
        "http://ok.example:٨٠/": "port",
        "http://ok.example:+80/": "port",
        "http://ok.example:-1/": "port",
        "http://ok.example:8_0/": "port",
        "http://ok.example:8０/": "port",
    },
    "B8": {  # no absolute http URL
        "": "is required",
        "ok.example": "absolute URL",
        "/hooks": "absolute URL",
        "//ok.example/": "absolute URL",
        "http": "absolute URL",
        "http:ok.example": "absolute URL",
        "http:/ok.example": "absolute URL",
        "ftp://ok.example/": "absolute URL",
        "file:///etc/passwd": "absolute URL",
        "gopher://ok.example/": "absolute URL",
        "javascript://ok.example/": "absolute URL",
        "http://": "must name a host",
        "http:///x": "must name a host",
        "http://?x": "must name a host",
        "http://:80/": "host",
        "https://ok.example/" + "a" * 10_240: "must be at most 2048 characters, is 10,259",
        "https://ok.example/" + "ü" * 1000: "once its characters are escaped",
    },
    "B9": {  # hosts that are none
        "http://exa mple.com/": "spaces",
        "http://ex\u00adample.com/": "host",
        "http://ex\u200bample.com/": "host",
        "http://xn--/": "invalid host",
        "http://xn--.example/": "invalid host",
        "http://xn--a.example/": "international host name",
        "http://" + "a" * 64 + ".example/": "invalid host",
        "http://" + ".".join(["a" * 49] * 5) + ".exam/": "253 in all",
        "http://ok..example/": "invalid host",
        "http://.example/": "invalid host",
        "http://../": "invalid host",
        "http://./": "host",
        "http://ok.example../": "invalid host",
        "http://-ok.example/": "invalid host",
        "http://ok-.example/": "invalid host",
        "http://ok!.example/": "host",
        "http://*.example/": "host",
        "http://\ud800.example/": "host",
    },
    "B10": {  # controls anywhere
        **{f"https://ok.example/{control}x": "control characters" for control in "\r\n\0\t\x1f\x7f\u0085\u2028 "},
        **{f"https://ok.example/?{control}x": "control characters" for control in "\r\n\0\t"},
        **{f"https://ok{control}.example/": "control characters" for control in "\r\n\0\t"},
        " https://ok.example/": "spaces",
        "https://ok.example/\n": "control characters",
    },
    "B12": {  # brackets
        "http://[v1.fe80::a]/": "host",
        "http://[127.0.0.1]/": "host",
        "http://[::1/": "host",
        "http://::1/": "host",
        "http://ok.example]/": "host",
        "http://[]/": "host",
    },
}


@pytest.mark.parametrize(("text", "words"), by_case(REFUSED))
def test_refused_in_words_that_help(text: str, words: str) -> None:
    for rules in (HTTP, UrlRules(allow_http=True, addresses=AddressPolicy())):
        assert words in refusal(text, rules)


@pytest.mark.parametrize("text", ["http://ok.example/", "HTTP://ok.example/"])
def test_http_needs_a_setting(text: str) -> None:
    assert "must begin with https:// (the setting HOOKPOST_ALLOW_HTTP" in refusal(text, STRICT)
    assert HTTP.check(text) == "http://ok.example/"


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("http://localhost:8080/x", "http://localhost:8080/x"),
        ("http://hook.localhost:8080", "http://hook.localhost:8080"),
        ("http://127.0.0.1:9000/x", "http://127.0.0.1:9000/x"),
        ("http://[::1]:9000/x", "http://[::1]:9000/x"),
        ("https://ok.example/", "https://ok.example/"),
    ],
)
def test_what_dev_allows(text: str, normal: str) -> None:
    assert DEV.check(text) == normal


@pytest.mark.parametrize(
    "text", ["http://10.0.0.1/", "http://169.254.169.254/", "http://2130706433/", "http://localhost:22/", "ftp://x.y/"]
)
def test_what_dev_does_not_allow_either(text: str) -> None:
    assert refusal(text, DEV)


def test_private_names_need_an_allowance() -> None:
    inside = UrlRules(addresses=AddressPolicy(allow=(ipaddress.ip_network("10.0.0.0/8"),)))
    assert inside.check("https://hooks.internal/") == "https://hooks.internal/"
    assert inside.check("https://hooks/") == "https://hooks/"
    assert "leads to this machine" in refusal("https://localhost/", inside)


@pytest.mark.parametrize(
    "text",
    [
        f"https://user:{CANARY}@ok.example/",
        f"https://{CANARY}@ok.example/",
        f"https://user:{CANARY}@ok.example:99999/",
        f"https://user:{CANARY}@[::1/",
        f"https://user:{CANARY}@127.0.0.1#",
        f"http://user:{CANARY}@ok.example/",
        f"ftp://user:{CANARY}@ok.example/",
        f"https://user:{CANARY}\n@ok.example/",
        f"https://ok.example/?token={CANARY}#x",
        f"https://127.0.0.1/?token={CANARY}",
        f"https://[::1/?token={CANARY}",
        f"https://ok.example:99999/?token={CANARY}",
        f"https://user:{CANARY}@ok.example/" + "a" * 2048,
    ],
    ids=lambda text: ascii(text[:50]),
)
@pytest.mark.parametrize("rules", [STRICT, HTTP, DEV], ids=["strict", "http", "dev"])
def test_no_refusal_quotes_credentials(text: str, rules: UrlRules) -> None:
    try:
        rules.check(text)
    except ValueError as error:
        assert CANARY not in str(error)
    else:
        assert rules is DEV and "127.0.0.1" in text


_HOSTS = st.sampled_from(
    [
        "example.com",
        "EXAMPLE.com.",
        "bücher.example",
        "127.0.0.1",
        "8.8.8.8",
        "[::1]",
        "[2606:4700::1]",
        "localhost",
        "0x7f.1",
        "a..b",
        "１２７.0.0.1",
        "x@y.example",
        "x%41.example",
        "xn--a.example",
        "xn--bcher-kva.example",
    ]
)
_PORTS = st.sampled_from(["", ":80", ":443", ":0", ":8443", ":99999", ":22", ":", ":٨٠"])
_TAILS = st.text(max_size=20).map(lambda tail: "/" + tail) | st.sampled_from(
    ["", "/", "?a=b", "/a/../b", "/%0d%0a", "/%zz"]
)
_URLS = st.builds(
    lambda scheme, host, port, tail: f"{scheme}://{host}{port}{tail}",
    st.sampled_from(["https", "http", "HTTPS", "ftp"]),
    _HOSTS | st.text(max_size=10),
    _PORTS,
    _TAILS,
)


@given(_URLS | st.text(max_size=60), st.sampled_from([STRICT, HTTP, DEV]))
def test_any_text_is_refused_or_becomes_an_url_that_stays_as_it_is(text: str, rules: UrlRules) -> None:
    try:
        normal = rules.check(text)
    except ValueError as error:
        assert re.match(r"(must|is|has|leads) ", str(error))
        return
    assert rules.check(normal) == normal
    assert re.fullmatch(r"https?://[\x21-\x7e]+", normal)
    assert len(normal) <= 2048
    parsed = yarl.URL(normal)
    assert str(parsed) == normal
    assert parsed.scheme == "https" or rules.allow_http
    assert parsed.user is None and parsed.password is None and not parsed.fragment
    assert parsed.raw_host is not None
    try:
        address = ipaddress.ip_address(parsed.raw_host)
    except ValueError:
        labels = parsed.raw_host.split(".")
        assert not re.fullmatch(r"[0-9]+|0x[0-9a-f]*", labels[-1])
        assert labels[-1] != "localhost" or rules is DEV
    else:
        assert rules.addresses.permits(address)
