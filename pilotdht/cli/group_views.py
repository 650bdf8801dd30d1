"""How groups, their members and invitations to them are printed for people; the verbs of groups and orgs share it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from pilotdht.cli.output import ABSENT, Output, duration, milliseconds, moment
from pilotdht.daemon.group_shapes import GroupShape, InvitationShape, MemberShape, RotatedShape

GROUP_COLUMNS = ("NAME", "KIND", "ROLE", "MEMBERS", "MESSAGES", "EXPIRES")

_COLORS = {"alive": "green", "suspect": "yellow", "dead": "red", "left": "bright_black"}
_THERE = ("alive", "suspect")


def entered(out: Output, group: GroupShape, *, is_new: bool) -> None:
    """Print that a group was created or joined, and what to do next."""
    done = "Created" if is_new else "Joined"
    count = group["alive"]
    out.line(f"{done} {group['name']} · {group['kind']} · {count} {'member' if count == 1 else 'members'}")
    if group["kind"] in ("invite", "org") and group["role"] == "owner":
        verb = "org" if group["kind"] == "org" else "group"
        out.note(f"This node holds its key. Invite others with 'pilotdht {verb} invite {group['name']}'.")
    elif count == 1 and is_new:
        secret = "" if group["kind"] == "open" else " --token SECRET"
        out.note(f"Others join with 'pilotdht group join {group['name']}{secret}'.")
    elif count == 1:
        out.note("Nobody else of it answers yet; looking for members goes on in the background.")


def group_facts(out: Output, group: GroupShape) -> None:
    """Print what one group is."""
    counts = ((group["alive"], "there"), (group["suspect"], "of them suspect"), (group["dead"], "dead"))
    out.facts(
        [
            ("Name", group["name"]),
            ("Kind", group["kind"]),
            ("Role", _role(group)),
            ("Members", ", ".join(f"{count} {what}" for count, what in counts if count)),
            ("Messages kept", str(group["events"])),
            ("Subscriptions", ", ".join(group["topics"])),
            ("Health", "" if group["health"] == 0 else f"{group['health']} of 8: this node may be slow or cut off"),
            ("Expires", "" if group["expires_s"] is None else moment(group["expires_s"])),
            (
                "New key",
                "" if group["moves_until_s"] is None else f"members move until {moment(group['moves_until_s'])}",
            ),
            ("Id", group["group_id"]),
        ]
    )


def group_rows(groups: Sequence[GroupShape]) -> list[tuple[str, ...]]:
    """Return the rows of a table of groups."""
    return [
        (
            group["name"],
            group["kind"],
            _role(group),
            str(group["alive"]) + (f" ({group['suspect']} suspect)" if group["suspect"] else ""),
            str(group["events"]),
            ABSENT if group["expires_s"] is None else moment(group["expires_s"]),
        )
        for group in groups
    ]


def show_members(out: Output, members: Sequence[MemberShape]) -> None:
    """Print a table of members; a column in which there is nothing to tell is left out."""
    columns: dict[str, list[str]] = {
        "HOSTNAME": [member["hostname"] or ABSENT for member in members],
        "ADDRESS": [member["address"] for member in members],
        "STATUS": [member_status(out, member) for member in members],
        "ROLE": ["" if member["role"] == "member" else member["role"] for member in members],
        "RTT": ["self" if member["is_self"] else milliseconds(member["rtt_s"]) for member in members],
        "LOAD": ["" if member["load"] is None else f"{member['load']}%" for member in members],
        "CAN": [", ".join(member["capabilities"]) for member in members],
        "TAGS": [", ".join(member["tags"]) for member in members],
    }
    told = [name for name, cells in columns.items() if any(cells)]
    rows = list(zip(*([cell or ABSENT for cell in columns[name]] for name in told), strict=True))
    out.table(told, rows, empty="Nobody is there.")


def member_status(out: Output, member: MemberShape) -> str:
    """Return a member's status; of one that is not quite there with how long it has been so."""
    since = "" if member["status"] == "alive" else f" {duration(member['since_s'])}"
    return out.styled(member["status"] + since, fg=_COLORS[member["status"]])


def is_there(member: MemberShape) -> bool:
    """Return whether a member is there, as far as is known."""
    return member["status"] in _THERE


def show_invitation(out: Output, made: InvitationShape, *, has_qr: bool | None) -> None:
    """Print an invitation as text, and as a QR code when asked for, or by itself where a terminal has room."""
    out.line(made["invitation"])
    if has_qr or (has_qr is None and sys.stdout.isatty()):
        code = qr_code(made["invitation"])
        width = max(map(len, code))
        if has_qr or width <= os.get_terminal_size(sys.stdout.fileno()).columns:
            click.echo("\n".join(code))
    use = "whoever has it may join" if made["holder"] is None else f"for {made['holder']} alone"
    out.note(f"Makes {'an admin' if made['role'] == 'admin' else 'a member'} of {made['group']}; {use}.")
    out.note(f"It and every membership by it end {moment(made['expires_s'])}.")


def show_rotation(out: Output, done: RotatedShape) -> None:
    """Print that a group has another key, and what happens to whom."""
    until = moment(done["moves_until_s"])
    out.line(f"{done['group']} has another key · members move until {until}")
    out.note("Members that are there, or come by until then, move by themselves.")
    out.note("Whoever is offline for longer needs a new invitation; those made before now are void afterwards.")
    out.note("Back up the file 'groups' of the data directory again: it holds the new key.")


def qr_code(text: str) -> list[str]:
    """Return a QR code as lines of half blocks, light on dark as terminals are."""
    import segno

    rows = [[bool(module) for module in row] for row in segno.make_qr(text, error="l").matrix]
    edge = 2
    blank = [False] * (len(rows[0]) + 2 * edge)
    light = [blank] * edge + [[False] * edge + row + [False] * edge for row in rows] + [blank] * edge
    if len(light) % 2:
        light.append(blank)
    blocks = {(False, False): "█", (False, True): "▀", (True, False): "▄", (True, True): " "}
    return [
        "".join(blocks[upper, lower] for upper, lower in zip(above, below, strict=True))
        for above, below in zip(light[::2], light[1::2], strict=True)
    ]


def _role(group: GroupShape) -> str:
    return "expelled" if group["is_expelled"] else group["role"]
