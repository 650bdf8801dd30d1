"""The verbs of the control API that answer once: what each reads, asks of the node, and tells.

Each handler reads all its fields, calls ``fields.finish()``, and only then touches the node.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import field

from pilotdht.daemon.encode import (
    connection_shape,
    contact_shape,
    encode_base64,
    lookup_shape,
    netcheck_shape,
    peer_shape,
    plain,
    relay_use_shape,
    road_shape,
    trace_shape,
    traffic_shape,
    trust_shape,
    tunnel_shape,
)
from pilotdht.daemon.fields import Fields
from pilotdht.daemon.group_encode import group_shape
from pilotdht.daemon.page import PageKeeper
from pilotdht.daemon.paths import Paths
from pilotdht.daemon.shapes import (
    AliasesShape,
    AliasRemovedShape,
    AliasShape,
    AnswerShape,
    ConnectionsShape,
    ContactsShape,
    DisconnectedShape,
    HostnamesShape,
    InfoShape,
    LookupShape,
    NetCheckShape,
    PageShape,
    PeerShape,
    PeersShape,
    PendingShape,
    PingShape,
    RecordsShape,
    RelayUseShape,
    ReloadShape,
    SentShape,
    StoppedShape,
    TraceShape,
    TrafficShape,
    TrustedShape,
    TrustShape,
    TunnelShape,
)
from pilotdht.daemon.verbs import NodeVerbs
from pilotdht.errors import TimedOut
from pilotdht.gossip.values import GroupKind
from pilotdht.values import dataclass

MAX_TAGS = 8
MAX_PEERS = 10_000
MAX_REASON_CHARS = 500
MAX_HOSTNAMES = 1000
"""Most names told for completion: a terminal shows no more."""

STDIO_PORT = 1000
"""Where messages go when no port is named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What handlers need besides the node."""

    paths: Paths
    """The daemon's files."""
    pid: int
    """The daemon's process id."""
    stop: Callable[[], None]
    """Begins a clean stop."""
    settings: Mapping[str, str]
    """What the command line set, so that a restart can set it again."""
    reload: Callable[[], Awaitable[ReloadShape]]
    """Reads the configuration anew."""
    page: PageKeeper = field(default_factory=lambda: PageKeeper(None))
    """The status page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request."""

    node: NodeVerbs
    """Who does the work."""
    fields: Fields
    """What was asked."""
    around: Surroundings
    """The daemon."""


async def info(call: Call) -> InfoShape:
    """Tell about the node and the daemon."""
    call.fields.finish()
    facts = call.node.info()
    return {
        "address": str(facts.address),
        "did": facts.did,
        "hostname": facts.hostname,
        "tags": list(facts.tags),
        "listen": [str(endpoint) for endpoint in facts.listen],
        "endpoints": [str(endpoint) for endpoint in facts.endpoints],
        "is_joined": facts.is_joined,
        "is_server": facts.is_server,
        "trunk": None if facts.trunk is None else str(facts.trunk),
        "uptime_s": facts.uptime_s,
        "peers": facts.peers,
        "connections": facts.connections,
        "records": facts.records,
        "groups": [group_shape(group) for group in call.node.groups()],
        "version": facts.version,
        "pid": call.around.pid,
        "socket": str(call.around.paths.socket),
        "data_dir": str(call.around.paths.data_dir),
        "log": str(call.around.paths.log_file),
        "settings": dict(call.around.settings),
    }


async def stop(call: Call) -> StoppedShape:
    """Begin a clean stop; the answer comes before the daemon is gone."""
    call.fields.finish()
    call.around.stop()
    return {"pid": call.around.pid}


async def reload(call: Call) -> ReloadShape:
    """Read the configuration anew."""
    call.fields.finish()
    return await call.around.reload()


async def set_hostname(call: Call) -> InfoShape:
    """Change the own hostname."""
    hostname = call.fields.text("hostname")
    call.fields.finish()
    await call.node.set_hostname(hostname)
    return await info(call)


async def set_tags(call: Call) -> InfoShape:
    """Change the own tags."""
    tags = call.fields.texts("tags", most=MAX_TAGS)
    call.fields.finish()
    await call.node.set_tags(tags)
    return await info(call)


async def find(call: Call) -> PeerShape:
    """Resolve a peer."""
    target, fresh = call.fields.target(), call.fields.flag("fresh", True)
    call.fields.finish()
    return peer_shape(await call.node.find(target, fresh=fresh))


