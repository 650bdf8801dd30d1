"""``dataclass`` as the standard library's, with methods that are shared instead of compiled anew for each class.

The standard one writes the source of each method and compiles it: 0.8 ms for a frozen class on the machine that it was
measured on, and a daemon has two hundred when it starts. Representing, comparing and hashing take no source of their
own: they are told which attributes count. Making an instance does, and stays as it is. Whoever reads the types sees the
standard decorator; only the options that are used in this package are known.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from operator import attrgetter
from reprlib import recursive_repr
from typing import TYPE_CHECKING, TypeVar

__all__ = ["dataclass"]

ClassT = TypeVar("ClassT", bound=type)

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(
        *, frozen: bool = False, slots: bool = False, kw_only: bool = False, unsafe_hash: bool = False
    ) -> Callable[[ClassT], ClassT]:
        """Return a decorator that makes a dataclass; options as in :func:`dataclasses.dataclass`.

        What the class defines itself of ``__repr__``, ``__eq__`` and ``__hash__`` stays.
        """

        def made(cls: ClassT) -> ClassT:
            own = vars(cls)
            result = dataclasses.dataclass(frozen=frozen, slots=slots, kw_only=kw_only, repr=False, eq=False)(cls)
            if "__repr__" not in own:
                result.__repr__ = _representation
            if "__eq__" not in own:
                _compare(result, is_hashed=frozen or unsafe_hash, has_own_hash="__hash__" in own)
            return result

        return made


@recursive_repr()
def _representation(self: object) -> str:
    """Return the class and its fields, but those that are not to be shown."""
    shown = (f"{one.name}={getattr(self, one.name)!r}" for one in dataclasses.fields(self) if one.repr)  # type: ignore[arg-type]
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _compare(cls: type, *, is_hashed: bool, has_own_hash: bool) -> None:
    """Have instances of ``cls`` compare by their fields, and hash by them or not at all."""
    facts = _facts_of(tuple(one.name for one in dataclasses.fields(cls) if one.compare))

    def __eq__(self: object, other: object) -> bool:  # noqa: N807
        return facts(self) == facts(other) if other.__class__ is self.__class__ else NotImplemented

    def __hash__(self: object) -> int:  # noqa: N807
        return hash(facts(self))

    cls.__eq__ = __eq__  # type: ignore[method-assign, assignment]
    if not has_own_hash:
        cls.__hash__ = __hash__ if is_hashed else None  # type: ignore[method-assign, assignment]


def _facts_of(names: tuple[str, ...]) -> Callable[[object], object]:
    """Return what reads some attributes at once, as a tuple; of one attribute only its value."""
    return attrgetter(*names) if names else lambda _: ()
