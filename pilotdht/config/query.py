"""Tunables of questions between agents, and of the answers that a group shares."""

from __future__ import annotations

from pilotdht.config.fields import Section, tunable
from pilotdht.errors import ConfigError
from pilotdht.values import dataclass

_KIB = 1024
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryConfig(Section):
    """Everything about questions and answers that can be set."""

    max_question_bytes: int = tunable(
        64 * _KIB, unit="bytes", low=1, high=_MIB, reason="a long prompt; files go over streams of their own"
    )
    """Most bytes of a question, asked or taken."""

    max_answer_bytes: int = tunable(
        _MIB, unit="bytes", low=1, high=64 * _MIB, reason="a book of 500 pages; it is held in memory to be verified"
    )
    """Most bytes of an answer, given or taken."""

    part_bytes: int = tunable(
        32 * _KIB, unit="bytes", low=64, high=60 * _KIB, reason="a frame is at most 64 KiB; half is as fast"
    )
    """Bytes after which an answer is cut into another part."""

    max_serving: int = tunable(
        64, low=1, high=100_000, reason="an answer costs a model's time; more are told to ask somebody else"
    )
    """Questions answered at one time."""

    max_serving_per_peer: int = tunable(
        8, low=1, high=100_000, reason="one asker must leave room for others; an eighth of the whole"
    )
    """Questions of one peer answered at one time."""

    max_asking: int = tunable(
        256, low=1, high=100_000, reason="a program that forgets to await its questions finds out early"
    )
    """Questions of this node that wait for their answer."""

    question_timeout_s: float = tunable(
        10.0, unit="s", low=0.1, high=600, reason="64 KiB over a slow link; half a question must not hold a place"
    )
    """Time in which an asker must have sent its question."""

    open_timeout_s: float = tunable(
        5.0, unit="s", low=0.05, high=120, reason="dialling and a round trip; a dead member is passed over by then"
    )
    """Time for opening a stream to whoever is asked."""

    max_serving_s: float = tunable(
        600.0, unit="s", low=0.1, high=86_400, reason="an asker that waits longer has forgotten what it asked"
    )
    """Longest time one question is worked on, whatever the asker's deadline."""

    farewell_s: float = tunable(
        2.0, unit="s", low=0.01, high=60, reason="a refusal is one packet; an asker that does not read gets none"
    )
    """Time for telling an asker why there is no answer."""

    rtt_guess_s: float = tunable(
        0.1, unit="s", low=0.0001, high=10, reason="a path across a continent; used while nobody's was measured"
    )
    """Round-trip time of a candidate that was never measured, when no other was either."""

    work_guess_s: float = tunable(
        1.0, unit="s", low=0.001, high=600, reason="a short answer of a model; used until the first was measured"
    )
    """Working time of a candidate that was never asked, when no other was either."""

    outcome_weight: float = tunable(
        0.2, low=0.01, high=1.0, reason="the last five outcomes make two thirds of what is believed"
    )
    """Weight of the newest outcome in success and working time (exponentially weighted means)."""

    outcome_half_life_s: float = tunable(
        300.0, unit="s", low=1.0, high=86_400, reason="who failed is tried again within minutes, not never"
    )
    """Time after which a bad record counts half."""

    max_peers: int = tunable(
        4096, low=16, high=1_000_000, reason="500 bytes each; whoever was asked longest ago is forgotten"
    )
    """Peers whose outcomes are remembered."""

    tie_share: float = tunable(
        0.8, low=0.0, high=1.0, reason="a difference of a fifth is noise; all askers would pick the same member"
    )
    """Share of the best score from which candidates count as equal, and chance decides between two of them."""

    max_candidates: int = tunable(
        128, low=32, high=100_000, reason="ranking 10,000 would stop the loop for a fifth of a second; 128 take 3 ms"
    )
    """Members that are compared for one question; of more, so many are drawn by chance."""

    max_attempts: int = tunable(
        4, low=1, high=64, reason="of members that fail every second time, four in a row fail once in 16"
    )
    """Members asked one after the other, as each fails, for one question."""

    max_hedges: int = tunable(
        1, low=0, high=8, reason="the second member takes most of the tail away, the third hardly any (Dean 2013)"
    )
    """Further members asked because the first is slow."""

    hedge_share: float = tunable(
        0.1, low=0.0, high=1.0, reason="an overloaded group is slow: asking everybody twice would double its load"
    )
    """Hedges a question, over time."""

    hedge_burst: float = tunable(
        3.0, low=0.0, high=1000, reason="the first questions of a node may meet dead members before a budget has grown"
    )
    """Hedges that may have been saved up; a node begins with these."""

    hedge_low_s: float = tunable(
        0.05, unit="s", low=0.001, high=60, reason="below this a second member saves nothing a person would notice"
    )
    """Shortest wait before a second member is asked."""

    hedge_high_s: float = tunable(
        10.0, unit="s", low=0.01, high=600, reason="however slow they all were, a silent member must be passed over"
    )
    """Longest wait before a second member is asked."""

    hedge_guess_s: float = tunable(1.0, unit="s", low=0.01, high=600, reason="used until eight answers were timed")
    """Wait before a second member is asked while nothing is known."""

    circuit_failures: int = tunable(
        5, low=1, high=1000, reason="five in a row is no bad luck: at 10 % failures once in 100,000"
    )
    """Failures in a row after which a peer is left alone."""

    circuit_share: float = tunable(0.5, low=0.01, high=1.0, reason="half of all questions would have to be asked twice")
    """Share of failures among the last outcomes from which a peer is left alone."""

    circuit_window: int = tunable(20, low=2, high=1000, reason="enough to tell a share of one half from bad luck")
    """Outcomes the share is taken of; it counts from half of them on."""

    circuit_first_s: float = tunable(2.0, unit="s", low=0.01, high=3600, reason="a restart takes so long")
    """First pause of a peer that is left alone; doubled each time its trial fails."""

    circuit_most_s: float = tunable(
        300.0, unit="s", low=0.01, high=86_400, reason="a dead peer costs one question in five minutes"
    )
    """Longest pause."""

    max_quorum: int = tunable(16, low=1, high=256, reason="16 equal answers mean 23 members asked at once")
    """Largest quorum that can be asked for."""

    max_ttl_s: int = tunable(
        86_400, unit="s", low=1, high=30 * 86_400, reason="an answer that holds for ever cannot be corrected"
    )
    """Longest time for which an answer may be shared, given or taken."""

    clock_skew_s: float = tunable(
        60.0, unit="s", low=0.0, high=3600, reason="hosts without a time service are seconds off, not minutes"
    )
    """How far in the future a shared answer may have been signed."""

    max_shared_bytes: int = tunable(
        32 * _KIB, unit="bytes", low=1, high=60 * _KIB, reason="holders keep many; one frame carries it"
    )
    """Most bytes of an answer that is shared."""

    cache_bytes: int = tunable(
        8 * _MIB, unit="bytes", low=0, high=1 << 34, reason="some thousand short answers; the least used go first"
    )
    """Memory for shared answers."""

    cache_answers: int = tunable(
        4096, low=0, high=10_000_000, reason="bounds what small answers cost besides their text"
    )
    """Most shared answers kept."""

    cache_share_per_peer: float = tunable(
        0.125, low=0.001, high=1.0, reason="one member that offers without end displaces only its own offers"
    )
    """Share of the cache that one offering member can fill."""

    homes: int = tunable(3, low=1, high=16, reason="two may leave at once and the answer is still found")
    """Members that an answer is offered to."""

    look_timeout_s: float = tunable(
        1.0, unit="s", low=0.01, high=60, reason="looking must cost less than asking; then the expert is asked"
    )
    """Time for finding a shared answer at its homes."""

    offer_timeout_s: float = tunable(5.0, unit="s", low=0.01, high=60, reason="nobody waits for it")
    """Time for offering an answer to one home."""

    max_offers: int = tunable(
        32, low=0, high=10_000, reason="offers are a courtesy: when many wait, further ones are dropped"
    )
    """Offers under way at one time."""

    def __post_init__(self) -> None:
        """Check ranges and that lower bounds stay below upper ones.

        Raises:
            ConfigError: a value is out of range or does not fit another.
        """
        Section.__post_init__(self)
        if self.hedge_low_s > self.hedge_high_s:
            raise ConfigError("hedge_low_s must not be above hedge_high_s")
        if self.circuit_first_s > self.circuit_most_s:
            raise ConfigError("circuit_first_s must not be above circuit_most_s")
        if self.max_serving_per_peer > self.max_serving:
            raise ConfigError("max_serving_per_peer must not be above max_serving")
