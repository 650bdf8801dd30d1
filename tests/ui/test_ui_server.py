"""The page's port lets in its own user's browser, and nobody and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
from pathlib import Path

import pytest

import pilotdht.ui.server
from pilotdht.config.ui import UiConfig
from pilotdht.errors import ConfigError
from pilotdht.ui.guard import SECURITY_HEADERS
from pilotdht.ui.live import PARTS
from pilotdht.ui.owner import UNLISTED
from tests.support.fake_groups import event
from tests.support.fake_node import ALPHA
from tests.ui.page_client import Browser, next_line, served, until

pytestmark = [pytest.mark.integration, pytest.mark.asyncio]


async def told_unasked(browser: Browser) -> bytes:
    """Connect, ask nothing, and return what is said until the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", browser.port)
    try:
        async with asyncio.timeout(10):
            return await reader.read()
    finally:
        writer.close()


async def test_link_opens_once_and_stands_behind_the_hash(tmp_path: Path) -> None:
    """The token is in the part of the address that browsers do not send; the second use is refused."""
    async with served(tmp_path) as ours:
        link = await ours.page.link()
        address, _, token = link["url"].partition("/#login=")
        assert f"http://127.0.0.1:{link['port']}" == address
        assert len(token) >= 43
        browser, other = Browser(port=link["port"]), Browser(port=link["port"])
        assert 200 == (await browser.log_in(link["url"])).status
        refused = await other.log_in(link["url"])
        assert (403, "not_trusted") == (refused.status, refused.json["code"])
        assert 1 == ours.refused("link")


async def test_wrong_token_is_refused(tmp_path: Path) -> None:
    """Nobody gets in without a link."""
    async with served(tmp_path) as ours:
        browser = await ours.browser(is_logged_in=False)
        answer = await browser.ask("POST", "/api/login", {"token": "x" * 43})
        assert 403 == answer.status
        assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("page", ["", *PARTS])
async def test_frame_is_the_same_for_everybody(tmp_path: Path, page: str) -> None:
    """Each page's address leads to the empty frame, with every security header; it holds no fact."""
    async with served(tmp_path) as ours:
        browser = await ours.browser(is_logged_in=False)
        answer = await browser.ask("GET", f"/{page}", origin=None)
        assert (200, "text/html; charset=utf-8") == (answer.status, answer.headers["content-type"])
        assert [value.lower() for _, value in SECURITY_HEADERS] == [
            answer.headers.get(name) for name, _ in SECURITY_HEADERS
        ]
        assert b"agent-own" not in answer.body


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/api/live?page=overview"), ("POST", "/api/do/approve"), ("POST", "/api/logout"), ("GET", "/api/x")],
)
@pytest.mark.parametrize("missing", ["both", "cookie", "page_key"])
async def test_facts_and_deeds_need_both_secrets(tmp_path: Path, method: str, path: str, missing: str) -> None:
    """Without cookie or page's key nothing is told and nothing done."""
    async with served(tmp_path) as ours:
        browser = await ours.browser()
        if missing in ("both", "cookie"):
            browser.cookie = ""
        if missing in ("both", "page_key"):
            browser.page_key = ""
        answer = await browser.ask(method, path, {"target": "agent-alpha"} if method == "POST" else None)
        assert 401 == answer.status
        assert {} == ours.node.entries
        assert 1 == ours.refused("session")


@pytest.mark.parametrize("host", ["evil.example", "localhost", "127.0.0.1", "[::1]"])
async def test_foreign_host_is_refused(tmp_path: Path, host: str) -> None:
    """A name that was made to mean 127.0.0.1 does not lead here, logged in or not."""
    async with served(tmp_path) as ours:
        browser = await ours.browser()
        for path in ("/", "/assets/app.js", "/api/live?page=trust"):
            answer = await browser.ask("GET", path, host=host, origin=None)
            assert 400 == answer.status, path
        assert 3 == ours.refused("host")


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", None])
async def test_foreign_origin_is_refused(tmp_path: Path, origin: str | None) -> None:
    """Another page cannot act with the cookie, nor log a browser in; a deed without an origin is none of ours."""
    async with served(tmp_path) as ours:
        browser = await ours.browser()
        ours.node.ask_for_trust("please")
        for path in ("/api/do/approve", "/api/login", "/api/logout"):
            answer = await browser.ask("POST", path, {"target": "agent-alpha"}, origin=origin)
            assert 403 == answer.status, path
        assert "pending_in" in str(ours.node.entries["agent-alpha"].state).lower()
        assert 3 == ours.refused("origin")


