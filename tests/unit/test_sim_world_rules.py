"""What the simulated world is made of: regions, conditions, lines, cuts and clocks, as plain rules."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from ipaddress import ip_address
from itertools import product
from statistics import median

import pytest

from pilotdht.errors import ConfigError, InvalidArgument
from simulations.world.bandwidth import Line
from simulations.world.clocks import UNIX_START_S, drawn_clock
from simulations.world.conditions import CONDITIONS, JITTER_STEPS, Conditions, conditions_named
from simulations.world.cuts import Cuts
from simulations.world.places import MAX_HOSTS, address_of, private_address_of
from simulations.world.regions import REGIONS, place_of, round_trip_ms

ALL = range(len(REGIONS))


def test_round_trips_are_symmetric_and_short_at_home() -> None:
    """There and back is as far as back and there; nobody is closer to another region than to its own."""
    for one, other in product(ALL, ALL):
        assert round_trip_ms(one, other) == round_trip_ms(other, one)
        assert 1 <= round_trip_ms(one, one) <= min(5, round_trip_ms(one, other))


def test_round_trips_have_no_absurd_detour() -> None:
    """Going by a third region saves a fifth at most: networks route well, if not perfectly."""
    for one, other, by in product(ALL, ALL, ALL):
        assert round_trip_ms(one, other) <= 1.2 * (round_trip_ms(one, by) + round_trip_ms(by, other))


def test_round_trips_of_two_drawn_hosts_are_those_of_the_world() -> None:
    """Half of all pairs are within a tenth of a second or so, and none is beyond half a second."""
    places = [place_of(1, address_of(number)).region for number in range(400)]
    trips = [round_trip_ms(one, other) for one, other in product(places, places)]
    assert 70 <= median(trips) <= 160
    assert max(trips) <= 400


def test_weights_of_regions_are_percentages() -> None:
    """They sum up to a hundred, and no name stands twice."""
    assert sum(region.weight for region in REGIONS) == 100
    assert len({region.name for region in REGIONS}) == len(REGIONS)


def test_places_follow_seed_and_address_and_the_weights() -> None:
    """The same host stands at the same place again, and elsewhere under another seed; regions get their share."""
    addresses = [address_of(number) for number in range(4000)]
    places = [place_of(7, address) for address in addresses]
    assert places == [place_of(7, address) for address in addresses]
    assert places != [place_of(8, address) for address in addresses]
    counts = Counter(place.region for place in places)
    for index, region in enumerate(REGIONS):
        assert counts[index] / 40 == pytest.approx(region.weight, abs=2.5)
    assert sum(place.home_rank < 0.4 for place in places) / 4000 == pytest.approx(0.4, abs=0.03)


def test_addresses_are_public_or_private_and_nobody_elses() -> None:
    """Each public one has a prefix of its own; private ones are told from them by anybody."""
    numbers = [0, 1, 255, 256, 65_535, 65_536, MAX_HOSTS - 1]
    public = [ip_address(address_of(number)) for number in numbers]
    private = [ip_address(private_address_of(number)) for number in numbers]
    assert all(address.is_global for address in public)
    assert all(address.is_private for address in private)
    assert len({address.packed[:3] for address in public}) == len(set(private)) == len(numbers)


@pytest.mark.parametrize("name", sorted(CONDITIONS))
def test_conditions_are_found_by_name(name: str) -> None:
    """Each name stands for what the table says."""
    assert conditions_named(name) is CONDITIONS[name]


def test_conditions_of_unknown_name_are_refused_with_the_nearest() -> None:
    """A typing mistake is told, and what there is."""
    with pytest.raises(InvalidArgument) as raised:
        conditions_named("lossi")
    assert "'lossy'" in str(raised.value.hint)
    assert "mobile" in str(raised.value.hint)


@pytest.mark.parametrize(
    "wrong",
    [
        {"loss": -0.1},
        {"loss": 1.1},
        {"jitter_s": -0.001},
        {"mtu_bytes": 100},
        {"up_bps": -1},
        {"queue_bytes": 0},
        {"latency_low_s": 0.2, "latency_high_s": 0.1},
        {"loss": 0.5, "duplicate": 0.4, "reorder": 0.2},
    ],
)
def test_conditions_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    """Each number has a range, and shares cannot sum up to more than everything."""
    with pytest.raises(ConfigError):
        Conditions(**wrong)  # type: ignore[arg-type]  # an int where it is one


def test_jitter_is_never_negative_and_skewed_to_the_right() -> None:
    """The median is what the conditions say, the mean is above it, the tail long; losses do not bend it."""
    steps = Conditions(jitter_s=0.001, jitter_sigma=0.9, loss=0.0).jitter_ticks()
    assert len(steps) == JITTER_STEPS
    assert list(steps) == sorted(steps)
    assert steps[0] >= 0
    assert steps[JITTER_STEPS // 2] == pytest.approx(1000, rel=0.01)
    assert sum(steps) / JITTER_STEPS == pytest.approx(1000 * 2.718281828 ** (0.9**2 / 2), rel=0.03)
    assert 6_000 < steps[JITTER_STEPS * 99 // 100] < 10_000
    lossy = Conditions(jitter_s=0.001, jitter_sigma=0.9, loss=0.25).jitter_ticks()
    kept = lossy[JITTER_STEPS // 4 :]
    assert kept[len(kept) // 2] == pytest.approx(1000, rel=0.01)


def test_line_sends_one_packet_after_the_other_and_drops_the_tail() -> None:
    """1000 bytes take a millisecond at 8 Mbit/s; the third waits for two; what exceeds the queue is dropped."""
    line = Line(bits_per_s=8_000_000, queue_bytes=3_000)
    assert [1_000, 2_000, 3_000, None] == [line.take(1_000, 0) for _ in range(4)]
    assert line.waiting_bytes(0) == 3_000
    assert line.take(1_000, 500) is None
    assert line.take(1_000, 1_000) == 4_000
    assert line.take(1_000, 9_000) == 10_000


def test_cut_asks_for_each_host_once() -> None:
    """The scenario's function is asked once a host, however many datagrams are sent."""
    asked: list[str] = []

    def side_of(host: str) -> int:
        asked.append(host)
        return int(host)

    cuts = Cuts()
    cuts.cut(side_of, one_way=False)
    for _ in range(3):
        assert cuts.is_between("1", "2")
        assert cuts.is_between("2", "1")
        assert not cuts.is_between("2", "2")
    assert ["1", "2"] == asked
    cuts.cut(lambda _host: 0, one_way=False)
    assert not cuts.is_between("1", "2")


