"""Times and spans in words: `03:40`, `Tue 03:40`, `25 min`. Absolute and rounded: no cell shall tick."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pkgs.jobqueue.schedule.eta import Eta

Local = Callable[[float], datetime]
"""Turns seconds since 1970 into the local time of whoever reads."""

MINUTE_S: Final = 60
HOUR_S: Final = 3600
DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class Times:
    """Tells absolute times as a reader at `now_unix_s` would say them."""

    now_unix_s: float
    local: Local

    def about(self, unix_s: float) -> str:
        """Return a time: the further away, the rounder; with its day when that is not plain."""
        distance_s = abs(unix_s - self.now_unix_s)
        step_s = 15 * MINUTE_S
        if distance_s < 6 * HOUR_S:
            step_s = MINUTE_S if distance_s < HOUR_S / 2 else 5 * MINUTE_S
        then = self.local(round(unix_s / step_s) * step_s)
        if distance_s < 18 * HOUR_S:
            return f"{then:%H:%M}"
        return f"{then:%a %H:%M}" if distance_s < 6 * DAY_S else f"{then:%Y-%m-%d %H:%M}"

    def exact(self, unix_s: float) -> str:
        """Return a time to the second, for what happens then and not about then."""
        return f"{self.local(unix_s):%H:%M:%S}"


def span(seconds: float) -> str:
    """Return a length of time in at most two units: `40 s`, `25 min`, `2 h 30 min`, `4 days`."""
    if seconds < 90:
        return f"{max(0, round(seconds))} s"
    minutes = round(seconds / MINUTE_S)
    if minutes < 90:
        return f"{minutes if minutes < 20 else round(minutes / 5) * 5} min"
    hours, rest = divmod(round(minutes / 10) * 10, 60)
    if hours < 10 and rest:
        return f"{hours} h {rest} min"
    if hours < 48:
        return f"{round(minutes / 60)} h"
    return f"{round(minutes / 60 / 24)} days"


def done_about(eta: Eta | None, *, times: Times) -> str:
    """Return when something is done: `done about 03:40, give or take 25 min`."""
    if eta is None:
        return "no run has ended yet that could tell when this is done"
    words = f"done about {times.about(eta.end_unix_s)}"
    if eta.give_or_take_s is not None:
        words += f", give or take {span(eta.give_or_take_s)}"
    if not eta.guessed:
        return words
    names = (
        eta.guessed[0] if len(eta.guessed) == 1 else f"{eta.guessed[0]} and {len(eta.guessed) - 1} more jobs"
    )
    verb = "takes" if len(eta.guessed) == 1 else "take"
    return f"{words}, if {names}, with no ended run yet, {verb} as long as the others"
