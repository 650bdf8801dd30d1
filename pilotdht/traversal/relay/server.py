"""The server's side: nodes attach here, are called, rung, and their frames sent on.

Forwarding reads one dictionary a frame and keeps nothing. Whoever calls is answered at once; nobody waits for anybody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from pilotdht.config.relay import RelayConfig
from pilotdht.errors import NodeClosed, Overloaded
from pilotdht.net.doors import Batch
from pilotdht.net.limits import PrefixLimiter
from pilotdht.net.node_socket import NodeSocket
from pilotdht.net.outcomes import Answered, Outcome, Sender, Slow
from pilotdht.net.switchboard import is_virtual
from pilotdht.traversal.relay.attached import AttachedNodes
from pilotdht.traversal.relay.channel import HEADER_BYTES, Channel, Client
from pilotdht.traversal.relay.channels import Channels
from pilotdht.traversal.relay.metrics import RelayMetrics
from pilotdht.traversal.relay.use import RelayUse
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.traversal_messages import (
    CHANNEL_ID_BYTES,
    Attach,
    Attached,
    Call,
    Called,
    CallResult,
    HangUp,
    Ring,
    Rung,
)

SWEEPS_A_LIFETIME = 4
"""How often what has a lifetime is looked at within it."""


PREFIXES_TRACKED = 4096
"""Source prefixes of callers with an allowance of their own, 1 MB; the others share one."""


class RelayServer:
    """Serves nodes behind NATs on one socket; :meth:`start` and :meth:`stop` bound its life."""

    def __init__(
        self,
        *,
        socket: NodeSocket,
        token_bytes: Callable[[int], bytes],
        config: RelayConfig,
        metrics: RelayMetrics,
    ) -> None:
        """Make one that serves nobody yet.

        Args:
            socket: where requests come in and frames go out.
            token_bytes: source of unpredictable bytes.
            config: bounds and rates.
            metrics: where everything is counted.
        """
        self.attached = AttachedNodes(config)
        """Who can be called here."""
        self.channels = Channels(config, metrics)
        """What goes through here."""
        self._socket = socket
        self._rpc = socket.rpc
        self._token_bytes = token_bytes
        self._config = config
        self._metrics = metrics
        self._callers = PrefixLimiter(rate_per_s=config.calls_per_s, burst=config.call_burst, capacity=PREFIXES_TRACKED)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Answer from now on, with the timers of the running loop; the socket is open."""
        self._loop = asyncio.get_running_loop()
        self._rpc.serve(Attach, self._attach)
        self._rpc.serve(Call, self._call)
        self._metrics.show("attached", "Nodes attached here", lambda: len(self.attached))
        self._metrics.show("channels", "Channels through this node", lambda: len(self.channels))
        for name, text, setting in (
            ("attached_limit", "Nodes that may be attached here", "max_attached"),
            ("channels_limit", "Channels that there may be through this node", "max_channels"),
            ("limit_bytes_per_second", "Bytes a second that all channels may carry", "total_bytes_per_s"),
        ):
            self._metrics.show(name, text, partial(self._limit, setting))

    def reconfigure(self, config: RelayConfig) -> None:
        """Hold to other bounds and rates from now on; what stands keeps its place, and what it was promised."""
        self._config = config
        self.attached.reconfigure(config)
        self.channels.reconfigure(config)
        self._callers = PrefixLimiter(rate_per_s=config.calls_per_s, burst=config.call_burst, capacity=PREFIXES_TRACKED)

    def stop(self) -> None:
        """Tell both ends of each channel that it ends, and serve nobody any more; safe to call twice."""
        self._loop = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for channel in self.channels.clear():
            self._ended(channel, "stopped")

    def use(self, *, own_channels: int) -> RelayUse:
        """Return what is carried here, beside how many channels this node has through others."""
        config, metrics = self._config, self._metrics
        return RelayUse(
            is_serving=config.is_enabled,
            is_relay=config.is_relay,
            attached=len(self.attached),
            max_attached=config.max_attached,
            channels=len(self.channels),
            max_channels=config.max_channels,
            forwarded_frames=metrics.frames,
            forwarded_bytes=metrics.bytes,
            dropped_frames=sum(metrics.dropped.values()),
            total_bytes_per_s=config.total_bytes_per_s,
            own_channels=own_channels,
        )

    def receive(self, batch: Batch) -> Batch:
        """Send frames on; return those of channels that are not served here."""
        if self._loop is None or not len(self.channels):
            return batch
        trains, proven, rest = self.channels.forward(batch, self._loop.time())
        for channel in proven:
            if not self._ring(channel):
                self.channels.end(channel)
                self._ended(channel, "quota")
                trains = [train for train in trains if train[0][0][1:HEADER_BYTES] != channel.channel_id]
        send_train = self._socket.send_train
        for frames, endpoint in trains:
            send_train(frames, endpoint)
        return rest

    def hung_up(self, message: HangUp, sender: Sender) -> bool:
        """Take in that one end wants no more; return whether the channel is one that is served here."""
        channel = self.channels.find(message.channel_id)
        if channel is None:
            return False
        key = sender.contact.public_key
        leaver = next((end for end in (channel.caller, channel.target) if end.public_key == key), None)
        if leaver is None or (leaver is channel.target and not channel.is_heard):
            return True  # a stranger; or a node whose word about frames overtook our word about their channel
        self.channels.end(channel)
        self._ended(channel, "hung_up", leaver)
        return True

    # Requests

    def _attach(self, _message: Attach, sender: Sender) -> Attached:
        result = self._attached(sender)
        self._metrics.attaches[result] += 1
        if result is not CallResult.OK:
            return Attached(result)
        return Attached(result, self._config.lifetime_s, self._config.is_relay)

    def _attached(self, sender: Sender) -> CallResult:
        contact = sender.contact
        refusal = self._refusal(contact.endpoint)
        if refusal is not None:
            return refusal
        if not sender.is_validated:
            return CallResult.UNPROVEN
        now = self._now()
        before = self.attached.find(contact.public_key, now=now)
        heard_at = None if before is None else before.endpoint
        result = self.attached.attach(contact.public_key, contact.endpoint, now=now)
        if result is CallResult.OK:
            if heard_at is not None and heard_at != contact.endpoint:
                self.channels.move(contact.public_key, heard_at, contact.endpoint)
            self._arm()
        return result

    def _call(self, message: Call, sender: Sender) -> Called:
        found = self._channel_for(message, sender)
        result = CallResult.OK if isinstance(found, Channel) else found
        self._metrics.calls[result] += 1
        if not isinstance(found, Channel):
            return Called(result)
        return Called(result, found.channel_id, self._config.is_relay)

    def _channel_for(self, message: Call, sender: Sender) -> Channel | CallResult:
        refusal = self._refusal(sender.contact.endpoint)
        if refusal is not None:
            return refusal
        now = self._now()
        node = self.attached.find(message.target, now=now)
        if node is None:
            return CallResult.NOT_ATTACHED
        found = self.channels.call(
            self._token_bytes(CHANNEL_ID_BYTES),
            sender.contact,
            Contact(node.public_key, node.endpoint),
            is_validated=sender.is_validated,
            now=now,
        )
        if isinstance(found, Channel):
            if found.is_proven and not self._ring(found):
                self.channels.end(found)
                self._metrics.ended["quota"] += 1
                return CallResult.QUOTA
            self._arm()
        return found

    def _refusal(self, endpoint: Endpoint) -> CallResult | None:
        """Return why whoever asks from ``endpoint`` is not served at all; a channel through channels helps nobody."""
        if self._loop is None or not self._config.is_enabled:
            return CallResult.DISABLED
        return CallResult.REFUSED if is_virtual(endpoint) else None

    # Telling

    def _ring(self, channel: Channel) -> bool:
        """Tell the called node of a channel, unless it knows, or is being told; false when it was called too often."""
        if channel.is_heard or channel.is_ringing:
            return True
        now, target = self._now(), channel.contact_of(channel.target)
        node = self.attached.find(target.public_key, now=now)
        if node is None or not self._callers.take(channel.group, now) or not node.rings.take(now):
            self._metrics.rings["limited"] += 1
            return False
        message = Ring(channel.caller.public_key, channel.channel_id)
        channel.is_ringing = True
        try:
            self._rpc.begin(target, message, partial(self._rung, channel))
        except (Overloaded, NodeClosed):
            channel.is_ringing = False  # told with the next call of the same node
            self._metrics.rings["not_sent"] += 1
        return True

    def _rung(self, channel: Channel, outcome: Outcome | NodeClosed) -> None:
        if isinstance(outcome, Slow | NodeClosed):
            return
        channel.is_ringing = False
        if isinstance(outcome, Answered) and isinstance(outcome.answer.message, Rung):
            channel.is_rung = outcome.answer.message.is_taken
            self._metrics.rings["taken" if channel.is_rung else "refused"] += 1
            if channel.is_rung:
                return
            reason = "refused"
        else:
            self._metrics.rings["silent"] += 1
            if channel.is_answered:
                return  # it listens, whatever became of its answer
            reason = "silent"
        if self.channels.find(channel.channel_id) is channel:
            self.channels.end(channel)
            self._ended(channel, reason, channel.target)

    def _ended(self, channel: Channel, reason: str, leaver: Client | None = None) -> None:
        """Count an end, and tell those who do not know of it; a caller who may be somebody else is told nothing."""
        self._metrics.ended[reason] += 1
        for client in (channel.caller, channel.target):
            is_known = channel.is_proven if client is channel.caller else channel.is_heard
            if client is not leaver and is_known:
                self._rpc.tell(channel.contact_of(client), HangUp(channel.channel_id))

    # Time

    def _arm(self) -> None:
        """See to it that somebody looks soon enough at what may be over."""
        if self._loop is None:
            return
        shortest_s = self._config.unproven_s if len(self.channels) else self._config.lifetime_s
        due = self._loop.time() + shortest_s / SWEEPS_A_LIFETIME
        if self._timer is not None and self._timer.when() > due:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = self._loop.call_at(due, self._sweep)

    def _sweep(self) -> None:
        self._timer = None
        now = self._now()
        self.attached.expire(now)
        for channel in self.channels.expire(now):
            self._ended(channel, "idle" if channel.is_proven else "unproven")
        if len(self.channels) or len(self.attached) or self.channels.clients:
            self._arm()

    def _limit(self, setting: str) -> int:
        """Return what a bound is now: it may be changed while the server runs."""
        return int(getattr(self._config, setting))

    def _now(self) -> float:
        assert self._loop is not None, "what needs the time happens between start and stop"
        return self._loop.time()
