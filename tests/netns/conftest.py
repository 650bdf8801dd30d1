"""Laboratories for the tests that need one; where none can be built, such tests are skipped and say why."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache

import pytest

from scripts.lab import Lab
from scripts.lab.namespaces import what_is_missing

BuildLab = Callable[..., Lab]
"""Builds a laboratory that lasts as long as the test, or the module; arguments as of :class:`scripts.lab.Lab`."""


@cache
def _missing() -> str:
    return "; ".join(what_is_missing())


@pytest.fixture(scope="session")
def can_build_lab() -> None:
    """Skip where no laboratory can be built."""
    if _missing():
        pytest.skip(f"no NAT laboratory here: {_missing()}")


@pytest.fixture
def build_lab(can_build_lab: None) -> Iterator[BuildLab]:
    """Build laboratories that are removed when the test ends."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(Lab(**options))


@pytest.fixture(scope="module")
def open_lab(can_build_lab: None) -> Iterator[Lab]:
    """One laboratory for all tests of a module: each sets the kinds that it wants."""
    with Lab(left="open", right="open", servers=2) as lab:
        yield lab
