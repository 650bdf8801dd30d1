"""Reads the configuration of a running daemon anew, changes what can be changed, and says what needs a restart.

Only what differs from the configuration read before is changed: a name that was given with ``set-hostname`` stays when
the file did not change. A configuration with anything wrong in it changes nothing.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Callable

from pilotdht.config.config import Config
from pilotdht.config.daemon import DaemonConfig
from pilotdht.daemon.notify import Notifier
from pilotdht.daemon.setting_values import known_settings, value_of
from pilotdht.daemon.shapes import ReloadShape
from pilotdht.daemon.verbs import NodeVerbs
from pilotdht.errors import PilotError, RemoteError
from pilotdht.values import dataclass

LIVE = frozenset(
    {
        "advertise",
        "bootstrap",
        "daemon.log_format",
        "daemon.log_level",
        "hostname",
        "relay.attached_per_prefix",
        "relay.call_burst",
        "relay.calls_per_s",
        "relay.channels_per_client",
        "relay.channels_per_prefix",
        "relay.channels_per_target",
        "relay.client_burst_bytes",
        "relay.client_bytes_per_s",
        "relay.introduction_bytes",
        "relay.is_enabled",
        "relay.is_relay",
        "relay.max_attached",
        "relay.max_channels",
        "relay.max_unproven",
        "relay.ring_burst",
        "relay.rings_per_s",
        "relay.total_burst_bytes",
        "relay.total_bytes_per_s",
        "tags",
        "trust.is_auto_approving",
        "trust.max_pending",
        "trust.pending_expiry_s",
    }
)
"""Settings that hold at once when they are changed; all others are read when the daemon starts."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A setting that has another value than before."""

    name: str
    """``field`` or ``section.field``."""
    value: object
    """The new one."""
    is_live: bool
    """Whether it can be changed while the daemon runs."""


def changes_between(before: Config, after: Config) -> list[Change]:
    """Return the settings that differ, in the order of declaration."""
    found = []
    for name, known in known_settings():
        value = value_of(after, known)
        if value != value_of(before, known):
            found.append(Change(name=name, value=value, is_live=name in LIVE))
    return found


def with_changes(config: Config, changes: list[Change]) -> Config:
    """Return ``config`` with those changes that are live.

    Raises:
        ConfigError: what is changed now does not fit what is not.
    """
    sections: dict[str, dict[str, object]] = {}
    for change in changes:
        if change.is_live:
            section, _, field = change.name.rpartition(".")
            sections.setdefault(section, {})[field] = change.value
    top = sections.pop("", {})
    for section, values in sections.items():
        top[section] = dataclasses.replace(getattr(config, section), **values)
    return dataclasses.replace(config, **top)  # type: ignore[arg-type]  # the values come from a configuration


class Reloader:
    """Knows what one daemon's configuration is, and brings it up to date."""

    def __init__(
        self,
        node: NodeVerbs,
        *,
        config: Config,
        load: Callable[[], Config],
        relog: Callable[[DaemonConfig], None],
        notifier: Notifier,
    ) -> None:
        """Make it.

        Args:
            node: the running node.
            config: what it was started with.
            load: reads the configuration; raises ConfigError when anything is wrong with it.
            relog: has the log follow its settings.
            notifier: is told when it begins and when it is over.
        """
        self._node = node
        self._config = config
        self._load = load
        self._relog = relog
        self._notifier = notifier
        self._busy = asyncio.Lock()

    async def reload(self) -> ReloadShape:
        """Read the configuration anew and change what can be changed; returns which settings that are.

        Raises:
            ConfigError: something is wrong with it; nothing was changed.
        """
        async with self._busy:
            self._notifier.reloading()
            try:
                return await self._reload()
            except PilotError as error:
                _logger.error("the configuration was not reloaded", extra={"reason": error.message})
                raise
            finally:
                self._notifier.ready("running")

    async def _reload(self) -> ReloadShape:
        changes = changes_between(self._config, self._load())
        before, after = self._config, with_changes(self._config, changes)
        self._node.reconfigure(after)
        self._config = after
        self._relog(after.daemon)
        try:
            if after.hostname != before.hostname:
                await self._node.set_hostname(after.hostname)
            if after.tags != before.tags:
                await self._node.set_tags(after.tags)
        except RemoteError as error:  # it holds; only the mesh does not know yet, and is told again
            _logger.info("the new name is not published yet", extra={"reason": error.code})
        changed = [change.name for change in changes if change.is_live]
        waiting = [change.name for change in changes if not change.is_live]
        for name in changed:
            _logger.info("a setting was changed", extra={"setting": name})
        for name in waiting:
            _logger.warning("a setting needs a restart to hold", extra={"setting": name})
        return {"changed": changed, "needs_restart": waiting}
