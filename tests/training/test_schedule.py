"""Schedules: today's values to the bit, torch's own schedulers as oracles, warm-up, plateau."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator

import pytest
import torch
from torch.optim import lr_scheduler

from pkgs.foundation.config import ConfigError, strict
from pkgs.training.config import ScheduleConfig
from pkgs.training.schedule import Schedule, plateau

Build = Callable[[torch.optim.Optimizer], lr_scheduler.LRScheduler]
STEPS = 40


def schedule(
    name: str, *, steps: int = STEPS, samples: int = 5, batch: int = 1, **settings: object
) -> Schedule:
    config = strict(ScheduleConfig, {"name": name, **settings}, where="a.yaml")
    return Schedule.of(config, start=0.4, steps=steps, samples=samples, batch_samples=batch)


def ours(made: Schedule) -> list[float]:
    return [made.lr_at(step) for step in range(made.steps)]


def torchs(build: Build, *, count: int = STEPS) -> list[float]:
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.4)
    scheduler, rates = build(optimiser), []
    for _ in range(count):
        rates.append(float(optimiser.param_groups[0]["lr"]))
        optimiser.step()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # SequentialLR passes its own deprecated argument
            scheduler.step()
    return rates


def each_five_times(rates: list[float]) -> Iterator[float]:
    return (rate for rate in rates for _ in range(5))


# -- today's values ----------------------------------------------------------------------------------------


def test_schedules_of_earlier_runs_have_the_same_bits() -> None:
    cosine, multistep = (
        ScheduleConfig(name="cosine"),
        ScheduleConfig(name="multistep", milestones=("7 steps",)),
    )
    for step in range(STEPS):
        share = step / (STEPS - 1)
        old = 1e-5 + (1e-2 - 1e-5) * (1 + math.cos(math.pi * share)) / 2
        assert Schedule(cosine, 1e-2, STEPS).lr_at(step) == old
        stepped = Schedule(multistep, 1e-2, STEPS, milestones=(7,))
        assert stepped.lr_at(step) == 1e-2 * 0.1 ** (step >= 7)


def test_a_run_of_one_step_has_a_rate() -> None:
    assert schedule("cosine", steps=1).lr_at(0) == 0.4


# -- torch as oracle ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "build"),
    [
        (
            schedule("cosine", final_lr=0.01),
            lambda o: lr_scheduler.CosineAnnealingLR(o, STEPS - 1, eta_min=0.01),
        ),
        (schedule("cosine_to_zero"), lambda o: lr_scheduler.CosineAnnealingLR(o, STEPS - 1)),
        (
            schedule("multistep", milestones=["2 epochs", "31 steps"], factor=0.5),
            lambda o: lr_scheduler.MultiStepLR(o, [10, 31], gamma=0.5),
        ),
        (
            schedule("warm_restarts", period="2 epochs", final_lr=0.01),
            lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 10, eta_min=0.01),
        ),
        (
            schedule("exponential", decay_per_epoch=0.9),
            lambda o: lr_scheduler.ExponentialLR(o, 0.9 ** (1 / 5)),
        ),
        (
            schedule("cosine_to_zero", warmup="2 epochs"),
            lambda o: lr_scheduler.SequentialLR(
                o,
                [
                    lr_scheduler.LinearLR(o, start_factor=0.1, total_iters=9),
                    lr_scheduler.CosineAnnealingLR(o, STEPS - 11),
                ],
                milestones=[10],
            ),
        ),
    ],
)
def test_a_curve_of_steps_is_that_of_torch(made: Schedule, build: Build) -> None:
    assert ours(made) == pytest.approx(torchs(build), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    ("made", "build"),
    [
        (
            schedule("cosine_to_zero", interval="epoch"),
            lambda o: lr_scheduler.CosineAnnealingLR(o, 8),
        ),
        (
            schedule("exponential", interval="epoch", decay_per_epoch=0.97),
            lambda o: lr_scheduler.ExponentialLR(o, 0.97),
        ),
        (
            schedule("warm_restarts", interval="epoch", period="3 epochs", final_lr=0.0),
            lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 3),
        ),
    ],
)
def test_a_curve_of_epochs_is_that_of_torch_stepped_once_an_epoch(made: Schedule, build: Build) -> None:
    assert ours(made) == pytest.approx(list(each_five_times(torchs(build, count=8))), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("better", ["lower", "higher"])
@pytest.mark.parametrize(("patience", "cooldown", "factor"), [(0, 0, 0.5), (2, 1, 0.1), (1, 3, 0.3)])
def test_a_plateau_is_that_of_torch_after_every_validation(
    better: str, patience: int, cooldown: int, factor: float
) -> None:
    settings = {
        "patience": patience,
        "cooldown": cooldown,
        "factor": factor,
        "min_lr": 1e-3,
        "better": better,
    }
    config = strict(ScheduleConfig, {"name": "plateau", **settings}, where="a.yaml")
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.4)
    oracle = lr_scheduler.ReduceLROnPlateau(
        optimiser, "min" if better == "lower" else "max", factor=factor, patience=patience,
        cooldown=cooldown, min_lr=1e-3, eps=0,
    )  # fmt: skip
    values = (torch.rand(60, generator=torch.Generator().manual_seed(1)) + 0.1).tolist()
    for count, value in enumerate(values, start=1):
        oracle.step(value)
        rate = plateau(values[:count], start=0.4, config=config)
        assert rate == pytest.approx(optimiser.param_groups[0]["lr"], rel=1e-12)
    assert rate < 0.4


# -- by hand -----------------------------------------------------------------------------------------------


def test_the_last_step_of_a_cosine_to_zero_is_zero() -> None:
    rates = ours(schedule("cosine_to_zero"))
    assert rates[-1] == pytest.approx(0, abs=1e-15)
    assert rates == sorted(rates, reverse=True)


def test_a_warm_up_rises_from_its_first_step_and_then_the_curve_begins_at_the_full_rate() -> None:
    made = schedule("constant", warmup="4 steps")
    assert [made.lr_at(step) for step in range(6)] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.4, 0.4])
    assert schedule("cosine_to_zero", warmup="4 steps").lr_at(4) == 0.4
    assert schedule("exponential", warmup="4 steps").lr_at(4) == 0.4


def test_milestones_count_from_the_start_of_the_run_whatever_the_warm_up() -> None:
    made = schedule("multistep", milestones=["10 steps"], warmup="4 steps")
    assert [made.lr_at(step) for step in (9, 10)] == pytest.approx([0.4, 0.04])


def test_a_decaying_cosine_really_decays() -> None:
    # period 10 steps = 2 epochs: at each restart the peak is 0.5^2 of the one before
    made = schedule("decaying_cosine", period="2 epochs", decay_per_epoch=0.5, final_lr=0.0)
    assert [made.lr_at(step) for step in (0, 10, 20)] == pytest.approx([0.4, 0.1, 0.025])
    assert made.lr_at(5) == pytest.approx(0.5 * 0.4 * 0.5)


def test_a_decaying_cosine_does_not_fall_below_its_final_rate() -> None:
    made = schedule("decaying_cosine", period="1 epochs", decay_per_epoch=0.1, final_lr=0.01)
    assert min(ours(made)) >= 0.01


def test_an_epoch_that_ends_inside_a_batch_begins_with_the_next_step() -> None:
    # 5 samples in batches of 2: step s begins with draw 2 s, so the epochs begin at the steps 0, 3 and 5
    made = schedule("exponential", interval="epoch", decay_per_epoch=0.5, batch=2, steps=6)
    assert ours(made) == pytest.approx([0.4, 0.4, 0.4, 0.2, 0.2, 0.1])


def test_the_whole_history_gives_past_rates_as_they_were() -> None:
    made = schedule("plateau", patience=0, factor=0.5)
    history = [(5, 1.0), (10, 2.0), (15, 3.0)]
    past = [made.lr_at(step, [entry for entry in history if entry[0] <= step]) for step in range(20)]
    assert [made.lr_at(step, history) for step in range(20)] == past
    assert [past[step] for step in (9, 10, 15)] == [0.4, 0.2, 0.1]


def test_a_value_that_is_not_finite_counts_against_patience() -> None:
    config = ScheduleConfig(name="plateau", patience=1, factor=0.5)
    assert plateau([1.0, math.nan, math.nan], start=1.0, config=config) == 0.5
    assert plateau([math.nan, 1.0, 0.5], start=1.0, config=config) == 1.0


def test_negative_values_improve_as_positive_ones_do() -> None:
    config = ScheduleConfig(name="plateau", patience=0, factor=0.5)
    assert plateau([-10.0, -11.0, -12.0], start=1.0, config=config) == 1.0
    assert plateau([-10.0, -9.9995], start=1.0, config=config) == 0.5


def test_a_plateau_never_raises_a_rate_that_began_below_its_lowest() -> None:
    config = ScheduleConfig(name="plateau", patience=0, min_lr=0.1)
    assert plateau([1.0, 2.0], start=0.01, config=config) == 0.01


# -- what is refused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({"warmup": "a while"}, "'a while' is no duration"),
        ({"period": "0 steps"}, "is no duration"),
        ({"name": "plateau", "factor": 1.0}, "factor must be below 1"),
        ({"name": "multistep"}, "needs at least one"),
        ({"name": "exponential", "decay_per_epoch": 1.5}, "less than or equal to 1"),
        ({"name": "cosine_to_nought"}, "cosine_to_zero"),
    ],
)
def test_a_schedule_that_means_nothing_is_refused(raw: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        strict(ScheduleConfig, raw, where="a.yaml")


def test_a_warm_up_longer_than_the_run_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"schedule\.warmup is '8 epochs', 40 steps, and the whole run has 40"
    ):
        schedule("cosine_to_zero", warmup="8 epochs")
