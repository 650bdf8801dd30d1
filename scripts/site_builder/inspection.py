"""Looks over a built site: nothing in it may be fetched from a foreign host, and what is fetched must be there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

FETCHED = {
    "audio": ("src",),
    "embed": ("src",),
    "iframe": ("src",),
    "image": ("href",),
    "img": ("src", "srcset"),
    "input": ("src",),
    "link": ("href",),
    "object": ("data",),
    "script": ("src",),
    "source": ("src", "srcset"),
    "track": ("src",),
    "use": ("href", "xlink:href"),
    "video": ("src", "poster"),
}
"""What a browser fetches by itself; ``a`` is not among it, as somebody has to click there."""

_POLICY = "default-src 'self'"
_IN_STYLE = re.compile(r"""(?:url\(\s*|@import\s+)["']?((?:[a-z]+:)?//[^"')\s]+)""")


class _Page(HTMLParser):
    """Collects what a page fetches, and its content policy."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.policy = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "meta" and given.get("http-equiv", "").lower() == "content-security-policy":
            self.policy = given.get("content", "")
        for name in FETCHED.get(tag, ()):
            if name in given:
                self.fetched += [part.split()[0] for part in given[name].split(",") if part.strip()]
        self.fetched += _IN_STYLE.findall(given.get("style", ""))


def faults(html: Path) -> Iterator[str]:
    """Yield what is wrong with a built site, one sentence each.

    Args:
        html: the folder that would be served.
    """
    for page in sorted(html.rglob("*.html")):
        parser = _Page()
        parser.feed(page.read_text("utf-8"))
        name = page.relative_to(html)
        for one in parser.fetched:
            if is_foreign(one):
                yield f"{name} fetches {one}"
            elif is_missing(one, page, html):
                yield f"{name} shows {one}, which is not there"
        if not parser.policy.startswith(_POLICY):
            yield f"{name} does not tell the browser to fetch from its own host alone"
    for sheet in sorted([*html.rglob("*.css"), *html.rglob("*.svg")]):
        found = _IN_STYLE.findall(sheet.read_text("utf-8"))
        yield from (f"{sheet.relative_to(html)} fetches {one}" for one in found)


def is_missing(target: str, page: Path, html: Path) -> bool:
    """Return whether a page would fetch a file that the site does not have."""
    path = unquote(urlsplit(target).path)
    start = html if path.startswith("/") else page.parent
    return not target.startswith("data:") and bool(path) and not (start / path.lstrip("/")).exists()


def is_foreign(target: str) -> bool:
    """Return whether an address names a host, or a way to one."""
    parts = urlsplit(target)
    return bool(parts.netloc) or parts.scheme not in ("", "data")
