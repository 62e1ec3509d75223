"""The global generators, from which libraries draw on their own (dropout): kept, set back, and shielded.

Everything of ours draws by seed and counter; see pkgs/foundation/seeds.py.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def generators() -> dict[str, Any]:
    """Return the states of Python's, numpy's and torch's generators as lists, numbers and tensors."""
    version, words, gauss = random.getstate()
    name, keys, place, has_gauss, cached = np.random.get_state(legacy=True)
    return {
        "python": [version, list(words), gauss],
        "numpy": [name, keys.tolist(), int(place), int(has_gauss), float(cached)],  # type: ignore[union-attr]
        "cpu": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],  # type: ignore[no-untyped-call]
    }


def restore_generators(states: Mapping[str, Any]) -> None:
    """Set all generators back; those of GPUs only where there are as many as then."""
    version, words, gauss = states["python"]
    random.setstate((version, tuple(words), gauss))
    name, keys, place, has_gauss, cached = states["numpy"]
    np.random.set_state((name, np.array(keys, np.uint32), place, has_gauss, cached))
    torch.set_rng_state(states["cpu"])
    if states["cuda"] and len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(states["cuda"])


@contextmanager
def preserved_generators() -> Iterator[None]:
    """Let nothing inside move a global generator: validation, tables and trackers are not the training."""
    before = generators()
    try:
        yield
    finally:
        restore_generators(before)
