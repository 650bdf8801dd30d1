"""What programs hold in their hands: questions, replies, answers, and why somebody was chosen. Pure."""

from __future__ import annotations

import math

from pilotdht.errors import InvalidArgument
from pilotdht.identity.ids import PublicKey
from pilotdht.services.query.circuit import CircuitState
from pilotdht.services.query.content import Content, Json
from pilotdht.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question as its handler gets it."""

    asker: PublicKey
    """Who asks; proven by the link."""
    group: str
    """Name of the group whose member asks; empty: a trusted peer asks."""
    capability: str
    """For which capability, or empty."""
    content: Content
    """What is asked."""
    within_s: float
    """Seconds that the asker waited for the answer when the question arrived."""

    @property
    def text(self) -> str:
        """The question as text; of JSON its source."""
        return self.content.text

    @property
    def json(self) -> Json:
        """The question as JSON value.

        Raises:
            InvalidArgument: it is a text.
        """
        return self.content.json


@dataclass(frozen=True, slots=True)
class Reply:
    """What a handler returns when it has more to say than the answer itself."""

    value: object
    """A text, a JSON value, or an iterator of texts, sync or async."""
    ttl_s: float = 0
    """Whole seconds for which members may share the answer; 0: it is for the asker alone."""

    def __post_init__(self) -> None:
        """Check the time.

        Raises:
            InvalidArgument: it is negative, or no number.
        """
        if type(self.ttl_s) not in (int, float) or not 0 <= self.ttl_s < math.inf:
            raise InvalidArgument(f"ttl_s = {self.ttl_s!r} is no number of seconds", hint="use 0 not to share")


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why one candidate was chosen, or not; the formula stands in :mod:`pilotdht.services.query.choose`."""

    public_key: PublicKey
    """The candidate."""
    hostname: str
    """What it calls itself, or empty."""
    is_capable: bool
    """Whether it declares what is asked for."""
    rtt_s: float | None
    """Round-trip time; absent: never measured."""
    load: int | None
    """What it says of its load, 0..100 percent; absent: nothing."""
    work_s: float | None
    """Seconds that its answers took besides the way, exponentially weighted; absent: never asked."""
    success: float
    """Share of questions that it answered, exponentially weighted; 1 before it was asked."""
    outstanding: int
    """Questions of this node that it is working on."""
    circuit: CircuitState
    """Whether it is asked at all at present."""
    score: float
    """Good answers a second to be expected; 0 for those that are not asked."""
    rank: int | None
    """Place in the order of asking, from 1; absent: not asked."""
    reason: str
    """The decision in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer, verified: signed by those named."""

    content: Content
    """What was answered."""
    author: PublicKey
    """Who gave it; with a quorum the first of them."""
    signers: tuple[PublicKey, ...]
    """Who signed this very answer, the author first."""
    is_shared: bool
    """Whether it was given to an earlier asker and kept."""
    age_s: float
    """Seconds since it was signed; 0 for a new one."""
    expires_s: float | None
    """Unix time until which it may be shared; absent: it may not."""
    duration_s: float
    """Seconds from the question to the whole answer."""
    explanation: tuple[Explanation, ...] = ()
    """Why the author was asked, when that was wanted; best first."""

    @property
    def text(self) -> str:
        """The answer as text; of JSON its source."""
        return self.content.text

    @property
    def json(self) -> Json:
        """The answer as JSON value.

        Raises:
            InvalidArgument: it is a text.
        """
        return self.content.json
