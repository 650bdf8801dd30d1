"""How a tunable is declared: its type, unit, default, reason and range stand together, and are checked when it is set.

::

    @dataclass(frozen=True, slots=True, kw_only=True)
    class NetConfig(Section):
        first_timeout_s: float = tunable(0.8, unit="s", low=0.01, high=30, reason="…why this value…")
"""

from __future__ import annotations

import dataclasses
from typing import Any

from pilotdht.errors import ConfigError


def tunable(
    default: Any,  # noqa: ANN401 - the declared field type says what it is
    *,
    reason: str,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
) -> Any:  # noqa: ANN401 - stands for the field's own type, as dataclasses.field does
    """Return a dataclass field that carries its unit, reason and range.

    Args:
        default: the value when nothing is configured; a list or dictionary is refused, use a tuple.
        reason: why this default, and what a higher or lower value would do.
        unit: ``s``, ``bytes``, ``1/s``, …; empty for counts and texts.
        low: smallest value allowed, or ``None``.
        high: largest value allowed, or ``None``.
    """
    return dataclasses.field(default=default, metadata={"unit": unit, "reason": reason, "low": low, "high": high})


class Section:
    """Base of a group of tunables; checks the range of each on creation."""

    __slots__ = ()

    def __post_init__(self) -> None:
        """Check every number against its declared range.

        Raises:
            ConfigError: a value is out of range or of the wrong type.
        """
        for field in dataclasses.fields(self):  # type: ignore[arg-type]  # every subclass is a dataclass
            low, high = field.metadata.get("low"), field.metadata.get("high")
            value = getattr(self, field.name)
            if low is None and high is None:
                continue
            if value is None and "None" in str(field.type):
                continue
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise ConfigError(f"{field.name} must be a number, not {value!r}")
            if (low is not None and not value >= low) or (high is not None and not value <= high):
                raise ConfigError(f"{field.name} = {value!r} is not in {low}..{high} {field.metadata['unit']}".rstrip())
