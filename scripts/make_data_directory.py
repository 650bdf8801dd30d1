"""Writes a data directory as this version keeps it, for the test that later versions still read it.

Run it once for each format, with the last version that writes that format::

    python scripts/make_data_directory.py tests/vectors/data-directory-1

The identity in it is an example's and of no other use.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from pilotdht import Config, KeyPair, Node
from pilotdht.gossip.values import GroupKind
from pilotdht.identity.keyfile import save_key_file

KEPT = ("identity", "groups", "state", "trust.sqlite")
FRIEND = KeyPair.from_seed(b"a friend of the golden directory")
TOKEN = "a token that is no secret"  # noqa: S105 - as it says


async def write(directory: Path) -> dict[str, object]:
    """Have a node live in a directory, and return what it must still know afterwards."""
    save_key_file(directory / "identity", KeyPair.from_seed(b"owner of the golden directory..."))
    config = replace(Config.local(), hostname="keeper", tags=("golden",), data_dir=directory)
    async with Node(config) as keeper:
        seed = str(keeper.endpoints[0])
        async with Node(replace(Config.local(), hostname="friend", bootstrap=(seed,)), keys=FRIEND) as friend:
            await friend.handshake("keeper", reason="we have known each other for long")
            await keeper.approve("friend")
            await keeper.set_alias("old-friend", "friend")
            await keeper.ping("friend")
            await keeper.join_group("open-circle")
            await keeper.create_group("token-circle", kind=GroupKind.TOKEN, token=TOKEN)
            await keeper.create_group("golden-org", kind=GroupKind.ORG)
            facts = {
                "address": str(keeper.address),
                "did": keeper.did,
                "port": keeper.endpoints[0].port,
                "trusted": [entry.public_key.hex() for entry in keeper.trusted()],
                "aliases": {name: str(address) for name, address in keeper.aliases().items()},
                "groups": {info.name: info.kind.value for info in keeper.groups()},
                "contacts": len(keeper.peers()),
            }
    return facts


def main() -> None:
    """Write the directory that is named on the command line."""
    target = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary) / "home"
        facts = asyncio.run(write(home))
        target.mkdir(parents=True)
        for name in KEPT:
            shutil.copy(home / name, target / name)
    (target / "facts.json").write_text(json.dumps(facts, indent=2, sort_keys=True) + "\n", "utf-8")


if __name__ == "__main__":
    main()
