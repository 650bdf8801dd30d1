"""Builds the documentation as a site into build/site/html, or cares for the pages that are made from the program."""

from __future__ import annotations

import argparse
import http.server
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

from scripts.site_builder.gather import gather
from scripts.site_builder.generated import ROOT, stale_pages
from scripts.site_builder.inspection import faults

OUTPUT = ROOT / "build" / "site"
"""Where the site is built; git ignores it."""

BUILD_TIMEOUT_S = 300.0


def write() -> int:
    """Write the generated pages that are out of date."""
    for path, text in stale_pages().items():
        (ROOT / path).write_text(text, encoding="utf-8")
        print(f"written  {path}")
    return 0


def check() -> int:
    """Tell which generated pages are out of date; 1 when any is."""
    stale = stale_pages()
    for path in stale:
        print(f"stale    {path}: run scripts/site --write", file=sys.stderr)
    return 1 if stale else 0


def build(into: Path) -> int:
    """Build the site strictly: broken links, anchors and pages end it; 1 when something is wrong.

    Args:
        into: the folder to build in; it is emptied first.
    """
    gather(ROOT, into)
    if not compiled(into):
        return 1
    found = [*faults(into / "html"), *missing_pages(into)]
    for fault in found:
        print(f"wrong    {fault}", file=sys.stderr)
    if not found:
        print(f"built    {into / 'html' / 'index.html'}")
    return 1 if found else 0


def compiled(into: Path) -> bool:
    """Make HTML of gathered pages; return whether nothing was wrong, and print what was."""
    # The builder is run as a program: it may end its process.
    words = ["-m", "zensical", "build", "--strict", "--clean", "--config-file", str(into / "mkdocs.yml")]
    done = subprocess.run(
        [sys.executable, *words], check=False, capture_output=True, text=True, timeout=BUILD_TIMEOUT_S, cwd=into
    )
    if done.returncode:
        said = re.sub(r"\x1b\[[\d;]*m", "", done.stdout + done.stderr)
        print(said.partition("Traceback")[0], file=sys.stderr)
    return not done.returncode


def missing_pages(into: Path) -> list[str]:
    """Tell where pages, what was built of them and the navigation do not fit together."""
    settings = (into / "mkdocs.yml").read_text("utf-8")
    wrong = []
    for page in sorted((into / "pages").rglob("*.md")):
        name = page.relative_to(into / "pages").as_posix()
        if not (into / "html" / name).with_suffix(".html").is_file():
            wrong.append(f"{name} was not built")
        if f": {name}\n" not in settings:
            wrong.append(f"{name} is missing in the navigation: scripts/site_builder/mkdocs.yml")
    entries = re.findall(r": ([\w/-]+\.md)$", settings, re.MULTILINE)
    gone = [name for name in entries if not (into / "pages" / name).is_file()]
    return wrong + [f"{name} is in the navigation, and there is no such page" for name in gone]


def serve(html: Path, port: int) -> int:
    """Serve the built site on this machine until interrupted."""
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(html))
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        print(f"serving  http://127.0.0.1:{server.server_port}/  (Ctrl-C ends it)", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return 0
    return 0


def main() -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/site", description=__doc__)
    verbs = parser.add_mutually_exclusive_group()
    verbs.add_argument("--serve", action="store_true", help="build, then serve it on 127.0.0.1")
    verbs.add_argument("--write", action="store_true", help="write docs/cli.md, docs/sdk.md and docs/settings.md")
    verbs.add_argument("--check", action="store_true", help="fail when one of these is out of date")
    parser.add_argument("--port", type=int, default=8000, help="where --serve serves; 0: any free port")
    given = parser.parse_args()
    if given.write:
        return write()
    if given.check:
        return check()
    code = build(OUTPUT)
    return serve(OUTPUT / "html", given.port) if given.serve and not code else code


if __name__ == "__main__":
    sys.exit(main())
