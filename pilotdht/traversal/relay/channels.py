"""Channels through this server: whose they are, which frames may pass, and how many. Pure.

A frame goes on as it came, header included, when it came from exactly the endpoint of one end of its channel; then it
goes to the other end. Frames of one event that take the same way are handed on together.

A channel whose caller has not shown that it receives where it says carries nothing to it, until the first frame from
there: only who received the channel's id can send one. So nobody makes a server send to somebody else.

What is over a rate is thrown away, never kept: tunnels slow down. Who sends pays, whoever called.
"""

from __future__ import annotations

from typing import NamedTuple

from pilotdht.config.relay import RelayConfig
from pilotdht.identity.ids import PublicKey
from pilotdht.net.doors import Batch
from pilotdht.net.prefixes import group_of
from pilotdht.traversal.relay.channel import HEADER_BYTES, ByteBucket, Channel, Client, Way
from pilotdht.traversal.relay.metrics import RelayMetrics
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.traversal_messages import CallResult

FRAME_COST_BYTES = 200
"""What a frame costs besides its own bytes: headers below it, and the time that a short one takes as well."""

CLIENTS_A_CHANNEL = 4
"""Clients remembered at most for each channel that there may be: its two ends, and as many that were lately there."""


class Forwarded(NamedTuple):
    """What is to be done with a batch of frames."""

    trains: list[tuple[list[bytes], Endpoint]]
    """What to send where, in this order."""
    proven: list[Channel]
    """Channels whose callers have just shown where they are: the called nodes are to be told before."""
    rest: list[tuple[bytes, Endpoint]]
    """Frames of channels that are not served here."""


