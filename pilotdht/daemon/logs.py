"""The daemon's log: text for people, JSON for collectors, in a file that is bounded by rotation.

Messages are constant sentences; the facts are fields, written as ``name=value`` or as keys of the JSON object, under
the names of :mod:`pilotdht.daemon.log_fields`. Whatever a peer had a say in is made harmless before it is written.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from pilotdht.config.daemon import DaemonConfig
from pilotdht.daemon.harmless import MAX_MESSAGE_CHARS, field_text, harmless, harmless_trace, quoted
from pilotdht.daemon.log_fields import LINE_KEYS

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
_NOISY = ("quic", "asyncio")
"""Other libraries' loggers that tell details at info."""


def _fields(record: logging.LogRecord) -> dict[str, object]:
    """Return what was given as ``extra``."""
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def _text_line(time: str, level: str, logger: str, message: str, fields: Mapping[str, object], trace: str) -> str:
    facts = "".join(f" {harmless(name)}={field_text(value)}" for name, value in fields.items())
    line = f"{time} {level} {logger}: {harmless(message, most_chars=MAX_MESSAGE_CHARS)}{facts}"
    return f"{line}\n{harmless_trace(trace)}" if trace else line


class TextFormatter(logging.Formatter):
    """One line: time, level, logger, message, fields; a traceback is indented below it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, with the traceback below it when there is one."""
        trace = self.formatException(record.exc_info) if record.exc_info else ""
        return _text_line(_time(record), record.levelname, record.name, record.getMessage(), _fields(record), trace)


class JsonFormatter(logging.Formatter):
    """One JSON object a line, in ASCII."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the object."""
        content: dict[str, object] = {
            "ts": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "msg": harmless(record.getMessage(), most_chars=MAX_MESSAGE_CHARS),
        }
        content |= {harmless(name): _plain(value) for name, value in _fields(record).items() if name not in LINE_KEYS}
        if record.exc_info:
            content["exception"] = harmless_trace(self.formatException(record.exc_info))
        return json.dumps(content)


def _plain(value: object) -> object:
    """Return a field's value as JSON has it: numbers as they are, all else as harmless text."""
    return value if value is None or isinstance(value, bool | int | float) else harmless(str(value))


def readable_line(line: str) -> str:
    """Return a line of the log for people, whichever form it was written in.

    What is no line of ours, as the last words of a crashing interpreter, comes back as it is.
    """
    try:
        content = json.loads(line)
    except ValueError:
        return line
    if not isinstance(content, dict) or not {"ts", "level", "logger", "msg"} <= content.keys():
        return line
    facts = {name: value for name, value in content.items() if name not in LINE_KEYS}
    # The texts in it are harmless already; doing it again would show escapes of escapes.
    told = "".join(f" {name}={quoted(str(value))}" for name, value in facts.items())
    first = f"{content['ts']} {content['level']} {content['logger']}: {content['msg']}{told}"
    return f"{first}\n{content['exception']}" if content.get("exception") else first


def formatter(config: DaemonConfig, *, is_terminal: bool) -> logging.Formatter:
    """Return what writes lines in the form that is configured; ``auto`` is text on a terminal and JSON elsewhere."""
    is_text = config.log_format == "text" or (config.log_format == "auto" and is_terminal)
    return TextFormatter() if is_text else JsonFormatter()


def set_level(config: DaemonConfig) -> None:
    """Let through from now on what is configured to be told."""
    root = logging.getLogger()
    root.setLevel(config.log_level.upper())
    for noisy in _NOISY:
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))


def follow_settings(handler: logging.Handler, config: DaemonConfig) -> None:
    """Write from now on in the form, and from the level, that are configured."""
    is_terminal = type(handler) is logging.StreamHandler and handler.stream.isatty()
    handler.setFormatter(formatter(config, is_terminal=is_terminal))
    set_level(config)


def set_up_logging(config: DaemonConfig, *, file: Path | None) -> logging.Handler:
    """Send all logging to ``file``, or to standard error when there is none; returns the handler, to be closed."""
    handler: logging.Handler
    if file is None:
        handler = logging.StreamHandler(sys.stderr)
    else:
        handler = logging.handlers.RotatingFileHandler(
            file, maxBytes=config.log_max_bytes, backupCount=config.log_files_kept, encoding="utf-8"
        )
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    follow_settings(handler, config)
    return handler
