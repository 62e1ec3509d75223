"""Times in words."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pkgs.jobqueue.schedule.eta import Eta
from pkgs.jobqueue.schedule.when import Times, done_about, span

NOW = datetime(2026, 3, 10, 12, 0, tzinfo=UTC).timestamp()  # a Tuesday


def local(unix_s: float) -> datetime:
    return datetime.fromtimestamp(unix_s, tz=UTC)


AT = Times(NOW, local)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (421, "12:07"),
        (3 * 3600 + 421, "15:05"),
        (10 * 3600 + 421, "22:00"),
        (40 * 3600, "Thu 04:00"),
        (10 * 86_400, "2026-03-20 12:00"),
        (-421, "11:53"),
    ],
)
def test_a_moment_is_the_rounder_the_further_away_it_is(seconds: float, words: str) -> None:
    assert AT.about(NOW + seconds) == words


def test_a_moment_does_not_tick_while_it_comes_nearer() -> None:
    then = NOW + 2 * 3600
    assert len({Times(NOW + 60 * n, local).about(then) for n in range(120)}) == 1


def test_an_exact_time_has_seconds() -> None:
    assert AT.exact(NOW + 61) == "12:01:01"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "0 s"),
        (40, "40 s"),
        (400, "7 min"),
        (1560, "25 min"),
        (2 * 3600 + 1700, "2 h 30 min"),
        (7200, "2 h"),
        (86_000, "24 h"),
        (5 * 86_400, "5 days"),
    ],
)
def test_a_span_has_at_most_two_units(seconds: float, words: str) -> None:
    assert span(seconds) == words


def test_the_end_is_told_with_its_margin() -> None:
    eta = Eta(NOW + 15 * 3600 + 2400, 1500, ())
    assert done_about(eta, times=AT) == "done about 03:45, give or take 25 min"


def test_an_end_without_margin_is_told_without_one() -> None:
    assert done_about(Eta(NOW + 600, None, ()), times=AT) == "done about 12:10"


def test_a_guess_is_called_a_guess() -> None:
    one = done_about(Eta(NOW + 600, None, ("ke/x",)), times=AT)
    assert one == "done about 12:10, if ke/x, with no ended run yet, takes as long as the others"
    assert "ke/x and 2 more jobs" in done_about(Eta(NOW, None, ("ke/x", "y", "z")), times=AT)


def test_an_unknown_end_is_said_to_be_unknown() -> None:
    assert done_about(None, times=AT) == "no run has ended yet that could tell when this is done"
