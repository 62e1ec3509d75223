"""The scale of a teacher is brought to a student's errors, and its order stays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import nn

from pkgs.data.items import IGNORE
from pkgs.data.samples import Batch, Part
from pkgs.errormap.recalibration import LEAST_SLOPE, LogitSums, recalibrate
from pkgs.losses.error_map import error_share
from pkgs.models.error_teacher import ErrorTeacher
from pkgs.models.output import Output
from tests.builders.parts import write_part


class Told(nn.Module):
    """A network that says of each pixel what the image shows, 7 times too wrong in odds."""

    def forward(self, image_and_mask: torch.Tensor) -> Output:
        logits = 6 * image_and_mask[:, :1] - 5
        return Output(logits, image_logits=logits.mean(dim=(1, 2, 3)))


def sums_of(u: np.ndarray, t: np.ndarray) -> LogitSums:
    sums = LogitSums()
    for piece in np.array_split(np.arange(len(u)), 7):
        sums.add(u[piece], t[piece])
    return sums


def drawn(seed: int = 0, pixels: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    u = rng.normal(-3, 2, pixels)
    t = np.clip(1 / (1 + np.exp(2 - 0.6 * u)) + rng.normal(0, 0.02, pixels), 0.002, 1)
    return u, t


def test_the_fit_is_that_of_scipy_on_the_pixels_themselves() -> None:
    u, t = drawn()

    def bce(theta: np.ndarray) -> float:
        z = theta[0] * u + theta[1]
        return float(np.mean(np.logaddexp(0, z) - z * t))

    oracle = minimize(bce, [1.0, 0.0], method="BFGS", options={"gtol": 1e-10})
    fitted = sums_of(u, t).fit()
    assert (fitted.slope, fitted.offset) == pytest.approx(oracle.x, abs=2e-4)
    assert fitted.bce_after == pytest.approx(oracle.fun, abs=1e-6)
    assert fitted.bce_before > fitted.bce_after


def test_a_scale_that_is_right_already_stays() -> None:
    u = np.random.default_rng(1).normal(-4, 2, 50_000)
    fitted = sums_of(u, 1 / (1 + np.exp(-u))).fit()
    assert (fitted.slope, fitted.offset) == pytest.approx((1, 0), abs=1e-3)


def test_a_teacher_that_is_upside_down_is_not_turned_round_but_silenced() -> None:
    u, t = drawn()
    fitted = sums_of(-u, t).fit()
    assert fitted.slope == LEAST_SLOPE
    z = fitted.slope * -u + fitted.offset
    assert (1 / (1 + np.exp(-z))).mean() == pytest.approx(t.mean(), rel=1e-4)


def test_a_teacher_that_says_one_thing_gets_the_mean() -> None:
    fitted = sums_of(np.full(100, -2.0), np.full(100, 0.1)).fit()
    assert 1 / (1 + np.exp(2 * fitted.slope - fitted.offset)) == pytest.approx(0.1, rel=1e-5)


def test_logits_without_bounds_have_a_finite_fit() -> None:
    fitted = sums_of(np.array([-1e4, 1e4, -50.0]), np.array([0.0022, 1.0, 0.0022])).fit()
    assert np.isfinite([fitted.slope, fitted.offset]).all()


def test_nothing_to_fit_on_is_said() -> None:
    with pytest.raises(ValueError, match="no pixel to recalibrate on"):
        LogitSums().fit()


@pytest.fixture
def val(tmp_path: Path) -> Part:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (6, 16, 16), generator=generator, dtype=torch.uint8)
    labels = (torch.rand(images.shape, generator=generator) < 0.3 * images / 255).to(torch.uint8)
    labels[:, :2] = IGNORE
    return write_part(tmp_path, ids=[f"a/{k}" for k in range(6)], images_NHW=images, labels_NHW=labels)


def empty(samples: Batch) -> torch.Tensor:
    return torch.zeros_like(samples.image_BCHW)


def test_it_is_written_into_the_teacher_and_brings_its_mean_to_the_truth(val: Part) -> None:
    teacher = ErrorTeacher(Told())
    fitted = recalibrate(teacher, masks={"soft": empty, "hard": empty}, val=val, batch=4)
    assert (teacher.slope.item(), teacher.offset.item()) == pytest.approx((fitted.slope, fitted.offset))
    samples = val.batch(np.arange(6)).to(torch.device("cpu"))
    share = teacher(samples.image_BCHW, empty(samples)).share_B1HW[:, 0]
    seen = samples.label_BHW != IGNORE
    real = error_share(empty(samples), samples.label_BHW)[:, 0]
    assert share[seen].mean().item() == pytest.approx(real[seen].mean().item(), rel=1e-3)


def test_twice_is_once_and_batches_do_not_matter(val: Part) -> None:
    teacher = ErrorTeacher(Told())
    first = recalibrate(teacher, masks={"soft": empty}, val=val, batch=6)
    again = recalibrate(teacher, masks={"soft": empty}, val=val, batch=6)
    assert first == again
    other = recalibrate(teacher, masks={"soft": empty}, val=val, batch=1)
    assert (other.slope, other.offset) == pytest.approx((first.slope, first.offset), rel=1e-6)
