"""A real daemon serves the page when it is asked to, and keeps its secrets."""

from __future__ import annotations

import socket
import sys
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.support.daemon_processes import agents

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


def free_port() -> int:
    """Return a TCP port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ask(port: int, method: str, path: str, body: str | None = None) -> int:
    """Return the status of an answer."""
    origin = {"Origin": f"http://127.0.0.1:{port}", "Content-Type": "application/json"}
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body, origin if body else {})
        return connection.getresponse().status
    finally:
        connection.close()


def test_daemon_with_a_fixed_port_serves_from_its_start(tmp_path: Path) -> None:
    """``daemon start --ui PORT`` needs nobody to ask first; a port that is taken keeps it from starting."""
    port = free_port()
    with agents(tmp_path, 2) as (alone, late):
        alone.start("--ui", str(port))
        assert 200 == ask(port, "GET", "/")
        assert port == alone.json("ui", "--print")["port"]
        done = late.run("daemon", "start", "--listen", "127.0.0.1:0", "--ui", str(port))
        assert 0 != done.returncode
        assert str(port).encode() in done.stderr
        alone.json("daemon", "restart")
        assert 200 == ask(port, "GET", "/")


def test_log_of_a_daemon_holds_no_token(tmp_path: Path) -> None:
    """Not with the most talkative log either, whether the link was used, wrong, or never used."""
    with agents(tmp_path, 1) as (alone,):
        facts = alone.start("--log-level", "debug")
        pages = [alone.json("ui", "--print") for _ in range(2)]
        tokens = [page["url"].partition("#login=")[2] for page in pages]
        port = pages[0]["port"]
        assert 200 == ask(port, "POST", "/api/login", f'{{"token": "{tokens[0]}"}}')
        assert 403 == ask(port, "POST", "/api/login", f'{{"token": "{tokens[0]}"}}')
        alone.stop()
        log = Path(facts["log"]).read_text("utf-8")
    assert "daemon ready" in log
    for token in tokens:
        assert token
        assert token not in log


def ports_of(process_id: int) -> set[str]:
    """Return the addresses of the TCP ports over IPv4 that a process listens on, as the kernel prints them."""
    sockets = {path.readlink().name for path in Path(f"/proc/{process_id}/fd").iterdir()}
    rows = [line.split() for line in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]]
    return {row[1] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in sockets}


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's tables of connections exist on Linux")
def test_page_that_nobody_asked_for_listens_nowhere(tmp_path: Path) -> None:
    """Without being asked the daemon has no TCP port; then it has one, on loopback."""
    with agents(tmp_path, 1) as (alone,):
        process_id = alone.start()["pid"]
        assert set() == ports_of(process_id)
        port = alone.json("ui", "--print")["port"]
        (address,) = ports_of(process_id)
    host, _, number = address.partition(":")
    assert ("127.0.0.1", port) == (socket.inet_ntoa(int(host, 16).to_bytes(4, sys.byteorder)), int(number, 16))
