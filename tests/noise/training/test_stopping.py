"""Scripted loss curves: when the reference stopped, and what it kept."""

from __future__ import annotations

import math

import pytest

from pkgs.noise.training.stopping import EarlyStop
from pkgs.training.config import BestConfig, TrainingConfig

CURVE = (0.5, 0.6, 0.4, 0.45, 0.3, 0.35, 0.2, 0.25, 0.1, 0.15)
"""Never bad twice in a row."""


def stopped_after(curve: tuple[float, ...], *, total: bool, skip_first: bool, patience: int = 3) -> int:
    config = TrainingConfig(patience=patience, best=BestConfig(metric="loss"))
    stop = EarlyStop(config, total=total, skip_first=skip_first)
    for number, value in enumerate(curve, start=1):
        stop.judged(value)
        if stop.over:
            return number
    return 0


def test_bad_validations_in_a_row_end_a_run_and_scattered_ones_only_under_the_switch() -> None:
    assert stopped_after(CURVE, total=False, skip_first=False) == 0
    assert stopped_after(CURVE, total=True, skip_first=False) == 6
    assert stopped_after((0.1, 0.2, 0.3, 0.4), total=False, skip_first=False) == 4


def test_the_first_validation_counts_as_bad_under_its_switch() -> None:
    assert stopped_after(CURVE, total=True, skip_first=True) == 6
    assert stopped_after((0.9, 0.5, 0.6, 0.4, 0.45), total=True, skip_first=True) == 5
    assert stopped_after((0.9, 0.5, 0.6, 0.4, 0.45), total=True, skip_first=False) == 0


@pytest.mark.parametrize(("mode", "worst"), [("min", math.inf), ("max", -math.inf)])
def test_the_first_validation_is_never_chosen_under_its_switch(mode: str, worst: float) -> None:
    config = TrainingConfig(best=BestConfig.model_validate({"metric": "loss", "mode": mode}))
    stop = EarlyStop(config, total=False, skip_first=True)
    assert (stop.judged(0.1), stop.judged(0.7)) == (worst, 0.7)
    assert EarlyStop(config, total=True, skip_first=False).judged(0.1) == 0.1


def test_a_resumed_run_counts_on() -> None:
    config = TrainingConfig(patience=2)
    first = EarlyStop(config, total=True, skip_first=False)
    for value in (0.5, 0.6, 0.4):
        first.judged(value)
    again = EarlyStop(config, total=True, skip_first=False)
    again.load_state_dict(first.state_dict())
    again.judged(0.7)
    assert (first.over, again.over) == (False, True)
