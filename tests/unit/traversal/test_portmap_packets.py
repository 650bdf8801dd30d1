"""What is said to routers and what they say, byte by byte, and the plain rules around it."""

from __future__ import annotations

import pytest

from pilotdht.config.traversal import TraversalConfig
from pilotdht.errors import BadMessage, ConfigError
from pilotdht.traversal.portmap.gateway import (
    MAX_GATEWAYS,
    PCP_ANYCAST,
    default_gateways,
    gateways_to_ask,
    guessed_gateways,
)
from pilotdht.traversal.portmap.lease import EpochRule, failure_pause_s, refusal_pause_s, renewal_pause_s
from pilotdht.traversal.portmap.packets import (
    Alive,
    Answer,
    Mapped,
    Outcome,
    Protocol,
    PublicAddress,
    Refusal,
    answer_untrusted,
    natpmp_address_request,
    natpmp_map_request,
    pcp_announce_request,
    pcp_map_request,
)
from pilotdht.wire.endpoint import Endpoint
from tests.support.fake_router import routes_via

NONCE = bytes(range(12))
MAPPED_IN = "00000000000000000000ffff"


def test_natpmp_requests_are_as_in_the_rfc() -> None:
    """RFC 6886, sections 3.2 to 3.4."""
    assert "0000" == natpmp_address_request().hex()
    wish = natpmp_map_request(internal_port=0x1151, suggested_port=0x1152, lifetime_s=7200)
    assert "00010000" + "1151" + "1152" + "00001c20" == wish.hex()
    deletion = natpmp_map_request(internal_port=0x1151, suggested_port=0x1152, lifetime_s=0)
    assert "00010000" + "1151" + "0000" + "00000000" == deletion.hex()


def test_pcp_requests_are_as_in_the_rfc() -> None:
    """RFC 6887, sections 7.1, 11.1, 14.1 and 15."""

    def wish(suggested: Endpoint | None, lifetime_s: int) -> str:
        return pcp_map_request(
            own_host="192.168.1.2", nonce=NONCE, internal_port=0x1151, suggested=suggested, lifetime_s=lifetime_s
        ).hex()

    head, own = "02010000", MAPPED_IN + "c0a80102"
    body = NONCE.hex() + "11000000" + "1151"
    assert head + "00001c20" + own + body + "1151" + MAPPED_IN + "00000000" == wish(None, 7200)
    again = Endpoint("203.0.113.9", 0x2222)
    assert head + "00001c20" + own + body + "2222" + MAPPED_IN + "cb007109" == wish(again, 7200)
    assert head + "00000000" + own + body + "0000" + MAPPED_IN + "00000000" == wish(again, 0)
    assert "02000000" + "00000000" + own == pcp_announce_request("192.168.1.2").hex()


