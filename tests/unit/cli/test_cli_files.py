"""Verbs that need no daemon: the identity file, the settings, the log."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pilotdht.cli.logs import follow_lines, last_lines
from pilotdht.cli.program import program
from pilotdht.daemon.lock import claim
from pilotdht.errors import NotFound
from pilotdht.identity.keyfile import load_key_file, save_key_file
from pilotdht.identity.keys import KeyPair
from tests.support.fake_node import ALPHA, OWN

Run = Callable[..., Result]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a home that has an identity."""
    save_key_file(tmp_path / "home" / "identity", OWN)
    return tmp_path / "home"


@pytest.fixture
def run(home: Path) -> Run:
    """Return what runs a command line in that home."""

    def invoke(*words: str, **environment: str) -> Result:
        variables = {"PILOTDHT_HOME": str(home), **environment}
        return CliRunner().invoke(program, list(words), env=variables, prog_name="pilotdht")

    return invoke


def data_of(result: Result) -> dict[str, object]:
    """Return the data of a JSON result."""
    data = json.loads(result.stdout)["data"]
    assert isinstance(data, dict)
    return data


def test_key_show_tells_who_this_is(run: Run, home: Path) -> None:
    """Address, did, node id, and the fingerprint that ssh-keygen prints."""
    data = data_of(run("key", "show", "--json"))

    assert (str(OWN.address), OWN.did, OWN.node_id.hex(), False) == (
        data["address"],
        data["did"],
        data["node_id"],
        data["has_passphrase"],
    )
    assert str(data["fingerprint"]).startswith("SHA256:")
    assert str(home / "identity") == data["path"]


def test_key_show_tells_the_address_of_the_configured_mesh(run: Run) -> None:
    """The address has the number of the mesh."""
    assert str(data_of(run("key", "show", "--json", PILOTDHT_NETWORK="7"))["address"]).startswith("7:")


def test_key_without_an_identity_is_told(tmp_path: Path) -> None:
    """No file, a clear error."""
    result = CliRunner().invoke(program, ["key", "show"], env={"PILOTDHT_HOME": str(tmp_path)})

    assert 1 == result.exit_code
    assert "does not exist" in result.stderr


def test_key_export_and_import_move_an_identity(run: Run, home: Path, tmp_path: Path) -> None:
    """A copy has mode 0600, and imported elsewhere it is the same identity."""
    copy = tmp_path / "copy"
    assert 0 == run("key", "export", str(copy)).exit_code
    other = {"PILOTDHT_HOME": str(tmp_path / "other")}
    imported = CliRunner().invoke(program, ["key", "import", "--json", str(copy)], env=other)

    assert 0o600 == copy.stat().st_mode & 0o777
    assert OWN.did == data_of(imported)["did"]
    assert OWN.public_key == load_key_file(tmp_path / "other" / "identity").public_key


def test_key_export_prints_private_and_public_text(run: Run) -> None:
    """Without a file the key is printed; the public half is an ssh line."""
    assert run("key", "export").stdout.startswith("-----BEGIN OPENSSH PRIVATE KEY-----")
    assert run("key", "export", "--public").stdout.startswith("ssh-ed25519 ")
    assert OWN.did in run("key", "export", "--public").stdout
    assert 2 == run("key", "export", "--public", "somewhere").exit_code


def test_key_import_replaces_only_when_told(run: Run, home: Path, tmp_path: Path) -> None:
    """An identity is never overwritten unasked."""
    save_key_file(tmp_path / "new", ALPHA)

    assert 1 == run("key", "import", str(tmp_path / "new")).exit_code
    assert OWN.public_key == load_key_file(home / "identity").public_key
    assert 0 == run("key", "import", "--replace", str(tmp_path / "new")).exit_code
    assert ALPHA.public_key == load_key_file(home / "identity").public_key


def test_key_changes_are_refused_while_a_daemon_runs(run: Run, home: Path, tmp_path: Path) -> None:
    """The identity under a running daemon stays."""
    save_key_file(tmp_path / "new", KeyPair.generate())
    with claim(home / "daemon.pid"):
        assert 1 == run("key", "import", "--replace", str(tmp_path / "new")).exit_code
        assert 1 == run("key", "passwd", "--remove").exit_code


