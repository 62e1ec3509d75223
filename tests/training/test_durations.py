"""Durations and learning rates."""

from __future__ import annotations

import pytest

from pkgs.foundation.config import ConfigError, strict
from pkgs.training.config import ScheduleConfig, TrainingConfig
from pkgs.training.durations import Duration, is_due
from pkgs.training.schedule import Schedule


def test_steps_are_steps_and_epochs_see_every_sample() -> None:
    assert Duration.parse("300 steps").steps(samples=340, batch=8) == 300
    assert Duration.parse("1 epoch").steps(samples=340, batch=8) == 43
    assert Duration.parse("100 epochs").steps(samples=340, batch=8) == 4250


@pytest.mark.parametrize("text", ["300", "0 steps", "ten steps", "3 hours", "-1 steps"])
def test_other_words_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        Duration.parse(text)


def test_the_last_step_is_always_due() -> None:
    assert [step for step in range(1, 11) if is_due(step, every=4, last=10)] == [4, 8, 10]


def test_cosine_begins_at_the_rate_and_ends_at_the_final_one() -> None:
    config = ScheduleConfig(name="cosine", final_lr=1e-5)
    rates = [Schedule(config, 1e-2, 300).lr_at(step) for step in range(300)]
    assert rates[0] == 1e-2
    assert rates[-1] == pytest.approx(1e-5)
    assert rates == sorted(rates, reverse=True)
    assert rates[149] == pytest.approx(0.005, rel=0.02)


def test_multistep_divides_by_ten_three_times() -> None:
    config = ScheduleConfig(name="multistep", milestones=("25 epochs", "50 epochs", "75 epochs"))
    schedule = Schedule(config, 1.0, 100, milestones=(25, 50, 75))
    rates = [schedule.lr_at(step) for step in range(100)]
    assert [rates[step] for step in (0, 24, 25, 50, 75)] == pytest.approx([1, 1, 0.1, 0.01, 0.001])


def test_constant_is_constant() -> None:
    assert {Schedule(ScheduleConfig(), 0.5, 9).lr_at(step) for step in range(9)} == {0.5}


def test_milestones_without_multistep_are_refused() -> None:
    with pytest.raises(ConfigError, match="milestones belong to `multistep`"):
        strict(ScheduleConfig, {"name": "cosine", "milestones": ["1 epochs"]}, where="a.yaml")


def test_a_length_that_cannot_be_read_is_refused_where_it_is_written() -> None:
    with pytest.raises(ConfigError, match=r"a\.yaml"):
        strict(TrainingConfig, {"length": "a while"}, where="a.yaml")
