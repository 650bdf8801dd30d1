"""Counting equal answers of distinct members. Pure.

``quorum = q`` means: an answer counts when q distinct members signed it. With f = (q - 1) // 2 liars tolerated,
n = q + f members are asked: with q = 3 four, of which one may lie, be silent or late
(f of 3f + 1, as everywhere that liars are outvoted: Lamport, Shostak, Pease 1982).

Invariants: no answer is returned that fewer than q members signed, so fewer than q liars together can never bring one
through; a member counts once, and one that signed two different answers counts not at all; with at most f of the n
asked lying or silent and the others agreeing, their answer is returned.
"""

from __future__ import annotations

from pilotdht.errors import InvalidArgument, NoQuorum
from pilotdht.identity.ids import PublicKey
from pilotdht.services.query.content import Content
from pilotdht.services.query.signed import Endorsement

MAX_SHOWN = 5
"""Different answers shown when they split."""


def tolerated(quorum: int) -> int:
    """Return f: how many of those asked may lie or be silent."""
    return (quorum - 1) // 2


def wanted(quorum: int) -> int:
    """Return n: how many members are asked."""
    return quorum + tolerated(quorum)


def check_quorum(quorum: int, *, most: int) -> int:
    """Return ``quorum``.

    Raises:
        InvalidArgument: not in 1..most.
    """
    if type(quorum) is not int or not 1 <= quorum <= most:
        raise InvalidArgument(f"quorum = {quorum!r} is not in 1..{most}", hint="3 tolerates one liar")
    return quorum


class Vote:
    """One answer and its signers."""

    __slots__ = ("content", "signers")

    def __init__(self, content: Content) -> None:
        self.content = content
        """The answer as the first of them wrote it."""
        self.signers: dict[PublicKey, Endorsement] = {}
        """Who signed it, in the order in which they answered."""


class Tally:
    """The answers that came so far."""

    def __init__(self, quorum: int) -> None:
        """Make an empty one; ``quorum`` is at least 1."""
        self.quorum = quorum
        """Equal answers needed."""
        self._votes: dict[bytes, Vote] = {}
        self._digests: dict[PublicKey, bytes] = {}
        self._struck: dict[PublicKey, None] = {}
        self._silent: dict[PublicKey, None] = {}

    @property
    def answered(self) -> int:
        """Members that answered, those included that do not count."""
        return len(self._digests) + len(self._struck)

    def add(self, content: Content, endorsement: Endorsement) -> None:
        """Count an answer whose signature was verified."""
        author, digest = endorsement.author, content.digest()
        if author in self._struck:
            return
        before = self._digests.get(author)
        if before is not None and before != digest:  # it says one thing to one and another thing to another
            del self._digests[author]
            del self._votes[before].signers[author]
            self._struck[author] = None
            return
        self._silent.pop(author, None)
        self._digests[author] = digest
        vote = self._votes.setdefault(digest, Vote(content))
        vote.signers.setdefault(author, endorsement)

    def note_silent(self, member: PublicKey) -> None:
        """Note that a member did not answer, failed, or signed badly."""
        if member not in self._digests and member not in self._struck:
            self._silent[member] = None

    def winner(self) -> Vote | None:
        """Return the answer that enough members signed, or ``None``."""
        best = self._best()
        return best if best is not None and len(best.signers) >= self.quorum else None

    def is_hopeless(self, outstanding: int) -> bool:
        """Return whether so many further answers cannot make a quorum any more."""
        best = self._best()
        return (0 if best is None else len(best.signers)) + outstanding < self.quorum

    def split(self) -> tuple[tuple[str, int], ...]:
        """Return how the answers split: a short form and how many gave it, most frequent first."""
        votes = sorted((vote for vote in self._votes.values() if vote.signers), key=lambda vote: -len(vote.signers))
        return tuple((vote.content.preview(), len(vote.signers)) for vote in votes[:MAX_SHOWN])

    def failure(self) -> NoQuorum:
        """Return the error that tells how the answers split."""
        split = self.split()
        shown = ", ".join(f"{count} of {text!r}" for text, count in split) or "none"
        lost = len(self._silent)
        silent = f"; {lost} did not answer" if lost else ""
        struck = f"; {len(self._struck)} contradicted themselves" if self._struck else ""
        return NoQuorum(f"{self.quorum} equal answers were asked for and came: {shown}{silent}{struck}", split=split)

    def _best(self) -> Vote | None:
        return max(self._votes.values(), key=lambda vote: len(vote.signers), default=None)