async def test_other_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection of another user is refused before it can ask, even with a valid link."""
    async with served(tmp_path) as ours:
        browser = await ours.browser(is_logged_in=False)
        monkeypatch.setattr(pilotdht.ui.server, "loopback_user_id", lambda *_: UNLISTED)
        refusal = await told_unasked(browser)
        assert b" 403 " in refusal
        assert b"belongs to another user" in refusal
        assert 1 == ours.refused("user")


async def test_own_user_is_told_by_the_kernel(tmp_path: Path) -> None:
    """On a real connection the kernel's word is taken, and it is us."""
    async with served(tmp_path) as ours:
        browser = await ours.browser(is_logged_in=False)
        assert 200 == (await browser.ask("GET", "/", origin=None)).status


async def test_oversized_body_is_refused(tmp_path: Path) -> None:
    """A body above the bound is not read to its end."""
    async with served(tmp_path) as ours:
        browser = await ours.browser()
        answer = await browser.send("POST", "/api/do/approve", b" " * 9000)
        assert (400, "invalid_argument") == (answer.status, answer.json["code"])


@pytest.mark.parametrize(
    ("body", "kind"),
    [(b"{", "application/json"), (b"[]", "application/json"), (b"target=agent-alpha", "text/plain"), (b"{}", None)],
)
async def test_body_that_is_no_json_object_is_refused(tmp_path: Path, body: bytes, kind: str | None) -> None:
    """What a form on another page could send is not understood."""
    async with served(tmp_path) as ours:
        browser = await ours.browser()
        assert 400 == (await browser.send("POST", "/api/do/approve", body, content_type=kind)).status


