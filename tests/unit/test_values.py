"""Dataclasses of the package behave as the standard library's do."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from dataclasses import FrozenInstanceError, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotdht.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Two numbers and what nobody is to see or compare."""

    x: int
    y: tuple[int, ...] = ()
    secret: str = field(default="", repr=False)
    note: str = field(default="", compare=False)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StandardPoint:
    """The same from the standard library."""

    x: int
    y: tuple[int, ...] = ()
    secret: str = field(default="", repr=False)
    note: str = field(default="", compare=False)


@dataclass(slots=True)
class Counter:
    """Can be changed, so it has no hash."""

    count: int = 0


@dataclass(slots=True, unsafe_hash=True)
class Single:
    """One field, which decides alone."""

    value: bytes


@dataclass(frozen=True, slots=True)
class Nothing:
    """No field at all."""


@dataclass(frozen=True, slots=True)
class Named:
    """Says itself how it is shown and compared."""

    name: str

    def __eq__(self, other: object) -> bool:
        """Return whether the names are the same in small letters."""
        return isinstance(other, Named) and self.name.lower() == other.name.lower()

    def __hash__(self) -> int:
        """Return the hash of that."""
        return hash(self.name.lower())

    def __repr__(self) -> str:
        """Return the name alone."""
        return self.name


values = st.fixed_dictionaries(
    {"x": st.integers(0, 2), "y": st.tuples(st.integers(0, 1)), "secret": st.sampled_from("ab"), "note": st.text()}
)


@given(values, values)
def test_equality_and_representation_are_the_standard_ones(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Two values are equal, hash alike and look as those of a standard class with the same fields."""
    ours, theirs = (Point(**one), Point(**other)), (StandardPoint(**one), StandardPoint(**other))
    assert (ours[0] == ours[1]) == (theirs[0] == theirs[1])
    assert (ours[0] != ours[1]) == (theirs[0] != theirs[1])
    assert ours[0] != ours[1] or hash(ours[0]) == hash(ours[1])
    assert repr(theirs[0]).removeprefix("Standard") == repr(ours[0])


def test_values_of_other_classes_are_never_equal() -> None:
    """A standard value with the same fields is another thing."""
    others: list[object] = [StandardPoint(x=1), (1, (), "", ""), 1]
    assert all(Point(x=1) != other for other in others)
    assert Nothing() == Nothing()


def test_frozen_values_cannot_be_changed_and_others_have_no_hash() -> None:
    """Frozen is frozen; what changes is in no set."""
    with pytest.raises(FrozenInstanceError):
        Point(x=1).x = 2  # type: ignore[misc]
    with pytest.raises(TypeError, match="unhashable"):
        hash(Counter())
    counter = Counter()
    counter.count = 3
    assert Counter(3) == counter
    assert {Single(b"a"), Single(b"a")} == {Single(b"a")}


def test_a_class_keeps_its_own_methods() -> None:
    """What is written in a class goes before what is made for it."""
    assert Named("A") == Named("a")
    assert hash(Named("A")) == hash(Named("a"))
    assert repr(Named("A")) == "A"


def test_values_can_be_replaced_copied_and_pickled() -> None:
    """The standard library's own functions know them."""
    point = Point(x=1, y=(2,), secret="s")
    assert Point(x=3, y=(2,), secret="s") == replace(point, x=3)
    assert point == copy.deepcopy(point)
    assert point == pickle.loads(pickle.dumps(point))  # noqa: S301 - our own bytes
    assert ["x", "y", "secret", "note"] == [one.name for one in dataclasses.fields(point)]
    assert "Point(x=1, y=(2,), note='')" == repr(point)
