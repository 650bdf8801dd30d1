"""Paths, lock and log of a daemon: private, exclusive, bounded."""

from __future__ import annotations

import json
import logging
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pilotdht.config.daemon import DaemonConfig
from pilotdht.daemon.lock import claim, holder
from pilotdht.daemon.logs import JsonFormatter, TextFormatter, set_up_logging
from pilotdht.daemon.paths import (
    MAX_SOCKET_PATH_BYTES,
    check_socket_directory,
    find_paths,
    make_private_directory,
    short_socket_path,
)
from pilotdht.daemon.unix_socket import bind_control_socket
from pilotdht.errors import AlreadyExists, ConfigError


def test_home_moves_everything(tmp_path: Path) -> None:
    """One variable moves data, configuration and socket."""
    paths = find_paths({"PILOTDHT_HOME": str(tmp_path)})

    assert (tmp_path, tmp_path / "config.toml", tmp_path / "run" / "control.sock") == (
        paths.data_dir,
        paths.config_file,
        paths.socket,
    )
    assert {tmp_path} == {paths.key_file.parent, paths.lock_file.parent, paths.log_file.parent}


def test_arguments_win_over_variables(tmp_path: Path) -> None:
    """Socket and configuration file can be named."""
    environment = {"PILOTDHT_HOME": str(tmp_path), "PILOTDHT_SOCKET": "/a/s", "PILOTDHT_CONFIG": "/a/c"}

    assert ("/a/s", "/a/c") == (
        str(find_paths(environment).socket),
        str(find_paths(environment).config_file),
    )
    assert ("/b/s", "/b/c") == (
        str(find_paths(environment, socket="/b/s").socket),
        str(find_paths(environment, config_file="/b/c").config_file),
    )


def test_runtime_directory_of_the_session_is_used(tmp_path: Path) -> None:
    """Where the system has a runtime directory the socket goes there."""
    assert tmp_path / "pilotdht" / "control.sock" == find_paths({"XDG_RUNTIME_DIR": str(tmp_path)}).socket


def test_socket_is_never_directly_in_a_shared_directory() -> None:
    """Without a home the socket has a directory of its own too."""
    assert find_paths({}).socket.parent.name in ("pilotdht", "run")


def test_path_too_long_for_the_system_gets_a_short_stand_in(tmp_path: Path) -> None:
    """Daemon and clients compute the same short path, which can be bound."""
    long = tmp_path / ("d" * 120) / "control.sock"
    short = short_socket_path(long)

    assert short == short_socket_path(long)
    assert short != short_socket_path(tmp_path / ("e" * 120) / "control.sock")
    assert len(os.fsencode(short)) <= MAX_SOCKET_PATH_BYTES
    bind_control_socket(short).close()
    check_socket_directory(short)
    short.unlink()
    short.parent.rmdir()


def test_private_directory_is_made_private_again(tmp_path: Path) -> None:
    """A directory that others could enter is closed to them."""
    directory = tmp_path / "open"
    directory.mkdir(mode=0o755)
    make_private_directory(directory)

    assert 0o700 == stat.S_IMODE(directory.stat().st_mode)


def test_link_in_the_directory_s_place_is_refused(tmp_path: Path) -> None:
    """A symbolic link could lead into another user's directory."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")

    with pytest.raises(ConfigError, match="not a directory"):
        make_private_directory(tmp_path / "link")


def test_client_refuses_a_socket_that_others_could_have_put_there(tmp_path: Path) -> None:
    """A directory that others can write is not trusted by clients."""
    directory = tmp_path / "shared"
    directory.mkdir()
    directory.chmod(0o777)

    with pytest.raises(ConfigError, match="written by others"):
        check_socket_directory(directory / "control.sock")


def test_lock_excludes_a_second_process_and_tells_the_first(tmp_path: Path) -> None:
    """While one holds the lock another is refused and told the holder's process id."""
    path = tmp_path / "daemon.pid"
    with claim(path):
        code = (
            f"from pathlib import Path\nfrom pilotdht.daemon.lock import claim\nwith claim(Path({str(path)!r})): pass"
        )
        second = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)

        assert os.getpid() == holder(path)
        assert f"(pid {os.getpid()})" in second.stderr
        with pytest.raises(AlreadyExists), claim(path):
            pass
    assert holder(path) is None
    with claim(path):
        assert os.getpid() == holder(path)


def test_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    """What a dead process wrote into the file means nothing."""
    path = tmp_path / "daemon.pid"
    path.write_text("1\n")

    assert holder(path) is None
    with claim(path):
        pass


def record(message: str, **fields: object) -> logging.LogRecord:
    """Return a log record with fields."""
    made = logging.makeLogRecord({"msg": message, "levelname": "INFO", "name": "pilotdht.x"})
    vars(made).update(fields)
    return made


def test_text_log_has_one_line_a_record() -> None:
    """Facts follow the message; a peer's text cannot forge a line."""
    line = TextFormatter().format(record("peer refused", reason="bad\n2026 ERROR forged", rtt_s=0.1))

    assert line.endswith('INFO pilotdht.x: peer refused reason="bad\\n2026 ERROR forged" rtt_s=0.1')
    assert "\n" not in line


def test_json_log_has_one_object_a_record() -> None:
    """Facts are keys."""
    content = json.loads(JsonFormatter().format(record("peer refused", reason="r", node_id=b"\x01")))

    assert ("peer refused", "r", "INFO") == (content["msg"], content["reason"], content["level"])


def test_log_file_is_bounded(tmp_path: Path) -> None:
    """Rotation keeps the log below its bound."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    try:
        config = DaemonConfig(log_max_bytes=4096, log_files_kept=1)
        handler = set_up_logging(config, file=tmp_path / "daemon.log")
        for number in range(1000):
            logging.getLogger("pilotdht.x").info("filling", extra={"operation": number})
        handler.close()
    finally:
        root.handlers[:] = before
        root.setLevel(level)

    sizes = [path.stat().st_size for path in tmp_path.iterdir()]
    assert 2 == len(sizes)
    assert all(size <= 4096 for size in sizes)


def test_unix_socket_can_be_connected_after_binding(tmp_path: Path) -> None:
    """What is bound can be listened on and reached."""
    path = tmp_path / "run" / "control.sock"
    with bind_control_socket(path) as listening:
        listening.listen()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
