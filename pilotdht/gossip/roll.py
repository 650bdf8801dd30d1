"""Who is there and what was said in a group that runs by two keys: each member and each message counts once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pilotdht.gossip.broadcast.topics import Pattern
from pilotdht.gossip.era import Era
from pilotdht.gossip.members import Change, Member
from pilotdht.gossip.values import Event, MemberChange
from pilotdht.identity.ids import PublicKey


def members(current: Era, former: Era | None) -> Iterator[tuple[Era, Member]]:
    """Go through all members, each where it is there, or else by the key that counts."""
    for member in current.swim.members:
        other = None if former is None else former.swim.members.find(member.node_id)
        if former is not None and other is not None and other.is_there and not member.is_there:
            yield former, other
        else:
            yield current, member
    if former is not None:
        for member in former.swim.members:
            if current.swim.members.find(member.node_id) is None:
                yield former, member


def alive_count(current: Era, former: Era | None) -> int:
    """Return how many members are there, this one included."""
    there = current.swim.alive_count()
    if former is None:
        return there
    return there + sum(not current.swim.is_member(one.signed.fact.public_key) for one in former.swim.members.there())


def have_all_moved(current: Era, former: Era) -> bool:
    """Return whether all who are there in the old era are in the new one as well."""
    return all(current.is_there(member.signed.fact.public_key) for member in former.swim.members.there())


def is_seen(change: Change, era: Era, current: Era, other: Era | None) -> bool:
    """Return whether a change in one era is one of the group.

    Args:
        change: what happened.
        era: where.
        current: the era that counts.
        other: the other one, while it runs.
    """
    if change.kind is None:
        return False
    is_elsewhere = other is not None and other.is_there(change.member.signed.fact.public_key)
    return not is_elsewhere or (change.kind is MemberChange.UPDATED and era is current)


def replay(eras: Sequence[Era], pattern: Pattern) -> list[Event]:
    """Return the messages that are kept and match a pattern, in the order in which they came, each once."""
    found: dict[tuple[PublicKey, int, int], tuple[float, Event]] = {}
    for era in eras:
        for at, event in era.messages.replay(pattern):
            place = (event.sender, event.epoch_ms, event.sequence)
            if place not in found or at < found[place][0]:
                found[place] = (at, event)
    return [event for _, event in sorted(found.values(), key=lambda one: one[0])]
