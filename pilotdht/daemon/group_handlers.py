"""The verbs of the control API about groups that answer once."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from pilotdht.daemon.group_encode import (
    expelled_shape,
    group_shape,
    invitation_shape,
    member_shape,
    published_shape,
    rotated_shape,
)
from pilotdht.daemon.group_shapes import (
    ExpelledShape,
    GroupLeftShape,
    GroupShape,
    GroupsShape,
    InvitationShape,
    MemberShape,
    MembersShape,
    PublishedShape,
    RotatedShape,
)
from pilotdht.daemon.group_verbs import GroupLike
from pilotdht.daemon.handlers import MAX_REASON_CHARS, MAX_TAGS, Call, Handler
from pilotdht.errors import InvalidArgument, NotFound
from pilotdht.gossip.authority import GRACE_S, INVITATION_LIFETIME_S, MOST_GRACE_S
from pilotdht.gossip.values import GroupKind
from pilotdht.identity.address import Address
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import parse_did
from pilotdht.wire.certificates import Role
from pilotdht.wire.invitations import MAX_HINTS, parse_invitation
from pilotdht.wire.membership import MAX_CAPABILITIES

MAX_TOKEN_CHARS = 1024
MAX_INVITATION_TEXT_CHARS = 4096
"""An invitation with the blanks and line breaks that mail programs put into it."""

MAX_LIFETIME_S = 3650 * 86_400.0
"""Longest life of an invitation that is asked for: ten years; the issuer's own certificate may end it sooner."""


class InvitedRole(Enum):
    """What an invitation can make of somebody."""

    MEMBER = Role.MEMBER
    """A member."""
    ADMIN = Role.ADMIN
    """A member that may invite and expel."""


async def groups(call: Call) -> GroupsShape:
    """List the groups that the node is in."""
    call.fields.finish()
    return {"groups": [group_shape(info) for info in call.node.groups()]}


async def create(call: Call) -> GroupShape:
    """Begin a group."""
    fields = call.fields
    name, kind = fields.text("name"), fields.choice("kind", GroupKind, GroupKind.OPEN)
    token = fields.optional_text("token", most_chars=MAX_TOKEN_CHARS)
    tags = fields.texts("tags", (), most=MAX_TAGS)
    capabilities = fields.texts("capabilities", (), most=MAX_CAPABILITIES)
    fields.finish()
    made = await call.node.create_group(name, kind=kind, token=token, tags=tags, capabilities=capabilities)
    return group_shape(made.info())


async def join(call: Call) -> GroupShape:
    """Join a group; answers when members were found, or nobody answers yet."""
    fields = call.fields
    name = fields.optional_text("name")
    token = fields.optional_text("token", most_chars=MAX_TOKEN_CHARS)
    invitation = fields.optional_text("invitation", most_chars=MAX_INVITATION_TEXT_CHARS)
    tags = fields.texts("tags", (), most=MAX_TAGS)
    capabilities = fields.texts("capabilities", (), most=MAX_CAPABILITIES)
    fields.finish()
    joined = await call.node.join_group(name, token=token, invitation=invitation, tags=tags, capabilities=capabilities)
    return group_shape(joined.info())


async def leave(call: Call) -> GroupLeftShape:
    """Leave a group."""
    name = call.fields.text("group")
    call.fields.finish()
    await call.node.leave_group(name)
    return {"group": name}


async def info(call: Call) -> GroupShape:
    """Tell about one group."""
    group = call.node.group(call.fields.text("group"))
    call.fields.finish()
    return group_shape(group.info())


async def members(call: Call) -> MembersShape:
    """List the members of a group, those that died or left lately included."""
    group = call.node.group(call.fields.text("group"))
    call.fields.finish()
    return {"group": group.name, "members": [member_shape(member) for member in group.members()]}


async def find_member(call: Call) -> MemberShape:
    """Find the member with a hostname, address or did:key."""
    name, member = call.fields.text("group"), call.fields.text("member")
    call.fields.finish()
    group = call.node.group(name)
    found = group.member(member_key(group, member))
    if found is None:
        raise _no_member(group, member)
    return member_shape(found)


