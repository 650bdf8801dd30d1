"""Settings come from four places in a fixed order, and whatever is wrong is told by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from pilotdht.config.config import Config
from pilotdht.daemon.setting_values import parse_listen
from pilotdht.daemon.settings import list_settings, load_config
from pilotdht.errors import ConfigError
from pilotdht.wire.endpoint import Endpoint


def write(directory: Path, text: str) -> Path:
    """Return a configuration file."""
    path = directory / "config.toml"
    path.write_text(text)
    return path


def test_nothing_given_is_the_default() -> None:
    """Without any source the defaults hold and nothing has an origin."""
    assert (Config(), {}) == load_config(file=None, environment={})


def test_missing_file_is_no_error(tmp_path: Path) -> None:
    """The configuration file is optional."""
    assert Config() == load_config(file=tmp_path / "none.toml", environment={})[0]


def test_order_is_command_line_environment_file_default(tmp_path: Path) -> None:
    """The nearer source wins, and each value tells where it came from."""
    file = write(tmp_path, 'hostname = "file"\ntags = ["file"]\nnetwork = 7\n')
    config, origins = load_config(
        file=file,
        environment={"PILOTDHT_HOSTNAME": "environment", "PILOTDHT_TAGS": "environment"},
        overrides={"hostname": "command-line"},
        defaults={"network": "3", "listen": "127.0.0.1:5"},
    )

    assert ("command-line", ("environment",), 7, Endpoint("127.0.0.1", 5)) == (
        config.hostname,
        config.tags,
        config.network,
        config.listen,
    )
    assert {
        "hostname": "command line",
        "tags": "environment PILOTDHT_TAGS",
        "network": f"file {file}",
        "listen": "default",
    } == origins


def test_every_type_can_be_written_in_the_file(tmp_path: Path) -> None:
    """Texts, lists, numbers, truth values, endpoints, paths, keys and sections."""
    file = write(
        tmp_path,
        'bootstrap = ["192.0.2.7:4433", "seed.example:4433"]\nlisten = ":4433"\nadvertise = ["192.0.2.1:4433"]\n'
        'data_dir = "/var/lib/pilotdht"\nnetwork = 9\nnetwork_key = "00ff"\nstart_timeout_s = 1\n'
        '[tunnel]\nhas_fast_paths = false\nkeepalive_s = 7\n[daemon]\nmetrics = "127.0.0.1:9464"\n',
    )
    config, _ = load_config(file=file, environment={})

    assert ("192.0.2.7:4433", "seed.example:4433") == config.bootstrap
    assert Endpoint("::", 4433) == config.listen
    assert (Endpoint("192.0.2.1", 4433),) == config.advertise
    assert Path("/var/lib/pilotdht") == config.data_dir
    assert (9, b"\x00\xff", 1.0) == (config.network, config.network_key, config.start_timeout_s)
    assert (False, 7.0) == (config.tunnel.has_fast_paths, config.tunnel.keepalive_s)
    assert Endpoint("127.0.0.1", 9464) == config.daemon.metrics


def test_every_type_can_be_written_as_text() -> None:
    """The environment and the command line say everything that a file says."""
    config, _ = load_config(
        file=None,
        environment={"PILOTDHT_TUNNEL_HAS_FAST_PATHS": "off", "PILOTDHT_DAEMON_METRICS": ""},
        overrides={"bootstrap": "192.0.2.7:4433, seed.example:4433", "tunnel.keepalive_s": "7.5", "data_dir": ""},
    )

    assert not config.tunnel.has_fast_paths
    assert config.daemon.metrics is None
    assert ("192.0.2.7:4433", "seed.example:4433") == config.bootstrap
    assert 7.5 == config.tunnel.keepalive_s
    assert config.data_dir is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('hostnme = "x"', "hostnme"),
        ("[tunel]\nkeepalive_s = 1", "tunel.keepalive_s"),
        ("[tunnel]\nkeepalive = 1", "tunnel.keepalive"),
        ("tunnel = 1", "tunnel"),
        ("hostname = 5", "hostname"),
        ('hostname = "Not Valid"', "Not Valid"),
        ('tags = "a"\nnetwork = "b"', "network"),
        ("tags = [1]", "tags"),
        ("network = 70000", "network"),
        ("network = true", "network"),
        ("network = 1.5", "network"),
        ('listen = "nowhere"', "listen"),
        ("start_timeout_s = nan", "start_timeout_s"),
        ("[tunnel]\nhas_fast_paths = 1", "has_fast_paths"),
        ("[tunnel.deeper]\nx = 1", "tunnel.deeper"),
        ('network_key = "zz"', "network_key"),
        ('[daemon]\nlog_level = "loud"', "log_level"),
        ("= broken", "not TOML"),
        ("a = " + "[" * 5000, "not TOML"),
    ],
)
def test_wrong_file_is_told_by_name(tmp_path: Path, text: str, told: str) -> None:
    """Unknown names, wrong types and values out of range are errors."""
    with pytest.raises(ConfigError, match=told.replace("[", r"\[")):
        load_config(file=write(tmp_path, text), environment={})


def test_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    """Bytes that are no UTF-8, a directory, and a huge file are errors, not crashes."""
    path = tmp_path / "config.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="UTF-8"):
        load_config(file=path, environment={})
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(file=tmp_path, environment={})
    path.write_bytes(b"#" * (2 << 20))
    with pytest.raises(ConfigError, match="longer"):
        load_config(file=path, environment={})


@pytest.mark.parametrize(
    ("environment", "hint"),
    [
        ({"PILOTDHT_HOSTNAM": "x"}, "did you mean 'PILOTDHT_HOSTNAME'?"),
        ({"PILOTDHT_NNNNNNNNNNNNNNNNNNNNNN_QQQQQQQQQQQQ": "x"}, "run 'pilotdht config show' for all settings"),
    ],
)
def test_unknown_variable_is_told_with_the_nearest_known(environment: dict[str, str], hint: str) -> None:
    """A misspelt variable is never silently ignored."""
    with pytest.raises(ConfigError) as caught:
        load_config(file=None, environment=environment)

    assert hint == caught.value.hint


def test_variables_that_say_where_things_are_set_nothing() -> None:
    """Home, socket and passphrase file are not settings of the node."""
    environment = {"PILOTDHT_HOME": "/x", "PILOTDHT_SOCKET": "/y", "PILOTDHT_PASSPHRASE_FILE": "/z", "PATH": "/bin"}

    assert {} == load_config(file=None, environment=environment)[1]


@pytest.mark.parametrize("text", ["maybe", "", "2"])
def test_truth_value_that_is_none_is_refused(text: str) -> None:
    """Only true and false, written in the usual ways."""
    with pytest.raises(ConfigError, match="true or false"):
        load_config(file=None, environment={}, overrides={"tunnel.has_fast_paths": text})


def test_listing_tells_value_origin_unit_and_reason_and_hides_secrets() -> None:
    """All tunables are listed; a key is masked."""
    config, origins = load_config(
        file=None, environment={}, overrides={"network": "5", "network_key": "00ff", "tunnel.keepalive_s": "7"}
    )
    settings = {setting.name: setting for setting in list_settings(config, origins)}

    assert "***" == settings["network_key"].value
    assert (7.0, "command line", "s") == (
        settings["tunnel.keepalive_s"].value,
        settings["tunnel.keepalive_s"].origin,
        settings["tunnel.keepalive_s"].unit,
    )
    assert all(setting.reason for setting in settings.values())
    assert "default" == settings["hostname"].origin


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        (":4433", Endpoint("::", 4433)),
        ("4433", Endpoint("::", 4433)),
        ("127.0.0.1:0", Endpoint("127.0.0.1", 0)),
        ("[::1]:5", Endpoint("::1", 5)),
    ],
)
def test_listen_can_be_written_short(text: str, endpoint: Endpoint) -> None:
    """A port alone means all addresses."""
    assert endpoint == parse_listen(text)