async def set_alias(call: Call) -> AliasShape:
    """Let a local name stand for a peer."""
    alias, target = call.fields.text("alias"), call.fields.target()
    call.fields.finish()
    peer = await call.node.set_alias(alias, target)
    return {"alias": alias, "address": str(peer.address)}


async def remove_alias(call: Call) -> AliasRemovedShape:
    """Forget a local name."""
    alias = call.fields.text("alias")
    call.fields.finish()
    return {"was_set": await call.node.remove_alias(alias)}


async def aliases(call: Call) -> AliasesShape:
    """List the local names."""
    call.fields.finish()
    return {"aliases": [{"alias": name, "address": str(address)} for name, address in call.node.aliases().items()]}


async def lookup(call: Call) -> PeersShape:
    """Find peers by a tag."""
    tag, limit = call.fields.text("tag"), call.fields.integer("limit", 256, low=1, high=MAX_PEERS)
    call.fields.finish()
    return {"peers": [peer_shape(peer) for peer in await call.node.lookup(tag=tag, limit=limit)]}


async def peers(call: Call) -> ContactsShape:
    """List the routing table."""
    call.fields.finish()
    return {"peers": [contact_shape(contact) for contact in call.node.peers()]}


async def connections(call: Call) -> ConnectionsShape:
    """List the live tunnels."""
    call.fields.finish()
    return {"connections": [connection_shape(connection) for connection in call.node.connections()]}


async def hostnames(call: Call) -> HostnamesShape:
    """List the names that are known without asking the network."""
    call.fields.finish()
    known = [entry.hostname for entry in (*call.node.trusted(), *call.node.pending())]
    known += [connection.hostname for connection in call.node.connections()]
    known += call.node.aliases()
    for info in call.node.groups():
        if info.kind is GroupKind.ORG:
            members = call.node.group(info.name).members()
            known += [f"{member.hostname}.{info.name}" for member in members if member.hostname and not member.is_self]
    return {"hostnames": sorted({name for name in known if name})[:MAX_HOSTNAMES]}


async def ping(call: Call) -> PingShape:
    """Measure one round trip over the tunnel; the time that finding the peer takes counts against the time-out."""
    target, timeout_s = call.fields.target(), call.fields.seconds("timeout_s", 5.0)
    call.fields.finish()
    try:
        async with asyncio.timeout(timeout_s):
            peer = await call.node.find(target, fresh=False)
            rtt_s = await call.node.ping(target, timeout_s=timeout_s)
    except TimeoutError as error:
        raise TimedOut(f"no reply from {target} within {timeout_s:g} s") from error
    tunnel = next((link for link in call.node.connections() if link.address == peer.address), None)
    return {"address": str(peer.address), "rtt_s": rtt_s, **road_shape(tunnel)}


async def traceroute(call: Call) -> TraceShape:
    """Tell how a peer is reached."""
    target, timeout_s = call.fields.target(), call.fields.seconds("timeout_s", 10.0)
    call.fields.finish()
    return trace_shape(await call.node.traceroute(target, timeout_s=timeout_s))


async def connect(call: Call) -> TunnelShape:
    """Establish a tunnel."""
    target, timeout_s = call.fields.target(), call.fields.seconds("timeout_s", 10.0)
    call.fields.finish()
    return tunnel_shape(await call.node.connect(target, timeout_s=timeout_s))


async def disconnect(call: Call) -> DisconnectedShape:
    """Close a tunnel."""
    target = call.fields.target()
    call.fields.finish()
    return {"was_connected": await call.node.disconnect(target)}


async def request(call: Call) -> AnswerShape:
    """Send a message and tell the answer."""
    target, port = call.fields.target(), call.fields.port(STDIO_PORT)
    message, timeout_s = call.fields.data("message_base64"), call.fields.seconds("timeout_s", 30.0)
    call.fields.finish()
    peer = await call.node.find(target, fresh=False)
    answer = await call.node.request(target, message, port=port, timeout_s=timeout_s)
    return {"address": str(peer.address), "answer_base64": encode_base64(answer)}


async def send(call: Call) -> SentShape:
    """Send a message; answers when the peer has stored or handled it."""
    target, port = call.fields.target(), call.fields.port(STDIO_PORT)
    message, timeout_s = call.fields.data("message_base64"), call.fields.seconds("timeout_s", 30.0)
    call.fields.finish()
    peer = await call.node.find(target, fresh=False)
    await call.node.send(target, message, port=port, timeout_s=timeout_s)
    return {"address": str(peer.address), "port": port, "size_bytes": len(message)}


