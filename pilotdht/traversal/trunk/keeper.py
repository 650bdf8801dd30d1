"""Decides between UDP and a trunk, opens one where UDP does not pass, and finds the way back.

Two states: on UDP, where silence is watched; and on a trunk, where UDP is tried now and then. A trunk that is lost is
replaced at once, before anything is decided anew. Each change is told, so that peers learn where this node is.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from enum import Enum

from pilotdht.config.trunk import TrunkConfig
from pilotdht.identity.ids import PublicKey
from pilotdht.net.node_socket import NodeSocket
from pilotdht.net.prefixes import is_local
from pilotdht.traversal.trunk.candidates import Candidate, candidates
from pilotdht.traversal.trunk.judging import UdpJudge
from pilotdht.traversal.trunk.metrics import TrunkMetrics
from pilotdht.traversal.trunk.opening import TrunkOpener
from pilotdht.traversal.trunk.trunk import Trunk
from pilotdht.traversal.trunk.udp_trial import UdpTrial
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint

POLL_S = 0.25
"""How often silence is looked at: a tenth of the least time after which it means anything."""

TRIALS_TO_RETURN = 2
"""UDP must answer so often in a row before a trunk is given up for it: one packet may slip through."""

BETWEEN_TRIALS_S = 2.0
"""Pause between these."""

_logger = logging.getLogger(__name__)


class State(Enum):
    """How this node reaches the mesh."""

    UDP = "udp"
    """By its own socket."""
    TRUNK = "trunk"
    """By a trunk."""
    SEARCHING = "searching"
    """UDP does not pass, and no trunk stands: one is looked for."""


class TrunkKeeper:
    """Keeps a node connected where UDP does not pass; :meth:`run` is its life."""

    def __init__(
        self,
        opener: TrunkOpener,
        trial: UdpTrial,
        *,
        socket: NodeSocket,
        config: TrunkConfig,
        metrics: TrunkMetrics,
        named: Callable[[], Sequence[tuple[str, int, PublicKey | None]]],
        resolved: Callable[[], Awaitable[Sequence[Endpoint]]],
        contacts: Callable[[], Sequence[Contact]],
        on_change: Callable[[], None],
    ) -> None:
        """Make it.

        Args:
            opener: opens trunks.
            trial: tries whether UDP passes.
            socket: the node's; a trunk takes what it sends.
            config: waits and bounds.
            metrics: where changes are counted.
            named: returns host, UDP port and key of the bootstrap nodes.
            resolved: returns the endpoints of the bootstrap nodes.
            contacts: returns nodes that are known from earlier.
            on_change: called each time this node is seen at another place: on a trunk, on another one, on UDP again.
        """
        self._opener = opener
        self._trial = trial
        self._socket = socket
        self._config = config
        self._metrics = metrics
        self._named = named
        self._resolved = resolved
        self._contacts = contacts
        self._on_change = on_change
        self._loop = asyncio.get_running_loop()
        self._judge = UdpJudge(config)
        self._hurry = asyncio.Event()
        self._host = socket.local_endpoints[0].host
        self._counts_local = all(_is_local(host) for host, _, _ in named())
        self._has_heard_local = False
        self._last: Candidate | None = None
        self._is_told = False
        self.state = State.UDP
        """How the mesh is reached now."""
        self.trunk: Trunk | None = None
        """The trunk that stands; absent: none."""
        self.failure = ""
        """Why no trunk could be opened when that was last tried; empty when one was."""
        socket.rpc.on_reachable(lambda contact, _rtt_s: self._heard(contact))
        socket.rpc.on_heard(lambda sender: self._heard(sender.contact))

    async def run(self) -> None:
        """Decide, and keep what was decided, until cancelled."""
        is_always = self._config.mode == "always"
        try:
            while True:
                reason = "always" if is_always else await self._until_silent()
                trunk = await self._search()
                while trunk is not None:
                    self._switch(reason, trunk)
                    why = await self._ride(trunk)
                    if why == "udp_back":
                        break
                    _logger.info("a trunk is lost", extra={"reason": why, "endpoint": str(trunk.remote)})
                    self._metrics.switches["trunk_lost"] += 1
                    self._last, reason = trunk.candidate, "reopened"
                    trunk = await self._search()
                self._return()
        finally:
            self._drop()

    def moved(self) -> None:
        """Take in that this machine is at another place in the network, or slept: all may be different now."""
        self._judge.moved()
        self._has_heard_local = False
        if self.trunk is not None:
            self.trunk.doubt()
        self._hurry.set()

    # On UDP

    async def _until_silent(self) -> str:
        """Watch UDP; return why it counts as blocked."""
        while True:
            await asyncio.sleep(POLL_S)
            if not self._judge.is_silent(asked=self._asked(), now=self._loop.time()):
                continue
            has_passed = self._judge.has_passed
            if (has_passed or self._has_heard_local) and await self._trial.answers(
                await self._places(), host=self._host
            ):
                self._counts_local = self._counts_local or self._has_heard_local
                self._judge.answered()
                continue
            return "udp_lost" if has_passed else "udp_blocked"

    def _asked(self) -> int:
        metrics = self._socket.metrics
        return metrics.hellos_sent + int(sum(counts.sent for counts in metrics.requests.values()))

    def _heard(self, contact: Contact) -> None:
        """Take in an answer, or a request of somebody who has shown that our answers reach it.

        What comes from the own network says nothing about the way to a mesh beyond it.
        """
        if self.trunk is not None:
            return
        if is_local(contact.endpoint.host) and not self._counts_local:
            self._has_heard_local = True
            return
        self._judge.answered()

    # Towards a trunk

    async def _search(self) -> Trunk | None:
        """Return a trunk; absent when UDP turns out to pass, as something was answered after all."""
        self._drop()
        self.state = State.SEARCHING
        is_always = self._config.mode == "always"
        self._judge.moved()
        pause_s = self._config.retry_s
        while True:
            self._hurry.clear()
            places = candidates(self._named(), self._contacts(), last=self._last, most=self._config.candidates)
            trunk, failures = await self._opener.race(places)
            if trunk is not None:
                self.failure = ""
                return trunk
            self._tell_failures([f"{one.host}:{one.port}: {failure.sentence}" for one, failure in failures])
            deadline = self._loop.time() + pause_s
            while self._loop.time() < deadline and not self._hurry.is_set():
                if self._judge.has_passed and not is_always:
                    return None
                await asyncio.sleep(POLL_S)
            pause_s = self._config.retry_s if self._hurry.is_set() else min(2 * pause_s, self._config.retry_most_s)

    def _tell_failures(self, sentences: Sequence[str]) -> None:
        self.failure = sentences[0] if sentences else "no bootstrap node or contact is known"
        if not self._is_told:
            self._is_told = True  # once: it is looked on, and each attempt is counted
            _logger.warning("nobody answers over UDP, and no trunk could be opened", extra={"reason": self.failure})

    # On a trunk

    async def _ride(self, trunk: Trunk) -> str:
        """Keep a trunk until it is lost, or UDP passes again; return which."""
        async with asyncio.TaskGroup() as group:
            riding = group.create_task(trunk.run())
            trying = group.create_task(self._until_udp_passes())
            await asyncio.wait((riding, trying), return_when=asyncio.FIRST_COMPLETED)
            is_back = trying.done()
            riding.cancel()
            trying.cancel()
        return "udp_back" if is_back else riding.result()

    async def _until_udp_passes(self) -> None:
        """Try UDP now and then, and when told to hurry; return once it has answered twice."""
        if self._config.mode == "always":
            await asyncio.Event().wait()
        while True:
            self._hurry.clear()
            try:
                async with asyncio.timeout(self._config.udp_retry_s):
                    await self._hurry.wait()
            except TimeoutError:
                pass
            passed = 0
            while passed < TRIALS_TO_RETURN and await self._trial.answers(await self._places(), host=self._host):
                passed += 1
                await asyncio.sleep(BETWEEN_TRIALS_S)
            if passed == TRIALS_TO_RETURN:
                return

    async def _places(self) -> list[Endpoint]:
        """Return where a node answers over UDP if anything passes: outside, unless the whole mesh is inside."""
        found = [*await self._resolved(), *(contact.endpoint for contact in self._contacts())]
        if not self._counts_local:
            outside = [endpoint for endpoint in found if not is_local(endpoint.host)]
            found = outside or found
        return list(dict.fromkeys(found))

    # Changes

    def _switch(self, reason: str, trunk: Trunk) -> None:
        """Go onto a trunk."""
        self.trunk, self.state = trunk, State.TRUNK
        self._is_told = False
        self._socket.detour = trunk
        self._socket.rpc.must_be_client = True  # a guest at the server's address; kept while the next trunk is opened
        self._metrics.switches[reason] += 1
        _logger.info("on a trunk: datagrams go over TLS", extra={"reason": reason, "endpoint": str(trunk.remote)})
        self._on_change()

    def _return(self) -> None:
        """Go back to UDP."""
        was_away = self.state is not State.UDP
        self._drop()
        self.state = State.UDP
        self._socket.rpc.must_be_client = False
        self._judge.moved()
        self._judge.answered()
        if was_away:
            self._metrics.switches["udp_back"] += 1
            _logger.info("UDP passes again", extra={"reason": "udp_back"})
            self._on_change()

    def _drop(self) -> None:
        """Let go of the trunk, if one stands."""
        trunk, self.trunk = self.trunk, None
        self._socket.detour = None
        if trunk is not None:
            trunk.close()


def _is_local(host: str) -> bool:
    """Return whether a host is written as a private or loopback address."""
    return is_local(host) if host.replace(".", "").isdigit() or ":" in host else host == "localhost"
