"""Topics and the patterns that readers subscribe to. Pure.

A topic is words joined by dots, such as ``prices.eur``. In a pattern ``*`` stands for exactly one word, and ``**`` at
the end for any number of words, none included: ``prices.*`` takes ``prices.eur``, and ``prices.**`` takes ``prices``
and ``prices.eur.spot`` as well. ``**`` alone takes everything.
"""

from __future__ import annotations

from pilotdht.errors import InvalidArgument
from pilotdht.wire.events import MAX_TOPIC_CHARS, is_topic

_ANY_WORD = "*"
_ANY_WORDS = "**"


def check_topic(topic: str) -> str:
    """Return ``topic`` when it is one.

    Raises:
        InvalidArgument: it is not.
    """
    if not is_topic(topic):
        raise InvalidArgument(
            f"{topic[:MAX_TOPIC_CHARS]!r} is not a topic",
            hint=f"words of a-z, 0-9, _ and -, joined by dots, up to {MAX_TOPIC_CHARS} characters: prices.eur",
        )
    return topic


class Pattern:
    """A checked pattern."""

    __slots__ = ("_has_tail", "_words", "text")

    def __init__(self, text: str) -> None:
        """Read a pattern.

        Raises:
            InvalidArgument: it is malformed.
        """
        words = text.split(".") if len(text) <= MAX_TOPIC_CHARS else []
        self.text = text
        """As it was written."""
        self._has_tail = bool(words) and words[-1] == _ANY_WORDS
        self._words = words[:-1] if self._has_tail else words
        is_sound = all(word == _ANY_WORD or is_topic(word) for word in self._words)
        if not words or not is_sound:
            raise InvalidArgument(
                f"{text[:MAX_TOPIC_CHARS]!r} is not a pattern of topics",
                hint="as a topic, with * for one word and ** at the end for all further ones: prices.*, prices.**, **",
            )

    def __repr__(self) -> str:
        """Show the text."""
        return f"<Pattern {self.text}>"

    def matches(self, topic: str) -> bool:
        """Return whether the pattern takes a topic."""
        words = topic.split(".")
        if len(words) < len(self._words) or (len(words) > len(self._words) and not self._has_tail):
            return False
        return all(wanted in (_ANY_WORD, word) for wanted, word in zip(self._words, words, strict=False))
