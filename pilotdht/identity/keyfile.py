"""The identity file: an OpenSSH private key, so that ``ssh-keygen`` can inspect it and change its passphrase.

Rules as ssh keeps them: created exclusively with mode 0600, replaced atomically, refused when anybody but its owner
could read or write it. Where the system has no POSIX modes (Windows) the directory's own protection is relied upon.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_ssh_private_key,
)

from pilotdht.errors import AlreadyExists, KeyFileError
from pilotdht.identity.keys import KeyPair

MAX_KEY_FILE_BYTES = 16 * 1024
_PRIVATE_MODE = 0o600
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def load_key_file(path: Path, *, passphrase: bytes | None = None) -> KeyPair:
    """Read an identity file.

    Raises:
        KeyFileError: missing, not a regular file, open to others, owned by somebody else, malformed, another key type,
            or the passphrase is missing or wrong.
    """
    return parse_key(_read_private(path), passphrase=passphrase, origin=str(path))


def parse_key(data: bytes, *, passphrase: bytes | None = None, origin: str = "the key") -> KeyPair:
    """Return the key pair in OpenSSH private-key text.

    Raises:
        KeyFileError: malformed, another key type, or the passphrase is missing or wrong.
    """
    try:
        key = load_ssh_private_key(data, password=passphrase)
    except TypeError as error:  # cryptography's word for "a passphrase is needed", or for one too many
        if passphrase is None:
            raise KeyFileError(
                f"{origin} is protected by a passphrase", hint="set PILOTDHT_PASSPHRASE_FILE to a file that holds it"
            ) from error
        raise KeyFileError(f"{origin} has no passphrase", hint="leave the passphrase out") from error
    except ValueError as error:
        hint = "check the passphrase" if passphrase is not None else "it must be an OpenSSH private key"
        raise KeyFileError(f"{origin} cannot be read: {error}", hint=hint) from error
    except UnsupportedAlgorithm as error:
        raise KeyFileError(
            f"{origin} uses something unsupported: {error}", hint="passphrases need 'pip install pilotdht[keys]'"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(f"{origin} is not an Ed25519 key", hint="make one with 'ssh-keygen -t ed25519'")
    return KeyPair(key)


def format_key(keys: KeyPair, *, passphrase: bytes | None = None) -> bytes:
    """Return the OpenSSH private-key text of ``keys``, encrypted when a passphrase is given.

    Raises:
        KeyFileError: a passphrase was given and ``bcrypt`` is not installed.
    """
    encryption: KeySerializationEncryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    try:
        return keys.private_key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, encryption)
    except UnsupportedAlgorithm as error:
        raise KeyFileError("passphrases need the package bcrypt", hint="run 'pip install pilotdht[keys]'") from error


def save_key_file(path: Path, keys: KeyPair, *, passphrase: bytes | None = None, replace: bool = False) -> None:
    """Write an identity file with mode 0600, whole or not at all.

    Args:
        path: where; missing directories are made with mode 0700.
        keys: what.
        passphrase: encrypts the file when given.
        replace: allow an existing file to be replaced.

    Raises:
        AlreadyExists: the file is there and ``replace`` is false.
        KeyFileError: it cannot be written.
    """
    text = format_key(keys, passphrase=passphrase)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:  # FileExistsError too: the parent is a file
        raise KeyFileError(f"{path.parent} cannot be made: {error.strerror}", hint="check the directory") from error
    try:
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE_MODE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        try:
            if replace:
                os.replace(temporary, path)
            else:
                os.link(temporary, path)  # fails when the file exists: two starters cannot overwrite one another
        finally:
            temporary.unlink(missing_ok=True)
    except FileExistsError as error:
        raise AlreadyExists(f"{path} exists", hint="an identity is never overwritten unasked") from error
    except OSError as error:
        raise KeyFileError(f"{path} cannot be written: {error.strerror}", hint="check the directory") from error


def load_or_create_key_file(path: Path, *, passphrase: bytes | None = None) -> KeyPair:
    """Return the identity in ``path``; make one when there is none yet.

    Raises:
        KeyFileError: as :func:`load_key_file` and :func:`save_key_file`.
    """
    if not path.exists():
        with contextlib.suppress(AlreadyExists):  # another process was faster: its identity is ours
            save_key_file(path, KeyPair.generate(), passphrase=passphrase)
    return load_key_file(path, passphrase=passphrase)


def _read_private(path: Path) -> bytes:
    """Return the bytes of a file that only its owner can touch."""
    try:
        # O_NONBLOCK: opening a FIFO would otherwise wait for a writer
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError as error:
        raise KeyFileError(f"{path} does not exist", hint="it is made by 'pilotdht daemon start'") from error
    except OSError as error:
        raise KeyFileError(f"{path} cannot be read: {error.strerror}", hint="check its owner and mode") from error
    try:
        _check_private(path, os.fstat(descriptor))
    except BaseException:
        os.close(descriptor)
        raise
    with os.fdopen(descriptor, "rb") as file:  # only now: it refuses directories in its own words
        data = file.read(MAX_KEY_FILE_BYTES + 1)
    if len(data) > MAX_KEY_FILE_BYTES:
        raise KeyFileError(f"{path} is too large for a key", hint="it must be an OpenSSH private key")
    return data


def _check_private(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise KeyFileError(f"{path} is not a regular file", hint="an identity is a plain file")
    if os.name == "posix":
        if status.st_mode & _OTHERS:
            raise KeyFileError(f"{path} is open to other users", hint=f"run 'chmod 600 {path}'")
        if status.st_uid not in (os.geteuid(), 0):
            raise KeyFileError(f"{path} belongs to another user", hint="use an identity of your own")
