"""The page ``docs/settings.md``: every setting with its default, unit, range and reason, from where it is declared."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from pilotdht.config.config import Config
from pilotdht.daemon.encode import plain
from pilotdht.wire.endpoint import Endpoint
from scripts.site_builder.command_line import cell
from scripts.site_builder.docstrings import first_line
from scripts.site_builder.members import members_of

_HEAD = """\
# Settings

Everything that can be set for a node, made from the code by `scripts/site --write`; a test holds it to that. How they
are given: [operations](operations.md#settings). `pilotdht config show --origin` tells which hold on this machine, and
where each comes from.

A setting is written `dht.bucket_size = 16` or under `[dht]` in the configuration file, `--set dht.bucket_size=16` on
the command line, and `PILOTDHT_DHT_BUCKET_SIZE=16` in the environment. `Config(dht=DhtConfig(bucket_size=16))` is the
same in Python. Presets change some of these defaults.
"""


def page() -> str:
    """Return the page."""
    docs = {one.name: one.doc for one in members_of(Config)}
    defaults = Config()
    plain_fields, sections = [], []
    for field in dataclasses.fields(Config):
        value = getattr(defaults, field.name)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            title = f"\n## {field.name}\n\n{' '.join(docs[field.name].split())}\n\n"
            sections.append(title + _table(_row(value, one, f"{field.name}.") for one in dataclasses.fields(value)))
        else:
            plain_fields.append(_row(defaults, field, ""))
    return _HEAD + "\n## The node\n\n" + _table(plain_fields) + "".join(sections)


def _table(rows: Iterable[str]) -> str:
    return "\n".join(
        ["| setting | default | range | what it is, and why it has that default |", "|---|---|---|---|", *rows, ""]
    )


def _row(section: object, field: dataclasses.Field[object], prefix: str) -> str:
    unit = field.metadata.get("unit", "")
    low, high = field.metadata.get("low"), field.metadata.get("high")
    bounds = "" if low is None and high is None else f"{_number(low)}..{_number(high)}"
    value = _text(getattr(section, field.name))
    default = f"`{value}` {unit}".rstrip() if value else ""
    docs = {one.name: one.doc for one in members_of(type(section))}
    doc = first_line(docs.get(field.name, ""))
    reason = first_line(str(field.metadata.get("reason", "")))
    meaning = doc if not reason or reason == doc else f"{doc} *Why: {reason}.*"
    return f"| `{prefix}{field.name}` | {default} | {bounds} | {cell(meaning)} |"


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{int(value):,}" if value == int(value) else f"{value:,}"


def _text(value: object) -> str:
    """Return a value as it stands in a file, or an empty text when there is none."""
    if value is None or value in ("", (), b""):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple) and not isinstance(value, Endpoint):
        return ", ".join(_text(one) for one in value)
    return str(value) if isinstance(value, Endpoint) else str(plain(value))
