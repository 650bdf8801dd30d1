"""Orgs of daemons as processes: invitations, trust between members, names, expulsion, restarts."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.daemon_processes import Agent, agents

pytestmark = pytest.mark.integration

PATIENCE_S = 20.0


def until(told: Callable[[], bool]) -> None:
    """Ask again until it is so; each asking is a process of its own, which is pause enough."""
    end = time.monotonic() + PATIENCE_S
    while not told():
        assert time.monotonic() < end, "it has not become so"


def hostnames(agent: Agent, org: str) -> list[str]:
    """Return the names of an org's members as one of them sees it."""
    return sorted(member["hostname"] for member in agent.json("org", "members", org)["members"])


def code_of(agent: Agent, *words: str) -> str:
    """Return the error code of a command that must fail."""
    done = agent.run("--json", *words)
    assert done.returncode, done.stdout
    return str(json.loads(done.stdout)["code"])


@pytest.fixture
def mesh(tmp_path: Path) -> Iterator[list[Agent]]:
    """Return three agents of one mesh; nobody trusts anybody."""
    with agents(tmp_path, 3) as made:
        seed = made[0].start("--hostname", "alpha")["endpoints"][0]
        for agent, name in zip(made[1:], ("beta", "gamma"), strict=True):
            agent.start("--hostname", name, "--bootstrap", seed)
        yield made


def test_members_of_an_org_trust_one_another_until_one_is_expelled(mesh: list[Agent]) -> None:
    """Without a handshake, under the names that the org gives; who is expelled is refused at once."""
    alpha, beta, gamma = mesh
    alpha.json("org", "create", "acme")
    line = str(alpha.json("org", "invite", "acme", "--hostname", "bob", "--expires", "1d")["invitation"])
    assert "not_trusted" == code_of(beta, "ping", "alpha")
    assert "not_found" == code_of(beta, "find", "alpha.acme")
    assert "invalid_argument" == code_of(beta, "join", "--org", "umbrella", "--token", line)

    joined = beta.json("join", "--org", "acme", "--token", "-", stdin=line.encode())
    assert ("acme", "org", "member") == (joined["name"], joined["kind"], joined["role"])
    own = alpha.json("status")["address"]
    holder = gamma.json("status")["did"]
    gamma_line = alpha.json("org", "invite", "--for", holder, "--hostname", "carol")["invitation"]
    assert "invalid_argument" == code_of(beta, "group", "join", "--invitation", gamma_line)
    gamma.json("join", "--org", "acme", "--token", gamma_line)
    for agent in mesh:
        until(lambda agent=agent: hostnames(agent, "acme") == ["alpha", "bob", "carol"])  # type: ignore[misc]

    found = gamma.json("find", "alpha.acme")
    assert (own, True, "org") == (found["address"], found["is_trusted"], found["source"])
    assert beta.json("status")["address"] == gamma.json("find", "bob.acme")["address"]
    for agent, name in ((beta, "alpha.acme"), (gamma, "bob.acme"), (alpha, "carol.acme")):
        assert 1 == agent.json("ping", name)["received"]
    gamma.json("send", "bob.acme", "--message", "between members")
    assert "between members" == beta.json("recv", "--count", "1", "--timeout", "10s")["data"]
    assert "not_found" == code_of(gamma, "find", "nobody.acme")

    assert "usage" == code_of(beta, "org", "revoke", "acme", "carol")
    expelled = alpha.json("org", "revoke", "acme", "bob.acme", "--reason", "left the team")
    assert (beta.json("status")["address"], "left the team") == (expelled["address"], expelled["reason"])
    until(lambda: hostnames(gamma, "acme") == ["alpha", "carol"])
    assert "not_trusted" == code_of(beta, "ping", "alpha")
    assert "not_trusted" == code_of(beta, "ping", "gamma")
    assert "not_found" == code_of(gamma, "ping", "bob.acme")
    until(lambda: beta.json("org", "list")["orgs"][0]["is_expelled"] is True)
    assert 1 == gamma.json("ping", "alpha.acme")["received"]

    gamma.json("org", "leave", "acme")
    until(lambda: hostnames(alpha, "acme") == ["alpha"])
    assert "not_trusted" == code_of(gamma, "ping", "alpha")


