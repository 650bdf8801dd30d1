"""The bookkeeping of one iterative lookup: whom to ask next, and when to stop. Pure.

Each contact heard of is in one of four states. Requests go out in a rolling window: every answer, silence or slow
request makes room for the next. The lookup ends when the closest live contacts that it heard of have all answered,
never on a count of answers; of those only so many of one network prefix count.

With several disjoint paths each contact is asked by one path, and its reply is believed by that path alone: a hostile
node misleads the path that met it, while the others find their own way.

A word is worth what came of it. Liars invent contacts nearer to the target than any real one, and waiting for these
would use up the lookup's time: whoever names contacts is counted on for a few at first, for more with each of them that
answers, and for none once most were named in vain; then it does not count among the closest either.

Source: Kademlia (2002), section 2.3; S/Kademlia (2007), section 4.4; go-libp2p-kad-dht, query.go (states, endings).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from math import inf

from pilotdht.config.dht import DhtConfig
from pilotdht.dht.candidate import MAX_LOST, Candidate, State
from pilotdht.dht.prefixes import Prefix, PrefixRule
from pilotdht.identity.ids import NodeId
from pilotdht.wire.contact import Contact

MAX_OTHER_ENDPOINTS = 2
"""A contact heard of under several endpoints is tried at this many more before it counts as silent."""


class Ending(Enum):
    """Why a lookup stopped."""

    CLOSEST_ANSWERED = "closest_answered"
    """The closest live contacts have all answered: the normal end."""
    EXHAUSTED = "exhausted"
    """All that it heard of were asked, and they are fewer than a full answer set: a small mesh, or starvation."""
    REQUEST_BOUND = "request_bound"
    """It sent as many requests as it may."""
    DEADLINE = "deadline"
    """Its time is over."""
    SATISFIED = "satisfied"
    """Whoever started it has what was wanted."""


def _nobody(_: NodeId) -> Contact | None:
    return None


def _unmeasured(_: Contact) -> float | None:
    return None


def _never(_: Contact) -> bool:
    return False


class Lookup:
    """One lookup under way."""

    def __init__(
        self,
        target: bytes,
        seeds: Iterable[Contact],
        *,
        own_id: NodeId,
        config: DhtConfig,
        prefixes: PrefixRule,
        answers_wanted: int,
        parallel: int | None = None,
        paths: int = 1,
        verified: Callable[[NodeId], Contact | None] = _nobody,
        is_doubted: Callable[[Contact], bool] = _never,
        rtt_of: Callable[[Contact], float | None] = _unmeasured,
    ) -> None:
        """Make a lookup.

        Args:
            target: 20-byte key to come close to.
            seeds: contacts to start from, nearest first.
            own_id: never a candidate.
            config: bounds.
            prefixes: what contacts are counted under.
            answers_wanted: so many of the closest live contacts must have answered.
            parallel: requests that wait at once; as configured when absent.
            paths: how many disjoint paths; no more than there are seeds.
            verified: returns the contact with a verified endpoint, which is preferred over hearsay.
            is_doubted: whether a contact did not answer lately, and has not since.
            rtt_of: returns the round-trip time of a contact in seconds; absent when it was never measured.
        """
        self.target = target
        """What to come close to."""
        self.ending: Ending | None = None
        """Why it stopped; absent while it goes on."""
        self.requests = 0
        """Requests sent so far."""
        self.answers = 0
        """Contacts that answered."""
        self.silences = 0
        """Contacts that did not."""
        self.hops = 0
        """Length of the longest chain of contacts that led to an answer."""
        self._point = int.from_bytes(target, "big")
        self._own_distance = int.from_bytes(own_id, "big") ^ self._point
        self._config = config
        self._prefixes = prefixes
        self._verified = verified
        self._is_doubted = is_doubted
        self._rtt_of = rtt_of
        self._answers_wanted = answers_wanted
        self._parallel = config.parallel if parallel is None else parallel
        self._candidates: dict[int, Candidate] = {}
        starts = list(seeds)
        self._views: list[list[int]] = [[] for _ in range(max(1, min(paths, len(starts))))]
        self._view_limit = max(answers_wanted, config.max_candidates // len(self._views))
        self._in_window = 0
        self._under_way = 0
        self._doubted_under_way = 0
        for index, contact in enumerate(starts):
            self._hear(contact, index % len(self._views), 1)

    @property
    def paths(self) -> int:
        """How many disjoint paths it has."""
        return len(self._views)

    def __len__(self) -> int:
        """Return how many candidates are kept in mind."""
        return len(self._candidates)

    def take(self) -> list[Contact]:
        """Return the contacts to ask now, counted as asked; sets :attr:`ending` when nothing is left to wait for."""
        wanted: list[Contact] = []
        if self.ending is not None:
            return wanted
        is_waiting = False
        frontiers = [self._closest_of(view) for view in self._views]
        if self._is_starving(frontiers):  # better misled than lost: a lone seed may name many that just died
            frontiers = [self._closest_of(view, is_trusting=True) for view in self._views]
        progress = True
        while progress and self._in_window < self._parallel and self.requests < self._config.max_requests:
            progress = False
            for path, frontier in enumerate(frontiers):
                heard = self._next(frontier)
                if heard is not None and self._in_window < self._parallel:
                    wanted.append(self._ask(heard, path))
                    progress = True
        full_sets = 0
        for frontier in frontiers:
            answered = len([one for one in frontier if one.state is State.ANSWERED])
            is_waiting = is_waiting or answered < len(frontier)
            full_sets += answered >= self._answers_wanted
        if is_waiting and (self._under_way or self.requests < self._config.max_requests):
            return wanted
        # Too few answers: slow contacts are worth waiting for; doubted ones only when nobody answered at all.
        if full_sets < len(frontiers) and (self._under_way or (not self.answers and self._doubted_under_way)):
            return wanted
        if is_waiting:
            self.ending = Ending.REQUEST_BOUND
        else:
            self.ending = Ending.CLOSEST_ANSWERED if full_sets == len(frontiers) else Ending.EXHAUSTED
        return wanted

    def answered(
        self, contact: Contact, contacts: Sequence[Contact], *, token: bytes = b"", is_client: bool = False
    ) -> None:
        """Take in a reply: the contacts that it names, and a store token.

        A client's contacts are used, but it counts for nothing: others could not reach what is written there.
        """
        candidate = self._asked(contact)
        if candidate is None:
            return
        candidate.count_lost(False)
        for namer in candidate.namers:
            namer.live += 1
        self._leave_window(candidate)
        candidate.enter(State.SILENT if is_client else State.ANSWERED)
        candidate.token = token
        self.answers += 1
        self.hops = max(self.hops, candidate.depth)
        point, candidates = self._point, self._candidates
        path, bit, depth = candidate.path, 1 << candidate.path, candidate.depth + 1
        for heard in contacts[: self._config.contacts_used_per_reply]:
            known = candidates.get(heard.point ^ point)
            # most were heard of before
            if known is None or known.namers or known.contact is not heard or not known.views & bit:
                self._hear(heard, path, depth, candidate)

    def slow(self, contact: Contact) -> None:
        """Take in that an answer takes long: its place in the window is free."""
        candidate = self._asked(contact)
        if candidate is not None and not candidate.is_slow:
            candidate.is_slow = True
            self._in_window -= 1
            candidate.count_lost(True)

    def silent(self, contact: Contact) -> None:
        """Take in that a contact did not answer; another endpoint of it is tried when one was named."""
        candidate = self._asked(contact)
        if candidate is None:
            return
        candidate.count_lost(not candidate.is_doubted and not candidate.others)
        self._leave_window(candidate)
        if candidate.others:
            self._move(candidate, candidate.others[0])
            candidate.others = candidate.others[1:]
            candidate.is_slow = False
            candidate.enter(State.HEARD)
        else:
            candidate.enter(State.SILENT)
            self.silences += 1

    def end(self, ending: Ending) -> None:
        """Stop for a reason that the lookup itself does not know."""
        if self.ending is None:
            self.ending = ending

    def widen(self, answers_wanted: int) -> bool:
        """Go on until more of the closest have answered; return false when it ended for another reason."""
        if self.ending is not Ending.CLOSEST_ANSWERED or answers_wanted <= self._answers_wanted:
            return False
        self._answers_wanted = answers_wanted
        self.ending = None
        return True

    def closest(self, limit: int) -> list[Candidate]:
        """Return up to ``limit`` candidates that answered, nearest first, with as many of one prefix as may count."""
        counts: dict[Prefix, int] = {}
        closest: list[Candidate] = []
        for distance in sorted(self._candidates):
            one = self._candidates[distance]
            if one.state is not State.ANSWERED or (one.prefix is not None and not self._may_count(one.prefix, counts)):
                continue
            if len(closest) == limit:
                break
            closest.append(one)
        return closest

    def hurry(self) -> None:
        """Ask a whole answer set at once from now on: what is looked for is here, the quickest of many are heard."""
        self._parallel = max(self._parallel, self._answers_wanted)

    def count_closest(self, contacts: Iterable[Contact]) -> int:
        """Return how many of some contacts are among the closest that may be live, as many as make an answer set.

        Whoever has lost its word does not count; those that it was believed to know do not crowd others out any more.
        """
        closest = {one.distance for one in self._closest_of(sorted(self._candidates))}
        return sum(1 for one in contacts if one.point ^ self._point in closest)

    def _hear(self, contact: Contact, path: int, depth: int, namer: Candidate | None = None) -> None:
        distance = contact.point ^ self._point
        if distance == self._own_distance:
            return
        view = self._views[path]
        candidate = self._candidates.get(distance)
        if candidate is None:
            if len(view) >= self._view_limit and distance > view[-1]:
                return
            candidate = Candidate(contact, distance, self._prefixes.of(contact.endpoint), depth)
            self._candidates[distance] = candidate
            if namer is not None:
                candidate.namers = (namer,)
        else:
            if candidate.contact.endpoint != contact.endpoint:
                self._note_other_endpoint(candidate, contact)
            if namer is not None and candidate.state is State.HEARD:
                candidate.note_namer(namer)
        bit = 1 << path
        if not candidate.views & bit:
            candidate.views |= bit
            insort(view, distance)
            if len(view) > self._view_limit:
                self._drop_farthest(view, bit)

    def _next(self, frontier: Sequence[Candidate]) -> Candidate | None:
        """Return whom to ask next: of the closest that were not asked the one with the shortest known round trip."""
        best: Candidate | None = None
        best_s = inf
        left = self._config.proximity_choice
        for one in frontier:
            if one.state is State.HEARD:
                rtt_s = self._rtt_of(one.contact)
                if best is None or (rtt_s is not None and rtt_s < best_s):
                    best, best_s = one, inf if rtt_s is None else rtt_s
                left -= 1
                if not left:
                    break
        return best

    def _note_other_endpoint(self, candidate: Candidate, contact: Contact) -> None:
        others = candidate.others
        if (
            candidate.state in (State.HEARD, State.ASKED)
            and len(others) < MAX_OTHER_ENDPOINTS
            and contact not in others
        ):
            candidate.others = (*others, contact)

    def _drop_farthest(self, view: list[int], bit: int) -> None:
        for distance in reversed(view):
            candidate = self._candidates[distance]
            if candidate.state is State.HEARD or candidate.views != bit:
                del view[bisect_left(view, distance)]
                candidate.views &= ~bit
                if not candidate.views:
                    del self._candidates[distance]
                return

    def _is_starving(self, frontiers: Sequence[Sequence[Candidate]]) -> bool:
        """Return whether all paths together end with less than an answer set."""
        if any(one.state is not State.ANSWERED for frontier in frontiers for one in frontier):
            return False
        return len({one.distance for frontier in frontiers for one in frontier}) < self._answers_wanted

    def _closest_of(self, distances: Iterable[int], *, is_trusting: bool = False) -> list[Candidate]:
        """Return the closest candidates that may be live, as many as make an answer set.

        Args:
            distances: of candidates, sorted.
            is_trusting: whether to go by everybody's word.
        """
        candidates, most_of_one = self._candidates, self._config.same_prefix_per_answer
        silent, answered = State.SILENT, State.ANSWERED
        budgets: dict[Candidate, int] = {}
        counts: dict[Prefix, int] = {}
        frontier: list[Candidate] = []
        left = self._answers_wanted
        for distance in distances:
            one = candidates[distance]
            if one.state is answered:
                if one.lost >= MAX_LOST and not (one.is_believed or is_trusting):
                    continue
            elif one.state is silent or one.is_slow or not (is_trusting or self._is_counted_on(one, budgets)):
                continue
            prefix = one.prefix
            if prefix is not None:
                counts[prefix] = count = counts.get(prefix, 0) + 1
                if count > most_of_one:
                    continue
            frontier.append(one)
            left -= 1
            if not left:
                break
        return frontier

    def _is_counted_on(self, one: Candidate, budgets: dict[Candidate, int]) -> bool:
        """Return whether a contact that did not answer yet is real: measured, or named by somebody trustworthy.

        Whoever names contacts is counted on for a few of them at first, and for more with each that answered.
        """
        if not one.namers or self._rtt_of(one.contact) is not None:
            return True
        for namer in one.namers:
            left = budgets.get(namer, MAX_LOST + namer.live) if namer.is_believed else 0
            if left > 0:
                budgets[namer] = left - 1
                return True
        return False

    def _may_count(self, prefix: Prefix, counts: dict[Prefix, int]) -> bool:
        count = counts.get(prefix, 0)
        counts[prefix] = count + 1
        return count < self._config.same_prefix_per_answer

    def _ask(self, candidate: Candidate, path: int) -> Contact:
        candidate.enter(State.ASKED)
        candidate.path = path
        known = None if candidate.tries else self._verified(candidate.contact.node_id)
        if known is not None and known.endpoint != candidate.contact.endpoint:
            others = tuple(one for one in candidate.others if one.endpoint != known.endpoint)
            candidate.others = (candidate.contact, *others)[:MAX_OTHER_ENDPOINTS]
            self._move(candidate, known)
        candidate.tries += 1
        self.requests += 1
        candidate.is_doubted = candidate.is_slow = self._is_doubted(candidate.contact)
        if candidate.is_doubted:
            self._doubted_under_way += 1
        else:
            self._in_window += 1
            self._under_way += 1
        return candidate.contact

    def _move(self, candidate: Candidate, contact: Contact) -> None:
        candidate.contact = contact
        candidate.prefix = self._prefixes.of(contact.endpoint)

    def _asked(self, contact: Contact) -> Candidate | None:
        candidate = self._candidates.get(contact.point ^ self._point)
        return candidate if candidate is not None and candidate.state is State.ASKED else None

    def _leave_window(self, candidate: Candidate) -> None:
        if candidate.is_doubted:
            self._doubted_under_way -= 1
            candidate.is_doubted = False
            return
        self._under_way -= 1
        if not candidate.is_slow:
            self._in_window -= 1
