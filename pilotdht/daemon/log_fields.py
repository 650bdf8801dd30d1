"""The vocabulary of the log: what a line may carry, what it means, and whether it tells who somebody is. Pure.

One fact has one name everywhere, so that a collector can be asked for it. A test holds every call that logs to this
list, and the page about running nodes shows it.
"""

from __future__ import annotations

from collections.abc import Mapping

from pilotdht.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LogField:
    """One fact that a line of the log may carry."""

    meaning: str
    """What its value is."""
    is_identifying: bool
    """Whether the value tells who or where somebody is: a report about an error leaves such values out."""


LINE_KEYS: Mapping[str, str] = {
    "ts": "when, UTC, ISO 8601 with milliseconds",
    "level": "DEBUG, INFO, WARNING or ERROR",
    "logger": "the module that speaks",
    "msg": "what happened: a constant sentence",
    "exception": "the traceback, when there is one",
}
"""What each line has besides its facts, as the keys of a line in JSON."""

LOG_FIELDS: Mapping[str, LogField] = {
    "address": LogField(meaning="virtual address of a node", is_identifying=True),
    "endpoint": LogField(meaning="IP address and port", is_identifying=True),
    "group": LogField(meaning="name of a group", is_identifying=True),
    "limit": LogField(meaning="what the system grants, in the unit of `wanted`", is_identifying=False),
    "operation": LogField(meaning="what was being done, to what", is_identifying=True),
    "path": LogField(meaning="a file", is_identifying=True),
    "port": LogField(meaning="virtual port", is_identifying=False),
    "reason": LogField(meaning="why: a code, or the words of an error", is_identifying=True),
    "setting": LogField(meaning="name of a setting", is_identifying=False),
    "socket": LogField(meaning="path of the control socket", is_identifying=True),
    "wanted": LogField(meaning="what was asked of the system", is_identifying=False),
}
"""Each fact by its name, in alphabetical order."""
