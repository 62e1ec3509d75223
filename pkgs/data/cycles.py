"""A defect of the reference that can be switched on: a generator that is seeded anew from its own draws.

To pair image and mask, the reference drew one of 10,000 numbers before each sample and seeded the global
generator with it: every walk on 10,000 numbers soon returns to where it was, and one of 108 draws and one
of 43 draws were all that ever happened.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

import torch

from pkgs.data.transforms.contract import dump, restore

D = TypeVar("D")

AUGMENT_CYCLE: Final = 108
"""Draws until the changes of images repeat."""
CORRUPT_CYCLE: Final = 43
"""Draws until the changes of masks repeat."""


def drawn(draw: Callable[[int, int], D], kind: type[D], *, first: int, batch: int, cycle: int) -> D:
    """Return the draws `first` .. `first + batch - 1`; with a `cycle` > 0, number d is that of d % cycle.

    Args:
        draw: Gives the draws from a first one on, so many of them.
        kind: Their dataclass.
        first: Number of the first draw.
        batch: How many.
        cycle: Length; 0: none.
    """
    if not cycle:
        return draw(first, batch)
    numbers = torch.arange(first, first + batch) % cycle
    every = dump(draw(0, min(cycle, int(numbers.max()) + 1)))
    return restore(kind, {name: tensor[numbers] for name, tensor in every.items()})
