"""Links open once, browsers stay logged in while they are used, and everything has a bound."""

from __future__ import annotations

import random

from pilotdht.config.ui import UiConfig
from pilotdht.ui.sessions import Entry, Sessions

CONFIG = UiConfig(link_s=100.0, session_s=1000.0, max_links=2, max_sessions=2)


def sessions() -> Sessions:
    """Return sessions with secrets from a seed."""
    return Sessions(CONFIG, random.Random("sessions").randbytes)


def logged_in(known: Sessions, now: float) -> Entry:
    """Log a browser in."""
    entry = known.enter(known.new_link(now), now)
    assert entry is not None
    return entry


def test_enter_with_new_link_logs_in() -> None:
    """Whoever has the link is given two secrets, which are then valid together."""
    known = sessions()
    entry = logged_in(known, 0.0)
    assert known.is_valid(entry.cookie, entry.page_key, 1.0)


def test_enter_twice_with_one_link_is_refused() -> None:
    """A link works once."""
    known = sessions()
    token = known.new_link(0.0)
    assert known.enter(token, 1.0) is not None
    assert known.enter(token, 1.0) is None


def test_enter_with_old_link_is_refused() -> None:
    """A link works for a while."""
    known = sessions()
    token = known.new_link(0.0)
    assert known.enter(token, 100.0) is None
    assert len(known) == 0


def test_enter_with_unknown_token_is_refused() -> None:
    """Nobody gets in with a token that was not given out."""
    known = sessions()
    known.new_link(0.0)
    assert known.enter("", 0.0) is None
    assert known.enter("x" * 43, 0.0) is None
    assert known.enter("\udc80", 0.0) is None


def test_new_links_above_the_bound_void_the_oldest() -> None:
    """Only so many links can be used at one time."""
    known = sessions()
    first, second, third = (known.new_link(0.0) for _ in range(3))
    assert known.enter(first, 1.0) is None
    assert known.enter(second, 1.0) is not None
    assert known.enter(third, 1.0) is not None


def test_is_valid_needs_both_secrets() -> None:
    """Neither the cookie nor the page's key is worth anything alone, nor with those of another browser."""
    known = sessions()
    one, other = logged_in(known, 0.0), logged_in(known, 0.0)
    assert not known.is_valid(one.cookie, "", 1.0)
    assert not known.is_valid("", one.page_key, 1.0)
    assert not known.is_valid(one.cookie, other.page_key, 1.0)
    assert not known.is_valid(one.page_key, one.cookie, 1.0)


def test_is_valid_keeps_logged_in_while_used() -> None:
    """Each use begins the time anew; without any it ends."""
    known = sessions()
    entry = logged_in(known, 0.0)
    assert known.is_valid(entry.cookie, entry.page_key, 900.0)
    assert known.is_valid(entry.cookie, entry.page_key, 1800.0)
    assert not known.is_valid(entry.cookie, entry.page_key, 2800.0)


def test_enter_above_the_bound_logs_out_who_is_unused_longest() -> None:
    """Only so many browsers are logged in at one time."""
    known = sessions()
    first, second = logged_in(known, 0.0), logged_in(known, 1.0)
    assert known.is_valid(first.cookie, first.page_key, 2.0)
    third = logged_in(known, 3.0)
    assert not known.is_valid(second.cookie, second.page_key, 4.0)
    assert known.is_valid(first.cookie, first.page_key, 4.0)
    assert known.is_valid(third.cookie, third.page_key, 4.0)


def test_leave_logs_out() -> None:
    """Whoever logs out is out."""
    known = sessions()
    entry = logged_in(known, 0.0)
    known.leave(entry.cookie)
    assert not known.is_valid(entry.cookie, entry.page_key, 1.0)


def test_expire_tells_when_something_ends_next() -> None:
    """The next moment to look at is that of the next link or browser; none when nothing is left."""
    known = sessions()
    assert known.expire(0.0) is None
    known.new_link(0.0)
    assert 100.0 == known.expire(1.0)
    logged_in(known, 50.0)
    assert 100.0 == known.expire(51.0)
    assert 1050.0 == known.expire(100.0)
    assert known.expire(1050.0) is None
    assert 0 == len(known)
