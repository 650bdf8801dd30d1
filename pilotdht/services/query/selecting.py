"""From members of a group, or peers with a tag, to candidates: what is known and what was experienced."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from pilotdht.config.query import QueryConfig
from pilotdht.errors import AnswerFailed, NotFound, PilotError
from pilotdht.gossip.values import MemberInfo, MemberStatus
from pilotdht.identity.ids import PublicKey
from pilotdht.names.peer import Peer
from pilotdht.services.query.choose import LEFT_ALONE, MAX_EXPLAINED, Candidate, Choice, choose
from pilotdht.services.query.needs import QueryNeeds
from pilotdht.services.query.peers import Peers

_IS_SELF = "is this node itself"


class Selection:
    """Chooses whom to ask, with what this node knows at that moment."""

    def __init__(self, *, needs: QueryNeeds, peers: Peers, config: QueryConfig) -> None:
        """Make it.

        Args:
            needs: own key, and chance.
            peers: what became of earlier questions.
            config: guesses and bounds.
        """
        self._needs = needs
        self._config = config
        self._loop = asyncio.get_running_loop()
        self.peers = peers
        """What became of earlier questions."""

    def of_members(self, members: Sequence[MemberInfo], *, capability: str, tags: Sequence[str]) -> Choice:
        """Rank the members of a group; of very many that fit, some drawn by chance."""
        fit: list[MemberInfo] = []
        unfit: list[MemberInfo] = []
        for one in members:
            is_capable = not capability or capability in one.capabilities
            is_fit = is_capable and not _refusal(one) and all(tag in one.tags for tag in tags)
            (fit if is_fit else unfit).append(one)
        if len(fit) > self._config.max_candidates:
            fit = self._needs.random.sample(fit, self._config.max_candidates)
        candidates = [
            self._candidate(
                one.public_key,
                hostname=one.hostname,
                capabilities=one.capabilities,
                tags=one.tags,
                rtt_s=one.rtt_s,
                load=one.load,
                is_suspect=one.status is MemberStatus.SUSPECT,
                refusal=_refusal(one),
            )
            for one in (*fit, *unfit[:MAX_EXPLAINED])
        ]
        return choose(candidates, capability=capability, tags=tags, random=self._needs.random, config=self._config)

    def of_peers(self, peers: Sequence[Peer], *, capability: str) -> Choice:
        """Rank peers that were found by a tag; only trusted ones answer without a group."""
        own = self._needs.keys.public_key
        candidates = [
            self._candidate(
                peer.public_key,
                hostname=peer.hostname,
                capabilities=None,
                tags=peer.tags,
                refusal=_IS_SELF if peer.public_key == own else "" if peer.is_trusted else "is not trusted",
            )
            for peer in peers
        ]
        return choose(candidates, capability=capability, random=self._needs.random, config=self._config)

    def askable(self, choice: Choice) -> Iterator[PublicKey]:
        """Return the ranked ones that may still be asked at the moment in which each is needed."""
        return (one.public_key for one in choice.ranked if self.peers.is_askable(one.public_key, self._loop.time()))

    def _candidate(
        self,
        key: PublicKey,
        *,
        hostname: str,
        capabilities: tuple[str, ...] | None,
        tags: tuple[str, ...],
        refusal: str,
        rtt_s: float | None = None,
        load: int | None = None,
        is_suspect: bool = False,
    ) -> Candidate:
        now, record = self._loop.time(), self.peers.get(key)
        return Candidate(
            public_key=key,
            hostname=hostname,
            capabilities=capabilities,
            tags=tags,
            rtt_s=rtt_s,
            load=load,
            work_s=record.work_s,
            success=record.success(now, self._config),
            outstanding=record.outstanding,
            circuit=record.circuit.state,
            is_askable=record.circuit.is_askable(now),
            is_suspect=is_suspect,
            refusal=refusal,
        )


def nobody(where: str, capability: str, choice: Choice) -> PilotError:
    """Return the error that says why nobody can be asked."""
    alone = sum(one.reason == LEFT_ALONE for one in choice.explanations)
    if alone:
        return AnswerFailed(
            f"all {alone} members of {where} that could answer failed too often lately",
            hint="ask again in some seconds; they are tried anew one by one",
        )
    what = f"declares the capability {capability!r}" if capability else "can be asked"
    return NotFound(
        f"no live peer of {where} {what}", hint="members declare what they can answer when they join the group"
    )


def _refusal(member: MemberInfo) -> str:
    if member.is_self:
        return _IS_SELF
    return "" if member.status in (MemberStatus.ALIVE, MemberStatus.SUSPECT) else f"is {member.status.value}"
