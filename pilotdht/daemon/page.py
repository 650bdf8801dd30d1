"""The status page as the daemon sees it: made when somebody first asks for it, closed with the daemon.

What the page is and how it is served, the room ``ui`` knows; whoever starts the daemon hands it in.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from pilotdht.daemon.shapes import PageShape
from pilotdht.errors import NotFound


class StatusPageLike(Protocol):
    """A page that can be served."""

    async def open(self) -> None:
        """Listen, unless it listens already."""
        ...

    async def link(self) -> PageShape:
        """Listen, and return a link that logs a browser in once."""
        ...

    async def close(self) -> None:
        """Stop; safe to call twice."""
        ...


class PageKeeper:
    """Makes the page when it is needed, and closes it."""

    def __init__(self, make: Callable[[], StatusPageLike] | None) -> None:
        """Keep a page that is not made yet; with nothing to make it, there is none."""
        self._make = make
        self._page: StatusPageLike | None = None

    async def __aenter__(self) -> Self:
        """Return the keeper; leaving the block closes the page."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop serving."""
        await self.close()

    async def open(self) -> None:
        """Listen from now on.

        Raises:
            ConfigError: the port cannot be had.
            NotFound: this daemon has no page.
        """
        await self._made().open()

    async def link(self) -> PageShape:
        """Return a link that logs a browser in once.

        Raises:
            ConfigError: the port cannot be had.
            NotFound: this daemon has no page.
        """
        return await self._made().link()

    async def close(self) -> None:
        """Stop serving; safe to call twice."""
        page, self._page = self._page, None
        if page is not None:
            await page.close()

    def _made(self) -> StatusPageLike:
        if self._make is None:
            raise NotFound("this daemon has no status page")
        if self._page is None:
            self._page = self._make()
        return self._page
