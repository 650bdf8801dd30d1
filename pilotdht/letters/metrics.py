"""What letters count: plain integers, shown to prometheus when it asks."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from pilotdht.wire.letter_messages import LeaveResult

SENT_RESULTS = ("left", "nobody", "failed")
"""What can come of leaving a letter: somebody has it, nobody wanted it, or there was nobody to ask."""

NOTICE_RESULTS = ("heeded", "stranger", "limited")
"""What can come of the word that letters wait: heeded, from somebody who never answered us there, or too many."""

READ_RESULTS = ("taken", "again", "not_now", "bad")
"""What can come of a letter to us: taken in, read before, left where it is as there is no room, or no true letter."""


class LetterMetrics:
    """All that is counted about letters; registers itself as a collector."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.leaves = dict.fromkeys(LeaveResult, 0)
        """Letters of others that were to be kept here, by answer."""
        self.handed_over = 0
        """Letters sent to their targets, repetitions included."""
        self.fetched = 0
        """Letters that their targets have acknowledged."""
        self.notices_sent = 0
        """Targets told that letters wait here."""
        self.sent = dict.fromkeys(SENT_RESULTS, 0)
        """Letters of ours, by what came of them."""
        self.notices = dict.fromkeys(NOTICE_RESULTS, 0)
        """Words of others that letters to us wait."""
        self.read = dict.fromkeys(READ_RESULTS, 0)
        """Letters to us, by what came of them."""
        self._shown: dict[str, tuple[str, bool, Callable[[], int]]] = {}
        registry.register(self)

    def show(self, name: str, text: str, read: Callable[[], int], *, is_counter: bool = False) -> None:
        """Show a number that ``read`` returns, as ``pilotdht_letters_<name>``."""
        self._shown[name] = (text, is_counter, read)

    def collect(self) -> Iterable[Metric]:
        """Return all as prometheus takes it."""
        for name, text, value in (
            ("handed_over", "Letters of others sent to their targets", self.handed_over),
            ("fetched", "Letters of others that their targets have got", self.fetched),
            ("notices_sent", "Targets told that letters wait here", self.notices_sent),
        ):
            yield CounterMetricFamily(f"pilotdht_letters_{name}", text, value=value)
        leaves = {result.name.lower(): count for result, count in self.leaves.items()}
        for name, text, counts in (
            ("leaves", "Letters of others that were to be kept here, by answer", leaves),
            ("sent", "Letters of ours, by what came of them", self.sent),
            ("notices", "Words that letters to us wait, by what came of them", self.notices),
            ("read", "Letters to us, by what came of them", self.read),
        ):
            family = CounterMetricFamily(f"pilotdht_letters_{name}", text, labels=("result",))
            for result, count in counts.items():
                family.add_metric((result,), count)
            yield family
        for name, (text, is_counter, read) in self._shown.items():
            kind = CounterMetricFamily if is_counter else GaugeMetricFamily
            yield kind(f"pilotdht_letters_{name}", text, value=read())
