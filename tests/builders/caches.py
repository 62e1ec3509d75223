"""Settings of small caches, and whether a batch is right."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pkgs.data.cache.config import CacheConfig
from pkgs.data.items import Array


def small(folder: Path, **changes: object) -> CacheConfig:
    """Return settings of a cache in `folder` that leaves no disk free."""
    return CacheConfig(folder=str(folder), **{"keep_free_gib": 0.0, **changes})


def same(batch: Mapping[str, Tensor], items: list[dict[str, Array]]) -> bool:
    """Return whether a batch holds exactly these items."""
    return all(
        torch.equal(batch[name], torch.from_numpy(np.stack([item[name] for item in items])))
        for name in items[0]
    )
