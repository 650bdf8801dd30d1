"""Peers that share our network: what they see of us says nothing of the outside, and strangers do not hear of them."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from pilotdht.config.dht import DhtConfig
from pilotdht.config.net import NetConfig
from pilotdht.dht.holder import Holder
from pilotdht.dht.metrics import DhtMetrics
from pilotdht.dht.routing import RoutingTable
from pilotdht.dht.store import RecordStore
from pilotdht.net.observed import ObservedEndpoints
from pilotdht.net.outcomes import Sender
from pilotdht.net.reachability import Reachability
from pilotdht.wire.contact import Contact
from pilotdht.wire.dht_messages import FindNode
from pilotdht.wire.endpoint import Endpoint
from tests.support.dht_examples import UNIX_TIME, contact_of, prefix_rule
from tests.support.quiet_holder import QuietRequester

OUTSIDE, INSIDE = Endpoint("81.7.0.1", 4000), Endpoint("192.168.1.2", 4000)


def peer(number: int, host: str) -> Contact:
    """Return a peer at a host."""
    return Contact(contact_of(number).public_key, Endpoint(host, 4000))


def test_many_neighbours_do_not_outvote_one_peer_from_outside() -> None:
    """Twenty see us at our private address, one at the public one: that is where the world sees us."""
    observed = ObservedEndpoints(NetConfig())
    for number in range(20):
        observed.reported(peer(number, f"192.168.1.{number + 10}"), INSIDE, now=0.0)
    assert ((INSIDE, 20),) == observed.candidates(now=0.0)
    observed.reported(peer(30, "45.1.0.1"), OUTSIDE, now=0.0)
    assert ((OUTSIDE, 1), (INSIDE, 20)) == observed.candidates(now=0.0)


def test_neighbours_show_reachability_only_where_there_is_no_outside() -> None:
    """Behind one NAT everybody reaches everybody."""
    reachability = Reachability(NetConfig())
    for number in (1, 2):
        reachability.heard_from(peer(number, f"192.168.1.{number}"), now=0.0)
    assert reachability.is_reachable(now=0.0)
    assert reachability.is_reachable(now=0.0, is_ipv6=False)
    assert not reachability.is_reachable(now=0.0, is_from_outside=True)
    assert not reachability.is_reachable(now=0.0, is_ipv6=True)
    for number in (3, 4):
        reachability.heard_from(peer(number, f"45.{number}.0.1"), now=0.0)
    assert reachability.is_reachable(now=0.0, is_from_outside=True)


def test_neighbours_do_not_push_out_strangers_that_reached_us() -> None:
    """A server in public with a crowd on its private side stays one."""
    reachability = Reachability(NetConfig())
    for number in (1, 2):
        reachability.heard_from(peer(number, f"45.{number}.0.1"), now=0.0)
    for number in range(3, 30):
        reachability.heard_from(peer(number, f"192.168.1.{number}"), now=1.0)
    assert reachability.is_reachable(now=1.0, is_from_outside=True)


@pytest.mark.parametrize(
    ("asker", "told"),
    [("45.9.0.1", {"45.1.0.1"}), ("192.168.1.77", {"45.1.0.1", "192.168.1.7"}), ("100::1", {"45.1.0.1"})],
)
def test_contacts_on_private_addresses_are_told_on_private_addresses_only(asker: str, told: set[str]) -> None:
    """A stranger could not reach them, and need not know them; nor need one that comes through a relay."""
    config = DhtConfig()
    own_id = contact_of(500).node_id
    table = RoutingTable(own_id, config, prefix_rule(config))
    for contact in (peer(1, "45.1.0.1"), peer(2, "192.168.1.7")):
        table.verified(contact, 0.0)
    holder = Holder(
        own_id=own_id,
        network=0,
        config=config,
        table=table,
        store=RecordStore(own_id, config),
        prefixes=prefix_rule(config),
        requester=QuietRequester(),
        unix_time=lambda: UNIX_TIME,
        metrics=DhtMetrics(CollectorRegistry()),
    )
    found = holder.find_node(FindNode(own_id), Sender(peer(9, asker), is_validated=True, is_client=False))
    assert told == {contact.endpoint.host for contact in found.contacts}
