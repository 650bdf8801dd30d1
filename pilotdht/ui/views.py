"""What each part of the page is told: facts of the node as JSON, made so that they change only when something happened.

Ages would change with every look; the page is told the moment instead, and counts by itself. Lists have bounds: nobody
reads more rows, and every look costs the node time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pilotdht.daemon.encode import (
    connection_shape,
    contact_shape,
    netcheck_shape,
    relay_use_shape,
    traffic_shape,
    trust_shape,
)
from pilotdht.daemon.group_encode import group_shape, member_shape
from pilotdht.daemon.handlers import Surroundings
from pilotdht.daemon.verbs import NodeVerbs
from pilotdht.dht.watch import WatchedLookup
from pilotdht.errors import NotFound
from pilotdht.gossip.values import Event, MemberEvent
from pilotdht.identity.address import Address
from pilotdht.node.facts import ConnectionInfo

MAX_ROWS = 500
"""Most rows of a list; the page says how many there are beyond."""

MAX_EVENT_BYTES = 400
"""Bytes of an event's content that are shown."""

_SAME_MOMENT_S = 2.5
"""Two readings of one moment differ by rounding and by the time that the look takes."""

_FAMILIES = ("ipv4", "ipv6")


class Moments:
    """Turns ages into Unix times that stay what they are from look to look."""

    def __init__(self, unix_time: Callable[[], float]) -> None:
        self._unix_time = unix_time
        self._known: dict[str, float] = {}
        self._used: dict[str, float] = {}

    def begin_look(self) -> None:
        """Forget what the last look did not ask for."""
        self._known, self._used = self._used, {}

    def ago(self, name: str, age_s: float) -> float:
        """Return the Unix time of something called ``name`` that happened so long ago."""
        moment = round(self._unix_time() - age_s, 1)
        known = self._known.get(name)
        if known is not None and abs(known - moment) <= _SAME_MOMENT_S:
            moment = known
        self._used[name] = moment
        return moment