def test_cut_of_one_way_lets_lower_sides_through() -> None:
    """Lower numbers reach higher ones and not the other way round."""
    cuts = Cuts()
    cuts.cut(int, one_way=True)
    assert not cuts.is_between("1", "2")
    assert cuts.is_between("2", "1")


def test_rule_is_asked_once_a_pair_and_adds_to_the_cut() -> None:
    """A rule of a scenario's own stands beside a cut; healing takes both away."""
    asked: list[tuple[str, str]] = []

    def rule(source: str, target: str) -> bool:
        asked.append((source, target))
        return source == "3"

    cuts = Cuts()
    assert cuts.is_whole
    cuts.cut(lambda host: 1 if host == "1" else 0, one_way=False)
    cuts.block(rule)
    for _ in range(2):
        assert cuts.is_between("3", "2")
        assert not cuts.is_between("2", "3")
        assert cuts.is_between("1", "2")
    assert [("3", "2"), ("2", "3")] == asked
    assert [0, 1] == [cuts.side_of(host) for host in "21"]
    cuts.heal()
    assert cuts.is_whole
    assert cuts.side_of("1") == 0
    assert not cuts.is_between("3", "2")


def test_clocks_are_wrong_within_bounds_and_the_same_again() -> None:
    """Offsets and drifts spread over the range that was asked for, and follow from seed and number."""
    clocks = [drawn_clock(5, number, skew_s=30.0, drift_ppm=50.0) for number in range(200)]
    assert clocks == [drawn_clock(5, number, skew_s=30.0, drift_ppm=50.0) for number in range(200)]
    offsets, drifts = [clock.offset_s for clock in clocks], [clock.drift * 1e6 for clock in clocks]
    assert -30 <= min(offsets) < -25 < 25 < max(offsets) <= 30
    assert -50 <= min(drifts) < -40 < 40 < max(drifts) <= 50
    assert drawn_clock(5, 1, skew_s=0.0, drift_ppm=0.0).unix_time(1000.0) == UNIX_START_S + 1000.0


def test_clock_gains_with_time() -> None:
    """Its offset grows by its drift; the function that reads it says the same."""
    clock = replace(drawn_clock(1, 1, skew_s=0.0, drift_ppm=0.0), offset_s=2.0, drift=100e-6)
    assert clock.unix_time(10_000.0) - UNIX_START_S == pytest.approx(10_003.0)
    assert clock.reading(lambda: 10_000.0)() == pytest.approx(clock.unix_time(10_000.0))