def test_key_of_an_org_is_replaced_and_its_members_follow(mesh: list[Agent]) -> None:
    """Both see the new key, still trust one another, and hear one another; who has no such key cannot replace it."""
    alpha, beta, gamma = mesh
    old_id = alpha.json("org", "create", "acme")["group_id"]
    old_line = str(alpha.json("org", "invite", "--hostname", "carol")["invitation"])
    beta.json("join", "--org", "acme", "--token", alpha.json("org", "invite", "--hostname", "bob")["invitation"])
    assert "usage" == code_of(beta, "org", "rotate", "acme")
    assert "invalid_argument" == code_of(alpha, "org", "rotate", "--grace", "59s")

    told = alpha.json("org", "rotate", "--grace", "1d")
    assert old_id != told["group_id"]
    for agent, role in ((alpha, "owner"), (beta, "member")):
        until(lambda agent=agent: agent.json("group", "info", "acme")["group_id"] == told["group_id"])  # type: ignore[misc]
        info = agent.json("group", "info", "acme")
        assert (role, False, told["moves_until_s"]) == (info["role"], info["is_expelled"], info["moves_until_s"])
        until(lambda agent=agent: hostnames(agent, "acme") == ["alpha", "bob"])  # type: ignore[misc]
    assert "usage" == code_of(alpha, "org", "rotate"), "one at a time"

    alpha.json("publish", "acme", "news", "under another key")
    read = beta.json("subscribe", "acme", "news", "--replay", "--count", "1")
    assert ("under another key", "alpha") == (read["data"], read["hostname"])
    assert 1 == beta.json("ping", "alpha.acme")["received"]
    refused = json.loads(beta.run("--json", "query", "alpha.acme", "who?").stdout)
    assert ("refused", True) == (refused["code"], refused["message"].startswith("alpha did not answer: "))

    gamma.json("join", "--org", "acme", "--token", old_line)
    until(lambda: gamma.json("group", "info", "acme")["group_id"] == told["group_id"])
    until(lambda: hostnames(beta, "acme") == ["alpha", "bob", "carol"])


def test_groups_are_kept_over_a_restart(mesh: list[Agent]) -> None:
    """The node is in them again, with its key, its labels and its secret; members find one another anew."""
    alpha, beta, _ = mesh
    alpha.json("org", "create", "acme")
    beta.json("join", "--org", "acme", "--token", alpha.json("org", "invite")["invitation"])
    alpha.json("group", "create", "finance", "--token", "-", "--can", "prices", stdin=b"s3cret\n")
    done = beta.run("--json", "group", "join", "finance", PILOTDHT_TOKEN="s3cret")
    assert 0 == done.returncode, done.stdout

    before = {group["name"]: (group["group_id"], group["role"]) for group in alpha.json("group", "list")["groups"]}
    alpha.json("daemon", "restart")
    after = {group["name"]: (group["group_id"], group["role"]) for group in alpha.json("group", "list")["groups"]}

    assert before == after
    assert {"acme", "finance"} == set(after)
    assert "owner" == after["acme"][1]
    for group in ("acme", "finance"):
        until(lambda group=group: beta.json("group", "info", group)["alive"] == 2)  # type: ignore[misc]
        until(lambda group=group: alpha.json("group", "info", group)["alive"] == 2)  # type: ignore[misc]
    members = beta.json("group", "members", "finance")["members"]
    assert ["prices"] in [member["capabilities"] for member in members]
    assert alpha.json("org", "invite")["invitation"].startswith("pdht1")
    assert 1 == beta.json("ping", "alpha.acme")["received"]
