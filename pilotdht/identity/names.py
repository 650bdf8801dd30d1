"""Which texts may be a hostname, a group's name, a tag or a service name.

Hostnames follow RFC 1123 labels in lower case, so that they can appear in URLs; so do the names of groups, as that of
an org ends its members' hostnames. Tags allow a little more.
"""

from __future__ import annotations

import re

from pilotdht.errors import InvalidArgument

MAX_HOSTNAME_CHARS = 63
MAX_TAG_CHARS = 32

_HOSTNAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_TAG = re.compile(r"[a-z0-9][a-z0-9._:-]{0,31}")


def is_hostname(text: object) -> bool:
    """Return whether ``text`` is a hostname: 1..63 lower-case letters, digits and inner hyphens."""
    return isinstance(text, str) and _HOSTNAME.fullmatch(text) is not None


def is_group_name(text: object) -> bool:
    """Return whether ``text`` is a group's name: of the same form as a hostname."""
    return is_hostname(text)


def is_tag(text: object) -> bool:
    """Return whether ``text`` is a tag or service name: 1..32 lower-case letters, digits, ``. _ : -``."""
    return isinstance(text, str) and _TAG.fullmatch(text) is not None


def check_hostname(text: str) -> str:
    """Return ``text`` when it is a hostname.

    Raises:
        InvalidArgument: it is not.
    """
    if not is_hostname(text):
        raise InvalidArgument(
            f"{text[:80]!r} is not a hostname", hint="use 1 to 63 lower-case letters, digits and inner hyphens"
        )
    return text


def check_group_name(text: str) -> str:
    """Return ``text`` when it is a group's name.

    Raises:
        InvalidArgument: it is not.
    """
    if not is_group_name(text):
        raise InvalidArgument(
            f"{text[:80]!r} is not a group's name", hint="use 1 to 63 lower-case letters, digits and inner hyphens"
        )
    return text


def check_tag(text: str) -> str:
    """Return ``text`` when it is a tag.

    Raises:
        InvalidArgument: it is not.
    """
    if not is_tag(text):
        raise InvalidArgument(
            f"{text[:80]!r} is not a tag", hint="use 1 to 32 lower-case letters, digits and . _ : - after the first"
        )
    return text
