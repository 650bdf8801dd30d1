"""Tunables of the status page: where it is served, who stays logged in, what it may cost."""

from __future__ import annotations

from pilotdht.config.fields import Section, tunable
from pilotdht.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class UiConfig(Section):
    """Everything about the status page that can be set."""

    port: int | None = tunable(
        None, low=1, high=65_535, reason="a free port is taken when the page is asked for; a fixed one can be forwarded"
    )
    """TCP port of 127.0.0.1; when it is set, the page is served from the daemon's start on."""

    tick_s: float = tunable(
        1.0, unit="s", low=1.0, high=60.0, reason="numbers that change faster cannot be read, and cost the node more"
    )
    """How often an open page is told what has changed."""

    link_s: float = tunable(
        120.0, unit="s", low=5.0, high=3600.0, reason="a browser may have to start first; an old link is of no use"
    )
    """How long a login link can be used, once."""

    max_links: int = tunable(4, low=1, high=1000, reason="links that were asked for and not used; the oldest is void")
    """Login links that can be used at one time."""

    session_s: float = tunable(
        43_200.0, unit="s", low=60.0, high=2_592_000.0, reason="a working day; the next one begins with a new link"
    )
    """How long a browser that shows no page stays logged in."""

    max_sessions: int = tunable(8, low=1, high=1000, reason="the browsers of one person; the one unused longest is out")
    """Browsers that are logged in at one time."""

    max_connections: int = tunable(
        48, low=4, high=10_000, reason="browsers open six a host; a page left open in a few tabs has room"
    )
    """Connections to the page's port at one time."""

    max_pages: int = tunable(
        8, low=1, high=1000, reason="pages in the foreground of a few windows; each costs the node some ms a second"
    )
    """Pages that are told what changes at one time."""

    max_body_bytes: int = tunable(
        8192,
        unit="bytes",
        low=1024,
        high=1 << 20,
        reason="the longest thing a page sends is a reason of 500 characters",
    )
    """Body of one request."""

    request_timeout_s: float = tunable(
        10.0, unit="s", low=0.1, high=600.0, reason="a browser on this machine sends its request at once"
    )
    """Time for a request's head and body to arrive."""

    answer_timeout_s: float = tunable(
        30.0, unit="s", low=1.0, high=600.0, reason="a lookup and a dial fit in it; who does not read is cut off"
    )
    """Time for an answer to be found and taken; of what an open page is told, for each piece."""