PCP_HEAD = "02810000" + "00001c20" + "000003e8" + "00" * 12
PCP_BODY = NONCE.hex() + "11000000" + "1151" + "2222" + MAPPED_IN + "cb007109"
MAPPED = Mapped(
    protocol=Protocol.PCP,
    internal_port=0x1151,
    external_port=0x2222,
    external_host="203.0.113.9",
    lifetime_s=7200,
    epoch_s=1000,
    nonce=NONCE,
)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("00800000" + "000003e8" + "cb007109", PublicAddress(host="203.0.113.9", epoch_s=1000)),
        ("00800000" + "000003e8" + "0a000001", PublicAddress(host="10.0.0.1", epoch_s=1000)),
        (
            "00810000" + "000003e8" + "1151" + "2222" + "00001c20",
            Mapped(
                protocol=Protocol.NATPMP,
                internal_port=0x1151,
                external_port=0x2222,
                external_host="",
                lifetime_s=7200,
                epoch_s=1000,
                nonce=b"",
            ),
        ),
        ("00810002000003e8", Refusal(protocol=Protocol.NATPMP, outcome=Outcome.FORBIDDEN, epoch_s=1000)),
        ("00810001000003e8", Refusal(protocol=Protocol.NATPMP, outcome=Outcome.VERSION, epoch_s=1000)),
        ("0081ffff000003e8", Refusal(protocol=Protocol.NATPMP, outcome=Outcome.FAILED, epoch_s=1000)),
        (PCP_HEAD + PCP_BODY, MAPPED),
        (PCP_HEAD + PCP_BODY + "03000004" + "00000000", MAPPED),  # an option that nobody asked for
        ("02800000" + "00000000" + "000003e8" + "00" * 12, Alive(epoch_s=1000)),
        (
            "02810008" + "0000001e" + "000003e8" + "00" * 12 + PCP_BODY,
            Refusal(protocol=Protocol.PCP, outcome=Outcome.FULL, epoch_s=1000, retry_after_s=30, nonce=NONCE),
        ),
        (
            "0381000100000000000003e8" + "00" * 12,
            Refusal(protocol=Protocol.PCP, outcome=Outcome.VERSION, epoch_s=1000),
        ),
    ],
)
def test_answer_is_read(reply: str, expected: Answer) -> None:
    """RFC 6886, sections 3.2 to 3.5; RFC 6887, sections 7.2, 7.4, 11.1."""
    assert expected == answer_untrusted(bytes.fromhex(reply))


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("", "portmap_size"),
        ("00800000" + "000003", "portmap_size"),
        ("00800000" + "000003e8" + "cb0071", "portmap_size"),
        ("00810000" + "000003e8" + "1151" + "2222" + "00001c", "portmap_size"),
        ("02810000" + "00001c20" + "000003e8", "portmap_size"),
        (PCP_HEAD + PCP_BODY[:-8], "portmap_size"),
        (PCP_HEAD + PCP_BODY + "00", "portmap_size"),
        (PCP_HEAD + PCP_BODY + "00" * 1044, "portmap_size"),
        ("00000000" + "000003e8" + "cb007109", "portmap_request"),
        ("00850000" + "000003e8" + "cb007109", "portmap_operation"),
        ("02850000" + PCP_HEAD[8:] + PCP_BODY, "portmap_operation"),
        ("07810000" + PCP_HEAD[8:] + PCP_BODY, "portmap_version"),
        ("00800000" + "000003e8" + "00000000", "portmap_address"),
        ("00800000" + "000003e8" + "7f000001", "portmap_address"),
        ("00800000" + "000003e8" + "e0000001", "portmap_address"),
        ("00800000" + "000003e8" + "ffffffff", "portmap_address"),
        ("00810000" + "000003e8" + "0000" + "2222" + "00001c20", "portmap_port"),
        ("00810000" + "000003e8" + "1151" + "0000" + "00001c20", "portmap_port"),
        (PCP_HEAD + PCP_BODY.replace("11000000", "06000000"), "portmap_protocol"),
        (PCP_HEAD + PCP_BODY[:-32] + "20010db8" + "00" * 12, "portmap_address"),
    ],
)
def test_answer_that_is_none_is_refused(reply: str, reason: str) -> None:
    """Each reason can be counted."""
    with pytest.raises(BadMessage, match=f"^{reason}$"):
        answer_untrusted(bytes.fromhex(reply))


def test_answer_belongs_to_its_own_request() -> None:
    """Another port, protocol or nonce is somebody else's."""
    wishes = [(Protocol.PCP, 0x1151, NONCE), (Protocol.PCP, 1, NONCE), (Protocol.PCP, 0x1151, bytes(12))]
    wishes.append((Protocol.NATPMP, 0x1151, NONCE))
    found = [MAPPED.belongs_to(protocol=kind, internal_port=port, nonce=nonce) for kind, port, nonce in wishes]
    assert [True, False, False, False] == found


# Gateways


def test_gateways_best_metric_comes_first() -> None:
    """Addresses are written the lowest byte first; other routes and broken lines are passed over."""
    lines = [
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT",
        "wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0",
        "eth0\t00000000\tFE01A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0",
        "eth0\t00000000\tFE01A8C0\t0003\t0\t0\t101\t00000000\t0\t0\t0",
        "down0\t00000000\t0202A8C0\t0002\t0\t0\t1\t00000000\t0\t0\t0",
        "tun0\t00000000\t00000000\t0001\t0\t0\t1\t00000000\t0\t0\t0",
        "vpn0\t00000000\t0303A8C0\t0003\t0\t0\t1\t00000080\t0\t0\t0",
        "bad\tx\ty\tz\t0\t0\tmetric\t00000000\t0\t0\t0",
        "bad\t00000000\tFFFFFFFFFF\t0003\t0\t0\t1\t00000000\t0\t0\t0",
        "short",
    ]
    assert ("192.168.1.254", "192.168.1.1") == default_gateways("\n".join(lines))


