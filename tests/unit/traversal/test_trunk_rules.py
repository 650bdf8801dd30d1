"""The pure rules of trunks: frames, proofs, targets, places, liveness, judging, proxies, candidates."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from pilotdht.config.trunk import TrunkConfig
from pilotdht.errors import BadMessage, ConfigError
from pilotdht.net.doors import ConnectProxy
from pilotdht.traversal.advice import Facts, findings
from pilotdht.traversal.trunk.candidates import Candidate, candidates
from pilotdht.traversal.trunk.frames import (
    HEARTBEAT,
    MAX_CARRIED_BYTES,
    MAX_FRAME_BYTES,
    FrameReader,
    encode_frames,
    is_ours,
)
from pilotdht.traversal.trunk.judging import ASKED_TO_DOUBT, UdpJudge
from pilotdht.traversal.trunk.liveness import Due, Liveness, Patience
from pilotdht.traversal.trunk.places import Places
from pilotdht.traversal.trunk.proof import (
    Welcome,
    ask_untrusted,
    client_proof_untrusted,
    encode_ask,
    encode_client_proof,
    encode_server_proof,
    encode_welcome,
    server_proof_untrusted,
    welcome_untrusted,
)
from pilotdht.traversal.trunk.proxy import is_exempt, parse_proxy, proxy_settings
from pilotdht.traversal.trunk.targets import Decision, Reach, Targets, reach_of
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint
from tests.support.net_nodes import SALT, key_pair

HERE = Endpoint("203.0.113.7", 4433)
THERE = Endpoint("2001:db8::7", 9)
NONCE, OTHER_NONCE = b"n" * 32, b"o" * 32
CERTIFICATE = b"certificate"
SERVER, CLIENT = key_pair(1), key_pair(2)
CONFIG = TrunkConfig()
QUIC = b"\x40 a packet"


# Frames


def test_frames_come_out_as_they_went_in_whatever_pieces_they_arrive_in() -> None:
    """Both families, empty frames in between, cut at every place."""
    sent = [(b"@one", HERE), (b"@" * MAX_CARRIED_BYTES, THERE), (b"@three", HERE)]
    data = encode_frames(sent[:1]) + HEARTBEAT + encode_frames(sent[1:]) + HEARTBEAT
    for size in (1, 7, 100, len(data)):
        reader, found, empty = FrameReader(), [], 0
        for at in range(0, len(data), size):
            frames, heartbeats = reader.take_untrusted(data[at : at + size])
            found += frames
            empty += heartbeats
        assert (sent, 2) == (found, empty)
        assert not reader.is_torn


def test_frame_that_is_not_all_there_is_torn() -> None:
    """Nothing comes out of it, and it is known."""
    reader = FrameReader()
    assert ([], 0) == reader.take_untrusted(encode_frames([(b"@", HERE)])[:-1])
    assert reader.is_torn


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ((MAX_FRAME_BYTES + 1).to_bytes(2, "big"), "frame_oversized"),
        (encode_frames([(b"@" * (MAX_CARRIED_BYTES + 1), HERE)]), "frame_oversized"),
        (b"\x00\x01\x06", "frame_form"),
        (b"\x00\x07\x06" + HERE.packed(), "frame_form"),
        (b"\x00\x05\x03abc@", "frame_form"),
        (b"\x00\x08\x06" + b"\xe0\x00\x00\x01\x00\x09" + b"@", "endpoint_address"),
        (b"\x00\x08\x06" + HERE.packed()[:4] + b"\0\0" + b"@", "endpoint_port"),
    ],
)
def test_malformed_frame_is_refused(data: bytes, reason: str) -> None:
    """Too long, without a datagram, of no family, towards everybody, towards no port."""
    with pytest.raises(BadMessage, match=reason):
        FrameReader().take_untrusted(data)


def test_only_kinds_of_nodes_are_ours() -> None:
    """QUIC, sealed, greetings, relayed; no punches, no DNS, nothing empty."""
    assert [True] * 7 == [is_ours(bytes((first,))) for first in (0x40, 0xC0, 0xFF, 0x20, 0x21, 0x22, 0x23)]
    assert [False] * 5 == [is_ours(data) for data in (b"", b"\x24", b"\x00\x01", b"\x17", b"\x80")]


# Proofs


def server_proof() -> bytes:
    """Return the proof of a server."""
    return encode_server_proof(SERVER, salt=SALT, client_nonce=NONCE, server_nonce=OTHER_NONCE, certificate=CERTIFICATE)


def client_proof() -> bytes:
    """Return the proof of a client."""
    return encode_client_proof(
        CLIENT,
        salt=SALT,
        client_nonce=NONCE,
        server_nonce=OTHER_NONCE,
        certificate=CERTIFICATE,
        server=SERVER.public_key,
    )


def test_both_ends_prove_who_they_are() -> None:
    """All that is said comes out as it was meant."""
    assert NONCE == ask_untrusted(encode_ask(SALT, NONCE), SALT)
    found = server_proof_untrusted(server_proof(), salt=SALT, client_nonce=NONCE, certificate=CERTIFICATE)
    assert (SERVER.public_key, OTHER_NONCE) == found
    key = client_proof_untrusted(
        client_proof(),
        salt=SALT,
        client_nonce=NONCE,
        server_nonce=OTHER_NONCE,
        certificate=CERTIFICATE,
        server=SERVER.public_key,
    )
    assert CLIENT.public_key == key
    assert (Welcome.QUOTA, 15) == welcome_untrusted(encode_welcome(Welcome.QUOTA, 15.0))


def test_ask_of_another_mesh_is_refused() -> None:
    """So is one that somebody changed, or cut."""
    ask = encode_ask(SALT, NONCE)
    for data, salt in ((ask, b"s" * 32), (ask[:-1] + b"!", SALT), (ask[:-1], SALT), (b"GET /" + ask[5:], SALT)):
        with pytest.raises(BadMessage):
            ask_untrusted(data, salt)


@pytest.mark.parametrize("changed", ["salt", "client_nonce", "certificate"])
def test_server_proof_is_for_one_connection_of_one_mesh(changed: str) -> None:
    """Replayed to another client, behind another certificate or in another mesh it is worth nothing."""
    parts = {"salt": SALT, "client_nonce": NONCE, "certificate": CERTIFICATE} | {changed: b"x" * 32}
    with pytest.raises(BadMessage, match="trunk_signature"):
        server_proof_untrusted(server_proof(), **parts)


@pytest.mark.parametrize("changed", ["salt", "client_nonce", "server_nonce", "certificate", "server"])
def test_client_proof_is_for_one_connection_to_one_server(changed: str) -> None:
    """A server cannot use it at another one, nor anybody later."""
    parts = {
        "salt": SALT,
        "client_nonce": NONCE,
        "server_nonce": OTHER_NONCE,
        "certificate": CERTIFICATE,
        "server": SERVER.public_key,
    } | {changed: b"x" * 32}
    with pytest.raises(BadMessage, match="trunk_signature"):
        client_proof_untrusted(client_proof(), **parts)  # type: ignore[arg-type]  # the key is bytes


def test_welcome_must_be_one() -> None:
    """No unknown result, no keepalive of zero."""
    for data in (b"\x09\x00\x0f", b"\x00\x00\x00", b"\x00\x0f", b""):
        with pytest.raises(BadMessage):
            welcome_untrusted(data)


# Targets


def test_unknown_endpoint_is_greeted_once_while_datagrams_wait() -> None:
    """Eight wait in their order; when a node answers they go, and the next ones go at once."""
    targets = Targets(CONFIG, now=0.0)
    decisions = [targets.decide(HERE, bytes((number,)), 0.0) for number in range(10)]
    assert [Decision.HOLD_AND_GREET] + [Decision.HOLD] * 7 + [Decision.CROWDED] * 2 == decisions
    assert [bytes((number,)) for number in range(8)] == list(targets.answered(HERE, 0.1))
    assert Decision.SEND is targets.decide(HERE, b"next", 0.1)


def test_silent_endpoint_is_refused_for_a_moment_and_asked_again() -> None:
    """What waited is lost and counted."""
    targets = Targets(CONFIG, now=0.0)
    targets.decide(HERE, b"one", 0.0)
    targets.decide(HERE, b"two", 0.0)
    assert 2 == targets.silent(HERE, 1.0)
    assert Decision.NO_NODE is targets.decide(HERE, b"three", 1.5)
    assert Decision.HOLD_AND_GREET is targets.decide(HERE, b"four", 2.0)


def test_verdict_in_use_is_renewed_before_it_ends() -> None:
    """No datagram ever waits; one greeting lost is no reason to cut the flow, all of them are."""
    targets = Targets(CONFIG, now=0.0)
    targets.decide(HERE, b"", 0.0)
    targets.answered(HERE, 0.0)
    assert Decision.SEND is targets.decide(HERE, b"", 149.0)
    assert Decision.SEND_AND_GREET is targets.decide(HERE, b"", 150.0)
    assert Decision.SEND is targets.decide(HERE, b"", 150.1)
    assert 0 == targets.silent(HERE, 151.0)
    assert Decision.SEND is targets.decide(HERE, b"", 151.0)
    assert Decision.SEND_AND_GREET is targets.decide(HERE, b"", 190.0)
    targets.answered(HERE, 190.1)
    assert Decision.SEND is targets.decide(HERE, b"", 310.0)
    assert Decision.HOLD_AND_GREET is targets.decide(HERE, b"", 491.0)


def test_greetings_of_one_client_have_a_budget() -> None:
    """A scan of the Internet ends after the burst, and goes on at five endpoints a second."""
    targets = Targets(CONFIG, now=0.0)
    found: dict[Decision, int] = {}
    for number in range(1000):
        endpoint = Endpoint(f"203.0.{number // 200}.{number % 200 + 1}", 53)
        decision = targets.decide(endpoint, QUIC, 0.0)
        found[decision] = found.get(decision, 0) + 1
        if decision is Decision.HOLD_AND_GREET:
            targets.silent(endpoint, 0.0)
    assert {Decision.HOLD_AND_GREET: CONFIG.greeting_burst, Decision.BUDGET: 1000 - CONFIG.greeting_burst} == found
    again = [targets.decide(Endpoint(f"198.51.100.{number + 1}", 53), QUIC, 1.0) for number in range(50)]
    assert CONFIG.greetings_per_s == again.count(Decision.HOLD_AND_GREET)


def test_what_is_remembered_and_waited_for_is_bounded() -> None:
    """Verdicts, endpoints asked at one time, greeters."""
    targets = Targets(TrunkConfig(verdicts=16, greeting_burst=10_000), now=0.0)
    asked = [targets.decide(Endpoint("203.0.113.1", 1 + port), QUIC, 0.0) for port in range(100)]
    assert CONFIG.greetings_pending == targets.asked == asked.count(Decision.HOLD_AND_GREET)
    for port in range(100):
        targets.answered(Endpoint("203.0.113.1", 1 + port), 0.0)
    assert 16 == len(targets)


def test_greeting_may_be_answered_once_and_soon() -> None:
    """Nobody gets more out of a client than out of any node."""
    targets = Targets(CONFIG, now=0.0)
    assert not targets.owes_answer(HERE, 0.0)
    targets.greeted(HERE, 0.0)
    assert targets.owes_answer(HERE, 1.0)
    assert not targets.owes_answer(HERE, 1.0)
    targets.greeted(HERE, 1.0)
    assert not targets.owes_answer(HERE, 4.0)


@pytest.mark.parametrize(
    ("target", "hosts", "reach"),
    [
        ("203.0.113.9:4000", ["203.0.113.7"], Reach.FOREIGN),
        ("203.0.113.7:4433", ["203.0.113.7"], Reach.OWN),
        ("203.0.113.7:53", ["203.0.113.7"], Reach.NOWHERE),
        ("10.0.0.9:4000", ["203.0.113.7"], Reach.NOWHERE),
        ("10.0.0.9:4000", ["203.0.113.7", "10.0.0.5"], Reach.NOWHERE),
        ("10.0.0.5:53", ["203.0.113.7", "10.0.0.5"], Reach.NOWHERE),
        ("169.254.169.254:80", ["203.0.113.7", "10.0.0.5"], Reach.NOWHERE),
        ("127.0.0.1:53", ["203.0.113.7"], Reach.NOWHERE),
        ("127.0.0.1:53", ["10.0.0.5"], Reach.NOWHERE),
        ("127.0.0.1:53", [], Reach.NOWHERE),
        ("10.0.0.9:4000", [], Reach.NOWHERE),
        ("10.0.0.9:4000", ["127.0.0.1"], Reach.NOWHERE),
        ("10.0.0.9:4000", ["10.0.0.5"], Reach.FOREIGN),
        ("127.0.0.1:4000", ["127.0.0.1"], Reach.FOREIGN),
        ("203.0.113.9:4000", ["10.0.0.5"], Reach.FOREIGN),
    ],
)
def test_server_keeps_out_of_its_own_network_and_ports(target: str, hosts: list[str], reach: Reach) -> None:
    """A server in public sends nothing into its private network; a private mesh is served by private servers."""
    host, _, port = target.rpartition(":")
    assert reach is reach_of(Endpoint(host, int(port)), hosts, [4433])


# Places, liveness, judging


def test_places_are_counted_by_prefix_and_given_back() -> None:
    """Two of one network, three in all."""
    places = Places(most=3, per_prefix=2)
    for host in ("203.0.113.1", "203.0.113.2"):
        places.take(host)
    assert (True, False, False) == (
        places.is_full_for("203.0.113.9"),
        places.is_full_for("203.0.114.9"),
        places.is_full,
    )
    places.take("2001:db8::1")
    assert places.is_full
    places.leave("203.0.113.1")
    assert (False, 2) == (places.is_full_for("203.0.113.9"), len(places))


def test_client_asks_a_silent_server_and_gives_up() -> None:
    """Three seconds after it has sent something, and three seconds later."""
    liveness = Liveness(Patience(keepalive_s=15.0, idle_s=50.0, silence_s=3.0), now=0.0)
    liveness.sent(1.0)
    assert [Due.NOTHING, Due.SHOW, Due.NOTHING, Due.GIVE_UP] == [liveness.due(at) for at in (3.9, 4.0, 6.9, 7.0)]


def test_idle_trunk_is_kept_by_a_few_bytes() -> None:
    """Each answer starts anew; a doubt is asked about at once."""
    liveness = Liveness(Patience(keepalive_s=15.0, idle_s=50.0, silence_s=3.0), now=0.0)
    assert [Due.NOTHING, Due.SHOW] == [liveness.due(at) for at in (14.9, 15.0)]
    liveness.sent(15.0)
    liveness.heard(15.1)
    assert [Due.NOTHING, Due.SHOW] == [liveness.due(at) for at in (29.9, 30.1)]
    liveness.sent(30.1)
    liveness.heard(30.2)
    liveness.doubt(31.0)
    assert Due.SHOW is liveness.due(31.0)


def test_server_only_waits() -> None:
    """It answers, and forgets who says nothing for long."""
    liveness = Liveness(Patience(keepalive_s=0.0, idle_s=50.0, silence_s=3.0), now=0.0)
    liveness.sent(0.0)
    assert [Due.NOTHING, Due.GIVE_UP] == [liveness.due(at) for at in (49.9, 50.0)]


def test_udp_counts_as_blocked_when_nothing_at_all_is_answered() -> None:
    """Silence counts from the first question; without questions it means nothing."""
    judge = UdpJudge(CONFIG)
    assert not judge.is_silent(asked=0, now=100.0)
    assert not judge.is_silent(asked=1, now=100.0)
    assert not judge.is_silent(asked=4, now=102.4)
    assert judge.is_silent(asked=4, now=102.5)
    judge.answered()
    assert not judge.is_silent(asked=4, now=103.0)


def test_where_udp_has_passed_more_silence_is_asked_for() -> None:
    """One peer that is gone is no firewall; a new place is judged anew."""
    judge = UdpJudge(CONFIG)
    judge.is_silent(asked=5, now=0.0)
    judge.answered()
    assert not judge.is_silent(asked=6, now=1.0)
    assert not judge.is_silent(asked=6, now=60.0)
    assert judge.is_silent(asked=5 + ASKED_TO_DOUBT, now=61.0)
    judge.moved()
    assert not judge.is_silent(asked=5 + ASKED_TO_DOUBT, now=62.0)
    assert not judge.is_silent(asked=20, now=63.0)
    assert judge.is_silent(asked=20, now=65.5)


# Proxies and candidates


def test_proxy_is_read_with_its_credentials() -> None:
    """They may hold escaped characters, and never show."""
    proxy = parse_proxy("http://agent:p%40ss@proxy.example:3128")
    words = "Basic " + base64.b64encode(b"agent:p@ss").decode()
    assert ConnectProxy(host="proxy.example", port=3128, authorization=words) == proxy
    assert "Basic" not in repr(proxy)
    assert ConnectProxy(host="10.0.0.1", port=80) == parse_proxy("10.0.0.1")
    assert parse_proxy("") is None


@pytest.mark.parametrize("url", ["socks5://u:secret@h:1", "http://", "http://u:secret@h:99999", "http://a b:1"])
def test_what_is_no_proxy_is_refused_without_telling_it(url: str) -> None:
    """A password must not get into a log."""
    with pytest.raises(ConfigError) as caught:
        parse_proxy(url)
    assert "secret" not in str(caught.value)


def test_environment_names_the_proxy() -> None:
    """As curl reads it: small letters first, a SOCKS proxy is for others."""
    assert {} == proxy_settings({"ALL_PROXY": "socks5://h:1"})
    assert {"trunk.proxy": "http://all:1"} == proxy_settings({"ALL_PROXY": "http://all:1"})
    found = proxy_settings({"HTTPS_PROXY": "http://big:1", "https_proxy": "small:1", "NO_PROXY": "a,b"})
    assert {"trunk.proxy": "small:1", "trunk.no_proxy": "a,b"} == found


@pytest.mark.parametrize(
    ("exception", "is_so"),
    [
        ("example.org", True),
        (".example.org", True),
        ("*.example.org", True),
        ("NODE.example.org", True),
        ("node.example.org:443", True),
        ("node.example.org:4433", False),
        ("ample.org", False),
        ("*", True),
        ("", False),
    ],
)
def test_exceptions_of_the_proxy_are_names(exception: str, is_so: bool) -> None:
    """Domains hold for what is below them, nothing else."""
    assert is_so == is_exempt("node.example.org", 443, [exception])


def test_exceptions_of_the_proxy_are_networks() -> None:
    """Addresses and networks of both families."""
    assert is_exempt("10.1.2.3", 443, ["192.168.0.0/16", "10.0.0.0/8"])
    assert is_exempt("2001:db8::1", 443, ["2001:db8::/32"])
    assert not is_exempt("203.0.113.1", 443, ["10.0.0.0/8", "203.0.113.2"])


def test_person_is_told_of_a_trunk_and_of_why_there_is_none() -> None:
    """On a trunk nothing is said of NATs: what peers see is the server's place."""
    own = ("10.0.0.2",)
    facts = Facts(own_addresses=own, requests_sent=9, requests_answered=9, trunk=HERE, trunk_server="0:AB", relays=1)
    found = findings(facts)
    assert ["trunk", "attached"] == [finding.code for finding in found]
    assert "0:AB (203.0.113.7:4433)" in found[0].sentence
    (blocked, *_) = findings(Facts(own_addresses=own, requests_sent=9, trunk_failure="a proxy wants a password"))
    assert "udp_blocked" == blocked.code
    assert blocked.advice.endswith("The way over TCP does not work either: a proxy wants a password.")


