"""Tunables of the room ``trust``: handshakes, what is kept about peers, and how often an undelivered word is tried."""

from __future__ import annotations

from pilotdht.config.fields import Section, tunable
from pilotdht.errors import ConfigError
from pilotdht.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustConfig(Section):
    """Everything about trust that can be set."""

    is_auto_approving: bool = tunable(
        False, reason="trust is a person's word; a public service or a laboratory may say yes to everybody"
    )
    """Whether every request is approved at once."""

    max_pending: int = tunable(
        256, low=1, high=100_000, reason="more than a person reads; keys are free, so strangers could ask without end"
    )
    """Requests of others that wait for an answer; when full, those that expired go, then new ones are refused."""

    pending_expiry_s: float = tunable(
        2_592_000.0, unit="s", low=60.0, high=1e9, reason="whoever was not answered in 30 days may ask again"
    )
    """Age from which a waiting request makes room for others."""

    max_peers: int = tunable(
        10_000, low=16, high=1_000_000, reason="300 bytes each; the oldest without trust or request is forgotten"
    )
    """Peers about whom something is kept."""

    max_pins: int = tunable(10_000, low=16, high=1_000_000, reason="names used here; the oldest is forgotten")
    """Names whose key is remembered since its first use."""

    max_aliases: int = tunable(10_000, low=1, high=1_000_000, reason="typed by a person; more are refused")
    """Local names for keys."""

    exchange_timeout_s: float = tunable(
        10.0,
        unit="s",
        low=0.1,
        high=120.0,
        reason="dialling a peer behind a NAT takes some seconds, a word one round trip",
    )
    """Time for delivering one word and reading its answer, dialling included."""

    words_per_s: float = tunable(
        0.5, unit="1/s", low=0.001, high=1e6, reason="people answer people; a peer that asks twice a second is broken"
    )
    """Words taken from one peer over time."""

    words_burst: int = tunable(
        20, low=1, high=1_000_000, reason="request, approval, withdrawal and again, typed as fast as anybody can"
    )
    """Words taken from one peer at once."""

    max_limited_peers: int = tunable(
        1024, low=16, high=1_000_000, reason="peers whose rate is remembered; the longest unheard is forgotten"
    )
    """Peers whose rate of words is remembered."""

    retry_first_s: float = tunable(
        1.0, unit="s", low=0.01, high=3600.0, reason="a peer that restarts is back within two seconds"
    )
    """Pause before an undelivered word is tried again; doubled after each failure, plus up to a quarter by chance."""

    retry_most_s: float = tunable(
        600.0, unit="s", low=0.01, high=86_400.0, reason="an offline peer costs one lookup in ten minutes"
    )
    """Longest pause between two tries; a link that comes up ends it."""

    max_deliveries: int = tunable(
        8, low=1, high=1000, reason="after a restart many words may wait; dialling all at once would be a storm"
    )
    """Words delivered at one time in the background."""

    letter_after_s: float = tunable(
        2.0,
        unit="s",
        low=0.0,
        high=120.0,
        reason="who is there has answered by then; a person waits for the command, or closes the laptop",
    )
    """Time after which a word that was not answered is left in a letter as well, while the try goes on."""

    letter_again_s: float = tunable(
        3600.0,
        unit="s",
        low=1.0,
        high=604_800.0,
        reason="nodes that keep letters come and go; a lookup and eight datagrams an hour while the peer is away",
    )
    """Time after which a word that is still owed is left anew."""

    answer_letters_per_s: float = tunable(
        0.2, unit="1/s", low=0.001, high=1e6, reason="each costs a lookup, and keys that ask for one cost nothing"
    )
    """Letters that acknowledge letters, on average; who gets none says its word again."""

    answer_letters_burst: int = tunable(
        32, low=1, high=1_000_000, reason="a week's letters are acknowledged at once when their reader is back"
    )
    """Letters that acknowledge letters, at once."""

    def __post_init__(self) -> None:
        """Check ranges and that pauses grow.

        Raises:
            ConfigError: a value is out of range or does not fit another.
        """
        Section.__post_init__(self)
        if self.retry_first_s > self.retry_most_s:
            raise ConfigError("retry_first_s must not be above retry_most_s")
        if self.max_pending > self.max_peers:
            raise ConfigError("max_pending must not be above max_peers")
