"""What nobody answers, replies that come later, and requests whose asker says how long to wait."""

from __future__ import annotations

import asyncio

import pytest

from pilotdht.config.net import NetConfig
from pilotdht.net.outcomes import Answered, Deferred, Outcome, Sender, Silent, Slow
from pilotdht.net.rtt import Waits
from pilotdht.wire.contact import Contact
from pilotdht.wire.dht_messages import Ping
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.gossip_messages import Gossip, Probe, ProbeAck, ProbeFor, ProbeOutcome
from pilotdht.wire.groups import open_group_id
from pilotdht.wire.message import Reply
from simulations.engine.virtual_loop import run_virtually
from simulations.world.conditions import CONDITIONS
from simulations.world.network import MemoryNetwork
from simulations.world.world import UNIX_START_S
from tests.support.net_nodes import (
    LosesFirst,
    NetNode,
    RawPeer,
    key_pair,
    request_of,
    virtual_node,
    virtual_pair,
)

GROUP = open_group_id("town")
NOBODY = Contact(key_pair(99).public_key, Endpoint("10.0.0.99", 4000))


def now() -> float:
    """Return the loop's clock."""
    return asyncio.get_running_loop().time()


async def ends_of(node: NetNode, contact: Contact, waits: Waits | None) -> list[tuple[type[Outcome], float]]:
    """Probe a contact; return the type of each outcome and when it came."""
    found: list[tuple[type[Outcome], float]] = []
    started, done = now(), asyncio.Event()

    def deliver(outcome: object) -> None:
        assert isinstance(outcome, (Answered, Slow, Silent))
        found.append((type(outcome), now() - started))
        if not isinstance(outcome, Slow):
            done.set()

    node.rpc.begin(contact, Probe(GROUP), deliver, waits=waits)
    async with asyncio.timeout(60):
        await done.wait()
    return found


def test_waits_of_the_asker_count_instead_of_round_trips() -> None:
    """Sent again at the first, given up at the second, whatever was measured."""

    async def main() -> None:
        async with virtual_pair() as (network, asker, answerer):
            for _ in range(20):
                await asker.rpc.request(answerer.contact, Ping())
            sent = network.sent
            found = await ends_of(asker, NOBODY, Waits(0.5, 1.25))
            assert [Slow, Silent] == [kind for kind, _ in found]
            assert [0.5, 1.25] == pytest.approx([at for _, at in found], abs=1e-3)
            assert (sent + 2, 0) == (network.sent, len(asker.rpc))

    run_virtually(main())


def test_waits_of_the_asker_are_not_shortened_by_the_first_answer() -> None:
    """What is learned about the network hastens only those who left it to us."""

    async def main() -> None:
        async with virtual_pair() as (_, asker, answerer):
            async with asyncio.TaskGroup() as group:
                patient = group.create_task(ends_of(asker, NOBODY, Waits(3.0, 4.0)))
                await asker.rpc.request(answerer.contact, Ping())
            assert [3.0, 4.0] == pytest.approx([at for _, at in patient.result()], abs=1e-3)

    run_virtually(main())


def test_request_with_waits_whose_first_datagram_is_lost_is_answered() -> None:
    """By the second."""

    async def main() -> None:
        async with virtual_pair() as (network, asker, answerer):
            answerer.rpc.serve(Probe, lambda _message, _sender: ProbeAck())
            network.allows = LosesFirst(asker.endpoint.host, 1)
            found = await ends_of(asker, answerer.contact, Waits(0.5, 1.0))
            assert [Slow, Answered] == [kind for kind, _ in found]

    run_virtually(main())


def test_told_message_arrives_is_not_padded_not_answered_and_counted() -> None:
    """It waits for nothing."""

    async def main() -> None:
        async with virtual_pair() as (network, teller, listener):
            heard: list[tuple[Gossip, Sender]] = []
            listener.rpc.serve(Gossip, lambda message, sender: heard.append((message, sender)))
            message = Gossip(GROUP, (b"news",))
            assert teller.rpc.tell(listener.contact, message)
            assert 0 == len(teller.rpc)
            await asyncio.sleep(1)
            assert [(message, Sender(teller.contact, False, heard[0][1].is_client))] == heard
            assert 1 == network.sent
            assert network.sent_bytes < 150
            assert 1 == teller.metrics.requests["Gossip"].sent
            assert {} == listener.metrics.dropped

    run_virtually(main())


def test_told_message_to_whom_we_asked_before_proves_where_we_are() -> None:
    """It carries the token of the last answer."""

    async def main() -> None:
        async with virtual_pair() as (_, teller, listener):
            heard: list[Sender] = []
            listener.rpc.serve(Gossip, lambda _message, sender: heard.append(sender))
            await teller.rpc.request(listener.contact, Ping())
            teller.rpc.tell(listener.contact, Gossip(GROUP, ()))
            await asyncio.sleep(1)
            assert [True] == [sender.is_validated for sender in heard]

    run_virtually(main())


