"""A link in memory: whoever opens it hears what the others announce there."""

from __future__ import annotations

from collections.abc import Callable

from pilotdht.errors import ConfigError
from pilotdht.net.doors import LinkNotice, LinkPost


class MemoryLink:
    """One link; :meth:`at` gives a node its place on it."""

    def __init__(self, *networks: str) -> None:
        """Make it, with the networks that its hosts share."""
        self.networks = networks or ("192.168.1.0/24",)
        self.present: list[MemoryPresence] = []
        """Who listens."""

    def at(self, host: str) -> MemoryBoard:
        """Return the board of a host."""
        return MemoryBoard(self, host)

    def announce(self, notice: LinkNotice, *, but: MemoryPresence | None = None) -> None:
        """Have everybody hear something, whoever says it."""
        for one in list(self.present):
            if one is not but:
                one.on_notice(notice)

    def withdraw(self, name: str) -> None:
        """Have everybody hear that something is gone."""
        for one in list(self.present):
            one.on_gone(name)


class MemoryBoard:
    """The board of one host."""

    def __init__(self, link: MemoryLink, host: str) -> None:
        self.link = link
        self.host = host
        self.opened = 0
        """How often."""
        self.failures: list[ConfigError] = []
        """Raised by the next calls, one each."""

    async def open(self, post: LinkPost) -> MemoryPresence:
        """Find the link."""
        self.opened += 1
        if self.failures:
            raise self.failures.pop(0)
        return MemoryPresence(self, post)


class MemoryPresence:
    """One node on the link."""

    def __init__(self, board: MemoryBoard, post: LinkPost) -> None:
        self._link = board.link
        self.post = post
        """What it announces."""
        self._notice = LinkNotice(
            name=post.name,
            addresses=(board.host,),
            port=post.port,
            text={name: value.encode() for name, value in post.text.items()},
        )
        self.on_notice: Callable[[LinkNotice], None] = _nobody
        """Hears announcements."""
        self.on_gone: Callable[[str], None] = _nobody
        """Hears what is withdrawn."""

    @property
    def networks(self) -> tuple[str, ...]:
        """What the link's hosts share."""
        return self._link.networks

    async def begin(self, *, on_notice: Callable[[LinkNotice], None], on_gone: Callable[[str], None]) -> None:
        """Announce, and hear what others announced before."""
        self.on_notice, self.on_gone = on_notice, on_gone
        others = list(self._link.present)
        self._link.present.append(self)
        if self.post.is_told:
            self._link.announce(self._notice)
        for other in others:
            if other.post.is_told:
                on_notice(other._notice)

    async def close(self) -> None:
        """Withdraw; safe to call twice."""
        if self in self._link.present:
            self._link.present.remove(self)
            if self.post.is_told:
                self._link.withdraw(self.post.name)


def _nobody(_: object) -> None:
    pass
