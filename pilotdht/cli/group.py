"""``group``: create, join and look into groups of agents."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from typing import Any, TypedDict, cast

import click

from pilotdht.cli.arguments import GROUP, SECONDS, secret_text
from pilotdht.cli.group_views import (
    GROUP_COLUMNS,
    entered,
    group_facts,
    group_rows,
    is_there,
    member_status,
    show_invitation,
    show_members,
    show_rotation,
)
from pilotdht.cli.output import Output
from pilotdht.cli.program import Family, output, verb
from pilotdht.cli.session import ask, with_daemon
from pilotdht.client.channel import ControlChannel
from pilotdht.daemon.group_shapes import (
    ExpelledShape,
    GroupLeftShape,
    GroupShape,
    GroupsShape,
    InvitationShape,
    MemberEventShape,
    MemberShape,
    MembersShape,
    RotatedShape,
)

INVITATION_LIFETIME_S = 7 * 86_400.0
"""How long an invitation lasts unless somebody says otherwise: a week."""

GRACE_S = 7 * 86_400.0
"""How long members have to follow a new key unless somebody says otherwise: a week."""


class WatchedMembersShape(TypedDict, total=False):
    """The members; with --watch also, an object a line, what changes: who it is then, and how."""

    group: str
    members: list[MemberShape]
    change: str
    member: MemberShape
    missed: int


group = Family(name="group", help="Create, join and look into groups of agents.")

_CHANGES = {
    "joined": ("+", "green"),
    "updated": ("~", "cyan"),
    "left": ("-", "bright_black"),
    "failed": ("✗", "red"),
    "expelled": ("✗", "red"),
}


def token_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb the option of a shared secret."""
    return click.option(
        "--token",
        envvar="PILOTDHT_TOKEN",
        metavar="SECRET",
        help="Shared secret of a token group; '-' reads it from standard input, and the variable PILOTDHT_TOKEN may "
        "hold it: neither shows in the list of processes.",
    )(command)


