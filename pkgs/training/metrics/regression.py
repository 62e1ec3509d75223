"""How far numbers are from the true ones: predicted error maps, scores, standard deviations."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

import torch
from torch import Tensor

from pkgs.training.metrics.checks import same_shape
from pkgs.training.metrics.fixed import UNIT, row_sums, within
from pkgs.training.metrics.sums import Sums

TERMS: Final[tuple[Callable[[Tensor, Tensor], Tensor], ...]] = (
    lambda x, y: (x.double() - y).abs(),
    lambda x, y: (x.double() - y).square(),
    lambda x, _: x,
    lambda _, y: y,
    lambda x, _: x.double().square(),
    lambda _, y: y.double().square(),
    lambda x, y: x.double() * y,
)
"""What is summed, in the order of the fields of `Regression`; float64 holds a product of two float32."""


@final
@dataclass(frozen=True, slots=True)
class Regression(Sums):
    """Sums of a prediction x and the truth y, fixed point."""

    pixels: int = 0
    absolute: int = 0
    """Sum of |x - y|."""
    squared: int = 0
    """Sum of (x - y)^2."""
    x: int = 0
    y: int = 0
    xx: int = 0
    yy: int = 0
    xy: int = 0

    def scores(self) -> dict[str, float]:
        """Return `mae`, `mse`, `bias` (mean x - y), `pearson`, and `slope` of y on x (1 is right)."""
        if not self.pixels:
            return dict.fromkeys(("mae", "mse", "bias", "pearson", "slope"), math.nan)
        n = self.pixels
        # n^2 times the variances, as whole numbers: the difference of two large ones loses no digit
        x_var, y_var = n * self.xx * UNIT - self.x**2, n * self.yy * UNIT - self.y**2
        covariance = n * self.xy * UNIT - self.x * self.y
        both = x_var > 0 and y_var > 0
        return {
            "mae": self.absolute / UNIT / n,
            "mse": self.squared / UNIT / n,
            "bias": (self.x - self.y) / UNIT / n,
            "pearson": covariance / math.sqrt(x_var * y_var) if both else math.nan,
            "slope": covariance / x_var if x_var > 0 else math.nan,
        }

    def counts(self) -> dict[str, int]:
        return {"pixels": self.pixels}


def measure_regression(prediction: Tensor, truth: Tensor, *, seen: Tensor | None = None) -> list[Regression]:
    """Return the sums of each image.

    Args:
        prediction: Numbers [B, ...], taken as float32.
        truth: The true ones, same shape.
        seen: Which pixels are judged, same shape; all if not given.

    Raises:
        ValueError: If the shapes differ, the batch is empty, or a number is not finite or too large for the
        exact sums (2^39 over an image, squares included).
    """
    same_shape(prediction, truth)
    if seen is None:
        seen = torch.ones_like(truth, dtype=torch.bool)
    same_shape(seen, truth)
    x, y, seen = (each.reshape(len(truth), -1) for each in (prediction.float(), truth.float(), seen.bool()))
    within((x.abs() + y.abs()).square(), "Squares")
    sums = zip(*(row_sums(term, x, y, seen=seen) for term in TERMS), strict=True)
    counts: list[int] = seen.sum(dim=1).tolist()
    return [Regression(count, *each) for count, each in zip(counts, sums, strict=True)]
