"""One channel through a server: its two ends, its two ways, and what each end may still send. Pure."""

from __future__ import annotations

from pilotdht.identity.ids import PublicKey
from pilotdht.net.prefixes import group_of
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.traversal_messages import CHANNEL_ID_BYTES

HEADER_BYTES = 1 + CHANNEL_ID_BYTES
"""Before the datagram: the kind and the channel's id."""


class ByteBucket:
    """Lets ``burst`` bytes through at once and ``rate_per_s`` on average."""

    __slots__ = ("_burst", "_level", "_rate_per_s", "_updated_at")

    def __init__(self, *, rate_per_s: float, burst: float, now: float) -> None:
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._level = burst
        self._updated_at = now

    def available(self, now: float) -> float:
        """Return how many bytes may pass now."""
        level = self._level + (now - self._updated_at) * self._rate_per_s
        self._updated_at = now
        self._level = min(self._burst, level)
        return self._level

    def set_rate(self, rate_per_s: float, burst: float) -> None:
        """Let other amounts through from now on; what was used stays used."""
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._level = min(self._level, burst)

    def spend(self, size_bytes: float) -> None:
        """Count bytes that pass; no more than were just said to be available."""
        self._level -= size_bytes

    def is_full(self, now: float) -> bool:
        """Return whether forgetting it changes nothing."""
        return self.available(now) >= self._burst


class Client:
    """One key that has channels here, or had some lately."""

    __slots__ = ("bucket", "called", "calling", "channels", "public_key")

    def __init__(self, public_key: PublicKey, bucket: ByteBucket) -> None:
        self.public_key = public_key
        """Who it is."""
        self.bucket = bucket
        """What it may still send."""
        self.channels: dict[bytes, Channel] = {}
        """Those it is an end of, by id."""
        self.calling = 0
        """How many of them it asked for."""
        self.called = 0
        """How many of them are calls of others."""


class Way:
    """One direction of a channel."""

    __slots__ = ("channel", "is_to_target", "sender", "source", "target")

    def __init__(
        self, channel: Channel, sender: Client, source: Endpoint, target: Endpoint, *, is_to_target: bool
    ) -> None:
        self.channel = channel
        """Whose direction."""
        self.sender = sender
        """Who pays."""
        self.source = source
        """Where frames come from, exactly."""
        self.target = target
        """Where they go."""
        self.is_to_target = is_to_target
        """From the caller to the called node."""


class Channel:
    """Two ends, each a key and the endpoint where it is heard."""

    __slots__ = (
        "back",
        "bytes",
        "caller",
        "channel_id",
        "expires_at",
        "frames",
        "group",
        "is_answered",
        "is_proven",
        "is_ringing",
        "is_rung",
        "left_bytes",
        "target",
        "there",
        "used_at",
    )

    def __init__(
        self, channel_id: bytes, caller: Client, caller_at: Endpoint, target: Client, target_at: Endpoint
    ) -> None:
        self.channel_id = channel_id
        """8 bytes, unpredictable."""
        self.caller = caller
        """Who asked for it."""
        self.target = target
        """Who was called."""
        self.there = Way(self, caller, caller_at, target_at, is_to_target=True)
        """From the caller to the called node."""
        self.back = Way(self, target, target_at, caller_at, is_to_target=False)
        """From the called node to the caller."""
        self.group: str | bytes = group_of(caller_at.host, caller.public_key)
        """The prefix that it counts for: that of its caller when it was made."""
        self.is_proven = False
        """The caller has shown that it receives where it says."""
        self.is_ringing = False
        """The called node is being told."""
        self.is_rung = False
        """The called node said that it listens."""
        self.is_answered = False
        """The called node has sent a frame."""
        self.used_at = 0.0
        """When a frame was taken last, or it was called again."""
        self.expires_at = 0.0
        """While it is not proven: it ends then."""
        self.left_bytes = 0.0
        """What it may still carry in all."""
        self.frames = 0
        """Frames sent on, both ways."""
        self.bytes = 0
        """Their bytes."""

    @property
    def is_heard(self) -> bool:
        """Whether the called node is known to listen: it said so, or it has sent something."""
        return self.is_rung or self.is_answered

    def contact_of(self, client: Client) -> Contact:
        """Return one of its ends, as something to send to."""
        return Contact(client.public_key, self.there.source if client is self.caller else self.there.target)
