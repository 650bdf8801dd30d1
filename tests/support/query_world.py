"""Nodes that ask one another over streams in memory: real services, with members that are slow, silent or away."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from random import Random

from prometheus_client import CollectorRegistry

from pilotdht.config.query import QueryConfig
from pilotdht.errors import NotFound, PilotError, TimedOut, Unreachable
from pilotdht.gossip.values import MemberInfo, MemberStatus
from pilotdht.identity.address import Address
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import KeyPair
from pilotdht.names.peer import Peer, Source
from pilotdht.services.query.metrics import QueryMetrics
from pilotdht.services.query.needs import QueryNeeds
from pilotdht.services.query.service import QueryService
from pilotdht.tasks import TaskScope
from pilotdht.tunnel.byte_stream import ByteStream
from pilotdht.wire.certificates import Role
from pilotdht.wire.groups import GroupId, open_group_id
from simulations.engine.virtual_loop import run_virtually
from tests.support.byte_pipe import BytePipe, byte_pipe

UNIX_S = 1_700_000_000.0
"""What the world's clock shows when the loop's shows zero."""

Serve = Callable[[BytePipe], Awaitable[None]]


class Host:
    """One node of the world."""

    def __init__(self, world: QueryWorld, name: str, keys: KeyPair) -> None:
        self.world = world
        self.name = name
        self.keys = keys
        self.registry = CollectorRegistry()
        self.is_away = False
        self.is_silent = False
        self.delay_s = 0.0
        self.opened = 0
        self.capabilities: tuple[str, ...] = ()
        self.tags: tuple[str, ...] = ()
        self.load: int | None = None
        self.rtt_s: float | None = None
        self.status = MemberStatus.ALIVE
        self.is_trusted_by_all = False
        self.serve: Serve | None = None
        self.service = QueryService(
            needs=QueryNeeds(
                keys=keys,
                open_stream=self._open,
                groups=_GroupsOf(self),
                is_trusted=lambda peer: world.host_of(peer).is_trusted_by_all,
                peers_with_tag=self._with_tag,
                hostname_of=lambda peer: "" if peer in world.nameless else world.host_of(peer).name,
                unix_time=world.unix_time,
                random=Random(name),
                scope=world.scope,
            ),
            config=world.config,
            metrics=QueryMetrics(self.registry),
        )

    @property
    def public_key(self) -> PublicKey:
        """Who it is."""
        return self.keys.public_key

    def count(self, name: str, **labels: str) -> float:
        """Return what a counter of this node shows; ``name`` without ``pilotdht_query_``."""
        return self.registry.get_sample_value(f"pilotdht_query_{name}", labels) or 0.0

    def member(self, *, is_self: bool) -> MemberInfo:
        """Return what its group knows of it."""
        return MemberInfo(
            public_key=self.public_key,
            address=Address.of_public_key(self.public_key),
            hostname=self.name,
            status=self.status,
            role=Role.MEMBER,
            tags=self.tags,
            capabilities=self.capabilities,
            load=self.load,
            version="1",
            incarnation=1,
            rtt_s=self.rtt_s,
            since_s=1.0,
            is_self=is_self,
        )

    async def _open(self, peer: PublicKey, port: int, *, timeout_s: float) -> ByteStream:
        return await self.world.connect(self, self.world.host_of(peer), port, timeout_s)

    async def _with_tag(self, tag: str) -> Sequence[Peer]:
        return [
            Peer(
                public_key=host.public_key,
                network=0,
                hostname=host.name,
                tags=host.tags,
                endpoints=(),
                services=(),
                issued_s=UNIX_S,
                is_trusted=host.is_trusted_by_all,
                source=Source.TAG,
            )
            for host in self.world.hosts.values()
            if tag in host.tags
        ]


class QueryWorld:
    """Hosts, and the groups that they are in; ``async with`` ends what is left running."""

    def __init__(self, config: QueryConfig | None = None) -> None:
        self.config = QueryConfig() if config is None else config
        self.hosts: dict[PublicKey, Host] = {}
        self.groups: dict[str, list[Host]] = {}
        self.scope = TaskScope("world")
        self.ahead_s = 0.0
        self.nameless: set[PublicKey] = set()
        """Whose hostnames nobody knows."""
        self.pipes: list[BytePipe] = []

    async def __aenter__(self) -> QueryWorld:
        await self.scope.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.scope.close()

    def unix_time(self) -> float:
        """Return the time on everybody's watch."""
        return UNIX_S + asyncio.get_running_loop().time() + self.ahead_s

    def host_of(self, key: PublicKey) -> Host:
        """Return the host with a key."""
        return self.hosts[key]

    def add(self, name: str, *, group: str = "research", capabilities: tuple[str, ...] = ()) -> Host:
        """Make a host and let it join a group (none when the name is empty)."""
        host = Host(self, name, KeyPair.from_seed(name.encode().ljust(32, b".")))
        host.capabilities = capabilities
        self.hosts[host.public_key] = host
        if group:
            self.groups.setdefault(group, []).append(host)
        return host

    async def connect(self, opener: Host, acceptor: Host, port: int, timeout_s: float) -> BytePipe:
        """Open a stream, as a link would."""
        acceptor.opened += 1
        if acceptor.is_away:
            raise Unreachable(f"{acceptor.name} does not answer")
        if acceptor.is_silent:
            await asyncio.sleep(timeout_s)
            raise TimedOut("silence")
        if acceptor.delay_s:
            await asyncio.sleep(acceptor.delay_s)
        near, far = byte_pipe(opener=opener.public_key, acceptor=acceptor.public_key, port=port)
        self.pipes.append(far)
        self.scope.start(self._serve(acceptor, far), name=f"{acceptor.name} serves")
        return near

    async def _serve(self, host: Host, stream: BytePipe) -> None:
        try:
            await (host.service.serve(stream) if host.serve is None else host.serve(stream))
        except PilotError:
            stream.abort()
        except BaseException:
            stream.abort()
            raise
        await stream.close()