def test_gateways_are_bounded() -> None:
    """A machine with many default routes is no home."""
    lines = ["titles"] + [f"e\t00000000\t{number:02X}01A8C0\t0003\t0\t0\t0\t00000000\t0" for number in range(1, 50)]
    assert MAX_GATEWAYS == len(default_gateways("\n".join(lines)))


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ("192.168.1.2", ("192.168.1.1", "192.168.1.254", PCP_ANYCAST)),
        ("192.168.1.1", ("192.168.1.254", PCP_ANYCAST)),
        ("203.0.113.9", ()),
        ("2a02:db8::2", ()),
        (None, ()),
    ],
)
def test_gateways_are_guessed_on_private_networks_only(own: str | None, expected: tuple[str, ...]) -> None:
    """No stranger is asked."""
    assert expected == guessed_gateways(own)


def test_gateways_to_ask_operator_comes_before_system_before_guess() -> None:
    """The first that knows something decides."""
    table, own = routes_via("192.168.1.254"), "192.168.1.2"
    found = [
        gateways_to_ask(configured=configured, routes=routes, own=own)[:1]
        for configured, routes in (("10.0.0.1", table), ("", table), ("", ""))
    ]
    assert [("10.0.0.1",), ("192.168.1.254",), ("192.168.1.1",)] == found


def test_config_gateway_must_be_an_address() -> None:
    """Names are not looked up."""
    with pytest.raises(ConfigError, match="not an IPv4 address"):
        TraversalConfig(gateway="router.local")


def test_config_agreement_must_be_reachable() -> None:
    """More agreement than samples would never come."""
    with pytest.raises(ConfigError, match="nat_agreement"):
        TraversalConfig(nat_agreement=9, nat_samples_most=8)


# Times


@pytest.mark.parametrize(
    ("remaining_s", "chance", "expected"),
    [(7200.0, 0.0, 3600.0), (7200.0, 1.0, 4500.0), (3600.0, 0.0, 1800.0), (5.0, 0.0, 4.0), (0.0, 0.5, 4.0)],
)
def test_renewal_comes_after_half_of_what_is_left(remaining_s: float, chance: float, expected: float) -> None:
    """RFC 6887, section 11.2.1."""
    assert expected == renewal_pause_s(remaining_s, chance)


def test_failure_pauses_double_up_to_their_bound() -> None:
    """RFC 6887, section 8.1.1."""
    config = TraversalConfig()
    assert [3.0, 6.0, 12.0] == [pytest.approx(failure_pause_s(failures, 0.5, config)) for failures in (1, 2, 3)]
    assert [921.6, 1126.4] == [pytest.approx(failure_pause_s(10**6, chance, config)) for chance in (0.0, 1.0)]


@pytest.mark.parametrize(
    ("outcome", "retry_after_s", "expected"),
    [
        (Outcome.FORBIDDEN, 0, 1800.0),
        (Outcome.FORBIDDEN, 60, 60.0),
        (Outcome.FULL, 0, 30.0),
        (Outcome.FULL, 2**32 - 1, 1800.0),
        (Outcome.NO_NETWORK, 1, 30.0),
    ],
)
def test_refusal_pauses_are_the_routers_wish_in_bounds(outcome: Outcome, retry_after_s: int, expected: float) -> None:
    """No router can make us ask each second, or never again."""
    assert expected == refusal_pause_s(outcome, retry_after_s, TraversalConfig())


@pytest.mark.parametrize(
    ("protocol", "later_s", "epoch_s", "expected"),
    [
        (Protocol.PCP, 100.0, 1100, False),
        (Protocol.PCP, 100.0, 1093, False),  # a clock that runs 6 % slow, and rounding
        (Protocol.PCP, 100.0, 1091, True),
        (Protocol.PCP, 100.0, 1108, False),
        (Protocol.PCP, 100.0, 1109, True),
        (Protocol.PCP, 1.0, 999, False),  # rounding
        (Protocol.PCP, 100.0, 100, True),
        (Protocol.PCP, 5000.0, 3, True),
        (Protocol.NATPMP, 100.0, 1086, False),  # a clock that runs an eighth slow
        (Protocol.NATPMP, 100.0, 1085, True),
        (Protocol.NATPMP, 100.0, 5000, False),
    ],
)
def test_epoch_rule_tells_restarts_from_bad_clocks(
    protocol: Protocol, later_s: float, epoch_s: int, expected: bool
) -> None:
    """RFC 6887, section 8.5; RFC 6886, section 3.6."""
    rule = EpochRule()
    first = rule.has_restarted(1000, protocol=protocol, now=50.0)
    assert (False, expected) == (first, rule.has_restarted(epoch_s, protocol=protocol, now=50.0 + later_s))
