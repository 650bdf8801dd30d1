"""How a sender counts its own messages. Pure.

One count serves both groups while a group's key is replaced: a message has the same number in both, and readers know
the second one by it.
"""

from __future__ import annotations


class Numbering:
    """The number of this node's last message in one group, and since when it counts."""

    def __init__(self, epoch_ms: int) -> None:
        """Begin to count at a moment, in Unix milliseconds."""
        self.epoch_ms = epoch_ms
        """Since when, in Unix milliseconds; grows."""
        self.sequence = 0
        """The last message's number; 0: there was none."""

    def begin(self, unix_ms: int) -> None:
        """Let the count begin with the first message, if there was none.

        Who was there before it then knows that nothing of this sender was missed, and waits for all from the first on.
        """
        if not self.sequence:
            self.epoch_ms = max(self.epoch_ms, unix_ms)

    def outlive(self, epoch_ms: int, unix_ms: int) -> None:
        """Begin anew, after an earlier epoch of this key: a former life of it said something."""
        if epoch_ms >= self.epoch_ms:
            self.epoch_ms = max(epoch_ms + 1, unix_ms)
            self.sequence = 0
