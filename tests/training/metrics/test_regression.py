"""Errors of predicted numbers against numpy and scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from pkgs.training.metrics import measure_regression, merged


def drawn(seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    truth = torch.rand(3, 1, 16, 15, generator=generator) * 4
    return truth * 0.5 + torch.randn(truth.shape, generator=generator), truth


def test_scores_agree_with_numpy_and_scipy() -> None:
    from scipy.stats import linregress, pearsonr

    prediction, truth = drawn(0)
    scores = merged(measure_regression(prediction, truth)).scores()
    x, y = prediction.double().flatten().numpy(), truth.double().flatten().numpy()
    wanted = {
        "mae": np.abs(x - y).mean(),
        "mse": ((x - y) ** 2).mean(),
        "bias": (x - y).mean(),
        "pearson": pearsonr(x, y).statistic,
        "slope": linregress(x, y).slope,
    }
    assert scores == pytest.approx(wanted, abs=1e-6)


def test_values_worked_out_by_hand() -> None:
    scores = measure_regression(torch.tensor([[1.0, 3.0]]), torch.tensor([[2.0, 6.0]]))[0].scores()
    assert scores == {"mae": 2, "mse": 5, "bias": -2, "pearson": 1, "slope": 2}


def test_only_what_is_seen_enters() -> None:
    prediction, truth = drawn(1)
    seen = torch.rand(truth.shape, generator=torch.Generator().manual_seed(0)) < 0.5
    some = measure_regression(prediction, truth, seen=seen)
    assert some == measure_regression(torch.where(seen, prediction, 9), truth, seen=seen)
    assert [each.pixels for each in some] == seen.flatten(1).sum(1).tolist()


def test_a_constant_has_no_correlation_and_nothing_has_no_score() -> None:
    constant = measure_regression(torch.ones(1, 4), torch.arange(4.0)[None])[0].scores()
    assert math.isnan(constant["pearson"])
    assert math.isnan(constant["slope"])
    nothing = measure_regression(torch.ones(1, 4), torch.ones(1, 4), seen=torch.zeros(1, 4).bool())
    assert all(math.isnan(value) for value in nothing[0].scores().values())


def test_a_large_mean_costs_no_digits() -> None:
    x = torch.arange(100.0)[None] / 64 + 2000 + 1 / 3
    assert measure_regression(x, x)[0].scores()["pearson"] == 1


@pytest.mark.parametrize(
    ("prediction", "truth", "message"),
    [
        (torch.zeros(1, 3), torch.zeros(1, 4), "agree in shape"),
        (torch.zeros(0, 3), torch.zeros(0, 3), "Is the data set empty"),
        (torch.full((1, 3), math.nan), torch.zeros(1, 3), "not finite"),
        (torch.full((1, 3), 1e7), torch.zeros(1, 3), r"Squares up to 1e\+14 exceed"),
    ],
)
def test_numbers_that_cannot_be_summed_are_refused(prediction: Tensor, truth: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        measure_regression(prediction, truth)
