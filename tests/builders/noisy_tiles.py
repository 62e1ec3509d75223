"""Tiny noisy aerial sets in the later DataCentric layout: clean masks beside masks that are shifted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml

from tests.builders.aerial import draw_tile, save

OFFSETS = ((0, 0), (0, 26), (26, 0), (26, 26))


def write_noisy_tiles(root: Path, *, tiles: int = 6, shift_px: int = 5) -> Path:
    """Write four patches of 32 px per tile below `root` and return `root`; later ones are shifted more."""
    for tile in range(tiles):
        for place, (row, column) in enumerate(OFFSETS):
            colour, mask = draw_tile(50 * tile + place)
            name = f"t_{tile}_0_{row}_{column}.png"
            save(root / "image_patches" / name, colour)
            save(root / "noisy_labels" / name, np.roll(mask, shift_px + place, axis=1))
            save(root / "clean_labels" / name, mask)
    return root


def noise_settings(data: Path, **more: object) -> dict[str, Any]:
    """Return settings of a tiny `pkgs.noise train` without a teacher; `more` replaces whole sections."""
    return {
        "data": {
            "root": str(data),
            "layout": "datacentric",
            "size_px": 32,
            "split": {"by": "folds", "folds": 3},
            "cache": {"folder": str(data / "cache")},
        },
        "model": {"options": {"base": 8}, "colours": "datacentric"},
        "distillation": {"weight": 0},
        "training": {
            "length": "6 steps",
            "batch_samples": 4,
            "validate_every": "2 steps",
            "save_every": "1 steps",
            "log_every": "1 steps",
            "optimiser": {"lr": 0.01},
            "threads": 1,
        },
        "clean_labels": str(data / "clean_labels"),
        "output": {"samples": 1, "examples": 2, "examples_every": "4 steps"},
        **more,
    }


def write_settings(folder: Path, settings: dict[str, Any], name: str = "tiny") -> Path:
    """Write a configuration and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path
