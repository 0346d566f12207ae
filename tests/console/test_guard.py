"""What stands around every page: Host, origin, tokens, headers, and errors that are pages."""

from __future__ import annotations

import re

import asyncpg
import pytest

from tests.faults.proxy import Proxy
from tests.rpc.serving import Client, Server, config, serving

from .conftest import ANY_PORT
from .visitor import Visitor, visiting

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8080", "[::2]", ""])
@pytest.mark.case("G3")
async def test_a_name_that_is_not_ours_is_refused(visitor: Visitor, host: str) -> None:
    """Else whoever points a name here (DNS rebinding) would be our origin."""
    page = await visitor.get("/webhooks", Host=host)
    assert page.status == 421
    assert "Set-Cookie" not in page.headers


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:8080", "[::1]:80"])
async def test_loopback_names_are_ours(visitor: Visitor, host: str) -> None:
    assert (await visitor.get("/webhooks", Host=host)).status == 200


OPEN = {"auth": "off", "insecure_behind_proxy": True}


async def test_names_that_are_set_are_ours_and_need_https(database_url: str) -> None:
    settings = config(database_url, console_address=ANY_PORT, console_hosts=("hooks.example.com",), **OPEN)
    async with serving(settings) as server, visiting(server.console_address) as visitor:
        page = await visitor.get("/webhooks", Host="hooks.example.com")
        assert page.status == 200
        cookie = page.headers["Set-Cookie"]
        assert cookie.startswith("__Host-hookpost-session=")
        assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
        assert (await visitor.get("/webhooks", Host="www.example.com")).status == 421


async def create(visitor: Visitor, *, csrf: bool = True, **headers: str) -> int:
    fields = {"name": "a", "url": "https://example.com/x", "event_types": "*", "do": "create"}
    return (await visitor.send("/webhooks/new", fields, csrf=csrf, **headers)).status


async def test_a_form_of_ours_is_taken(visitor: Visitor, client: Client) -> None:
    assert await create(visitor) == 303
    own = {"Origin": f"http://{visitor.address}", "Sec-Fetch-Site": "same-origin"}
    assert await create(visitor, **own) == 303


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
@pytest.mark.case("G1")
async def test_other_sites_are_refused(visitor: Visitor, headers: dict[str, str]) -> None:
    assert await create(visitor, **headers) == 403


@pytest.mark.case("G1")
async def test_a_token_is_needed_and_it_must_be_this_browsers(visitor: Visitor, server: Server) -> None:
    assert await create(visitor, csrf=False) == 403
    async with visiting(server.console_address) as other:
        foreign = (await other.get("/keyboard")).hidden("csrf")
    await visitor.get("/webhooks")
    page = await visitor.send("/webhooks/new", {"csrf": foreign, "name": "a"}, csrf=False)
    assert page.status == 403
    assert "too old" in page.words
    own = (await visitor.get("/keyboard")).hidden("csrf")
    page = await visitor.send("/webhooks/new", {"name": ""}, csrf=False, **{"X-CSRF-Token": own})
    assert page.status == 422, "as htmx sends it"