async def handshake(call: Call) -> TrustShape:
    """Ask a peer for trust."""
    target, reason = call.fields.target(), call.fields.text("reason", "", most_chars=MAX_REASON_CHARS)
    call.fields.finish()
    return trust_shape(await call.node.handshake(target, reason))


async def approve(call: Call) -> TrustShape:
    """Give trust to a peer that asked."""
    target = call.fields.target()
    call.fields.finish()
    return trust_shape(await call.node.approve(target))


async def reject(call: Call) -> TrustShape:
    """Refuse trust to a peer that asked."""
    target, reason = call.fields.target(), call.fields.text("reason", "", most_chars=MAX_REASON_CHARS)
    call.fields.finish()
    return trust_shape(await call.node.reject(target, reason))


async def untrust(call: Call) -> TrustShape:
    """Take trust back."""
    target = call.fields.target()
    call.fields.finish()
    return trust_shape(await call.node.untrust(target))


async def trusted(call: Call) -> TrustedShape:
    """List whom this node trusts."""
    call.fields.finish()
    return {"trusted": [trust_shape(entry) for entry in call.node.trusted()]}


async def pending(call: Call) -> PendingShape:
    """List whose requests wait for an answer."""
    call.fields.finish()
    return {"pending": [trust_shape(entry) for entry in call.node.pending()]}


async def dht_lookup(call: Call) -> LookupShape:
    """Walk the DHT."""
    target = call.fields.target()
    call.fields.finish()
    found = await call.node.dht_lookup(target)
    return lookup_shape(found, network=call.node.info().address.network)


async def dht_get(call: Call) -> RecordsShape:
    """Tell the records under a key or name."""
    target = call.fields.target()
    call.fields.finish()
    records = await call.node.dht_get(target)
    return {"records": [{name: plain(value) for name, value in record.items()} for record in records]}


async def dht_stats(call: Call) -> dict[str, object]:
    """Tell figures of the DHT."""
    call.fields.finish()
    return {name: plain(value) for name, value in call.node.dht_stats().items()}


async def traffic(call: Call) -> TrafficShape:
    """Tell what went through the socket so far."""
    call.fields.finish()
    return traffic_shape(call.node.traffic())


async def relay_use(call: Call) -> RelayUseShape:
    """Tell what is carried for others, and by others."""
    call.fields.finish()
    return relay_use_shape(call.node.relay_use())


async def open_page(call: Call) -> PageShape:
    """Serve the status page, and tell a link that opens it once."""
    call.fields.finish()
    return await call.around.page.link()


async def netcheck(call: Call) -> NetCheckShape:
    """Tell where the node stands in the network."""
    call.fields.finish()
    return netcheck_shape(call.node.netcheck())


Handler = Callable[[Call], Awaitable[object]]

READERS: Mapping[str, Handler] = {
    "/v1/info": info,
    "/v1/peers": peers,
    "/v1/netcheck": netcheck,
    "/v1/traffic": traffic,
    "/v1/relay": relay_use,
    "/v1/connections": connections,
    "/v1/hostnames": hostnames,
    "/v1/aliases": aliases,
    "/v1/trust": trusted,
    "/v1/trust/pending": pending,
    "/v1/dht/stats": dht_stats,
}
"""``GET``: tell what the node knows, at once."""

DOERS: Mapping[str, Handler] = {
    "/v1/stop": stop,
    "/v1/reload": reload,
    "/v1/hostname": set_hostname,
    "/v1/tags": set_tags,
    "/v1/find": find,
    "/v1/lookup": lookup,
    "/v1/alias/set": set_alias,
    "/v1/alias/remove": remove_alias,
    "/v1/ping": ping,
    "/v1/traceroute": traceroute,
    "/v1/connect": connect,
    "/v1/disconnect": disconnect,
    "/v1/request": request,
    "/v1/send": send,
    "/v1/trust/handshake": handshake,
    "/v1/trust/approve": approve,
    "/v1/trust/reject": reject,
    "/v1/trust/untrust": untrust,
    "/v1/dht/lookup": dht_lookup,
    "/v1/dht/get": dht_get,
    "/v1/ui": open_page,
}
"""``POST`` with a JSON object: act, and wait for the outcome."""