@pytest.mark.parametrize("key", [b"\x01" + bytes(31), b"\xff" * 32])
def test_nothing_is_told_to_unusable_keys_ourselves_or_when_closed(key: bytes) -> None:
    """It says so, and sends nothing."""

    async def main() -> None:
        async with virtual_pair() as (network, teller, listener):
            message = Gossip(GROUP, ())
            assert not teller.rpc.tell(Contact(key, NOBODY.endpoint), message)  # type: ignore[arg-type]  # a key is bytes
            assert not teller.rpc.tell(teller.contact, message)
            await teller.socket.close()
            assert not teller.rpc.tell(listener.contact, message)
            assert 0 == network.sent

    run_virtually(main())


def test_deferred_reply_is_sent_once_when_it_is_given() -> None:
    """A second one is not sent."""

    async def main() -> None:
        async with virtual_pair() as (network, asker, answerer):
            deferred = Deferred()
            answerer.rpc.serve(ProbeFor, lambda _message, _sender: deferred)
            loop = asyncio.get_running_loop()
            for after in (0.2, 0.3):
                loop.call_later(after, deferred.reply, ProbeOutcome(is_alive=True))
            answer = await asker.rpc.request(answerer.contact, ProbeFor(GROUP, NOBODY.node_id, 100))
            assert ProbeOutcome(is_alive=True) == answer.message
            assert answer.rtt_s == pytest.approx(0.21, abs=1e-3)
            await asyncio.sleep(1)
            assert (2, 1) == (network.sent, answerer.metrics.requests["ProbeFor"].served)
            again = await asker.rpc.request(answerer.contact, Ping())
            assert again.rtt_s == pytest.approx(0.02, abs=1e-3)

    run_virtually(main())


def test_deferred_reply_that_is_never_given_leaves_nothing_behind() -> None:
    """The asker gives up; the one who was asked keeps nothing."""

    async def main() -> None:
        async with virtual_pair() as (network, asker, answerer):
            answerer.rpc.serve(ProbeFor, lambda _message, _sender: Deferred())
            found = await ends_of(asker, answerer.contact, Waits(0.1, 0.2))
            assert [Slow, Silent] == [kind for kind, _ in found]
            await asyncio.sleep(5)
            assert 2 == network.sent
            assert 0 == len(answerer.rpc)

    run_virtually(main())


def test_deferred_reply_after_closing_is_not_sent() -> None:
    """And is no error."""

    async def main() -> None:
        async with virtual_pair() as (network, asker, answerer):
            deferred = Deferred()
            answerer.rpc.serve(ProbeFor, lambda _message, _sender: deferred)
            asker.rpc.begin(answerer.contact, ProbeFor(GROUP, NOBODY.node_id, 100), lambda _outcome: None)
            await asyncio.sleep(0.1)
            await answerer.socket.close()
            sent = network.sent
            deferred.reply(ProbeOutcome(is_alive=True))
            await asyncio.sleep(0.1)
            assert sent == network.sent

    run_virtually(main())


@pytest.mark.parametrize("size_bytes", [70, 99, 139, 500])
def test_deferred_reply_is_never_longer_than_the_request_of_somebody_unproven(size_bytes: int) -> None:
    """Later is no way around the limit on amplification."""

    async def main() -> None:
        network = MemoryNetwork(seed=1, conditions=CONDITIONS["perfect"])
        async with virtual_node(network, 1) as node, RawPeer(network, seed=2, listen=Endpoint("10.0.0.2", 4)) as peer:
            waiting: list[Deferred] = []

            def handler(_message: Probe, _sender: Sender) -> Deferred:
                waiting.append(Deferred())
                return waiting[-1]

            node.rpc.serve(Probe, handler)
            unix_time = UNIX_START_S + now()
            datagram = peer.sealed(node, request_of(Probe(GROUP)), unix_time=unix_time, size_bytes=size_bytes)
            peer.socket.send(datagram, node.endpoint)
            await asyncio.sleep(0.1)
            reply: Reply = ProbeAck(tuple(bytes(80) for _ in range(10)))
            waiting[0].reply(reply)
            await asyncio.sleep(0.1)
            while not peer.received.empty():
                answer, _ = peer.received.get_nowait()
                assert len(answer) <= len(datagram)
            dropped = node.metrics.dropped.get("reply_too_long", 0)
            assert dropped + 1 == 1 + (network.sent == 1)

    run_virtually(main())


def test_told_messages_of_a_burst_leave_nothing_behind() -> None:
    """A thousand told are none waiting."""

    async def main() -> None:
        async with virtual_pair(config=NetConfig(pending_requests=4)) as (network, teller, _listener):
            for _ in range(1000):
                assert teller.rpc.tell(NOBODY, Gossip(GROUP, (b"x",)))
            assert (1000, 0, 0) == (network.sent, len(teller.rpc), teller.rpc.deadlines_kept)

    run_virtually(main())
