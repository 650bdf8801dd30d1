"""The shape of each JSON answer about groups, key by key: their members, their messages, their invitations.

Roles, kinds, states and changes are the words of :mod:`pilotdht.gossip.values`; everything else is as in
:mod:`pilotdht.daemon.shapes`.
"""

from __future__ import annotations

from typing import TypedDict


class GroupShape(TypedDict):
    """One group that the node is in."""

    name: str
    group_id: str
    kind: str
    role: str
    alive: int
    suspect: int
    dead: int
    health: int
    topics: list[str]
    events: int
    expires_s: float | None
    is_expelled: bool
    moves_until_s: float | None


class GroupsShape(TypedDict):
    """All groups that the node is in."""

    groups: list[GroupShape]


class GroupLeftShape(TypedDict):
    """A group that the node has left."""

    group: str


class MemberShape(TypedDict):
    """One member of a group, as the node sees it."""

    address: str
    did: str
    hostname: str
    status: str
    role: str
    tags: list[str]
    capabilities: list[str]
    load: int | None
    version: str
    incarnation: int
    rtt_s: float | None
    since_s: float
    is_self: bool


class MembersShape(TypedDict):
    """The members of a group."""

    group: str
    members: list[MemberShape]


class MemberEventShape(TypedDict):
    """A change of membership; ``missed`` counts those dropped so far because they were not read in time."""

    group: str
    change: str
    member: MemberShape
    missed: int


class InvitationShape(TypedDict):
    """An invitation, as the line of text that is handed on."""

    group: str
    invitation: str
    role: str
    hostname: str
    holder: str | None
    expires_s: float


class ExpelledShape(TypedDict):
    """A member that was expelled, or an invitation that was ended; ``notice_base64`` is what members are told."""

    group: str
    did: str
    address: str
    reason: str
    notice_base64: str


class RotatedShape(TypedDict):
    """A group that has another key, and an id that follows from it; ``notice_base64`` is what members are told."""

    group: str
    group_id: str
    moves_until_s: float
    notice_base64: str


class PublishedShape(TypedDict):
    """A message to a group that is on its way."""

    group: str
    topic: str
    sender: str
    address: str
    hostname: str
    sequence: int
    epoch_ms: int
    sent_ms: int
    size_bytes: int


class EventShape(TypedDict):
    """A message to a group; ``missed`` counts those dropped so far because they were not read in time."""

    group: str
    topic: str
    data_base64: str
    sender: str
    address: str
    hostname: str
    sequence: int
    epoch_ms: int
    sent_ms: int
    missed: int


class FeedShape(TypedDict):
    """The first line of a stream: it stands, and what happens from now on will be in it."""

    group: str
