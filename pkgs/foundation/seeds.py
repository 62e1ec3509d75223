"""Every random draw has an owner: a 64-bit seed derived from (seed, purpose, counters).

Derived by hashing, never by adding: `seed + epoch` gives two runs the same stream.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum


class Purpose(StrEnum):
    """What a stream of random numbers is for; no two purposes share draws."""

    INIT = "init"
    ORDER = "order"
    CROP = "crop"
    AUGMENT = "augment"
    CORRUPT = "corrupt"
    SPLIT = "split"
    VIEW_1 = "view_1"
    VIEW_2 = "view_2"
    POOL = "pool"
    """Order and changes of unlabelled images, so that labelled ones are drawn the same with and without."""
    DATA = "data"
    """Generating synthetic data sets."""


def derive(seed: int, purpose: Purpose, *counters: int | str) -> int:
    """Return a number in [0, 2**64) that depends on every argument and on nothing else.

    Args:
        seed: The run's seed.
        purpose: What the draws are for.
        counters: For instance epoch and number of the draw. 1 and "1" differ.
    """
    words = [f"{type(word).__name__}:{word}" for word in (seed, *counters)]
    text = "\x1f".join([purpose.value, *words])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
