"""docs/simulation-results.md describes every field of a result file, and nothing that is not there."""

from __future__ import annotations

import dataclasses
import re

import pytest

from simulations.groups.company import Company
from simulations.results.result import SCHEMA, Check, Links, Mark, Result, Samples, Series, Snapshot
from simulations.stage import Stage
from tests.support.source import ROOT

TEXT = (ROOT / "docs" / "simulation-results.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("declared", [Result, Check, Series, Samples, Links, Mark, Snapshot])
def test_section_lists_the_fields_in_order(declared: type) -> None:
    """The table of a section has one row a field, in the order of the declaration."""
    assert dataclasses.is_dataclass(declared)

    rows = re.findall(r"^\| `(\w+)` \|", SECTIONS[declared.__name__], re.MULTILINE)

    assert [field.name for field in dataclasses.fields(declared)] == rows


def test_only_the_outermost_object_and_its_parts_have_sections() -> None:
    """No section describes what is no part of a file any more."""
    expected = [one.__name__ for one in (Result, Check, Series, Samples, Links, Mark, Snapshot)] + [
        "Usual figures",
        "Figures of tunnels",
        "Figures of groups",
    ]

    assert expected == list(SECTIONS)


def test_schema_is_named() -> None:
    """The page says which schema it describes."""
    assert f"`{SCHEMA}`" in TEXT


def test_figures_of_groups_are_those_of_the_company() -> None:
    """The first table has the names that a company documents for each measured part."""
    documented = (Company.watch.__doc__ or "").partition("Figures:")[2].partition("Args:")[0]
    figures = set(re.findall(r"``(\w+)``", documented))
    table = SECTIONS["Figures of groups"].partition("| name")[2].partition("\n\n")[0]
    rows = "".join(row.split("|")[1] for row in table.splitlines()[2:])

    assert figures == set(re.findall(r"`(\w+)`", rows))


def test_usual_figures_are_those_of_the_stage() -> None:
    """The table of figures has the names that a stage documents for each measured part."""
    documented = (Stage.watch.__doc__ or "").partition("Figures:")[2].partition("Args:")[0]
    figures = set(re.findall(r"``(\w+)``", documented)) | {"lookups"}

    assert figures == set(re.findall(r"`(\w+)`", SECTIONS["Usual figures"].partition("| name")[2]))
