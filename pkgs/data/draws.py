"""Random numbers without a running state: a function of seed, purpose and counters, many at once.

So neither batch size, resume, nor the condition shifts a draw. Loads no torch.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pkgs.foundation.seeds import Purpose, derive

Words = NDArray[np.uint64]
_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_11, _27, _30, _31 = (np.uint64(bits) for bits in (11, 27, 30, 31))


def order(seed: int, epoch: int, *, count: int) -> NDArray[np.int64]:
    """Return the indices 0 .. count-1 in the order of one epoch."""
    base = np.uint64(derive(seed, Purpose.ORDER, epoch))
    return np.argsort(_mix(_mix(np.arange(count, dtype=np.uint64)) ^ base), kind="stable")


def draw_indices(seed: int, first: int, *, batch: int, count: int) -> NDArray[np.int64]:
    """Return the sample indices of the draws `first` .. `first + batch - 1` of a run.

    Draw d is entry `d % count` of epoch `d // count`: a batch may reach into the next epoch, none is short.
    """
    draws = range(first, first + batch)
    orders = {epoch: order(seed, epoch, count=count) for epoch in {draw // count for draw in draws}}
    return np.array([orders[draw // count][draw % count] for draw in draws], dtype=np.int64)


def uniforms(  # noqa: PLR0913 - a draw is named by all of these
    seed: int, purpose: Purpose, *, first: int, batch: int, name: str, width: int = 1
) -> NDArray[np.float64]:
    """Return uniform numbers in [0, 1), shape [batch, width], for the draws `first` .. `first + batch - 1`.

    Args:
        seed: The run's.
        purpose: What they are for.
        first: Number of the first draw in the run.
        batch: How many draws.
        name: Which quantity; adding one never shifts another.
        width: Numbers per draw.
    """
    draws = _mix(np.arange(first, first + batch, dtype=np.uint64) ^ _base(seed, purpose, name))
    words = _mix(draws[:, None] ^ _columns(width))
    return (words >> _11).astype(np.float64) * 2.0**-53


@lru_cache(maxsize=1024)  # the same few for every batch of a run
def _base(seed: int, purpose: Purpose, name: str) -> np.uint64:
    return np.uint64(derive(seed, purpose, name))


@lru_cache(maxsize=1024)
def _columns(width: int) -> Words:
    return _mix(np.arange(width, dtype=np.uint64))


def _mix(words: Words) -> Words:
    """Finaliser of SplitMix64 (Steele, Lea and Flood 2014): every input bit reaches every output bit."""
    mixed = words + _GOLDEN  # arrays wrap around silently, which is wanted
    mixed = (mixed ^ (mixed >> _30)) * _FIRST
    mixed = (mixed ^ (mixed >> _27)) * _SECOND
    return mixed ^ (mixed >> _31)
