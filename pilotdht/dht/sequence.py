"""The sequence numbers of this node's own records: they never go back, whatever the clock does. Pure."""

from __future__ import annotations


class SequenceClock:
    """Unix milliseconds that always rise, over restarts too when what :attr:`last_ms` says is saved."""

    def __init__(self, last_ms: int = 0) -> None:
        self.last_ms = last_ms
        """The highest number given out or seen on a record of ours."""

    def next_ms(self, unix_time: float) -> int:
        """Return a number above all earlier ones: the time, unless a clock was set back."""
        self.last_ms = max(self.last_ms + 1, int(unix_time * 1000))
        return self.last_ms

    def seen(self, issued_ms: int) -> None:
        """Take in a number of ours that others know, from before our memory was lost."""
        self.last_ms = max(self.last_ms, issued_ms)