class Channels:
    """All channels through this server; bounded in all, a client and a prefix."""

    def __init__(self, config: RelayConfig, metrics: RelayMetrics) -> None:
        self._config = config
        self._metrics = metrics
        self._channels: dict[bytes, Channel] = {}
        self._pairs: dict[tuple[PublicKey, PublicKey], Channel] = {}
        self._clients: dict[PublicKey, Client] = {}
        self._groups: dict[str | bytes, int] = {}
        self._unproven = 0
        self._total: ByteBucket | None = None

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._channels)

    def reconfigure(self, config: RelayConfig) -> None:
        """Hold to other bounds and rates from now on; channels that stand keep what they may carry in all."""
        self._config = config
        self._total = None  # made anew by the next frame
        for client in self._clients.values():
            client.bucket.set_rate(config.client_bytes_per_s, config.client_burst_bytes)

    @property
    def clients(self) -> int:
        """How many keys are remembered."""
        return len(self._clients)

    def find(self, channel_id: bytes) -> Channel | None:
        """Return the channel with this id."""
        return self._channels.get(channel_id)

    def between(self, caller: PublicKey, target: PublicKey) -> Channel | None:
        """Return the channel by which one key called another; there is at most one."""
        return self._pairs.get((caller, target))

    # Opening and moving

    def call(
        self, channel_id: bytes, caller: Contact, target: Contact, *, is_validated: bool, now: float
    ) -> Channel | CallResult:
        """Return the channel from ``caller`` to ``target``: the one that is there, moved if need be, or a new one.

        Args:
            channel_id: what a new one is called.
            caller: who asks, and from where.
            target: who is called, and where it is heard.
            is_validated: the caller has shown that it receives there.
            now: the loop's clock.

        Returns:
            The channel, or why there is none: ``FULL``, ``QUOTA``, ``REFUSED`` or ``UNPROVEN``.
        """
        if caller.public_key == target.public_key:
            return CallResult.REFUSED
        channel = self.between(caller.public_key, target.public_key)
        if channel is not None:
            if channel.there.source != caller.endpoint:
                if not is_validated:
                    return CallResult.UNPROVEN
                self.move(caller.public_key, channel.there.source, caller.endpoint)
            if channel.there.target != target.endpoint:
                self.move(target.public_key, channel.there.target, target.endpoint)
            if is_validated:
                self._prove(channel)
            channel.used_at = now
            return channel
        refusal = self._refusal(caller, target, is_validated=is_validated, now=now)
        return self._open(channel_id, caller, target, is_validated, now) if refusal is None else refusal

    def move(self, public_key: PublicKey, old: Endpoint, new: Endpoint) -> None:
        """Take in that a client, heard at ``old`` so far, is heard at ``new`` and has shown that it receives there."""
        client = self._clients.get(public_key)
        for channel in () if client is None else client.channels.values():
            own, other = (channel.there, channel.back) if channel.caller is client else (channel.back, channel.there)
            if own.source == old:
                own.source = other.target = new
                if channel.caller is client:
                    self._prove(channel)

    def end(self, channel: Channel) -> None:
        """Forget a channel; safe to call twice."""
        if self._channels.pop(channel.channel_id, None) is None:
            return
        del self._pairs[channel.caller.public_key, channel.target.public_key]
        channel.caller.calling -= 1
        channel.target.called -= 1
        for client in (channel.caller, channel.target):
            del client.channels[channel.channel_id]
        self._unproven -= not channel.is_proven
        left = self._groups[channel.group] - 1
        if left:
            self._groups[channel.group] = left
        else:
            del self._groups[channel.group]

    def expire(self, now: float) -> list[Channel]:
        """End and return the channels that were idle for too long, or whose callers never sent anything."""
        idle_since = now - self._config.channel_idle_s
        over = [
            channel
            for channel in self._channels.values()
            if channel.used_at <= idle_since or (not channel.is_proven and channel.expires_at <= now)
        ]
        for channel in over:
            self.end(channel)
        self._forget_clients(now)
        return over

    def clear(self) -> list[Channel]:
        """End and return all channels."""
        every = list(self._channels.values())
        for channel in every:
            self.end(channel)
        return every

    # Forwarding

    def forward(self, batch: Batch, now: float) -> Forwarded:
        """Say where each frame of a batch goes, and count those that go nowhere."""
        channels, drop = self._channels, self._metrics.drop
        ways: dict[Way, list[bytes]] = {}
        rest: list[tuple[bytes, Endpoint]] = []
        last_id, last_source = b"", None
        train: list[bytes] = []
        for item in batch:
            frame, source = item
            channel_id = frame[1:HEADER_BYTES]
            if source is last_source and channel_id == last_id:
                train.append(frame)
                continue
            channel = channels.get(channel_id)
            if channel is None:
                rest.append(item)
                continue
            if source == channel.there.source:
                way = channel.there
            elif source == channel.back.source:
                way = channel.back
            else:
                drop("wrong_source")
                continue
            train = ways.setdefault(way, [])
            train.append(frame)
            last_id, last_source = channel_id, source
        proven: list[Channel] = []
        trains = []
        for way, frames in ways.items():
            passing = self._admitted(way, frames, proven, now)
            if passing:
                trains.append((passing, way.target))
        return Forwarded(trains, proven, rest)

    def _admitted(self, way: Way, frames: list[bytes], proven: list[Channel], now: float) -> list[bytes]:
        """Return the frames that may pass, and count them; proves the channel when its caller sent them."""
        channel, metrics = way.channel, self._metrics
        if way.is_to_target:
            if not channel.is_proven:
                self._prove(channel)
                proven.append(channel)
        elif channel.is_proven:
            channel.is_answered = True
        else:
            metrics.drop("unproven", len(frames))
            return []
        channel.used_at = now
        if self._total is None:
            self._total = self._bucket(now, self._config.total_bytes_per_s, self._config.total_burst_bytes)
        own, total, left = way.sender.bucket.available(now), self._total.available(now), channel.left_bytes
        granted = min(own, total, left)
        size_bytes = sum(map(len, frames))
        cost = size_bytes + FRAME_COST_BYTES * len(frames)
        if cost > granted:
            count, size_bytes, cost = _fitting(frames, granted)
            reason = "client_rate" if granted == own else "total_rate" if granted == total else "introduction"
            metrics.drop(reason, len(frames) - count)
            if not count:
                return []
            frames = frames[:count]
        way.sender.bucket.spend(cost)
        self._total.spend(cost)
        channel.left_bytes = left - cost
        channel.frames += len(frames)
        channel.bytes += size_bytes
        metrics.trains += 1
        metrics.frames += len(frames)
        metrics.bytes += size_bytes
        return frames

    # Inside

    def _refusal(self, caller: Contact, target: Contact, *, is_validated: bool, now: float) -> CallResult | None:
        config = self._config
        if len(self._channels) >= config.max_channels:
            return CallResult.FULL
        if not is_validated and self._unproven >= config.max_unproven:
            return CallResult.UNPROVEN
        calling, called = self._clients.get(caller.public_key), self._clients.get(target.public_key)
        group = group_of(caller.endpoint.host, caller.public_key)
        if (
            (calling is not None and calling.calling >= config.channels_per_client)
            or (called is not None and called.called >= config.channels_per_target)
            or self._groups.get(group, 0) >= config.channels_per_prefix
        ):
            return CallResult.QUOTA
        most = CLIENTS_A_CHANNEL * config.max_channels
        if len(self._clients) > most - 2:
            self._forget_clients(now)
        return CallResult.FULL if len(self._clients) > most - 2 else None

    def _open(self, channel_id: bytes, caller: Contact, target: Contact, is_validated: bool, now: float) -> Channel:
        config = self._config
        calling, called = self._client(caller.public_key, now), self._client(target.public_key, now)
        channel = Channel(channel_id, calling, caller.endpoint, called, target.endpoint)
        channel.is_proven = is_validated
        channel.used_at = now
        channel.expires_at = now + config.unproven_s
        channel.left_bytes = float("inf") if config.is_relay else float(config.introduction_bytes)
        self._channels[channel_id] = channel
        self._pairs[caller.public_key, target.public_key] = channel
        calling.channels[channel_id] = called.channels[channel_id] = channel
        calling.calling += 1
        called.called += 1
        self._groups[channel.group] = self._groups.get(channel.group, 0) + 1
        self._unproven += not is_validated
        return channel

    def _prove(self, channel: Channel) -> None:
        if not channel.is_proven:
            channel.is_proven = True
            self._unproven -= 1

    def _client(self, public_key: PublicKey, now: float) -> Client:
        client = self._clients.get(public_key)
        if client is None:
            config = self._config
            bucket = self._bucket(now, config.client_bytes_per_s, config.client_burst_bytes)
            client = self._clients[public_key] = Client(public_key, bucket)
        return client

    def _forget_clients(self, now: float) -> None:
        """Forget those without a channel whose allowance is whole again: hanging up brings nobody a fresh one."""
        gone = [key for key, one in self._clients.items() if not one.channels and one.bucket.is_full(now)]
        for key in gone:
            del self._clients[key]

    @staticmethod
    def _bucket(now: float, rate_per_s: float, burst: float) -> ByteBucket:
        return ByteBucket(rate_per_s=rate_per_s, burst=burst, now=now)


def _fitting(frames: list[bytes], granted: float) -> tuple[int, int, int]:
    """Return how many frames, from the first on, fit into what is granted; their bytes; and what they cost."""
    size_bytes = cost = 0
    for count, frame in enumerate(frames):
        more = cost + len(frame) + FRAME_COST_BYTES
        if more > granted:
            return count, size_bytes, cost
        size_bytes, cost = size_bytes + len(frame), more
    return len(frames), size_bytes, cost
