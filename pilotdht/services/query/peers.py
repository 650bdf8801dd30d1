"""What became of the questions that this node asked, peer by peer. Pure.

Success and working time are exponentially weighted means; a bad record fades, so that who failed is tried again. How
long peers took to begin their answers is kept as the last few times themselves, because a share of all (95 %) cannot
be had from a mean.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable

from pilotdht.config.query import QueryConfig
from pilotdht.identity.ids import PublicKey
from pilotdht.services.query.circuit import Circuit, CircuitState

TIMES_PER_PEER = 32
TIMES_OF_ALL = 256
ENOUGH_TIMES = 8
"""From so many on the 95th percentile is more than the longest of a few."""


class PeerRecord:
    """What is remembered of one peer."""

    __slots__ = ("_begin_s", "_is_asked", "_noted_at", "_success", "circuit", "outstanding", "work_s")

    def __init__(self, config: QueryConfig) -> None:
        """Make the record of a peer that was never asked."""
        self.circuit = Circuit(config)
        """Whether it is asked at all."""
        self.outstanding = 0
        """Questions that it is working on."""
        self.work_s: float | None = None
        """Mean time of its answers besides the way; absent before the first."""
        self._success = 1.0
        self._noted_at = 0.0
        self._is_asked = False
        self._begin_s: deque[float] = deque(maxlen=TIMES_PER_PEER)

    def success(self, now: float, config: QueryConfig) -> float:
        """Return the share of questions answered, 0..1; failures fade with time."""
        if not self._is_asked:
            return 1.0
        faded: float = 0.5 ** (max(0.0, now - self._noted_at) / config.outcome_half_life_s)
        return 1.0 - (1.0 - self._success) * faded

    def note(self, is_answered: bool, now: float, config: QueryConfig) -> None:
        """Take in how a question ended."""
        believed = self.success(now, config)
        self._success = believed + config.outcome_weight * (float(is_answered) - believed)
        self._noted_at = now
        self._is_asked = True

    def note_work(self, work_s: float, config: QueryConfig) -> None:
        """Take in how long an answer took."""
        believed = work_s if self.work_s is None else self.work_s
        self.work_s = believed + config.outcome_weight * (work_s - believed)

    def note_slow(self, elapsed_s: float, config: QueryConfig) -> None:
        """Take in that an answer would have taken at least so long: another member was quicker, nobody waited."""
        if self.work_s is None or elapsed_s > self.work_s:
            self.note_work(elapsed_s, config)

    def note_begin(self, begin_s: float) -> None:
        """Take in when an answer began."""
        self._begin_s.append(begin_s)

    def begin_times(self) -> Iterable[float]:
        """Return how long its last answers took to begin, in seconds."""
        return self._begin_s


class Peers:
    """The records of those that were asked last; whoever was asked longest ago, and is not waited for, goes first."""

    def __init__(self, config: QueryConfig) -> None:
        """Make an empty table."""
        self._config = config
        self._records: OrderedDict[PublicKey, PeerRecord] = OrderedDict()
        self._begin_s: deque[float] = deque(maxlen=TIMES_OF_ALL)
        self.forgotten = 0
        """Peers forgotten for want of room."""
        self._unknown = PeerRecord(config)

    def __len__(self) -> int:
        """Return how many are remembered."""
        return len(self._records)

    def get(self, peer: PublicKey) -> PeerRecord:
        """Return what is remembered of a peer, to be read: that of one never asked is not its own."""
        return self._records.get(peer, self._unknown)

    def is_askable(self, peer: PublicKey, now: float) -> bool:
        """Return whether a peer may be asked now."""
        return self.get(peer).circuit.is_askable(now)

    def ask(self, peer: PublicKey, now: float) -> PeerRecord:
        """Note that a peer is asked, and return its record."""
        record = self._records.get(peer)
        if record is None:
            record = self._records[peer] = PeerRecord(self._config)
            self._make_room()
        self._records.move_to_end(peer)
        record.circuit.ask(now)
        record.outstanding += 1
        return record

    def begun(self, record: PeerRecord, begin_s: float) -> None:
        """Note that an answer began, so many seconds after the question."""
        record.note_begin(begin_s)
        self._begin_s.append(begin_s)

    def expected_begin_s(self, peer: PublicKey) -> float | None:
        """Return within which time 95 of 100 answers begin: the peer's, or everybody's; ``None`` when few are known."""
        own = sorted(self.get(peer).begin_times())
        times = own if len(own) >= ENOUGH_TIMES else sorted(self._begin_s)
        if len(times) < ENOUGH_TIMES:
            return None
        return times[min(len(times) - 1, int(0.95 * len(times)))]

    def open_circuits(self) -> int:
        """Return how many peers are left alone."""
        return sum(record.circuit.state is CircuitState.OPEN for record in self._records.values())

    def _make_room(self) -> None:
        excess = len(self._records) - self._config.max_peers
        if excess <= 0:
            return
        idle = [peer for peer, record in self._records.items() if record.outstanding == 0][:excess]
        for peer in idle:
            del self._records[peer]
            self.forgotten += 1
