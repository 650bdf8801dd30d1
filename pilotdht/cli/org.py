"""``org``: organisations: groups by invitation whose members trust one another, and whose name ends their hostnames."""

from __future__ import annotations

from typing import Any, TypedDict, cast

import click

from pilotdht.cli.arguments import GROUP
from pilotdht.cli.group import (
    WatchedMembersShape,
    enter,
    grace_option,
    invite,
    invite_options,
    label_options,
    tell_expelled,
    tell_members,
    tell_rotated,
)
from pilotdht.cli.group_views import GROUP_COLUMNS, group_rows, show_invitation
from pilotdht.cli.program import Family, output, verb
from pilotdht.cli.session import ask
from pilotdht.daemon.group_shapes import (
    ExpelledShape,
    GroupLeftShape,
    GroupShape,
    GroupsShape,
    InvitationShape,
    RotatedShape,
)
from pilotdht.errors import NotFound, UsageError


class OrgsShape(TypedDict):
    """The orgs that the node is in."""

    orgs: list[GroupShape]


org = Family(name="org", help="Organisations: members trust one another, as alice.acme.")


def _orgs(context: click.Context) -> list[GroupShape]:
    groups = cast("GroupsShape", ask(context, "/v1/groups"))["groups"]
    return [group for group in groups if group["kind"] == "org"]


def _chosen(context: click.Context, name: str | None) -> str:
    """Return the org that is meant: the only one, when none is named.

    Raises:
        NotFound: the node is not in it.
        UsageError: it is in several.
    """
    names = [group["name"] for group in _orgs(context)]
    if name is None and len(names) == 1:
        return names[0]
    if name is None and names:
        raise UsageError("this node is in several orgs", hint=f"name one of {', '.join(names)}")
    if name not in names:
        what = "no org" if name is None else f"no org called {name!r}"
        raise NotFound(f"this node is in {what}", hint="create one with 'pilotdht org create', or join with 'join'")
    return name


@verb("create", example="pilotdht org create acme", returns=GroupShape)
@click.argument("name")
@label_options
@click.pass_context
def create(context: click.Context, name: str, tags: tuple[str, ...], capabilities: tuple[str, ...]) -> None:
    """Begin an org. This node holds its key: back up its data directory."""
    fields: dict[str, object] = {"name": name, "kind": "org", "tags": list(tags), "capabilities": list(capabilities)}
    enter(context, "/v1/groups/create", fields, is_new=True)


@verb("invite", example="pilotdht org invite acme --hostname bob --expires 1d", returns=InvitationShape)
@click.argument("name", metavar="[ORG]", type=GROUP, required=False)
@invite_options
@click.pass_context
def invite_(context: click.Context, /, name: str | None, qr: bool | None, **options: Any) -> None:  # noqa: ANN401
    """Make an invitation to an org: one line of text, a secret unless it is for one key.

    ORG may be left out when this node is in one only. With --hostname bob the new member is found as bob.ORG.
    """
    made = invite(context, _chosen(context, name), **options)
    out = output(context)
    out.result(made, lambda: show_invitation(out, made, has_qr=qr))


@verb("list", example="pilotdht org list", returns=OrgsShape)
@click.pass_context
def list_(context: click.Context) -> None:
    """List the orgs that this node is in."""
    found = _orgs(context)
    out = output(context)
    out.result({"orgs": found}, lambda: out.table(GROUP_COLUMNS, group_rows(found), empty="In no org."))


@verb("members", example="pilotdht org members acme", returns=WatchedMembersShape)
@click.argument("name", metavar="[ORG]", type=GROUP, required=False)
@click.option("--all", "is_all", is_flag=True, help="Those too that died or left lately.")
@click.option("--watch", is_flag=True, help="Go on printing what changes; with --json an object a line.")
@click.pass_context
def members(context: click.Context, name: str | None, is_all: bool, watch: bool) -> None:
    """List the members of an org."""
    tell_members(context, _chosen(context, name), is_all=is_all, is_watched=watch)


@verb("revoke", example='pilotdht org revoke acme bob --reason "left the team"', returns=ExpelledShape)
@click.argument("name", metavar="ORG", type=GROUP)
@click.argument("member")
@click.option("--reason", metavar="TEXT", default="", help="Told to everybody; at most 120 characters.")
@click.pass_context
def revoke(context: click.Context, name: str, member: str, reason: str) -> None:
    """Expel a member by hostname, address or did:key. Members stop trusting it at once."""
    tell_expelled(context, _chosen(context, name), member, reason)


@verb("rotate", example="pilotdht org rotate acme --grace 30d", returns=RotatedShape)
@click.argument("name", metavar="[ORG]", type=GROUP, required=False)
@grace_option
@click.pass_context
def rotate(context: click.Context, name: str | None, grace_s: float) -> None:
    """Give an org another key, on the node that holds the present one.

    Members follow by themselves when they are there, or come by in time; others need a new invitation afterwards. ORG
    may be left out when this node is in one only.
    """
    tell_rotated(context, _chosen(context, name), grace_s)


@verb("leave", example="pilotdht org leave acme", returns=GroupLeftShape)
@click.argument("name", metavar="ORG", type=GROUP)
@click.pass_context
def leave(context: click.Context, name: str) -> None:
    """Leave an org. Nothing of it is kept: whoever created it loses its key."""
    done = ask(context, "/v1/groups/leave", {"group": _chosen(context, name)})
    out = output(context)
    out.result(done, lambda: out.line(f"Left {name}"))


for _verb in (create, invite_, list_, members, revoke, rotate, leave):
    org.add_command(_verb)