@pytest.mark.parametrize(
    "path", ["/webhooks", "/keyboard", "/nowhere", "/webhooks/new", "/static/none.css", "/sign-in"]
)
@pytest.mark.case("G6")
async def test_headers_that_keep_strangers_out(visitor: Visitor, path: str) -> None:
    headers = (await visitor.get(path)).headers
    policy = dict(each.split(" ", 1) for each in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == policy["form-action"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "no-store" in headers["Cache-Control"]
    assert "aiohttp" not in headers.get("Server", "")


async def test_nothing_inline_and_nothing_from_elsewhere(visitor: Visitor) -> None:
    page = await visitor.get("/webhooks/new")
    assert " style=" not in page.text
    assert " on" not in {each.split("=")[0] for each in page.text.split("<")}
    assert "<style" not in page.text
    assert all(each.startswith(("/", "#")) for each in page.links)
    assert page.text.count("<script") == page.text.count('<script src="/static/')


async def test_assets_are_kept_for_good(visitor: Visitor) -> None:
    page = await visitor.get("/webhooks")
    paths = [each for each in page.links if each.startswith("/static/")]
    assert len(paths) == 2
    for path in paths:
        asset = await visitor.get(path)
        assert asset.status == 200
        assert "immutable" in asset.headers["Cache-Control"]
        assert asset.headers["Content-Encoding"] == "gzip"


@pytest.mark.parametrize("path", ["/webhooks", "/webhooks/new", "/keyboard"])
async def test_a_page_is_light(visitor: Visitor, client: Client, path: str) -> None:
    """A first visit, with style, script and icon: less than 100 kB on the wire."""
    for number in range(20):
        await client.create(name=f"webhook {number}")
    page = await visitor.get(f"/t/{client.tenant}{path}")
    assets = re.findall(r'(?:href|src|data-htmx)="(/static/[^"]+)"', page.text)
    assert len(assets) == 4
    sizes = [int((await visitor.get(each)).headers["Content-Length"]) for each in assets]
    assert len(page.text.encode()) + sum(sizes) < 100_000


@pytest.mark.parametrize(
    "path", ["/static/../server.py", "/static/..%2fserver.py", "/static/%2e%2e/texts/en.toml", "/static//etc/passwd"]
)
@pytest.mark.case("G6")
async def test_no_other_file_is_served(visitor: Visitor, path: str) -> None:
    assert (await visitor.get(path)).status == 404


async def test_pages_that_do_not_exist(visitor: Visitor, client: Client) -> None:
    for path in ("/nowhere", "/webhooks/whk_none", "/webhooks/whk_00000000000000000000000000/settings"):
        page = await visitor.get(path)
        assert page.status == 404, path
        assert "There is no such page" in page.words
    assert (await visitor.send("/webhooks")).status == 405
    assert (await visitor.get("/t/no%20tenant/webhooks")).status == 404


async def test_another_tenants_webhook_is_not_found(visitor: Visitor, client: Client) -> None:
    webhook = await client.create()
    assert (await visitor.get(f"/t/{client.tenant}/webhooks/{webhook.id}/settings")).status == 200
    assert (await visitor.get(f"/t/someone-else/webhooks/{webhook.id}/settings")).status == 404
    page = await visitor.get(f"/tenant?id={client.tenant}")
    assert page.path == f"/t/{client.tenant}/webhooks"
    assert (await visitor.get("/tenant?id=a/b")).status == 400


@pytest.mark.parametrize("path", ["/webhooks?q=", "/events?event=", "/system/audit?actor=", "/webhooks/"])
async def test_a_nul_is_no_fault_of_the_server(visitor: Visitor, path: str) -> None:
    page = await visitor.get(f"{path}%00")
    assert page.status == 400 and "does not make sense" in page.words


async def test_no_line_break_gets_into_a_header(visitor: Visitor) -> None:
    assert (await visitor.get("/webhooks/%0D%0ASet-Cookie:%20a=b")).status == 404


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"a=b"),
        ("multipart/form-data; boundary=x", b"--x\r\nbroken"),
        ("application/x-www-form-urlencoded; charset=none", b"a=b"),
        ("application/x-www-form-urlencoded", b"csrf=%00"),
    ],
)
async def test_what_is_no_form_is_refused(visitor: Visitor, kind: str, body: bytes) -> None:
    url = f"http://{visitor.address}/preferences"
    async with visitor.session.post(url, data=body, headers={"Content-Type": kind}) as answer:
        assert answer.status == 400


@pytest.mark.parametrize(
    "given",
    ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "\r\n", "http://[::1"],
)
async def test_nobody_is_sent_elsewhere(visitor: Visitor, given: str) -> None:
    page = await visitor.send("/preferences", {"next": given, "theme": "dark"})
    assert page.headers["Location"] == "/webhooks"


async def test_preferences_are_remembered(visitor: Visitor) -> None:
    page = await visitor.post("/preferences", {"next": "/keyboard", "theme": "dark", "keys": "off"})
    assert page.path == "/keyboard"
    assert 'data-theme="dark"' in page.text and 'data-keys="off"' in page.text
    page = await visitor.post("/preferences", {"next": "/keyboard", "theme": "auto", "keys": "on"})
    assert "data-theme" not in page.text and "data-keys" not in page.text


async def test_a_forged_flash_says_nothing(visitor: Visitor) -> None:
    for forged in ('["error.home", {}]', '["flash.created", {}]', "[]", "x", '["flash.none", {}]', '{"a": 1}'):
        visitor.session.cookie_jar.update_cookies({"hookpost-flash": forged})
        page = await visitor.get("/webhooks")
        assert page.status == 200
        assert 'class="flash"' not in page.text


async def test_a_database_that_is_away_is_told_of(database_url: str) -> None:
    proxy = Proxy(database_url)
    await proxy.open()
    try:
        settings = config(proxy.url, console_address=ANY_PORT)
        async with serving(settings) as server, visiting(server.console_address) as visitor:
            assert (await visitor.get("/webhooks")).status == 200
            await proxy.close()
            page = await visitor.get("/webhooks?q=x")
            assert page.status == 503
            assert "Try again" in page.words and "/webhooks?q=x" in page.links
            await proxy.open()
    finally:
        await proxy.close()


async def test_a_bug_is_told_by_number_only(database_url: str, capfd: pytest.CaptureFixture[str]) -> None:
    async with serving(config(database_url, console_address=ANY_PORT)) as server:
        connection = await asyncpg.connect(database_url)
        await connection.execute("alter table webhooks rename column labels to canary_column")
        await connection.close()
        async with visiting(server.console_address) as visitor:
            page = await visitor.get("/webhooks")
    assert page.status == 500
    assert "fault of the server" in page.words
    assert "labels" not in page.text and "asyncpg" not in page.text
    incident = re.search(r"<code>([0-9a-f]{16})</code>", page.text)
    assert incident and incident[1] in "".join(capfd.readouterr())
