"""Brings the pages together as the builder wants them: ``docs/``, and pages that stand elsewhere in the checkout.

Links that lead out of ``docs/`` are changed to where their target stands on the site. What is no page there, such as a
source file, becomes plain text: a reader of the site has no checkout beside it.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

ELSEWHERE: Mapping[str, str] = {
    "README.md": "readme.md",
    "CHANGELOG.md": "changelog.md",
    "tests/README.md": "tests.md",
    "grafana/README.md": "grafana.md",
}
"""Pages outside of ``docs/``, and what they are called on the site."""

HERE = Path(__file__).parent
COPIED = (".png", ".svg", ".webp")
"""Endings of what is taken along with the pages."""

_LINK = re.compile(r"(?P<mark>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")
_CODE = re.compile(r"(^```.*?^```|`[^`\n]*`)", re.DOTALL | re.MULTILINE)


def gather(root: Path, into: Path) -> None:
    """Fill a folder with the site's settings, theme and pages; what was in it goes.

    Args:
        root: the checkout.
        into: gets ``mkdocs.yml``, ``theme/`` and ``pages/``.
    """
    shutil.rmtree(into, ignore_errors=True)
    pages = into / "pages"
    shutil.copytree(HERE / "theme", into / "theme")
    shutil.copy(HERE / "mkdocs.yml", into / "mkdocs.yml")
    places = places_of(root)
    for source, place in places.items():
        (pages / place).parent.mkdir(parents=True, exist_ok=True)
        if source.endswith(".md"):
            text = (root / source).read_text("utf-8")
            (pages / place).write_text(moved(text, source, places), encoding="utf-8")
        else:
            shutil.copy(root / source, pages / place)


def places_of(root: Path) -> dict[str, str]:
    """Return where each file of the checkout that is part of the site stands there."""
    docs = sorted(path for path in (root / "docs").rglob("*") if path.suffix in (".md", *COPIED))
    inside = {path.relative_to(root).as_posix(): path.relative_to(root / "docs").as_posix() for path in docs}
    return inside | dict(ELSEWHERE)


def moved(text: str, source: str, places: Mapping[str, str]) -> str:
    """Return a page with its links as they lead from its place on the site; code stays as it is.

    Args:
        text: the page.
        source: its path in the checkout.
        places: where each file stands on the site.
    """
    parts = _CODE.split(text)
    return "".join(
        part if part.startswith("`") else _LINK.sub(lambda link: _led(link, source, places), part) for part in parts
    )


def _led(link: re.Match[str], source: str, places: Mapping[str, str]) -> str:
    target, separator, anchor = link["target"].partition("#")
    if not target or re.match(r"[a-z]+:", target):
        return link[0]
    wanted = PurePosixPath(os.path.normpath(PurePosixPath(source).parent / target)).as_posix()
    if wanted not in places:
        return link[0] if wanted.startswith("docs/") else link["text"]  # a page that is missing fails the build
    way = os.path.relpath(places[wanted], PurePosixPath(places[source]).parent)
    return f"{link['mark']}[{link['text']}]({PurePosixPath(way).as_posix()}{separator}{anchor})"
