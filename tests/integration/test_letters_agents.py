"""Daemons that are never there at the same time: their people come to trust each other by the command line."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.support.daemon_processes import Agent, agents

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


def wait_for(agent: Agent, *words: str, key: str, count: int) -> list[dict[str, object]]:
    """Return a list that a command gives, once it has so many entries; looked for no longer than a second."""
    until = time.monotonic() + 1.0
    while True:
        begun = time.monotonic()  # the command itself takes a third of a second to start
        found = agent.json(*words)[key]
        if len(found) == count or begun > until:
            assert count == len(found)
            return list(found)


def test_two_agents_that_are_never_up_together_come_to_trust_each_other(tmp_path: Path) -> None:
    """Asked while the other is off, approved while the first is off, and both trust; told by the commands."""
    with agents(tmp_path, 4) as (keeper, second, alpha, beta):
        seed = keeper.start("--hostname", "keeper")["endpoints"][0]
        second.start("--hostname", "second", "--bootstrap", seed)
        beta_did = beta.start("--hostname", "beta", "--bootstrap", seed)["did"]
        beta.stop()

        alpha_did = alpha.start("--hostname", "alpha", "--bootstrap", seed)["did"]
        unknown = alpha.run("--json", "handshake", "beta", "the report")
        assert "not_found" == json.loads(unknown.stdout)["code"]
        assert "did:key" in json.loads(unknown.stdout)["hint"]
        told = alpha.run("handshake", beta_did, "the report").stdout.decode()
        assert "left with 2 nodes, delivered when it is back" in told
        again = alpha.json("handshake", beta_did, "the report")
        assert ("pending_out", "request", 2) == (again["state"], again["owed"], again["letter_holders"])
        alpha.stop()

        beta.start("--hostname", "beta", "--bootstrap", seed)
        (request,) = wait_for(beta, "pending", key="pending", count=1)
        assert (alpha_did, "alpha", "the report") == (request["did"], request["hostname"], request["reason"])
        approved = beta.json("approve", alpha_did)
        assert ("trusted", "approve", 2) == (approved["state"], approved["owed"], approved["letter_holders"])
        beta.stop()

        alpha.start("--hostname", "alpha", "--bootstrap", seed)
        (trusted,) = wait_for(alpha, "trust", key="trusted", count=1)
        assert beta_did == trusted["did"]
        beta.start("--hostname", "beta", "--bootstrap", seed)
        assert 0 == alpha.run("ping", "beta").returncode
        withdrawn = alpha.json("untrust", beta_did)
        assert (None, 0) == (withdrawn["owed"], withdrawn["letter_holders"])  # it was there, and heard it
