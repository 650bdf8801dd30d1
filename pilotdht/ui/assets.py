"""The page's own files: read once when the page is first asked for, and served from memory."""

from __future__ import annotations

from importlib.resources import files

from pilotdht.values import dataclass

_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

_NAMES = (
    "index.html",
    "style.css",
    "icon.svg",
    "app.js",
    "session.js",
    "elements.js",
    "format.js",
    "parts.js",
    "chart.js",
    "icons.js",
    "pages/overview.js",
    "pages/peers.js",
    "pages/network.js",
    "pages/groups.js",
    "pages/lookups.js",
    "pages/trust.js",
    "pages/relay.js",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """One file."""

    body: bytes
    """Its content."""
    content_type: str
    """Its media type."""


def load_assets() -> dict[str, Asset]:
    """Return the files by name; there are no others, so no request can name a file outside."""
    folder = files("pilotdht.ui") / "assets"
    assets = {}
    for name in _NAMES:
        body = folder.joinpath(name).read_bytes()
        kind = _KINDS[name[name.rindex(".") :]]
        assets[name] = Asset(body=body, content_type=kind)
    return assets