def label_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb the options of what this member says about itself."""
    command = click.option(
        "--can", "capabilities", multiple=True, metavar="CAPABILITY", help="What it can answer; may be repeated."
    )(command)
    return click.option(
        "--tag", "tags", multiple=True, metavar="TAG", help="Tag in this group, besides the node's; may be repeated."
    )(command)


def invite_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb the options of an invitation."""
    options = [
        click.option("--hostname", metavar="NAME", default="", help="Name that it grants in the group."),
        click.option("--admin", metavar="DID", help="Make this key an admin, who may invite and expel."),
        click.option("--for", "holder", metavar="DID", help="For this key alone; absent: for whoever has the text."),
        click.option(
            "--expires", type=SECONDS, default=INVITATION_LIFETIME_S, help="When it, and membership by it, end (7d)."
        ),
        click.option("--qr/--no-qr", "qr", default=None, help="As QR code too; by default where a terminal has room."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def invite(
    context: click.Context, name: str, *, hostname: str, admin: str | None, holder: str | None, expires: float
) -> InvitationShape:
    """Have the daemon make an invitation."""
    if admin is not None and holder is not None:
        raise click.UsageError("Give --admin or --for, not both: an admin is made of a certain key anyhow.")
    fields: dict[str, object] = {
        "group": name,
        "role": "member" if admin is None else "admin",
        "holder": admin or holder,
        "hostname": hostname,
        "lifetime_s": expires,
    }
    return cast("InvitationShape", ask(context, "/v1/groups/invite", fields))


def grace_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb the option of how long members have to follow a new key."""
    return click.option(
        "--grace",
        "grace_s",
        type=SECONDS,
        default=GRACE_S,
        help="How long members have to follow, from a minute to a year (7d).",
    )(command)


def enter(context: click.Context, path: str, fields: dict[str, object], *, is_new: bool) -> None:
    """Create or join a group and print what it is."""
    made = cast("GroupShape", ask(context, path, fields))
    out = output(context)
    out.result(made, lambda: entered(out, made, is_new=is_new))


@verb("create", example="pilotdht group create research --can citations", returns=GroupShape)
@click.argument("name")
@click.option(
    "--kind",
    type=click.Choice(["open", "token", "invite"]),
    help="Who may join: everybody (open, the default), whoever knows a secret, or whoever is invited.",
)
@token_option
@label_options
@click.pass_context
def create(
    context: click.Context,
    name: str,
    kind: str | None,
    token: str | None,
    tags: tuple[str, ...],
    capabilities: tuple[str, ...],
) -> None:
    """Begin a group. An open or token group that exists already is joined.

    With --token and no --kind it is a token group. Of a group by invitation this node holds the key.
    """
    secret = secret_text(token) if kind in (None, "token") or _is_typed(context, "token") else None
    fields: dict[str, object] = {
        "name": name,
        "kind": kind or ("open" if secret is None else "token"),
        "token": secret,
        "tags": list(tags),
        "capabilities": list(capabilities),
    }
    enter(context, "/v1/groups/create", fields, is_new=True)


def _is_typed(context: click.Context, name: str) -> bool:
    """Return whether a parameter stood on the command line, and not in the environment."""
    return context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


@verb("join", example="pilotdht group join research --can citations", returns=GroupShape)
@click.argument("name", required=False)
@token_option
@click.option(
    "--invitation",
    envvar="PILOTDHT_INVITATION",
    metavar="TEXT",
    help="Line that somebody in the group made; '-' reads it from standard input, and the variable "
    "PILOTDHT_INVITATION may hold it.",
)
@label_options
@click.pass_context
def join(
    context: click.Context,
    name: str | None,
    token: str | None,
    invitation: str | None,
    tags: tuple[str, ...],
    capabilities: tuple[str, ...],
) -> None:
    """Join a group by its name, by name and secret, or by an invitation; a name is then checked against it."""
    if token == "-" and invitation == "-":  # noqa: S105 - standard input, no secret
        raise click.UsageError("Standard input holds either a token or an invitation.")
    if name is None and invitation is None:
        raise click.UsageError("Give the NAME of the group, or an --invitation.")
    if invitation is not None and not _is_typed(context, "token"):
        token = None
    elif token is not None and not _is_typed(context, "invitation"):
        invitation = None
    fields: dict[str, object] = {
        "name": name,
        "token": secret_text(token),
        "invitation": secret_text(invitation),
        "tags": list(tags),
        "capabilities": list(capabilities),
    }
    enter(context, "/v1/groups/join", fields, is_new=False)


@verb("leave", example="pilotdht group leave research", returns=GroupLeftShape)
@click.argument("name", type=GROUP)
@click.pass_context
def leave(context: click.Context, name: str) -> None:
    """Leave a group. Its members are told, and nothing of it is kept: not even a group's own key."""
    done = ask(context, "/v1/groups/leave", {"group": name})
    out = output(context)
    out.result(done, lambda: out.line(f"Left {name}"))


@verb("list", example="pilotdht group list", returns=GroupsShape)
@click.pass_context
def list_(context: click.Context) -> None:
    """List the groups that this node is in."""
    found = cast("GroupsShape", ask(context, "/v1/groups"))
    out = output(context)
    out.result(found, lambda: out.table(GROUP_COLUMNS, group_rows(found["groups"]), empty="In no group."))


@verb("info", example="pilotdht group info research", returns=GroupShape)
@click.argument("name", type=GROUP)
@click.pass_context
def info(context: click.Context, name: str) -> None:
    """Show one group as it looks from this node."""
    found = cast("GroupShape", ask(context, "/v1/groups/info", {"group": name}))
    out = output(context)
    out.result(found, lambda: group_facts(out, found))


@verb("members", example="pilotdht group members research --watch", returns=WatchedMembersShape)
@click.argument("name", type=GROUP)
@click.option("--all", "is_all", is_flag=True, help="Those too that died or left lately.")
@click.option("--watch", is_flag=True, help="Go on printing what changes; with --json an object a line.")
@click.pass_context
def members(context: click.Context, name: str, is_all: bool, watch: bool) -> None:
    """List the members of a group."""
    tell_members(context, name, is_all=is_all, is_watched=watch)


def tell_members(context: click.Context, name: str, *, is_all: bool, is_watched: bool) -> None:
    """Print the members of a group, and what changes afterwards when it is watched."""
    out = output(context)

    async def tell(channel: ControlChannel) -> None:
        listed = cast("MembersShape", await channel.post("/v1/groups/members", {"group": name}))
        shown = [member for member in listed["members"] if is_all or is_there(member)]
        out.result({"group": name, "members": shown}, lambda: show_members(out, shown))

    async def watch(channel: ControlChannel) -> None:
        async with aclosing(channel.lines("/v1/groups/changes", {"group": name})) as lines:
            await anext(lines)  # what happens from now on is in it; nothing falls in between
            await tell(channel)
            async for line in lines:
                _tell_change(out, cast("MemberEventShape", line))

    with_daemon(context, watch if is_watched else tell)


def _tell_change(out: Output, event: MemberEventShape) -> None:
    member, (mark, color) = event["member"], _CHANGES[event["change"]]
    name = member["hostname"] or member["address"]
    out.item(
        event,
        out.styled(mark, fg=color),
        f" {name} {event['change']} · {member['address']} · ",
        member_status(out, member),
    )


@verb("set", example="pilotdht group set research --can citations --load 30", returns=GroupShape)
@click.argument("name", type=GROUP)
@label_options
@click.option("--load", type=click.IntRange(0, 100), metavar="PERCENT", help="How busy it is, 0 to 100.")
@click.option("--no-tags", is_flag=True, help="Carry no tags besides the node's.")
@click.option("--no-capabilities", is_flag=True, help="Declare no capabilities besides those of running programs.")
@click.pass_context
def set_(
    context: click.Context,
    name: str,
    tags: tuple[str, ...],
    capabilities: tuple[str, ...],
    load: int | None,
    no_tags: bool,
    no_capabilities: bool,
) -> None:
    """Change what this member says about itself. What is not given stays; what is given replaces."""
    if (tags and no_tags) or (capabilities and no_capabilities):
        raise click.UsageError("Give words or none of them, not both.")
    fields: dict[str, object] = {"group": name, "load": load}
    if tags or no_tags:
        fields["tags"] = list(tags)
    if capabilities or no_capabilities:
        fields["capabilities"] = list(capabilities)
    if load is None and len(fields) == 2:
        raise click.UsageError("Give --tag, --can, --load, --no-tags or --no-capabilities.")
    done = cast("GroupShape", ask(context, "/v1/groups/metadata", fields))
    out = output(context)
    out.result(done, lambda: out.line(f"Told the members of {name}"))


@verb("invite", example="pilotdht group invite research --hostname bob --expires 1d", returns=InvitationShape)
@click.argument("name", type=GROUP)
@invite_options
@click.pass_context
def invite_(context: click.Context, /, name: str, qr: bool | None, **options: Any) -> None:  # noqa: ANN401
    """Make an invitation to a group: one line of text, a secret unless it is for one key."""
    made = invite(context, name, **options)
    out = output(context)
    out.result(made, lambda: show_invitation(out, made, has_qr=qr))


@verb("revoke", example='pilotdht group revoke research bob --reason "left the team"', returns=ExpelledShape)
@click.argument("name", type=GROUP)
@click.argument("member")
@click.option("--reason", metavar="TEXT", default="", help="Told to everybody; at most 120 characters.")
@click.pass_context
def revoke(context: click.Context, name: str, member: str, reason: str) -> None:
    """Expel a member by hostname, address or did:key. Everybody is told, and lets it in no more."""
    tell_expelled(context, name, member, reason)


def tell_expelled(context: click.Context, name: str, member: str, reason: str) -> None:
    """Expel a member and print who it was."""
    fields: dict[str, object] = {"group": name, "member": member, "reason": reason}
    done = cast("ExpelledShape", ask(context, "/v1/groups/revoke", fields))
    out = output(context)
    out.result(done, lambda: out.line(f"Expelled {member} from {name} · {done['address']}"))


@verb("rotate", example="pilotdht group rotate research --grace 30d", returns=RotatedShape)
@click.argument("name", type=GROUP)
@grace_option
@click.pass_context
def rotate(context: click.Context, name: str, grace_s: float) -> None:
    """Give a group by invitation another key, on the node that holds the present one.

    Members follow by themselves when they are there, or come by in time; others need a new invitation afterwards.
    """
    tell_rotated(context, name, grace_s)


def tell_rotated(context: click.Context, name: str, grace_s: float) -> None:
    """Give a group another key and print what that means for its members."""
    done = cast("RotatedShape", ask(context, "/v1/groups/rotate", {"group": name, "grace_s": grace_s}))
    out = output(context)
    out.result(done, lambda: show_rotation(out, done))


for _verb in (create, join, leave, list_, members, info, set_, invite_, revoke, rotate):
    group.add_command(_verb)
