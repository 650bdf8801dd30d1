"""Announcements on the link: what is told, and what is taken of what anybody may announce."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotdht.errors import BadMessage
from pilotdht.identity.keys import KeyPair
from pilotdht.net.doors import LinkNotice
from pilotdht.traversal.lan.notices import (
    MAX_ADDRESSES_LOOKED_AT,
    REASONS,
    Claim,
    claim_untrusted,
    instance_of,
    is_on_link,
    mesh_tag,
    networks_of,
    text_of,
)
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.seal import network_salt

OWN, PEER = KeyPair.from_seed(b"1" * 32).public_key, KeyPair.from_seed(b"2" * 32).public_key
SALT = network_salt(0, b"")
LINK = ("192.168.1.0/24", "fd00:1::/64", "2001:db8:7::/64", "10.0.0.0/31")


def notice(*addresses: str, port: int = 4433, **text: str | bytes | None) -> LinkNotice:
    """Return the announcement of the peer; texts that are given take the place of its own, absent ones are left out."""
    texts = {name: value.encode() for name, value in text_of(PEER, SALT).items()}
    for name, value in text.items():
        if value is None:
            del texts[name]
        else:
            texts[name] = value if isinstance(value, bytes) else value.encode()
    return LinkNotice(name="peer", addresses=addresses or ("192.168.1.7",), port=port, text=texts)


def claimed(heard: LinkNotice, *, most: int = 4, salt: bytes = SALT) -> Claim:
    """Return what an announcement comes to."""
    return claim_untrusted(heard, own_key=OWN, mesh=mesh_tag(salt), networks=networks_of(LINK), most_endpoints=most)


def test_own_announcement_tells_version_key_and_mesh_and_nothing_else() -> None:
    """Neither the host's name, nor the mesh's key, nor what the node is called."""
    told = text_of(PEER, SALT)
    assert ["v", "id", "mesh"] == list(told)
    assert sum(len(name) + len(value) + 2 for name, value in told.items()) < 128
    assert told["id"].startswith("did:key:z6Mk")
    assert 16 == len(told["mesh"])
    assert instance_of(PEER).isalnum()
    assert 16 == len(instance_of(PEER))


def test_meshes_are_told_apart_by_number_and_by_key() -> None:
    """No two of them have one tag."""
    salts = [network_salt(0, b""), network_salt(1, b""), network_salt(1, b"one"), network_salt(1, b"two")]
    assert 4 == len({mesh_tag(salt) for salt in salts})
    with pytest.raises(BadMessage, match="mesh"):
        claimed(notice(), salt=network_salt(1, b"one"))


def test_announcement_names_endpoints_on_our_link_ipv4_first() -> None:
    """In one spelling, each once, as many as are wanted."""
    heard = notice("fd00:1:0:0::9", "192.168.1.7", "fd00:1::9", "2001:db8:7::5", "8.8.8.8")
    endpoints = (Endpoint("192.168.1.7", 4433), Endpoint("fd00:1::9", 4433), Endpoint("2001:db8:7::5", 4433))
    assert Claim(PEER, endpoints) == claimed(heard)
    assert Claim(PEER, endpoints[:2]) == claimed(heard, most=2)


@pytest.mark.parametrize(
    ("heard", "reason"),
    [
        (notice(v=None), "text"),
        (notice(v="2"), "version"),
        (notice(mesh=None), "text"),
        (notice(mesh="0" * 16), "mesh"),
        (notice(id=None), "text"),
        (notice(id="did:key:nobody"), "id"),
        (notice(id=b"\xff\xfe"), "text"),
        (notice(id="did:key:" + "z" * 1000), "text"),
        (notice(id=text_of(OWN, SALT)["id"]), "self"),
        (notice(port=0), "port"),
        (notice(port=65_536), "port"),
        (notice("8.8.8.8"), "off_link"),
        (notice("192.168.2.7"), "off_link"),
        (notice("192.168.1.255"), "off_link"),
        (notice("192.168.1.0"), "off_link"),
        (notice("224.0.0.251", "127.0.0.1", "255.255.255.255", "0.0.0.0"), "off_link"),  # noqa: S104 - as is written
        (notice("fe80::1"), "off_link"),
        (notice("fe80::1%eth0"), "off_link"),
        (notice("localhost", "", "1", "192.168.1.7:9"), "off_link"),
        (notice(*["8.8.8.8"] * MAX_ADDRESSES_LOOKED_AT, "192.168.1.7"), "off_link"),
    ],
)
def test_announcement_that_cannot_be_true_is_dropped_for_a_reason(heard: LinkNotice, reason: str) -> None:
    """Nobody on the link aims us at somebody who is not there."""
    with pytest.raises(BadMessage) as caught:
        claimed(heard)
    assert reason == caught.value.reason
    assert reason in REASONS


@given(
    addresses=st.lists(st.one_of(st.ip_addresses().map(str), st.text(max_size=40)), max_size=40),
    port=st.integers(-1, 70_000),
    text=st.dictionaries(st.sampled_from(["v", "id", "mesh", "x"]), st.binary(max_size=200)),
)
def test_any_announcement_is_taken_or_dropped(addresses: list[str], port: int, text: dict[str, bytes]) -> None:
    """Whatever it holds, nothing but ``BadMessage`` comes of it, and what is taken is on the link."""
    texts = {name: value.encode() for name, value in text_of(PEER, SALT).items()} | text
    heard = LinkNotice(name="any", addresses=tuple(addresses), port=port, text=texts)
    reason, endpoints = "", tuple[Endpoint, ...]()
    try:
        endpoints = claimed(heard).endpoints
    except BadMessage as error:
        reason = error.reason
    assert bool(endpoints) is (reason == "")
    assert reason in ("", *REASONS)
    assert all(is_on_link(endpoint.host, networks_of(LINK)) for endpoint in endpoints)


def test_network_of_two_has_no_broadcast_address() -> None:
    """RFC 3021: both addresses of a /31 are hosts; malformed networks are left out."""
    assert is_on_link("10.0.0.0", networks_of(LINK))
    assert is_on_link("10.0.0.1", networks_of(LINK))
    assert [] == list(networks_of(["", "here", "1.2.3.4/99"]))
