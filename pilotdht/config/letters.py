"""Tunables of the room ``letters``: what is kept for others, and how this node leaves and fetches letters."""

from __future__ import annotations

from pilotdht.config.fields import Section, tunable
from pilotdht.errors import ConfigError
from pilotdht.values import dataclass
from pilotdht.wire.letter import MAX_LETTER_LIFETIME_S


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterConfig(Section):
    """Everything about letters that can be set."""

    is_enabled: bool = tunable(
        True, reason="a mesh in which nobody keeps letters leaves everybody out who is offline; bounded below"
    )
    """Whether letters of others are kept here."""

    max_letters: int = tunable(4096, low=1, high=1 << 20, reason="about 6 MB when all are of the longest kind")
    """Letters kept here; when full, the network that has most of them loses its oldest to one with less."""

    letters_per_target: int = tunable(
        64, low=1, high=65_535, reason="more than ask one agent for trust in a week while it sleeps"
    )
    """Letters kept for one key, by the same rule."""

    letters_per_writer: int = tunable(64, low=1, high=1 << 20, reason="an agent that starts work with a whole team")
    """Letters kept of one writer, each for another target; more are refused."""

    letters_per_prefix: int = tunable(
        256, low=1, high=1 << 20, reason="a sixteenth of all: one owner of many keys cannot fill us up"
    )
    """Letters kept of writers in one source prefix (/24, /48); more are refused."""

    max_lifetime_s: float = tunable(
        float(MAX_LETTER_LIFETIME_S),
        unit="s",
        low=1,
        high=MAX_LETTER_LIFETIME_S,
        reason="a laptop that was closed for a week",
    )
    """How long a letter is kept at most, whatever its writer asks for."""

    leaves_per_s: float = tunable(
        1.0, unit="1/s", low=0.001, high=1e6, reason="people write to people; machines in one office share it"
    )
    """Letters taken from one source prefix, on average."""

    leaves_burst: int = tunable(64, low=1, high=1 << 20, reason="an agent that starts work with a whole team")
    """Letters taken from one source prefix at once."""

    prefixes_limited: int = tunable(4096, low=16, high=1 << 20, reason="1 MB; prefixes beyond share one allowance")
    """Source prefixes whose rate is remembered."""

    notice_first_s: float = tunable(
        1.0, unit="s", low=0.01, high=3600.0, reason="a notice can be lost; the next request of the target brings one"
    )
    """Pause between two notices to one target that does not fetch; doubled after each."""

    notice_most_s: float = tunable(
        60.0, unit="s", low=0.01, high=86_400.0, reason="who does not fetch is told once a minute, while it asks us"
    )
    """Longest pause between two notices to one target."""

    copies: int = tunable(
        8, low=1, high=16, reason="as many as keep a record: nodes come and go, and the last one that stays is enough"
    )
    """Nodes that a letter of ours is left with."""

    tries: int = tunable(20, low=1, high=64, reason="some are full, gone or refuse; as many as one lookup finds")
    """Nodes that are asked at most to keep one letter."""

    leave_timeout_s: float = tunable(
        8.0, unit="s", low=0.1, high=120.0, reason="one lookup and three rounds of requests on bad lines"
    )
    """Time for leaving one letter."""

    asked_at_join: int = tunable(
        12, low=0, high=64, reason="letters lie with the eight nearest; newcomers may have come nearer meanwhile"
    )
    """Nodes near this node's own id that are asked for letters after joining."""

    collections: int = tunable(16, low=1, high=128, reason="all that are asked after joining, and servers besides")
    """Nodes that letters are fetched from at one time."""

    notices_per_s: float = tunable(
        1.0, unit="1/s", low=0.001, high=1e6, reason="more often than letters come; a notice costs one request"
    )
    """Notices heeded, on average."""

    notices_burst: int = tunable(32, low=1, high=1 << 20, reason="all servers of this node tell it at once")
    """Notices heeded at once."""

    openings_per_s: float = tunable(
        10.0,
        unit="1/s",
        low=0.01,
        high=1e6,
        reason="0.3 ms each: a flood of letters costs less than a percent of a core",
    )
    """Letters opened, on average; those beyond stay where they are."""

    openings_burst: int = tunable(256, low=1, high=1 << 20, reason="a week's letters, 80 ms of work")
    """Letters opened at once."""

    ids_kept: int = tunable(1024, low=16, high=1 << 20, reason="each letter comes from eight nodes; 100 bytes each")
    """Letters that are remembered as read."""

    def __post_init__(self) -> None:
        """Check ranges, and that bounds fit one another.

        Raises:
            ConfigError: a value is out of range or does not fit another.
        """
        Section.__post_init__(self)
        if self.copies > self.tries:
            raise ConfigError("copies must not be above tries")
        if self.asked_at_join > self.collections:
            raise ConfigError("asked_at_join must not be above collections")
        if self.notice_first_s > self.notice_most_s:
            raise ConfigError("notice_first_s must not be above notice_most_s")
