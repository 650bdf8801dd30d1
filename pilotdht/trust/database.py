"""The file behind the trust book: private to its owner, locked by one process, checked when it is opened.

A damaged file is refused, never replaced: trust is never silently forgotten.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path

from pilotdht.errors import ConfigError

SCHEMA_VERSION = 1

_SCHEMA = """
CREATE TABLE about (schema_version INTEGER NOT NULL);
CREATE TABLE peers (
    public_key BLOB PRIMARY KEY, hostname TEXT NOT NULL, reason TEXT NOT NULL, own_reason TEXT NOT NULL,
    since REAL NOT NULL, state TEXT NOT NULL, owed INTEGER, owed_sequence INTEGER NOT NULL,
    request_sequence INTEGER NOT NULL, sent_sequence INTEGER NOT NULL, seen_sequence INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE pins (hostname TEXT PRIMARY KEY, public_key BLOB NOT NULL, since REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE aliases (alias TEXT PRIMARY KEY, public_key BLOB NOT NULL) WITHOUT ROWID;
"""
_PRIVATE_MODE = 0o600
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_BUSY_TIMEOUT_S = 0.2


def open_database(path: Path) -> sqlite3.Connection:
    """Open the file that only its owner can touch, lock it, and bring its tables in place.

    Raises:
        ConfigError: the file is damaged, open to others, of a later version, in use, or cannot be opened.
    """
    _make_private(path)
    try:
        database = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, isolation_level=None)
    except sqlite3.Error as error:
        raise ConfigError(f"the trust book {path} cannot be opened: {error}", hint="check its directory") from error
    try:
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("BEGIN EXCLUSIVE")
        _bring_schema(database, path)
        database.execute("COMMIT")
    except sqlite3.OperationalError as error:
        database.close()
        if "locked" in str(error):
            raise ConfigError(
                f"the trust book {path} is in use by another process", hint="one node has one book: stop the other one"
            ) from error
        raise damaged(path, error) from error
    except sqlite3.Error as error:
        database.close()
        raise damaged(path, error) from error
    except BaseException:
        database.close()
        raise
    return database


def _bring_schema(database: sqlite3.Connection, path: Path) -> None:
    if not database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        for statement in _SCHEMA.split(";"):
            database.execute(statement)
        database.execute("INSERT INTO about VALUES (?)", (SCHEMA_VERSION,))
        return
    (report,) = database.execute("PRAGMA quick_check(1)").fetchone()
    if report != "ok":
        raise sqlite3.DatabaseError(report)
    (version,) = database.execute("SELECT max(schema_version) FROM about").fetchone()
    if version != SCHEMA_VERSION:
        raise ConfigError(
            f"the trust book {path} has format {version}, not {SCHEMA_VERSION}",
            hint="a later version wrote it: use that",
        )


def _make_private(path: Path) -> None:
    """Make the file with mode 0600, or check that it is as private as that."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
        descriptor = os.open(path, flags, _PRIVATE_MODE)
    except OSError as error:
        raise ConfigError(f"the trust book {path} cannot be opened: {error.strerror}", hint="check its mode") from error
    try:
        status = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise ConfigError(f"the trust book {path} is not a regular file", hint="it is a sqlite file")
    if os.name == "posix" and status.st_mode & _OTHERS:
        raise ConfigError(f"the trust book {path} is open to other users", hint=f"run 'chmod 600 {path}'")
    if os.name == "posix" and status.st_uid not in (os.geteuid(), 0):
        raise ConfigError(f"the trust book {path} belongs to another user", hint="use a directory of your own")


def damaged(path: Path, error: Exception) -> ConfigError:
    """Return the error that says so, and what to do."""
    return ConfigError(
        f"the trust book {path} is damaged: {error}",
        hint=f"restore a copy, or move it away with 'mv {path} {path}.damaged' and give trust anew",
    )
