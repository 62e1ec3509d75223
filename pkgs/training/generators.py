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


def snapshot() -> tuple[Any, ...]:
    """Return the states as the libraries give them: cheap enough for each step."""
    return (
        random.getstate(),
        np.random.get_state(legacy=True),
        torch.get_rng_state(),
        torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],  # type: ignore[no-untyped-call]
    )


def storable(states: tuple[Any, ...]) -> dict[str, Any]:
    """Return a snapshot as lists, numbers and tensors, which `torch.load(weights_only=True)` reads."""
    (version, words, gauss), (name, keys, place, has_gauss, cached), cpu, cuda = states
    return {
        "python": [version, list(words), gauss],
        "numpy": [name, keys.tolist(), int(place), int(has_gauss), float(cached)],
        "cpu": cpu,
        "cuda": cuda,
    }


def generators() -> dict[str, Any]:
    """Return the states of Python's, numpy's and torch's generators, storable."""
    return storable(snapshot())


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