class Views:
    """Makes the parts of the page for one open page."""

    def __init__(self, node: NodeVerbs, *, around: Surroundings, unix_time: Callable[[], float]) -> None:
        """Make it.

        Args:
            node: whose facts they are.
            around: the daemon.
            unix_time: the wall clock, which the page has as well.
        """
        self._node = node
        self._around = around
        self._unix_time = unix_time
        self._moments = Moments(unix_time)
        self._network = node.info().address.network
        self._links: Sequence[ConnectionInfo] | None = None  # asked for once a look: three parts need them

    def begin_look(self) -> None:
        """Begin to look at everything once more."""
        self._moments.begin_look()
        self._links = None

    def me(self) -> dict[str, object]:
        """Return who this node is and how it stands, with the numbers that the navigation shows."""
        facts = self._node.info()
        links = self._connections()
        return {
            "address": str(facts.address),
            "did": facts.did,
            "hostname": facts.hostname,
            "tags": list(facts.tags),
            "listen": [str(endpoint) for endpoint in facts.listen],
            "endpoints": [str(endpoint) for endpoint in facts.endpoints],
            "is_joined": facts.is_joined,
            "is_server": facts.is_server,
            "started": self._moments.ago("started", facts.uptime_s),
            "peers": facts.peers,
            "tunnels": len(links),
            "relayed": sum(1 for link in links if not (link.relay is None and link.trunk is None)),
            "records": facts.records,
            "mesh_size": self._node.dht_stats().get("mesh_size"),
            "pending": len(self._node.pending()),
            "groups": len(self._node.groups()),
            "version": facts.version,
            "trunk": None if facts.trunk is None else str(facts.trunk),
            "pid": self._around.pid,
            "data_dir": str(self._around.paths.data_dir),
            "log": str(self._around.paths.log_file),
        }

    def traffic(self) -> dict[str, object]:
        """Return what went through the socket so far; differs with every look."""
        return dict(traffic_shape(self._node.traffic()))

    def tunnels(self) -> dict[str, object]:
        """Return the live tunnels, sorted by name and address."""
        links = sorted(self._connections(), key=lambda link: (not link.hostname, link.hostname, str(link.address)))
        rows = []
        for link in links[:MAX_ROWS]:
            row: dict[str, object] = dict(connection_shape(link))
            del row["age_s"]
            rows.append({**row, "since": self._moments.ago(f"link {link.address}", link.age_s)})
        return _bounded(rows, len(links))

    def contacts(self) -> dict[str, object]:
        """Return the routing table, sorted by address."""
        known = sorted(self._node.peers(), key=lambda contact: str(contact.address))
        rows = []
        for contact in known[:MAX_ROWS]:
            row: dict[str, object] = dict(contact_shape(contact))
            del row["last_seen_s"]
            rows.append({**row, "seen": self._moments.ago(f"contact {contact.address}", contact.last_seen_s)})
        return _bounded(rows, len(known))

    def names(self) -> dict[str, object]:
        """Return the hostnames that are known without asking the network, by address; claims of their owners."""
        names: dict[str, object] = {}
        for info in self._node.groups():
            try:
                members = self._node.group(info.name).members()
            except NotFound:  # it was left meanwhile
                continue
            names |= {str(member.address): member.hostname for member in members[:MAX_ROWS] if member.hostname}
        entries = (*self._node.pending(), *self._node.trusted())
        names |= {str(entry.address): entry.hostname for entry in entries[:MAX_ROWS] if entry.hostname}
        links = self._connections()
        names |= {str(link.address): link.hostname for link in links[:MAX_ROWS] if link.hostname}
        return names

    def groups(self) -> dict[str, object]:
        """Return the groups that this node is in."""
        groups = self._node.groups()
        return _bounded([dict(group_shape(info)) for info in groups[:MAX_ROWS]], len(groups))

    def members(self, name: str) -> dict[str, object]:
        """Return the members of a group, this node first, then by name.

        Raises:
            NotFound: this node is in no such group.
        """
        members = sorted(
            self._node.group(name).members(),
            key=lambda member: (not member.is_self, not member.hostname, member.hostname, str(member.address)),
        )
        rows = []
        for member in members[:MAX_ROWS]:
            row: dict[str, object] = dict(member_shape(member))
            del row["since_s"]
            rows.append({**row, "since": self._moments.ago(f"member {name} {member.address}", member.since_s)})
        return {"group": name, **_bounded(rows, len(members))}

    def trust(self) -> dict[str, object]:
        """Return who asked for trust, and who has it."""
        pending, trusted = self._node.pending(), self._node.trusted()
        return {
            "pending": _bounded([dict(trust_shape(entry)) for entry in pending[:MAX_ROWS]], len(pending)),
            "trusted": _bounded([dict(trust_shape(entry)) for entry in trusted[:MAX_ROWS]], len(trusted)),
        }

    def netcheck(self) -> dict[str, object]:
        """Return where the node stands in the network."""
        check: dict[str, object] = dict(netcheck_shape(self._node.netcheck()))
        for family in _FAMILIES:
            nat = dict(check[family]) if isinstance(check[family], Mapping) else {}  # type: ignore[call-overload]  # a shape
            check[family] = {key: nat[key] for key in ("mapping", "filtering", "public", "public_host", "prefixes")}
        return check

    def relay(self) -> dict[str, object]:
        """Return what is carried for others, and by others."""
        return dict(relay_use_shape(self._node.relay_use()))

    def lookup(self, watched: WatchedLookup, *, now: float) -> dict[str, object]:
        """Return one lookup: whom it asked, and what came of it."""
        return {
            "number": watched.number,
            "target": watched.target.hex(),
            "purpose": watched.purpose,
            "began": self._unix_time() - (now - watched.began_at),
            "ending": watched.ending,
            "hops": watched.hops,
            "duration_s": watched.duration_s,
            "left_out": watched.left_out,
            "requests": [
                {
                    "address": str(Address.of_node_id(request.contact.node_id, network=self._network)),
                    "endpoint": str(request.contact.endpoint),
                    "shared_bits": _shared_bits(request.contact.node_id, watched.target),
                    "asked_s": round(request.asked_s, 5),
                    "ended_s": None if request.ended_s is None else round(request.ended_s, 5),
                    "is_slow": request.is_slow,
                    "state": request.state.value,
                }
                for request in watched.requests
            ],
        }

    def _connections(self) -> Sequence[ConnectionInfo]:
        if self._links is None:
            self._links = self._node.connections()
        return self._links


def event_view(event: Event) -> dict[str, object]:
    """Return a message to a group."""
    is_text, text = _text(event.data)
    return {
        "what": "message",
        "topic": event.topic,
        "text": text,
        "is_text": is_text,
        "size_bytes": len(event.data),
        "address": str(event.address),
        "hostname": event.hostname,
        "at": event.sent_ms / 1000,
        "id": f"{event.address} {event.epoch_ms} {event.sequence}",
    }


def change_view(change: MemberEvent, *, at: float, number: int) -> dict[str, object]:
    """Return a change of membership that was heard of at ``at``."""
    return {
        "what": change.change.value,
        "address": str(change.member.address),
        "hostname": change.member.hostname,
        "at": at,
        "id": f"change {number}",
    }


def _text(data: bytes) -> tuple[bool, str]:
    """Return whether bytes are text, and their begin as text."""
    cut = data[:MAX_EVENT_BYTES]
    try:
        return True, cut.decode("utf-8") + ("…" if len(data) > len(cut) else "")
    except UnicodeDecodeError as error:
        if len(data) > len(cut) and error.start >= len(cut) - 3:  # a character was cut in two
            return True, cut[: error.start].decode("utf-8") + "…"
        return False, cut[:32].hex(" ") + ("…" if len(data) > 32 else "")


def _shared_bits(node_id: bytes, target: bytes) -> int:
    """Return how many leading bits two keys share: the more, the closer."""
    distance = int.from_bytes(node_id, "big") ^ int.from_bytes(target, "big")
    return 8 * len(target) - distance.bit_length()


def _bounded(rows: Sequence[Mapping[str, object]], total: int) -> dict[str, object]:
    return {"rows": list(rows), "total": total}