class _GroupsOf:
    """The groups of one host."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def _hosts(self, name: str) -> list[Host]:
        hosts = self._host.world.groups.get(name, [])
        if self._host not in hosts:
            raise NotFound(f"not in group {name!r}")
        return hosts

    def group_id(self, name: str) -> GroupId:
        """Return the id."""
        self._hosts(name)
        return open_group_id(name)

    def group_name(self, group_id: GroupId) -> str | None:
        """Return the name."""
        names = [name for name, hosts in self._host.world.groups.items() if self._host in hosts]
        return next((name for name in names if open_group_id(name) == group_id), None)

    def members(self, name: str) -> Sequence[MemberInfo]:
        """Return all members."""
        return [host.member(is_self=host is self._host) for host in self._hosts(name)]

    def is_member(self, group_id: GroupId, public_key: PublicKey) -> bool:
        """Return whether a key is a live member."""
        name = self.group_name(group_id)
        return name is not None and any(
            host.public_key == public_key and host.status in (MemberStatus.ALIVE, MemberStatus.SUSPECT)
            for host in self._hosts(name)
        )

    def is_member_of_any(self, public_key: PublicKey) -> bool:
        """Return whether a key is in any group of this host."""
        return any(self.is_member(open_group_id(name), public_key) for name in self._host.world.groups)


def play_pair(main: Callable[[QueryWorld, Host, Host], Coroutine[None, None, None]], **config: object) -> None:
    """Run ``main`` with an asker and an expert that trust each other."""

    async def run() -> None:
        async with QueryWorld(dataclasses.replace(QueryConfig(), **config)) as world:  # type: ignore[arg-type]  # names of its fields
            asker, expert = world.add("asker"), world.add("expert")
            asker.is_trusted_by_all = expert.is_trusted_by_all = True
            await main(world, asker, expert)

    run_virtually(run())
