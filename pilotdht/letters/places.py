"""Whom to leave a letter with. Pure.

The target asks the nodes nearest to its own id when it comes back, whatever became of its servers; a target that is up
and cannot be reached hears it from a server that it is attached to. So both get some, on networks of their own where
there is a choice: no owner of one network holds all copies.
"""

from __future__ import annotations

from collections.abc import Sequence

from pilotdht.identity.ids import PublicKey
from pilotdht.net.prefixes import group_of
from pilotdht.wire.contact import Contact


def places(
    target: PublicKey, *, introducers: Sequence[Contact], nearest: Sequence[Contact], without: PublicKey
) -> list[Contact]:
    """Return the nodes to ask, the best first; each once.

    Args:
        target: for whom the letter is: nobody keeps letters to itself.
        introducers: servers that hold a path to the target, as its record says.
        nearest: nodes near the target's id, nearest first.
        without: our own key.
    """
    mixed: list[Contact] = []
    for at in range(max(len(introducers), len(nearest))):
        mixed += [*nearest[at : at + 1], *introducers[at : at + 1]]
    unique: dict[PublicKey, Contact] = {}
    for contact in mixed:
        if contact.public_key not in (target, without):
            unique.setdefault(contact.public_key, contact)
    seen: dict[str | bytes, None] = {}
    first: list[Contact] = []
    second: list[Contact] = []
    for contact in unique.values():
        group = group_of(contact.endpoint.host, contact.public_key)
        (second if group in seen else first).append(contact)
        seen[group] = None
    return first + second
