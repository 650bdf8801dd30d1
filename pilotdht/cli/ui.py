"""``ui``: the daemon's status page in a browser."""

from __future__ import annotations

import os
import sys
from typing import TypedDict, cast

import click

from pilotdht.cli.program import output, verb
from pilotdht.cli.session import ask
from pilotdht.daemon.shapes import PageShape


class OpenedPageShape(TypedDict):
    """A link that logs a browser in once, until ``expires`` (Unix seconds), and whether a browser was given it."""

    url: str
    port: int
    expires: float
    is_opened: bool


@verb("ui", example="pilotdht ui", returns=OpenedPageShape)
@click.option("--print", "is_printed", is_flag=True, help="Print the link instead of opening a browser.")
@click.pass_context
def ui(context: click.Context, is_printed: bool) -> None:
    """Open the status page of this node. The link logs one browser in, once."""
    page = cast("PageShape", ask(context, "/v1/ui", {}))
    out = output(context)
    is_opened = not is_printed and not out.is_json and _has_screen() and _open(page["url"])
    data: OpenedPageShape = {**page, "is_opened": is_opened}
    if not is_opened and not is_printed and not out.is_json:
        out.note("No browser can be opened here. Open this link on this machine; it works once:")
    out.result(data, lambda: out.line("Status page opened in the browser." if is_opened else page["url"]))


def _has_screen() -> bool:
    """Return whether a browser would have a window: one that runs in the terminal cannot show the page."""
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _open(url: str) -> bool:
    import webbrowser

    try:
        return webbrowser.open(url)
    except webbrowser.Error:
        return False
