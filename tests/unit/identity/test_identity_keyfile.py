"""The identity file: private, whole or not at all, and refused with a reason when it is anything else."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from pilotdht.errors import AlreadyExists, KeyFileError
from pilotdht.identity.keyfile import (
    MAX_KEY_FILE_BYTES,
    format_key,
    load_key_file,
    load_or_create_key_file,
    parse_key,
    save_key_file,
)
from pilotdht.identity.keys import KeyPair

KEYS = KeyPair.from_seed(b"\x07" * 32)


@pytest.fixture
def key_path(tmp_path: Path) -> Path:
    """Return the path of a saved identity."""
    path = tmp_path / "deep" / "identity"
    save_key_file(path, KEYS)
    return path


def test_save_makes_private_file_and_directory(key_path: Path) -> None:
    """Nobody else can read the file or look into its directory; nothing else is left behind."""
    assert 0o600 == stat.S_IMODE(key_path.stat().st_mode)
    assert 0o700 == stat.S_IMODE(key_path.parent.stat().st_mode)
    assert [key_path] == list(key_path.parent.iterdir())
    assert KEYS.public_key == load_key_file(key_path).public_key


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o660, 0o601, 0o644, 0o777])
def test_load_looser_mode_is_refused(key_path: Path, mode: int) -> None:
    """A key that others could have read or changed is none."""
    key_path.chmod(mode)
    with pytest.raises(KeyFileError, match="open to other users") as caught:
        load_key_file(key_path)
    assert "chmod 600" in caught.value.hint


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="giving a file away needs root")
def test_load_file_of_another_user_is_refused(key_path: Path) -> None:
    """A key that somebody else put there is not ours."""
    os.chown(key_path, 12345, -1)
    with pytest.raises(KeyFileError, match="another user"):
        load_key_file(key_path)


def test_save_existing_is_refused_unless_replaced(key_path: Path) -> None:
    """An identity is never overwritten unasked."""
    other = KeyPair.from_seed(b"\x08" * 32)
    with pytest.raises(AlreadyExists):
        save_key_file(key_path, other)
    assert KEYS.public_key == load_key_file(key_path).public_key
    save_key_file(key_path, other, replace=True)
    assert other.public_key == load_key_file(key_path).public_key
    assert [key_path] == list(key_path.parent.iterdir())


def test_passphrase_right_wrong_and_missing() -> None:
    """Each mistake has its own words."""
    pytest.importorskip("bcrypt", reason="passphrases need the package bcrypt")
    text = format_key(KEYS, passphrase=b"secret")
    assert KEYS.public_key == parse_key(text, passphrase=b"secret").public_key
    with pytest.raises(KeyFileError) as wrong:
        parse_key(text, passphrase=b"guess")
    assert "passphrase" in wrong.value.hint
    with pytest.raises(KeyFileError, match="protected by a passphrase"):
        parse_key(text)
    with pytest.raises(KeyFileError, match="has no passphrase"):
        parse_key(format_key(KEYS), passphrase=b"secret")


def test_parse_other_kinds_of_keys_are_refused() -> None:
    """RSA and ECDSA keys are no identities."""
    for key in (rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP256R1())):
        text = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        with pytest.raises(KeyFileError):
            parse_key(text)


def test_parse_garbage_is_refused() -> None:
    """Cut or changed anywhere, a key is an error of ours or the same key, never another exception."""
    text = format_key(KEYS)
    for size in range(len(text) - 1):
        try:
            parsed = parse_key(text[:size])
        except KeyFileError:
            continue
        assert KEYS.public_key == parsed.public_key
    for at in range(len(text)):
        try:
            parse_key(text[:at] + bytes([text[at] ^ 1]) + text[at + 1 :])
        except KeyFileError:
            continue
    for garbage in (b"", b"\0" * 100, b"\xff" * 1000, b"-----BEGIN OPENSSH PRIVATE KEY-----\n"):
        with pytest.raises(KeyFileError):
            parse_key(garbage)


def test_load_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """Missing, directory, FIFO, dangling link and huge file are told apart, and none blocks."""
    missing, directory, fifo, dangling, huge = (tmp_path / name for name in ("m", "d", "f", "l", "h"))
    directory.mkdir()
    os.mkfifo(fifo, 0o600)
    dangling.symlink_to(missing)
    huge.write_bytes(b"x" * (MAX_KEY_FILE_BYTES + 1))
    huge.chmod(0o600)
    for path, words in (
        (missing, "does not exist"),
        (directory, "regular file"),
        (fifo, "regular file"),
        (dangling, "does not exist"),
        (huge, "too large"),
        (huge / "below", "cannot be read"),
    ):
        with pytest.raises(KeyFileError, match=words):
            load_key_file(path)
    with pytest.raises(KeyFileError, match="cannot be made"):
        save_key_file(huge / "identity", KEYS)
    with pytest.raises(KeyFileError, match="does not exist"):
        load_or_create_key_file(dangling)
    assert dangling.is_symlink()


def test_load_through_symlink_checks_its_target(tmp_path: Path, key_path: Path) -> None:
    """A link to a private key is as good as the key; what counts is the mode of the target."""
    link = tmp_path / "link"
    link.symlink_to(key_path)
    assert KEYS.public_key == load_key_file(link).public_key
    key_path.chmod(0o644)
    with pytest.raises(KeyFileError):
        load_key_file(link)


def _public_key_of(path: Path) -> bytes:
    return load_or_create_key_file(path).public_key


def test_load_or_create_by_many_at_once_gives_one_identity(tmp_path: Path) -> None:
    """Whoever is later takes what the first one made."""
    path = tmp_path / "identity"
    context = multiprocessing.get_context("spawn")
    with context.Pool(4) as pool:
        found = pool.map(_public_key_of, [path] * 8, chunksize=1)
    assert 1 == len(set(found))
    assert [path] == list(tmp_path.iterdir())


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs the program ssh-keygen")
def test_ssh_keygen_reads_ours_and_we_read_its(tmp_path: Path, key_path: Path) -> None:
    """The file is an OpenSSH key to OpenSSH too, with and without passphrase."""
    shown = subprocess.run(["ssh-keygen", "-y", "-f", key_path], capture_output=True, check=True, text=True).stdout
    assert shown.startswith("ssh-ed25519 ")
    theirs = tmp_path / "theirs"
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-f", str(theirs), "-C", "comment", "-N"]
    subprocess.run([*command, ""], check=True)
    load_key_file(theirs)
    theirs.unlink()
    (tmp_path / "theirs.pub").unlink()
    subprocess.run([*command, "secret"], check=True)
    load_key_file(theirs, passphrase=b"secret")
