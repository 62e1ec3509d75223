"""How a teacher's answer is read: the chance that a pixel is wrong, the label this implies, whom to trust."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from pkgs.losses.error_map import LEAST_SHARE
from pkgs.losses.loss_sum import check_equal

SURE: Final = 0.3
"""Least distance of the chance from a half."""
SPREAD: Final = 0.2
"""Largest standard deviation of the chance over a committee."""


def error_chance(share: Tensor, *, t0: float = LEAST_SHARE) -> Tensor:
    """Return rho = clip((r - t0) / (1 - t0), 0, 1), the chance that a pixel of a hard mask is wrong.

    Args:
        share: r, the predicted error share, any shape.
        t0: The share of a pixel that is surely right.
    """
    return ((share - t0) / (1 - t0)).clamp(0, 1)


def implied_label(mask: Tensor, chance: Tensor) -> Tensor:
    """Return pi = m (1 - rho) + (1 - m) rho, the chance that a pixel is foreground.

    Args:
        mask: m, hard: 0 or 1.
        chance: rho that it is wrong there, the same shape.

    Raises:
        ValueError: If the shapes differ.
    """
    check_equal(mask, chance, names=("Mask", "chances"))
    return mask * (1 - chance) + (1 - mask) * chance


def gate(
    chance: Tensor, *, spread: Tensor | None = None, sure: float = SURE, most_spread: float = SPREAD
) -> Tensor:
    """Return where the teachers are sure, and of one mind: |rho - .5| >= .3, standard deviation <= .2.

    Args:
        chance: rho, combined over the teachers.
        spread: Standard deviation of rho over a committee, the same shape; None for one teacher.
        sure: Least distance from a half.
        most_spread: Largest standard deviation.

    Returns:
        Booleans of the same shape.

    Raises:
        ValueError: If the shapes differ.
    """
    open_ = (chance - 0.5).abs() >= sure
    if spread is None:
        return open_
    check_equal(chance, spread, names=("Chances", "spreads"))
    return torch.logical_and(open_, spread <= most_spread)
