"""Reads the body of a control request: a flat JSON object whose fields are checked one by one.

Whatever does not fit is an :class:`InvalidArgument` that names the field; an unknown field is one too, so that a
misspelt option is never silently ignored.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import TypeVar

from pilotdht.daemon.nearest import nearest
from pilotdht.errors import InvalidArgument

MAX_TARGET_CHARS = 256
MAX_TIMEOUT_S = 86_400.0

EnumT = TypeVar("EnumT", bound=Enum)


class Fields:
    """The fields of one request; :meth:`finish` refuses those that nobody asked for."""

    def __init__(self, values: Mapping[str, object]) -> None:
        self._values = dict(values)
        self._known: list[str] = []

    @classmethod
    def parse(cls, body: bytes) -> Fields:
        """Read a JSON object; an empty body is an empty object.

        Raises:
            InvalidArgument: no JSON, or no object.
        """
        try:
            values = json.loads(body) if body else {}
        except (ValueError, RecursionError) as error:
            raise InvalidArgument("the request body is not JSON", hint="send a JSON object") from error
        if not isinstance(values, dict):
            raise InvalidArgument("the request body is not a JSON object", hint='send an object such as {"target": …}')
        return cls(values)

    def text(self, name: str, default: str | None = None, *, most_chars: int = MAX_TARGET_CHARS) -> str:
        """Return a text field; without a default it must be there."""
        value = self._take(name, default)
        if not isinstance(value, str) or len(value) > most_chars:
            raise InvalidArgument(f"{name} must be a text of at most {most_chars} characters")
        return value

    def target(self) -> str:
        """Return the field ``target``: whom the request is about."""
        value = self.text("target")
        if not value:
            raise InvalidArgument("target is empty", hint="give a hostname, address or did:key")
        return value

    def flag(self, name: str, default: bool) -> bool:
        """Return a truth value."""
        value = self._take(name, default)
        if not isinstance(value, bool):
            raise InvalidArgument(f"{name} must be true or false")
        return value

    def optional_text(self, name: str, *, most_chars: int = MAX_TARGET_CHARS) -> str | None:
        """Return a text, or ``None`` when the field is absent or null."""
        return None if self._is_absent(name) else self.text(name, most_chars=most_chars)

    def texts(
        self, name: str, default: Sequence[str] | None = None, *, most: int, most_chars: int = MAX_TARGET_CHARS
    ) -> tuple[str, ...]:
        """Return a list of texts; without a default it must be there."""
        value = self._take(name, None if default is None else list(default))
        if (
            not isinstance(value, list)
            or len(value) > most
            or not all(isinstance(item, str) and len(item) <= most_chars for item in value)
        ):
            raise InvalidArgument(f"{name} must be a list of at most {most} texts")
        return tuple(value)

    def optional_texts(self, name: str, *, most: int) -> tuple[str, ...] | None:
        """Return a list of texts, or ``None`` when the field is absent or null."""
        return None if self._is_absent(name) else self.texts(name, most=most)

    def choice(self, name: str, kind: type[EnumT], default: EnumT | None = None) -> EnumT:
        """Return the member of an enumeration whose lower-case name is given."""
        text = self.text(name, None if default is None else default.name.lower())
        found = next((member for member in kind if member.name.lower() == text), None)
        if found is None:
            raise InvalidArgument(f"{name} must be one of {', '.join(member.name.lower() for member in kind)}")
        return found

    def integer(self, name: str, default: int | None = None, *, low: int, high: int) -> int:
        """Return a whole number in ``low..high``."""
        value = self._take(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise InvalidArgument(f"{name} must be a whole number in {low}..{high}")
        return value

    def optional_integer(self, name: str, *, low: int, high: int) -> int | None:
        """Return a whole number in ``low..high``, or ``None`` when the field is absent or null."""
        return None if self._is_absent(name) else self.integer(name, low=low, high=high)

    def port(self, default: int | None = None) -> int:
        """Return the field ``port``: a virtual port."""
        return self.integer("port", default, low=1, high=65535)

    def seconds(self, name: str, default: float, *, most_s: float = MAX_TIMEOUT_S) -> float:
        """Return a duration."""
        value = self._take(name, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise InvalidArgument(f"{name} must be a number of seconds")
        if not math.isfinite(value) or not 0 < value <= most_s:
            raise InvalidArgument(f"{name} must be more than 0 and at most {most_s:.0f} seconds")
        return float(value)

    def optional_seconds(self, name: str) -> float | None:
        """Return a duration, or ``None`` when the field is absent or null."""
        return None if self._is_absent(name) else self.seconds(name, 0.0)

    def json_value(self, name: str) -> object:
        """Return a field as it is; null too."""
        if name not in self._values:
            raise InvalidArgument(f"{name} is missing")
        self._known.append(name)
        return self._values[name]

    def has(self, name: str) -> bool:
        """Return whether a field was given; it counts as known."""
        self._known.append(name)
        return name in self._values

    def data(self, name: str) -> bytes:
        """Return bytes given as base64."""
        value = self._take(name, None)
        if not isinstance(value, str):
            raise InvalidArgument(f"{name} must be base64 text")
        try:
            return base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError) as error:
            raise InvalidArgument(f"{name} is not base64") from error

    def finish(self) -> None:
        """Refuse fields that were not read.

        Raises:
            InvalidArgument: there are some.
        """
        for name in self._values:
            if name not in self._known:
                hint = nearest(name, self._known, otherwise=f"known fields: {', '.join(self._known) or 'none'}")
                raise InvalidArgument(f"unknown field {name[:80]!r}", hint=hint)

    def _is_absent(self, name: str) -> bool:
        self._known.append(name)
        return self._values.get(name) is None

    def _take(self, name: str, default: object) -> object:
        """Return a field's value and remember that it is known."""
        self._known.append(name)
        value = self._values.get(name, default)
        if value is None:
            raise InvalidArgument(f"{name} is missing")
        return value
