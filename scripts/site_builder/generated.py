"""The pages that are made from the program, and whether those in the checkout are up to date."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from scripts.site_builder import command_line, python_api, settings

ROOT = Path(__file__).resolve().parents[2]
"""The checkout."""

PAGES: Mapping[str, Callable[[], str]] = {
    "docs/cli.md": command_line.page,
    "docs/sdk.md": python_api.page,
    "docs/settings.md": settings.page,
}
"""What makes each page, by path from the checkout."""


def stale_pages() -> dict[str, str]:
    """Return the text that each page should have, of those that have another one or are missing."""
    wanted = {path: make() for path, make in PAGES.items()}
    return {path: text for path, text in wanted.items() if _text(ROOT / path) != text}


def _text(path: Path) -> str | None:
    return path.read_text("utf-8") if path.is_file() else None