async def test_slow_client_is_cut_off(tmp_path: Path) -> None:
    """A head or body that does not arrive in time ends the connection."""
    async with served(tmp_path, ui=UiConfig(request_timeout_s=0.2)) as ours:
        browser = await ours.browser()
        reader, writer = await asyncio.open_connection("127.0.0.1", browser.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: 12")
        assert b" 504 " in await reader.readline()
        writer.close()
        reader, writer = await browser.open("POST", "/api/do/approve", {"content-length": "50"}, {})
        writer.write(b"{")
        assert b" 504 " in await reader.readline()
        writer.close()


async def test_client_that_does_not_read_is_cut_off(tmp_path: Path) -> None:
    """A client that asks and asks, and takes nothing, does not hold the daemon."""
    async with served(tmp_path, ui=UiConfig(answer_timeout_s=1.0)) as ours:
        browser = await ours.browser(is_logged_in=False)
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.setblocking(False)
            await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", browser.port))
            request = f"GET /assets/style.css HTTP/1.1\r\nHost: 127.0.0.1:{browser.port}\r\n\r\n".encode()
            client.send(request * 800)
            await until(ours.abandoned)
        assert 1 == ours.abandoned()


async def test_connections_above_the_bound_are_refused(tmp_path: Path) -> None:
    """Whoever opens many connections exhausts nothing."""
    async with served(tmp_path, ui=UiConfig(max_connections=4)) as ours:
        browser = await ours.browser(is_logged_in=False)
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(4):
                _, writer = await asyncio.open_connection("127.0.0.1", browser.port)
                stack.callback(writer.close)
            await asyncio.sleep(0)
            assert b" 503 " in await told_unasked(browser)
        assert 1 == ours.refused("full")


async def test_pages_above_the_bound_are_refused(tmp_path: Path) -> None:
    """Only so many pages are told what changes; one that closes makes room."""
    async with served(tmp_path, ui=UiConfig(max_pages=1)) as ours:
        browser = await ours.browser()
        async with browser.live("page=trust") as reader:
            await next_line(reader)
            assert 503 == (await browser.ask("GET", "/api/live?page=trust")).status
        await until(lambda: not ours.open_pages())
        async with browser.live("page=trust") as reader:
            assert "trust" in await next_line(reader)


@pytest.mark.parametrize("page", list(PARTS))
async def test_first_line_has_every_part_of_the_page(tmp_path: Path, page: str) -> None:
    """A page is told all that it shows at once."""
    async with served(tmp_path) as ours:
        browser = await ours.browser()
        async with browser.live(f"page={page}") as reader:
            line = await next_line(reader)
        assert {"now", "me", *PARTS[page]} == set(line)
        assert "agent-own" == line["me"]["hostname"]


async def test_only_what_changed_is_told(tmp_path: Path) -> None:
    """Later lines hold what differs, and nothing else."""
    async with served(tmp_path) as ours:
        browser = await ours.browser()
        async with browser.live("page=trust") as reader:
            first = await next_line(reader)
            assert [] == first["trust"]["pending"]["rows"]
            ours.node.ask_for_trust("please")
            second = await next_line(reader)
        assert {"now", "me", "trust"} == set(second)
        assert 1 == second["me"]["pending"]
        assert "please" == second["trust"]["pending"]["rows"][0]["reason"]


async def test_events_of_the_group_are_told(tmp_path: Path) -> None:
    """Members, what was said before, and what is said now; bytes that are no text as hexadecimal."""
    async with served(tmp_path) as ours:
        group = await ours.node.join_group("research")
        browser = await ours.browser()
        async with browser.live("page=groups&group=research") as reader:
            first = await next_line(reader)
            assert "agent-alpha" in [row["hostname"] for row in first["members"]["rows"]]
            group.subscriptions[0].put(event(b"42.1"))
            group.subscriptions[0].put(event(b"\xff\xfe", sequence=2))
            second = await next_line(reader)
        assert [("42.1", True), ("ff fe", False)] == [(one["text"], one["is_text"]) for one in second["news"]]


async def test_group_that_is_not_there_is_told_as_none(tmp_path: Path) -> None:
    """A page that still shows a group which was left goes on."""
    async with served(tmp_path) as ours:
        browser = await ours.browser()
        async with browser.live("page=groups&group=gone") as reader:
            assert {"now", "me", "groups"} == set(await next_line(reader))


async def test_unknown_page_is_not_found(tmp_path: Path) -> None:
    """There are no pages but those."""
    async with served(tmp_path) as ours:
        browser = await ours.browser()
        assert 404 == (await browser.ask("GET", "/api/live?page=x")).status
        assert 404 == (await browser.ask("GET", "/nothing", origin=None)).status
        assert 404 == (await browser.ask("GET", "/assets/../server.py", origin=None)).status
        assert 404 == (await browser.ask("POST", "/api/do/stop", {})).status
        assert 400 == (await browser.ask("GET", f"/api/live?page={'x' * 600}")).status


async def test_lookups_are_watched_while_the_page_is_open_only(tmp_path: Path) -> None:
    """The watch ends with the page."""
    async with served(tmp_path) as ours:
        browser = await ours.browser()
        assert ours.node.watch.begin(bytes(20), "FindNode", 0.0) is None
        async with browser.live("page=lookups") as reader:
            await next_line(reader)
            assert ours.node.watch.begin(bytes(20), "FindNode", 0.0) is not None
            line = await next_line(reader)
            assert ["FindNode"] == [one["purpose"] for one in line["lookups"]]
        await until(lambda: not ours.node.watch.lookups)


async def test_deed_is_done(tmp_path: Path) -> None:
    """What the page may do is done by the control API's own handlers."""
    async with served(tmp_path) as ours:
        browser = await ours.browser()
        ours.node.ask_for_trust("please")
        answer = await browser.ask("POST", "/api/do/approve", {"target": ALPHA.did})
        assert (200, "trusted") == (answer.status, answer.json["data"]["state"])
        failed = await browser.ask("POST", "/api/do/find", {"target": "nobody"})
        assert (404, "not_found") == (failed.status, failed.json["code"])


async def test_logging_out_ends_the_browser_and_its_pages(tmp_path: Path) -> None:
    """After logging out the secrets are void, and an open page hears no more."""
    async with served(tmp_path) as ours:
        browser = await ours.browser()
        async with browser.live("page=overview") as reader:
            await next_line(reader)
            out = await browser.ask("POST", "/api/logout", {})
            assert "max-age=0" in out.headers["set-cookie"].lower()
            async with asyncio.timeout(10):
                while not reader.at_eof() and await reader.readline() != b"0\r\n":
                    pass
        assert ours.page.port == 0  # nobody is logged in any more: the port is closed


async def test_port_is_closed_when_no_link_is_left(tmp_path: Path) -> None:
    """A link that nobody uses leaves no port behind."""
    async with served(tmp_path, ui=UiConfig(link_s=5.0)) as ours:
        await ours.page.link()
        assert ours.page.port != 0
        await until(lambda: not ours.page.port)


async def test_configured_port_stays_open(tmp_path: Path) -> None:
    """A port that the configuration names is served in any case, or it is told why not."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        async with served(tmp_path, ui=UiConfig(port=port)) as blocked:
            with pytest.raises(ConfigError, match=str(port)):
                await blocked.page.open()
    async with served(tmp_path, ui=UiConfig(port=port)) as ours:
        browser = await ours.browser()
        assert port == browser.port
        await browser.ask("POST", "/api/logout", {})
        assert port == ours.page.port


async def test_secrets_are_not_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Neither token nor cookie nor page's key reaches a log, whatever goes wrong."""
    caplog.set_level(logging.DEBUG)
    async with served(tmp_path) as ours:
        link = await ours.page.link()
        browser = Browser(port=link["port"])
        await browser.log_in(link["url"])
        ours.node.registry.get_sample_value("pilotdht_ui_pages")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ours.node, "pending", lambda: 1 / 0)
            async with browser.live("page=trust") as reader:
                await reader.read()
    token = link["url"].partition("#login=")[2]
    text = caplog.text + json.dumps([str(vars(record)) for record in caplog.records])
    assert "control request failed" in text
    for secret in (token, browser.cookie, browser.page_key):
        assert secret
        assert secret not in text
