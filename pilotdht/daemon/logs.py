"""The daemon's log: text for people or JSON for collectors, in a file that is bounded by rotation.

Messages are constant sentences; the facts are fields, written as ``name=value`` or as keys of the JSON object.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import sys
from datetime import UTC, datetime
from pathlib import Path

from pilotdht.config.daemon import DaemonConfig

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


def _fields(record: logging.LogRecord) -> dict[str, object]:
    """Return what was given as ``extra``."""
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


class TextFormatter(logging.Formatter):
    """One line: time, level, logger, message, fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, with the traceback below it when there is one."""
        facts = "".join(f" {name}={value}" for name, value in _fields(record).items())
        line = f"{_time(record)} {record.levelname} {record.name}: {record.getMessage()}{facts}"
        line = line.replace("\n", "\\n")  # a peer's text must not forge lines
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the object."""
        content: dict[str, object] = {
            "ts": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "msg": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            content["exception"] = self.formatException(record.exc_info)
        return json.dumps(content, default=str)


def set_up_logging(config: DaemonConfig, *, file: Path | None) -> logging.Handler:
    """Send all logging to ``file``, or to standard error when there is none; returns the handler, to be closed."""
    handler: logging.Handler
    if file is None:
        handler = logging.StreamHandler(sys.stderr)
    else:
        handler = logging.handlers.RotatingFileHandler(
            file, maxBytes=config.log_max_bytes, backupCount=config.log_files_kept, encoding="utf-8"
        )
    handler.setFormatter(JsonFormatter() if config.log_format == "json" else TextFormatter())
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(config.log_level.upper())
    for noisy in ("quic", "asyncio"):  # other libraries tell details at info
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
    return handler
