"""``key``: the identity file. Works without a daemon."""

from __future__ import annotations

import base64
import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import click

from pilotdht.cli.program import Family, option, output, verb
from pilotdht.daemon.lock import holder
from pilotdht.daemon.paths import find_paths
from pilotdht.errors import AlreadyExists, KeyFileError

if TYPE_CHECKING:
    from pilotdht.identity.keys import KeyPair

MAX_KEY_TEXT_BYTES = 16 * 1024


class KeyShape(TypedDict):
    """Who this node is."""

    address: str
    did: str
    node_id: str
    fingerprint: str
    path: str
    has_passphrase: bool


class KeyTextShape(TypedDict):
    """A key as text."""

    key: str
    path: str


key = Family(name="key", help="Show, back up and protect the identity of this node.")


def _config(context: click.Context) -> tuple[Path, int]:
    """Return the identity file's path and the mesh, as the daemon would use them."""
    from pilotdht.daemon.settings import load_config

    paths = find_paths(os.environ, config_file=option(context, "config"))
    defaults = {"data_dir": str(paths.data_dir)}
    config, _ = load_config(file=paths.config_file, environment=os.environ, defaults=defaults)
    return replace(paths, data_dir=config.data_dir or paths.data_dir).key_file, config.network


def _load(path: Path) -> tuple[KeyPair, bool]:
    """Return the identity, and whether its file has a passphrase."""
    from pilotdht.daemon.service import read_passphrase
    from pilotdht.identity.keyfile import load_key_file

    passphrase = read_passphrase(os.environ)
    try:
        return load_key_file(path), False
    except KeyFileError:
        if passphrase is None:
            raise
    return load_key_file(path, passphrase=passphrase), True


def _describe(keys: KeyPair, path: Path, network: int, *, has_passphrase: bool) -> KeyShape:
    from pilotdht.identity.address import Address

    blob = b"".join(len(part).to_bytes(4, "big") + part for part in (b"ssh-ed25519", keys.public_key))
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode("ascii").rstrip("=")
    return {
        "address": str(Address.of_node_id(keys.node_id, network=network)),
        "did": keys.did,
        "node_id": keys.node_id.hex(),
        "fingerprint": f"SHA256:{digest}",
        "path": str(path),
        "has_passphrase": has_passphrase,
    }


def _show(context: click.Context, shape: KeyShape) -> None:
    out = output(context)
    out.result(
        shape,
        lambda: out.facts(
            [
                ("Address", shape["address"]),
                ("Identity", shape["did"]),
                ("Node id", shape["node_id"]),
                ("Fingerprint", shape["fingerprint"]),
                ("File", shape["path"]),
                ("Passphrase", "yes" if shape["has_passphrase"] else "none"),
            ]
        ),
    )


@verb("show", example="pilotdht key show", returns=KeyShape)
@click.pass_context
def show(context: click.Context) -> None:
    """Show who this node is; the fingerprint is the one that ssh-keygen prints."""
    path, network = _config(context)
    keys, has_passphrase = _load(path)
    _show(context, _describe(keys, path, network, has_passphrase=has_passphrase))


@verb("export", example="pilotdht key export --public", returns=KeyTextShape)
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--public", "is_public", is_flag=True, help="The public half, as an OpenSSH line.")
@click.option(
    "--passphrase-file", type=click.Path(path_type=Path), help="Protect the copy with the first line of this file."
)
@click.pass_context
def export(context: click.Context, file: Path | None, is_public: bool, passphrase_file: Path | None) -> None:
    """Write a copy of the identity to FILE (mode 0600), or print it."""
    from pilotdht.daemon.service import read_passphrase_file
    from pilotdht.identity.keyfile import format_key, save_key_file

    if is_public and (file or passphrase_file):
        raise click.UsageError("The public half is printed: it needs neither FILE nor passphrase.")
    path, _ = _config(context)
    keys, _ = _load(path)
    passphrase = read_passphrase_file(passphrase_file) if passphrase_file else None
    out = output(context)
    if is_public:
        blob = b"".join(len(part).to_bytes(4, "big") + part for part in (b"ssh-ed25519", keys.public_key))
        text = f"ssh-ed25519 {base64.b64encode(blob).decode('ascii')} {keys.did}\n"
    else:
        text = format_key(keys, passphrase=passphrase).decode("ascii")
    if file is None:
        out.result({"key": text, "path": ""}, lambda: click.echo(text, nl=False))
        return
    save_key_file(file.absolute(), keys, passphrase=passphrase)
    out.result({"key": "", "path": str(file)}, lambda: out.line(f"Written · {file}"))


def _refuse_while_running(path: Path) -> None:
    """Refuse to change the identity under a running daemon."""
    process_id = holder(path.with_name("daemon.pid"))
    if process_id is not None:
        raise AlreadyExists(f"a daemon (pid {process_id}) uses this identity", hint="run 'pilotdht daemon stop' first")


@verb("import", example="pilotdht key import backup.key", returns=KeyShape)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--passphrase-file", type=click.Path(path_type=Path), help="Passphrase of FILE; it is kept.")
@click.option("--replace", is_flag=True, help="Replace the identity that is there.")
@click.pass_context
def import_(context: click.Context, file: Path, passphrase_file: Path | None, replace: bool) -> None:
    """Make the Ed25519 key in FILE the identity of this node."""
    from pilotdht.daemon.service import read_passphrase_file
    from pilotdht.identity.keyfile import load_key_file, save_key_file

    path, network = _config(context)
    _refuse_while_running(path)
    passphrase = read_passphrase_file(passphrase_file) if passphrase_file else None
    keys = load_key_file(file, passphrase=passphrase)
    save_key_file(path, keys, passphrase=passphrase, replace=replace)
    _show(context, _describe(keys, path, network, has_passphrase=passphrase is not None))


@verb("passwd", example="pilotdht key passwd --passphrase-file new.txt", returns=KeyShape)
@click.option(
    "--passphrase-file", type=click.Path(path_type=Path), help="The new passphrase is the first line of this file."
)
@click.option("--remove", is_flag=True, help="Leave the identity without a passphrase.")
@click.pass_context
def passwd(context: click.Context, passphrase_file: Path | None, remove: bool) -> None:
    """Set, change or remove the passphrase; the present one is read from PILOTDHT_PASSPHRASE_FILE."""
    from pilotdht.daemon.service import read_passphrase_file
    from pilotdht.identity.keyfile import save_key_file

    if (passphrase_file is None) != remove:
        raise click.UsageError("Give either --passphrase-file or --remove.")
    path, network = _config(context)
    _refuse_while_running(path)
    keys, _ = _load(path)
    passphrase = read_passphrase_file(passphrase_file) if passphrase_file else None
    save_key_file(path, keys, passphrase=passphrase, replace=True)
    _show(context, _describe(keys, path, network, has_passphrase=passphrase is not None))


for _verb in (show, export, import_, passwd):
    key.add_command(_verb)
