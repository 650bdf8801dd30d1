"""What the pages about running nodes say is what the code does."""

from __future__ import annotations

import re

import pytest

from pilotdht.config.config import Config
from pilotdht.daemon.reload import LIVE, changes_between
from pilotdht.node.node import Node
from tests.support.source import ROOT

DEPLOY = (ROOT / "docs" / "deploy.md").read_text("utf-8")
RUNBOOK = (ROOT / "docs" / "runbook-bootstrap.md").read_text("utf-8")


def test_settings_that_hold_at_once_are_listed() -> None:
    """All of them, and no other."""
    table = DEPLOY.partition("<!-- live settings -->")[2].partition("<!-- end of live settings -->")[0]
    named = {name for row in table.splitlines()[3:] for name in re.findall(r"`([a-z_.]+)`", row.split("|")[1])}
    assert LIVE == named


def test_what_the_preset_changes_is_listed_with_its_reason() -> None:
    """Each setting of the preset for bootstrap nodes stands in the runbook, except what follows from another."""
    table = RUNBOOK.partition("What the preset changes:")[2].partition("\n## ")[0]
    named = {
        name
        for row in table.splitlines()
        if row.startswith("|")
        for name in re.findall(r"`([a-z_.]+)`", row.split("|")[1])
    }
    implied = {"preset", "net.stranger_burst", "net.hello_signature_burst", "relay.client_burst_bytes"}
    changed = {change.name for change in changes_between(Config(), Config.for_bootstrap())}

    assert changed - implied == named


@pytest.mark.asyncio
@pytest.mark.integration
async def test_metrics_of_the_runbook_exist() -> None:
    """What an alarm is set on is there to be scraped."""
    async with Node(Config.local()) as node:
        families = list(node.registry.collect())
    there = {sample.name for family in families for sample in family.samples} | {family.name for family in families}
    named = set(re.findall(r"\bpilotdht_[a-z_]+", RUNBOOK))

    assert 5 < len(named)
    assert set() == {name for name in named if name not in there and name.removesuffix("_total") not in there}


def test_files_that_the_pages_name_are_there() -> None:
    """Manifests and image."""
    named = set(re.findall(r"scripts/deploy/[\w./-]*\w", DEPLOY + RUNBOOK))
    manifests = set(re.findall(r"^\| `([\w-]+\.yaml)`", DEPLOY, re.MULTILINE))

    assert 3 <= len(named)
    assert [] == [name for name in sorted(named) if not (ROOT / name).exists()]
    assert manifests == {path.name for path in (ROOT / "scripts" / "deploy" / "kubernetes").glob("*.yaml")}
