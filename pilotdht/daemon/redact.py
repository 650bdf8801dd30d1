"""Takes out of a text every secret, and what tells who or where somebody is; what helps to find an error stays. Pure.

The same name, address or key becomes the same stand-in throughout one report, so that it can still be followed. It is a
keyed hash under a key that is made for one report and kept nowhere: nobody can try names until one fits.
"""

from __future__ import annotations

import hmac
import ipaddress
import json
import re
import sys
from collections.abc import Iterable, Mapping
from hashlib import sha256

from pilotdht.daemon.log_fields import LINE_KEYS, LOG_FIELDS

STAND_IN_DIGITS = 8
"""Hexadecimal digits of a stand-in: too few to be taken for a secret in turn, enough that two are hardly the same."""

MIN_WORD_CHARS = 3
"""Shortest known name that is looked for in free text; shorter ones stand in too many words."""

_SPOKEN = ("reason", "operation")
"""Fields whose values are words that help, with names in between."""

_PEM = re.compile(r"-----BEGIN [A-Z0-9 ]+-----.*?(?:-----END [A-Z0-9 ]+-----|\Z)", re.DOTALL)
_INVITATION = re.compile(r"\bpdht\d[1-9A-HJ-NP-Za-km-z]{8,}")
_DID = re.compile(r"\bdid:[a-z0-9]+:[A-Za-z0-9._%-]+")
_ADDRESS = re.compile(r"\b\d{1,5}:[0-9A-F]{4}\.[0-9A-F]{4}\.[0-9A-F]{4}\b")
_IPV4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.]*\w)")
_IPV6 = re.compile(
    r"(?<![\w:.])(?=[0-9A-Fa-f]*:[0-9A-Fa-f]*:)[0-9A-Fa-f:]+(?:\d{1,3}(?:\.\d{1,3}){3})?(?:%\w+)?(?![\w:])"
)
_SECRET = re.compile(r"(?<![\w+/-])(?=[\w+/-]*[0-9A-Z])[A-Za-z0-9+/_-]{20,}={0,2}(?![\w+/=-])|\b[0-9A-Fa-f]{16,}\b")
_DOTTED = re.compile(r"(?<![\w./@-])(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?\.)+[A-Za-z]{2,24}(?![\w-])")
_EMAIL = re.compile(r"[\w.+-]+@[\w.-]+")
_QUOTED = re.compile(r"'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\"")
_FRAME = re.compile(r'File "([^"]*)"')
_OUR_OWN = frozenset(sys.stdlib_module_names) | {
    "aioquic", "click", "cryptography", "h11", "kademlia", "msgpack", "pilotdht", "platformdirs", "prometheus_client",
    "rich",
}  # fmt: skip
_FILE_ENDINGS = frozenset({"conf", "gz", "json", "log", "new", "pid", "py", "sock", "sqlite", "toml", "damaged"})
_METRIC = re.compile(r"((?:pilotdht|process|python)_[a-z0-9_]+)(?:\{(.*)\})? ([0-9eE.+-]+|NaN|[+-]Inf)")
_LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')
_PLAIN_LABEL = re.compile(r"[A-Za-z0-9_.+:-]{0,40}")
_TELLING_LABELS = frozenset({"address", "endpoint", "group", "hostname", "instance", "key", "name", "peer", "tag"})


