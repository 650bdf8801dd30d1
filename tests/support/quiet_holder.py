"""A holder that answers, and asks nobody: its handlers are called directly."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry

from pilotdht.config.dht import DhtConfig
from pilotdht.dht.holder import Holder
from pilotdht.dht.metrics import DhtMetrics
from pilotdht.dht.requester import Calls, RequestT
from pilotdht.dht.routing import RoutingTable
from pilotdht.dht.store import RecordStore
from pilotdht.net.outcomes import Sender
from pilotdht.wire.contact import Contact
from pilotdht.wire.message import Reply
from tests.support.dht_examples import UNIX_TIME, contact_of, prefix_rule

TOKEN = b"12345678"
SENDER = Sender(contact_of(77), is_validated=True, is_client=False)


class QuietRequester:
    """Gives out one token, and asks nobody."""

    is_client = False

    def calls(self) -> Calls:
        """Never asked for here."""
        raise NotImplementedError

    def rtt_of(self, contact: Contact) -> float | None:
        """Know of none."""

    def serve(self, kind: type[RequestT], handler: Callable[[RequestT, Sender], Reply | None]) -> None:
        """Ignore it: handlers are called directly."""

    def on_heard(self, callback: Callable[[Sender], None]) -> None:
        """Ignore it."""

    def store_token(self, sender: Sender) -> bytes:
        """Return the one token."""
        return TOKEN

    def check_store_token(self, sender: Sender, token: bytes) -> bool:
        """Accept the one token."""
        return token == TOKEN


def quiet_holder() -> tuple[Holder, RecordStore]:
    """Return a holder that keeps nothing yet, and its store; its clock stands still."""
    config = DhtConfig()
    own_id = contact_of(500).node_id
    store = RecordStore(own_id, config)
    holder = Holder(
        own_id=own_id,
        network=0,
        config=config,
        table=RoutingTable(own_id, config, prefix_rule(config)),
        store=store,
        prefixes=prefix_rule(config),
        requester=QuietRequester(),
        unix_time=lambda: UNIX_TIME,
        metrics=DhtMetrics(CollectorRegistry()),
    )
    return holder, store