async def set_metadata(call: Call) -> GroupShape:
    """Tell the members something else about this one."""
    fields = call.fields
    name = fields.text("group")
    tags = fields.optional_texts("tags", most=MAX_TAGS)
    capabilities = fields.optional_texts("capabilities", most=MAX_CAPABILITIES)
    load = fields.optional_integer("load", low=0, high=100)
    fields.finish()
    group = call.node.group(name)
    group.set_metadata(tags=tags, capabilities=capabilities, load=load)
    return group_shape(group.info())


async def invite(call: Call) -> InvitationShape:
    """Make an invitation."""
    fields = call.fields
    name, role = fields.text("group"), fields.choice("role", InvitedRole, InvitedRole.MEMBER).value
    holder, hostname = fields.optional_text("holder"), fields.text("hostname", "")
    lifetime_s = fields.seconds("lifetime_s", INVITATION_LIFETIME_S, most_s=MAX_LIFETIME_S)
    hints = fields.texts("hints", (), most=MAX_HINTS)
    fields.finish()
    key = None if holder is None else parse_did(holder)
    group = call.node.group(name)
    text = group.invite(role=role, holder=key, hostname=hostname, lifetime_s=lifetime_s, hints=hints)
    return invitation_shape(parse_invitation(text), text, hostname)


async def revoke(call: Call) -> ExpelledShape:
    """Expel a member, or end an invitation by the key in it."""
    name, member = call.fields.text("group"), call.fields.text("member")
    reason = call.fields.text("reason", "", most_chars=MAX_REASON_CHARS)
    call.fields.finish()
    group = call.node.group(name)
    revocation = await group.revoke(member_key(group, member), reason)
    return expelled_shape(name, revocation, network=call.node.info().address.network)


async def rotate(call: Call) -> RotatedShape:
    """Give a group another key; answers when it is kept and its members are being told."""
    name, grace_s = call.fields.text("group"), call.fields.seconds("grace_s", GRACE_S, most_s=MOST_GRACE_S)
    call.fields.finish()
    rotation = await call.node.group(name).rotate(grace_s=grace_s)
    return rotated_shape(name, rotation, network=call.node.info().address.network)


async def publish(call: Call) -> PublishedShape:
    """Send a message to all members; answers when it is on its way."""
    name, topic = call.fields.text("group"), call.fields.text("topic")
    data = call.fields.data("data_base64")
    call.fields.finish()
    return published_shape(await call.node.group(name).publish(topic, data))


def member_key(group: GroupLike, text: str) -> PublicKey:
    """Return the key of the member that a did:key, an address, a hostname or ``hostname.group`` means.

    A did:key need not be a member's: invitations are ended, and absent members expelled, by their key.

    Raises:
        NotFound: nobody there is meant by it.
        Ambiguous: several are.
        InvalidArgument: it is malformed.
    """
    if text.startswith("did:"):
        return parse_did(text)
    if ":" in text:
        address = Address.parse(text)
        found = next((member for member in group.members() if member.address == address), None)
        if found is None:
            raise _no_member(group, text)
        return found.public_key
    hostname = text.removesuffix(f".{group.name}")
    if not hostname:
        raise InvalidArgument("which member?", hint="give its hostname, address or did:key")
    known = [member for member in group.members() if member.hostname == hostname]
    if len(known) == 1:  # one that is not there at present can be expelled as well
        return known[0].public_key
    return group.find(hostname).public_key


def _no_member(group: GroupLike, text: str) -> NotFound:
    return NotFound(
        f"no member of {group.name!r} is known as {text[:80]!r}",
        hint=f"'pilotdht group members {group.name} --all' lists them",
    )


GROUP_READERS: Mapping[str, Handler] = {
    "/v1/groups": groups,
}
"""``GET``: tell what the node knows, at once."""

GROUP_DOERS: Mapping[str, Handler] = {
    "/v1/groups/create": create,
    "/v1/groups/join": join,
    "/v1/groups/leave": leave,
    "/v1/groups/info": info,
    "/v1/groups/members": members,
    "/v1/groups/member": find_member,
    "/v1/groups/metadata": set_metadata,
    "/v1/groups/invite": invite,
    "/v1/groups/revoke": revoke,
    "/v1/groups/rotate": rotate,
    "/v1/groups/publish": publish,
}
"""``POST`` with a JSON object: act, and wait for the outcome."""