class Redactor:
    """Redacts all texts of one report."""

    def __init__(self, key: bytes, *, known: Iterable[str] = (), folders: Mapping[str, str] | None = None) -> None:
        """Make it.

        Args:
            key: random, of this report alone.
            known: names that are known to tell something: hostnames, tags, groups, users.
            folders: what stands for which path, as ``~`` for the home directory.
        """
        self._key = key
        self._folders = sorted((folders or {}).items(), key=lambda item: -len(item[0]))
        words = sorted({word for word in known if len(word) >= MIN_WORD_CHARS}, key=lambda word: (-len(word), word))
        self._words = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, words))})(?!\w)") if words else None

    def stand_in(self, kind: str, value: str) -> str:
        """Return what stands for a value in this report."""
        return f"{kind}-{hmac.new(self._key, value.encode('utf-8', 'replace'), sha256).hexdigest()[:STAND_IN_DIGITS]}"

    def text(self, text: str) -> str:
        """Return a text without keys, secrets, addresses, host names and known names."""
        text = _PEM.sub("<a key was here>", text)
        text = _INVITATION.sub("<an invitation was here>", text)
        for path, name in self._folders:
            text = text.replace(path, name)
        text = _DID.sub(lambda found: self.stand_in("did", found[0]), text)
        text = _ADDRESS.sub(lambda found: self.stand_in("address", found[0]), text)
        if self._words is not None:
            text = self._words.sub(lambda found: self.stand_in("name", found[0]), text)
        text = _EMAIL.sub(lambda found: self.stand_in("at", found[0]), text)
        text = _IPV6.sub(self._ip, text)
        text = _IPV4.sub(self._ip, text)
        text = _DOTTED.sub(self._host, text)
        return _SECRET.sub(lambda found: self.stand_in("secret", found[0]), text)

    def words(self, text: str) -> str:
        """Return the words of an error, without what they quote: that is what somebody typed or sent."""
        return self.text(_QUOTED.sub(lambda found: f"'{self.stand_in('quoted', found[0][1:-1])}'", text))

    def trace(self, text: str) -> str:
        """Return a traceback: which functions called which, and what went wrong, but not for whom."""
        shown = []
        for line in text.split("\n"):
            frame = _FRAME.search(line)
            if frame is not None:
                parts = frame[1].replace("\\", "/").split("/")
                place = "/".join(parts[parts.index("pilotdht") :]) if "pilotdht" in parts[:-1] else parts[-1]
                shown.append(line.replace(frame[1], place))
            else:
                shown.append(self.words(line))
        return "\n".join(shown)

    def data(self, value: object) -> object:
        """Return values as JSON has them, each text in them redacted as the words of an error are."""
        if isinstance(value, str):
            return self.words(value)
        if isinstance(value, Mapping):
            return {self.text(str(name)): self.data(inner) for name, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.data(inner) for inner in value]
        return value if value is None or isinstance(value, bool | int | float) else self.words(str(value))

    def log_line(self, line: str) -> str:
        """Return a line of the log; facts that tell who or where somebody is become stand-ins."""
        try:
            content = json.loads(line)
        except ValueError:
            return self.trace(line)
        if not isinstance(content, dict):
            return self.trace(line)
        shown: dict[str, object] = {}
        for name, value in content.items():
            if name in LINE_KEYS:
                shown[name] = self.trace(str(value)) if name == "exception" else self._line_key(name, str(value))
            elif name in LOG_FIELDS and (not LOG_FIELDS[name].is_identifying or value is None):
                shown[name] = value if not isinstance(value, str) else self.text(value)
            elif name in _SPOKEN:
                shown[name] = self.words(str(value))
            else:
                shown[self.text(name)] = self.stand_in(name if name in LOG_FIELDS else "value", str(value))
        return json.dumps(shown)

    def metrics(self, text: str) -> str:
        """Return metrics without comments; labels that could tell something become stand-ins."""
        shown = []
        for line in text.splitlines():
            found = _METRIC.fullmatch(line)
            if found is not None:
                labels = ",".join(self._label(name, value) for name, value in _LABEL.findall(found[2] or ""))
                shown.append(f"{found[1]}{{{labels}}} {found[3]}" if labels else f"{found[1]} {found[3]}")
        return "\n".join(shown) + "\n"

    def _line_key(self, name: str, value: str) -> str:
        return value if name == "ts" and re.fullmatch(r"[0-9T:.+-]{1,40}", value) else self.words(value)

    def _label(self, name: str, value: str) -> str:
        is_plain = name not in _TELLING_LABELS and _PLAIN_LABEL.fullmatch(value) and self.text(value) == value
        return f'{name}="{value if is_plain else self.stand_in("label", value)}"'

    def _ip(self, found: re.Match[str]) -> str:
        try:
            address = ipaddress.ip_address(found[0])
        except ValueError:
            return found[0]  # a time, or a version
        if address.is_loopback or address.is_unspecified:
            return found[0]
        kind = "private" if address.is_private else "public"
        return self.stand_in(f"{kind}{address.version}", str(address))

    def _host(self, found: re.Match[str]) -> str:
        first, last = found[0].split(".", 1)[0], found[0].rsplit(".", 1)[1]
        if first in _OUR_OWN or last in _FILE_ENDINGS:
            return found[0]
        return self.stand_in("host", found[0].lower())
