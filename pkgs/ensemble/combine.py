"""One answer out of several: mean, median or sum over the members, and how far these are apart."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Combine = Literal["mean", "median", "sum"]


def combine(values_K: Tensor, how: Combine) -> Tensor:
    """Return one value for the K of each place, [...] from [K, ...]; the gradient flows.

    Args:
        values_K: The members' values, one member per entry of the first axis.
        how: `median` of an even number is the mean of the two in the middle. A `sum` of shares may exceed 1.

    Raises:
        ValueError: If there is no member.
    """
    _refuse_none(values_K)
    if how == "mean":
        return values_K.mean(dim=0)
    if how == "sum":
        return values_K.sum(dim=0)
    ordered_K = values_K.sort(dim=0).values
    middle = len(values_K) // 2
    return ordered_K[middle] if len(values_K) % 2 else (ordered_K[middle - 1] + ordered_K[middle]) / 2


def disagreement(values_K: Tensor) -> Tensor:
    r"""Return the members' standard deviation at each place, [...] from [K, ...]; detached.

        sqrt(1/K sum_k (v_k - mean v)^2)

    0 for a single member. Detached because its gradient at 0 is not finite, and because it decides, never
    teaches.

    Raises:
        ValueError: If there is no member.
    """
    _refuse_none(values_K)
    with torch.no_grad():
        return values_K.float().std(dim=0, correction=0)


def _refuse_none(values_K: Tensor) -> None:
    if values_K.ndim == 0 or not len(values_K):
        raise ValueError(
            f"Nothing to combine: got values of shape {tuple(values_K.shape)}, expected [K, ...]."
        )
