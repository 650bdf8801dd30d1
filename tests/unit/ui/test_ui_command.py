"""``pilotdht ui`` gives the link to a browser where there is one, and to the terminal where not."""

from __future__ import annotations

import json
import webbrowser
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pilotdht.cli import ui as ui_module
from pilotdht.cli.program import program
from pilotdht.daemon.page import PageKeeper
from pilotdht.daemon.shapes import PageShape
from pilotdht.errors import NotFound
from tests.support.fake_daemon import FakeDaemon, fake_daemon_in_thread

URL = "http://127.0.0.1:4600/#login=abc"
PAGE: PageShape = {"url": URL, "port": 4600, "expires": 1_700_000_120.0}


class Page:
    """A page that is not there."""

    def __init__(self) -> None:
        self.steps: list[str] = []

    async def open(self) -> None:
        """Note it."""
        self.steps.append("open")

    async def link(self) -> PageShape:
        """Note it."""
        self.steps.append("link")
        return PAGE

    async def close(self) -> None:
        """Note it."""
        self.steps.append("close")


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the addresses that a browser was given; there is a screen, and a page."""
    given: list[str] = []

    def open_browser(url: str) -> bool:
        given.append(url)
        return True

    def ask(*_: object) -> PageShape:
        return PAGE

    monkeypatch.setattr(webbrowser, "open", open_browser)
    monkeypatch.setattr(ui_module, "ask", ask)
    monkeypatch.setenv("DISPLAY", ":0")
    return given


def run(*words: str) -> Result:
    """Run the command line."""
    return CliRunner().invoke(program, words, prog_name="pilotdht")


def test_ui_opens_the_browser(opened: list[str]) -> None:
    """The link goes to the browser and is not printed."""
    result = run("ui")
    assert (0, "Status page opened in the browser.\n") == (result.exit_code, result.stdout)
    assert [URL] == opened
    assert URL not in result.output


def test_ui_print_prints_the_link_alone(opened: list[str]) -> None:
    """For scripts, and other browsers."""
    result = run("ui", "--print")
    assert (0, f"{URL}\n") == (result.exit_code, result.stdout)
    assert [] == opened


def test_ui_without_a_screen_prints_the_link(opened: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A browser in the terminal could not show the page."""
    monkeypatch.delenv("DISPLAY")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    result = run("ui")
    assert (0, f"{URL}\n") == (result.exit_code, result.stdout)
    assert "No browser" in result.stderr
    assert [] == opened


def test_ui_json_tells_the_link(opened: list[str]) -> None:
    """Programs are told, and no browser is opened behind their back."""
    data = json.loads(run("--json", "ui").stdout)["data"]
    assert {**PAGE, "is_opened": False} == data
    assert [] == opened


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[FakeDaemon]:
    """Return a daemon without a page."""
    with fake_daemon_in_thread(tmp_path) as running:
        yield running


def test_daemon_without_a_page_says_so(daemon: FakeDaemon) -> None:
    """A daemon that was started without one tells that."""
    result = CliRunner().invoke(program, ["--socket", str(daemon.socket), "--json", "ui"], prog_name="pilotdht")
    assert "not_found" == json.loads(result.stdout)["code"]


@pytest.mark.asyncio
async def test_keeper_makes_the_page_when_it_is_needed() -> None:
    """It is made once, and closed with the daemon; one that nobody asked for is never made."""
    made: list[Page] = []

    def make() -> Page:
        made.append(Page())
        return made[-1]

    async with PageKeeper(make):
        pass
    assert [] == made
    async with PageKeeper(make) as keeper:
        assert PAGE == await keeper.link()
        await keeper.open()
    assert ["link", "open", "close"] == made[0].steps
    with pytest.raises(NotFound):
        await PageKeeper(None).link()