def test_passphrase_is_set_changed_and_removed(run: Run, home: Path, tmp_path: Path) -> None:
    """The present one comes from the environment's file, the new one from an option's."""
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("first\n")
    two.write_text("second\r\nignored\n")

    assert data_of(run("key", "passwd", "--json", "--passphrase-file", str(one)))["has_passphrase"]
    assert 1 == run("key", "show").exit_code
    assert 1 == run("key", "show", PILOTDHT_PASSPHRASE_FILE=str(two)).exit_code
    assert 0 == run("key", "passwd", "--passphrase-file", str(two), PILOTDHT_PASSPHRASE_FILE=str(one)).exit_code
    assert data_of(run("key", "show", "--json", PILOTDHT_PASSPHRASE_FILE=str(two)))["has_passphrase"]
    assert not data_of(run("key", "passwd", "--json", "--remove", PILOTDHT_PASSPHRASE_FILE=str(two)))["has_passphrase"]
    assert OWN.public_key == load_key_file(home / "identity").public_key


@pytest.mark.parametrize("words", [["passwd"], ["passwd", "--remove", "--passphrase-file", "x"]])
def test_passwd_wants_one_of_its_options(run: Run, words: list[str]) -> None:
    """Neither and both are wrong usage."""
    assert 2 == run("key", *words).exit_code


@pytest.mark.parametrize("text", ["", "\n", "x" * 2000])
def test_passphrase_file_without_a_passphrase_is_told(run: Run, tmp_path: Path, text: str) -> None:
    """An empty passphrase protects nothing."""
    path = tmp_path / "secret"
    path.write_text(text)
    result = run("key", "passwd", "--passphrase-file", str(path))

    assert 1 == result.exit_code
    assert "holds no passphrase" in result.stderr


def test_config_show_tells_where_values_come_from(run: Run, home: Path) -> None:
    """File, environment and default are told apart."""
    (home / "config.toml").write_text('hostname = "alpha"\n')
    result = run("config", "show", "--origin", PILOTDHT_TAGS="a,b")
    rows = {line.split()[0]: line for line in result.stdout.splitlines()}

    assert f"file {home / 'config.toml'}" in rows["hostname"]
    assert "a, b" in rows["tags"]
    assert "environment PILOTDHT_TAGS" in rows["tags"]
    assert rows["network"].endswith("default")


def test_config_show_as_json_has_units_and_reasons(run: Run) -> None:
    """Programs get all there is to know about a setting."""
    settings = data_of(run("config", "show", "--json", "keepalive"))["settings"]
    assert isinstance(settings, list)

    assert {"name", "value", "origin", "unit", "reason"} == set(settings[0])
    assert "s" == settings[0]["unit"]


def test_config_with_an_error_is_told(run: Run, home: Path) -> None:
    """A misspelt setting is found without starting anything."""
    (home / "config.toml").write_text('hostnme = "alpha"\n')
    result = run("config", "show")

    assert 2 == result.exit_code
    assert "did you mean 'hostname'?" in result.stderr


def test_config_path_tells_the_files(run: Run, home: Path) -> None:
    """Configuration, data and socket."""
    data = data_of(run("config", "path", "--json"))

    assert (str(home / "config.toml"), False, str(home)) == (data["config_file"], data["exists"], data["data_dir"])


def test_last_lines_are_told(tmp_path: Path) -> None:
    """As many as asked for, or a clear error."""
    path = tmp_path / "log"
    path.write_text("one\ntwo\nthree\n")

    assert ["two", "three"] == last_lines(path, 2)
    assert [] == last_lines(path, 0)
    with pytest.raises(NotFound):
        last_lines(tmp_path / "none", 1)


def test_followed_log_goes_on_over_a_rotation(tmp_path: Path) -> None:
    """Lines written after the file was replaced are seen."""
    path = tmp_path / "log"
    path.write_text("old\n")
    lines = follow_lines(path)
    with path.open("a") as file:
        file.write("one\n")
    assert "one" == next(lines)

    path.rename(tmp_path / "log.1")
    path.write_text("two\n")
    assert "two" == next(lines)