@pytest.mark.parametrize(
    "values",
    [
        {"mode": "sometimes"},
        {"key_file": Path("key")},
        {"idle_s": 10.0},
        {"client_bytes_per_s": 1e9},
        {"max_handshakes": 0},
    ],
)
def test_configuration_that_does_not_fit_is_refused(values: dict[str, Any]) -> None:
    """Unknown modes, half a certificate, keepalives that come too late, one client above all."""
    with pytest.raises(ConfigError):
        TrunkConfig(**values)


def test_credentials_of_the_proxy_are_never_shown() -> None:
    """Not by whoever prints a configuration."""
    assert "secret" not in repr(TrunkConfig(proxy="http://agent:secret@h:1"))


def test_candidates_are_bootstrap_nodes_at_the_web_port_first() -> None:
    """Then at their own number, then contacts with their keys; nobody twice; the lost one after its likes."""
    named = [("a.example", 4433, None), ("b.example", 443, CLIENT.public_key)]
    contacts = [Contact(SERVER.public_key, HERE)]
    found = candidates(named, contacts, last=None, most=10)
    expected = [
        ("a.example", 443),
        ("b.example", 443),
        ("a.example", 4433),
        (HERE.host, 443),
        (HERE.host, HERE.port),
    ]
    assert expected == [(one.host, one.port) for one in found]
    assert [None, CLIENT.public_key, None] + [SERVER.public_key] * 2 == [one.public_key for one in found]
    last = Candidate(host="a.example", port=443, public_key=None)
    again = candidates(named, contacts, last=last, most=3)
    assert ["b.example", "a.example", "a.example"] == [one.host for one in again]
