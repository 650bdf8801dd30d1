"""The site is built strictly, has every page, and fetches nothing from anywhere else."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from scripts.site_builder.__main__ import build, compiled, missing_pages
from scripts.site_builder.gather import gather, moved, places_of
from scripts.site_builder.inspection import faults, is_foreign
from tests.support.source import ROOT
from tests.ui.chromium import chromium, opened

PLACES = {
    "README.md": "readme.md",
    "docs/a.md": "a.md",
    "docs/howto/b.md": "howto/b.md",
    "docs/images/x.png": "images/x.png",
}

needs_zensical = pytest.mark.skipif(
    importlib.util.find_spec("zensical") is None, reason="zensical is missing: dependency group 'site' has it"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site once; return the folder that holds its pages, settings and HTML."""
    into = tmp_path_factory.mktemp("site") / "built"
    assert 0 == build(into)
    return into


@pytest.fixture
def served(site: Path) -> Iterator[str]:
    """Serve the site on loopback; yield its address."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class calls it so
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site / "html"))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@needs_zensical
@pytest.mark.integration
@pytest.mark.timeout(180)
def test_site_has_every_page_and_nothing_foreign(site: Path) -> None:
    """Strict building, every page built and in the navigation, nothing fetched from elsewhere."""
    pages = [place for place in places_of(ROOT).values() if place.endswith(".md")]

    assert 30 <= len(pages)
    assert [] == [page for page in pages if not (site / "html" / page).with_suffix(".html").is_file()]
    assert [] == [*faults(site / "html"), *missing_pages(site)]


@needs_zensical
@pytest.mark.integration
@pytest.mark.timeout(180)
@pytest.mark.parametrize("link", ["nowhere.md", "security.md#nowhere"])
def test_site_with_a_broken_link_is_not_built(tmp_path: Path, link: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A page or a heading that is not there ends the build."""
    gather(ROOT, tmp_path / "built")
    page = tmp_path / "built" / "pages" / "tutorial.md"
    page.write_text(f"{page.read_text('utf-8')}\n[there]({link})\n", encoding="utf-8")

    assert not compiled(tmp_path / "built")
    assert "tutorial.md" in capsys.readouterr().err


@needs_zensical
@pytest.mark.integration
@pytest.mark.timeout(180)
@pytest.mark.asyncio
async def test_every_page_opens_in_a_browser_and_asks_nobody_else(site: Path, served: str) -> None:
    """No errors, no violations of the policy, no request to another host."""
    names = sorted(path.relative_to(site / "html").as_posix() for path in (site / "html").rglob("*.html"))
    async with chromium() as browser, opened(browser, f"{served}/index.html") as (page, complaints):
        for name in names:
            await page.goto(f"{served}/{name}")
            assert await page.locator("h1").count(), name
        assert {served.removeprefix("http://")} == complaints.hosts
        assert [] == complaints.messages


def test_page_that_is_not_in_the_navigation_is_told(tmp_path: Path) -> None:
    """And an entry of the navigation without a page."""
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "lost.md").write_text("# Lost\n", encoding="utf-8")
    (tmp_path / "mkdocs.yml").write_text("nav:\n  - Gone: gone.md\n", encoding="utf-8")

    told = " ".join(missing_pages(tmp_path))
    assert "lost.md was not built" in told
    assert "lost.md is missing in the navigation" in told
    assert "gone.md is in the navigation" in told


@pytest.mark.parametrize(
    "page",
    [
        '<script src="https://elsewhere.example/a.js"></script>',
        '<link rel="stylesheet" href="//elsewhere.example/a.css">',
        '<img srcset="a.png 1x, https://elsewhere.example/b.png 2x">',
        '<p style="background: url(https://elsewhere.example/a.png)">',
        '<iframe src="http://elsewhere.example/"></iframe>',
        '<img src="images/nowhere.png">',
    ],
)
def test_page_that_fetches_from_elsewhere_or_what_is_not_there_is_told(tmp_path: Path, page: str) -> None:
    """Whatever a browser would fetch by itself."""
    policy = '<meta http-equiv="Content-Security-Policy" content="default-src \'self\'">'
    (tmp_path / "a.png").touch()
    (tmp_path / "a.html").write_text(
        f'{policy}<img src="a.png"><a href="https://elsewhere.example/">a link is none</a>{page}'
    )

    assert 1 == len(list(faults(tmp_path)))


def test_page_without_policy_and_sheet_that_imports_are_told(tmp_path: Path) -> None:
    """The rest of what is looked at."""
    (tmp_path / "a.html").write_text("<h1>Hello</h1>")
    (tmp_path / "a.css").write_text(
        "@import 'https://elsewhere.example/a.css'; p { background: url(data:image/png;base64,) }"
    )

    assert ["a.css fetches https://elsewhere.example/a.css", "a.html does not tell the browser"] == sorted(
        fault.partition(" to fetch")[0] for fault in faults(tmp_path)
    )


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("a.html", False),
        ("../a.css?v=1", False),
        ("data:,x", False),
        ("//a.example/", True),
        ("ftp://a.example/", True),
    ],
)
def test_foreign_is_what_names_a_host(target: str, expected: bool) -> None:
    """Also without a scheme."""
    assert expected == is_foreign(target)


@pytest.mark.parametrize(
    ("source", "text", "expected"),
    [
        ("README.md", "[a](docs/a.md#x)", "[a](a.md#x)"),
        ("README.md", "![x](docs/images/x.png)", "![x](images/x.png)"),
        ("docs/howto/b.md", "[r](../../README.md#y)", "[r](../readme.md#y)"),
        ("docs/a.md", "[s](../scripts/demo) `[s](../scripts/demo)`", "s `[s](../scripts/demo)`"),
        (
            "docs/a.md",
            "[gone](gone.md) [h](https://a.example/) [here](#x)",
            "[gone](gone.md) [h](https://a.example/) [here](#x)",
        ),
    ],
)
def test_link_leads_to_where_its_target_stands(source: str, text: str, expected: str) -> None:
    """Pages move, sources become text, code and links elsewhere stay, and what is missing stays to be found."""
    assert expected == moved(text, source, PLACES)
