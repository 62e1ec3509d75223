"""When a student exploits its teacher: the predicted error falls while the real one rises. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

RISE: Final = 0.10
"""A real error further above its start than this share has risen."""
IN_ROW: Final = 3
"""So many checks in a row make an alarm: one may be chance."""


@dataclass(frozen=True, slots=True)
class Check:
    """What was measured after a step."""

    step: int
    predicted: float
    real: float


def parts_company(check: Check, *, start: Check) -> bool:
    """Say whether the teacher sees less error than at the start where there is clearly more."""
    return check.predicted < start.predicted and check.real > (1 + RISE) * start.real


def is_exploited(start: Check, later: Sequence[Check]) -> bool:
    """Say whether predicted and real error parted in each of the last three checks."""
    last = later[-IN_ROW:]
    return len(last) == IN_ROW and all(parts_company(check, start=start) for check in last)


def sentence(start: Check, later: Sequence[Check], *, ended: bool) -> str:
    """Return what alarms.json and the screen say."""
    first, last = later[-IN_ROW], later[-1]
    what = (
        f"In each check from step {first.step} to {last.step} the teacher saw less error than at the start "
        f"(now {last.predicted:.4g}, then {start.predicted:.4g}) while on val there was over {RISE:.0%} more "
        f"({last.real:.4g}, then {start.real:.4g}): the student exploits its teacher."
    )
    return f"{what} The run was ended here (expansion.on_exploit: stop)." if ended else what
