"""Token buckets and their bounded table."""

from __future__ import annotations

from pilotdht.net.limits import PrefixLimiter, TokenBucket


def taken(limiter: PrefixLimiter, source: str, count: int, *, now: float) -> int:
    """Return how many of ``count`` pass."""
    return sum(limiter.take(source, now) for _ in range(count))


def test_bucket_burst_lets_through_exactly_its_size() -> None:
    """At one moment the burst passes and nothing more."""
    bucket = TokenBucket(rate_per_s=10, burst=5, now=0.0)
    assert [True] * 5 + [False] == [bucket.take(0.0) for _ in range(6)]


def test_bucket_after_waiting_lets_through_what_the_rate_gave() -> None:
    """Half a second at ten a second is five."""
    bucket = TokenBucket(rate_per_s=10, burst=100, now=0.0)
    while bucket.take(0.0):
        pass
    assert 5 == sum(bucket.take(0.5) for _ in range(20))


def test_bucket_long_idle_holds_no_more_than_its_burst() -> None:
    """Idle time is not saved up beyond the burst."""
    bucket = TokenBucket(rate_per_s=10, burst=3, now=0.0)
    assert 3 == sum(bucket.take(1e6) for _ in range(20))


def test_limiter_sources_do_not_share_their_allowance() -> None:
    """One source's flood leaves another's allowance alone."""
    limiter = PrefixLimiter(rate_per_s=1, burst=4, capacity=10)
    assert (4, 4) == (taken(limiter, "a", 50, now=0.0), taken(limiter, "b", 50, now=0.0))


def test_limiter_full_table_makes_newcomers_share_one_bucket() -> None:
    """Beyond the bound all newcomers together get one allowance, and the table does not grow."""
    limiter = PrefixLimiter(rate_per_s=1, burst=4, capacity=2)
    taken(limiter, "a", 1, now=0.0)
    taken(limiter, "b", 1, now=0.0)
    assert 4 == sum(limiter.take(f"stranger {number}", 0.0) for number in range(100))
    assert 2 == len(limiter)


def test_limiter_flood_of_sources_cannot_wash_out_a_used_bucket() -> None:
    """A source that used its allowance up stays used up, however many others come along."""
    limiter = PrefixLimiter(rate_per_s=0.001, burst=4, capacity=2)
    taken(limiter, "a", 4, now=0.0)
    for number in range(100):
        limiter.take(f"stranger {number}", 0.0)
    assert not limiter.take("a", 0.0)


def test_limiter_full_bucket_makes_room_for_a_newcomer() -> None:
    """A source that has been idle until its bucket was full again is forgotten first."""
    limiter = PrefixLimiter(rate_per_s=1, burst=4, capacity=1)
    taken(limiter, "a", 4, now=0.0)
    assert 4 == taken(limiter, "b", 50, now=10.0)
    assert 1 == len(limiter)
