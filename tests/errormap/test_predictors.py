"""What a teacher is compared with: confidence, both together, constants."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from pkgs.errormap.asking import Answer
from pkgs.errormap.predictors import ValSums, implied_share, own_logit
from pkgs.losses.error_map import LEAST_SHARE, error_share


def answer_of(seed: int = 0, pixels: int = 30_000) -> Answer:
    generator = torch.Generator().manual_seed(seed)
    z, u = (torch.randn(1, pixels, generator=generator) * s for s in (4, 2))
    p = torch.sigmoid(z)
    chance = torch.sigmoid(0.7 * u - 0.5 * z.abs() - 0.3)
    wrong = torch.rand(1, pixels, generator=generator) < chance
    label = ((p >= 0.5) != wrong).long()
    share = error_share(p[:, None, :], label)[:, 0]
    return Answer([0], p, u, share, wrong, torch.ones_like(wrong))


def fitted_on(*parts: Answer):  # noqa: ANN201
    sums = ValSums()
    for part in parts:
        sums.add(part)
    return sums.fit()


def test_the_combination_is_that_of_scikit_learn_on_the_pixels_themselves() -> None:
    answer = answer_of()
    x = np.stack([answer.logit[0].numpy(), own_logit(answer.mask[0].double().numpy())], axis=1)
    oracle = LogisticRegression(C=1e6, tol=1e-8).fit(x, answer.wrong[0].numpy())
    expected = [*oracle.coef_[0], oracle.intercept_[0]]
    assert fitted_on(answer).weights == pytest.approx(expected, abs=0.01)
    assert fitted_on(answer).weights == pytest.approx([0.7, 0.5, -0.3], abs=0.1)


def test_the_constants_are_mean_and_median_of_the_shares() -> None:
    answer = answer_of()
    fitted = fitted_on(answer)
    assert fitted.mean == pytest.approx(answer.share.mean().item(), rel=1e-5)
    assert fitted.median == pytest.approx(answer.share.median().item(), abs=5e-4)


def test_parts_of_val_give_the_same_as_the_whole() -> None:
    answer = answer_of()
    halves = [Answer([0], *(v[:, k::2] for v in answer[1:])) for k in (0, 1)]
    assert fitted_on(*halves).weights == pytest.approx(fitted_on(answer).weights, rel=1e-6)


def test_hard_masks_leave_the_own_logit_constant_and_the_fit_finite() -> None:
    answer = answer_of()
    hard = answer._replace(mask=(answer.mask >= 0.5).float())
    weights = fitted_on(hard).weights
    assert np.isfinite(weights).all()
    assert weights[0] > 0.4


def test_no_wrong_pixel_has_a_finite_fit() -> None:
    answer = answer_of()
    assert np.isfinite(fitted_on(answer._replace(wrong=torch.zeros_like(answer.wrong))).weights).all()


def test_nothing_to_fit_on_is_said() -> None:
    with pytest.raises(ValueError, match="no pixel to fit on"):
        ValSums().fit()


def test_confidence_on_the_scale_of_shares_is_the_entropy() -> None:
    p = np.array([0.5, 0.9, 0.1, 1.0])
    share = implied_share(p, np.minimum(p, 1 - p))
    entropy = -(0.9 * np.log(0.9) + 0.1 * np.log(0.1)) / -np.log(0.01)
    assert share == pytest.approx([np.log(2) / -np.log(0.01), entropy, entropy, LEAST_SHARE], abs=1e-6)
    assert implied_share(np.array([1.0, 1.0]), np.array([1.0, 0.0])) == pytest.approx(
        [1, LEAST_SHARE], abs=1e-6
    )
