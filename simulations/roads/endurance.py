"""Tunnels that are kept: through a time in which nobody uses them, and through reboots of the routers in between."""

from __future__ import annotations

import asyncio
from random import Random

from simulations.population.population import Slot
from simulations.roads.dialler import Dialler, Tunnel
from simulations.stage import Stage
from simulations.workload.statistics import quantile, share
from simulations.world.nat import Nat

DIAL_GAP_S = 0.25
"""Between two dials."""

BETTER_S = 20.0
"""Time for the last tunnel to find its road."""

REVIVED_S = 5.0
"""A tunnel that is used counts as having survived when it works again within this time."""

LIMIT_S = 30.0
"""How long is waited for one at most: a link is given up after so much silence."""

RETURN_S = 30.0
"""So long after the reboot everybody is to be reached by name again: servers are told of a new port every 20 s."""

MOST_RETURNS = 100
"""Nodes that are dialled then at most."""


class Endurance:
    """One run of it."""

    def __init__(self, stage: Stage, dialler: Dialler, *, random: Random) -> None:
        """Make it.

        Args:
            stage: where figures go.
            dialler: who dialled before; its links are not touched.
            random: draws pairs and routers.
        """
        self._stage = stage
        self._town = dialler.town
        self._random = random
        self._loop = asyncio.get_running_loop()
        self._dialler = Dialler(dialler.town, dialler.network, dialler.began_s)

    async def play(self, *, count: int, idle_s: float, share_rebooted: float) -> None:
        """Dial, idle, reboot, dial again.

        Figures: ``kept_tunnels``, ``idle_success`` (share that answers after nobody used them), ``rebooted`` (routers),
        ``reboot_tunnels`` (with a rebooted router at an end), ``reboot_success`` (share of these that both ends can use
        within 5 s), ``reboot_p50_s``, ``reboot_p95_s`` (until then), ``return_success`` (share of nodes behind
        rebooted routers that are reached by name 30 s later).

        Args:
            count: tunnels.
            idle_s: how long nobody uses them.
            share_rebooted: share of routers, 0..1.
        """
        stage = self._stage
        stage.mark("tunnels to keep")
        tunnels = await self._dialled(count)
        stage.figure("kept_tunnels", float(len(tunnels)))
        await asyncio.sleep(idle_s)
        stage.figure("idle_success", share([one is not None for one in await self._revived(tunnels)]))
        rebooted = self._reboot(share_rebooted)
        again_s = self._loop.time() + RETURN_S
        stage.mark(f"{len(rebooted)} routers reboot")
        hit = [tunnel for tunnel in tunnels if any(self._is_behind(slot, rebooted) for slot in _slots(tunnel))]
        took = await self._revived(hit)
        times = [one for one in took if one is not None]
        stage.figure("rebooted", float(len(rebooted)))
        stage.figure("reboot_tunnels", float(len(hit)))
        stage.figure("reboot_success", share([one is not None and one <= REVIVED_S for one in took]))
        stage.figure("reboot_p50_s", quantile(times, 0.5))
        stage.figure("reboot_p95_s", quantile(times, 0.95))
        for tunnel in tunnels:
            await self._dialler.hang_up(tunnel)
        await asyncio.sleep(max(0.0, again_s - self._loop.time()))
        stage.figure("return_success", share(await self._returned(rebooted)))

    async def _dialled(self, count: int) -> list[Tunnel]:
        """Dial random pairs, and watch each until it has had its time to find a road."""
        tunnels: list[Tunnel] = []

        async def dial(caller: Slot, called: Slot) -> None:
            tunnel = await self._dialler.dial(caller, called, is_trusted=True)
            if tunnel is not None:
                tunnels.append(tunnel)
                await self._dialler.watch(tunnel, until_s=tunnel.resolved_s + BETTER_S)

        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                pair = self._dialler.drawn_pair(self._random)
                if pair is not None:
                    group.create_task(dial(*pair))
                await asyncio.sleep(DIAL_GAP_S)
        return tunnels

    async def _revived(self, tunnels: list[Tunnel]) -> list[float | None]:
        """Have both ends of each tunnel ping; return the seconds until both were answered, absent when one was not."""
        async with asyncio.TaskGroup() as group:
            asked = [
                [
                    group.create_task(self._dialler.ping_s(*ends, timeout_s=LIMIT_S))
                    for ends in (_slots(tunnel), _slots(tunnel)[::-1])
                ]
                for tunnel in tunnels
            ]
        found: list[float | None] = []
        for pair in asked:
            times = [one for task in pair if (one := task.result()) is not None]
            found.append(max(times) if len(times) == len(pair) else None)
        return found

    def _reboot(self, part: float) -> list[Nat]:
        """Have a share of all routers forget everything, and return these."""
        routers: dict[str, Nat] = {}
        for slot in self._town.slots:
            router = self._town.router_of(slot)
            if router is not None:
                routers[router.address] = router
        chosen = self._random.sample(list(routers.values()), round(part * len(routers)))
        for router in chosen:
            router.forget()
        return chosen

    async def _returned(self, rebooted: list[Nat]) -> list[bool]:
        """Dial nodes behind rebooted routers by name; return for each whether it answered."""
        behind = [slot for slot in self._town.slots if self._is_behind(slot, rebooted)][:MOST_RETURNS]
        answered = []
        for slot in behind:
            callers = [one for one in self._town.slots if one not in behind and self._dialler.is_free(one)]
            if not callers or not self._dialler.is_free(slot):
                continue
            tunnel = await self._dialler.dial(self._random.choice(callers), slot, is_trusted=False)
            answered.append(tunnel is not None)
            if tunnel is not None:
                await self._dialler.hang_up(tunnel)
        return answered

    def _is_behind(self, slot: Slot, routers: list[Nat]) -> bool:
        return self._town.router_of(slot) in routers


def _slots(tunnel: Tunnel) -> tuple[Slot, Slot]:
    return tunnel.caller, tunnel.called
