"""Opening a trunk: one place proves itself, and several places race for it.

Source: RFC 8305 (the next one is tried while the one before is silent); here a place has won once it has proven that
it is a node of this mesh, as proxies and firewalls accept connections to anywhere.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from pilotdht.config.trunk import TrunkConfig
from pilotdht.errors import BadMessage, LinkClosed, Unreachable
from pilotdht.identity.keys import KeyPair
from pilotdht.net.doors import ByteStream, ConnectProxy, Receive, StreamNetwork
from pilotdht.traversal.trunk.candidates import Candidate
from pilotdht.traversal.trunk.metrics import TrunkMetrics
from pilotdht.traversal.trunk.proof import (
    NONCE_BYTES,
    SERVER_PROOF_BYTES,
    WELCOME_BYTES,
    Welcome,
    encode_ask,
    encode_client_proof,
    server_proof_untrusted,
    welcome_untrusted,
)
from pilotdht.traversal.trunk.proxy import is_exempt
from pilotdht.traversal.trunk.trunk import Trunk
from pilotdht.values import dataclass

INTERCEPTED = (
    "who answers there has not signed the certificate that was presented: a firewall that opens TLS stands in between, "
    "or it is no node"
)
"""What a failed proof means, for people."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why no trunk came of an attempt."""

    result: str
    """Label of the counter, one of :data:`pilotdht.traversal.trunk.metrics.OPEN_RESULTS`."""
    sentence: str
    """For people."""


class TrunkOpener:
    """Opens trunks for one node."""

    def __init__(
        self,
        keys: KeyPair,
        streams: StreamNetwork,
        *,
        salt: bytes,
        token_bytes: Callable[[int], bytes],
        config: TrunkConfig,
        proxy: ConnectProxy | None,
        metrics: TrunkMetrics,
        receive: Receive,
    ) -> None:
        """Make it.

        Args:
            keys: who we are.
            streams: opens connections.
            salt: the mesh's.
            token_bytes: source of unpredictable bytes.
            config: waits and bounds.
            proxy: what connections are opened through; absent: nothing.
            metrics: where attempts are counted.
            receive: takes what comes out of a trunk.
        """
        self._keys = keys
        self._streams = streams
        self._salt = salt
        self._token_bytes = token_bytes
        self._config = config
        self._proxy = proxy
        self._metrics = metrics
        self._receive = receive

    async def open(self, candidate: Candidate) -> Trunk | Failure:
        """Open a trunk at one place; the time for it is bounded."""
        try:
            async with asyncio.timeout(self._config.connect_timeout_s):
                outcome = await self._attempt(candidate)
        except TimeoutError:
            outcome = Failure("timeout", "nobody answered in time")
        result = outcome.result if isinstance(outcome, Failure) else "opened"
        self._metrics.opened[result] += 1
        if isinstance(outcome, Failure):
            _logger.debug(
                "no trunk at a place",
                extra={"endpoint": f"{candidate.host}:{candidate.port}", "reason": outcome.sentence},
            )
        return outcome

    async def race(self, places: Sequence[Candidate]) -> tuple[Trunk | None, list[tuple[Candidate, Failure]]]:
        """Open a trunk at the place that proves itself first; return it, and the failures until then."""
        failures: list[tuple[Candidate, Failure]] = []

        async def attempt(place: Candidate) -> Trunk | None:
            outcome = await self.open(place)
            if isinstance(outcome, Failure):
                failures.append((place, outcome))
                return None
            return outcome

        trunk = await first_of([partial(attempt, place) for place in places], self._config.stagger_s)
        return trunk, failures

    async def _attempt(self, candidate: Candidate) -> Trunk | Failure:
        host, port = candidate.host, candidate.port
        proxy = None if is_exempt(host, port, self._config.no_proxy) else self._proxy
        try:
            stream = await self._streams.connect(host, port, proxy=proxy)
        except Unreachable as error:
            return Failure("unreachable", error.message)
        try:
            outcome = await self._prove(stream, candidate)
        except BaseException:
            stream.abort()
            raise
        if isinstance(outcome, Failure):
            stream.abort()
        return outcome

    async def _prove(self, stream: ByteStream, candidate: Candidate) -> Trunk | Failure:
        client_nonce, certificate = self._token_bytes(NONCE_BYTES), stream.certificate
        stream.write(encode_ask(self._salt, client_nonce))
        try:
            server, server_nonce = server_proof_untrusted(
                await stream.read_exactly(SERVER_PROOF_BYTES),
                salt=self._salt,
                client_nonce=client_nonce,
                certificate=certificate,
            )
        except LinkClosed:
            return Failure("refused", "it closed the connection: it is full, no node, or of another mesh")
        except BadMessage:
            return Failure("unproven", INTERCEPTED)
        if candidate.public_key not in (None, server):
            return Failure("wrong_key", "it has another key than the one that is known or was given for it")
        stream.write(
            encode_client_proof(
                self._keys,
                salt=self._salt,
                client_nonce=client_nonce,
                server_nonce=server_nonce,
                certificate=certificate,
                server=server,
            )
        )
        try:
            result, keepalive_s = welcome_untrusted(await stream.read_exactly(WELCOME_BYTES))
        except (LinkClosed, BadMessage):
            return Failure("refused", "it did not accept this node's proof")
        if result is not Welcome.OK:
            return Failure("refused", f"it refuses: {result.name.lower()}")
        return Trunk(
            stream,
            candidate,
            server,
            keepalive_s=float(keepalive_s),
            config=self._config,
            metrics=self._metrics,
            receive=self._receive,
        )


async def first_of(attempts: Sequence[Callable[[], Awaitable[Trunk | None]]], stagger_s: float) -> Trunk | None:
    """Return the first trunk that comes of any attempt; absent when none does.

    Attempts begin one after another, each when the one before has failed or has had its head start; the others are
    cancelled once one has won, and what they open in the same moment is closed.
    """
    results: asyncio.Queue[Trunk | None] = asyncio.Queue()

    async def tried(attempt: Callable[[], Awaitable[Trunk | None]]) -> None:
        results.put_nowait(await attempt())

    won: Trunk | None = None
    try:
        async with asyncio.TaskGroup() as group:
            tasks, waited = [], 0
            for attempt in attempts:
                tasks.append(group.create_task(tried(attempt)))
                try:
                    async with asyncio.timeout(stagger_s):
                        won = await results.get()
                except TimeoutError:
                    continue
                waited += 1
                if won is not None:
                    break
            while won is None and waited < len(tasks):
                won = await results.get()
                waited += 1
            for task in tasks:
                task.cancel()
    finally:
        while not results.empty():
            late = results.get_nowait()
            if late is not None:
                late.close()
    return won
