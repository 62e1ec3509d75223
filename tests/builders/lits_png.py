"""A tiny look-alike of the LiTS slices: two masks each, a tumour that reaches out of the liver."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.builders.aerial import save

VICTIM = "Clean_LiTS/train/segmentations/segmentation-3_lesionmask_1.png"
VOLUMES = {"train": (3, 27), "val": (40,), "test": (104,)}


def write_lits_png(root: Path, *, slices: int = 3, side_px: int = 32) -> Path:
    """Write the look-alike below `root` and return `root`. Slice 0 of a volume is empty."""
    for part, volumes in VOLUMES.items():
        home = root / "Clean_LiTS" / part
        for volume in volumes:
            for number in range(slices):
                rng = np.random.default_rng(100 * volume + number)
                liver, tumour = (np.zeros((side_px, side_px), np.uint8) for _ in range(2))
                if number:
                    liver[8:24, 4:20], tumour[10:14, 18:24] = 1, 255  # both codings: above 0 is inside
                grey = 60 + 80 * (liver > 0) + 40 * (tumour > 0) + rng.integers(0, 9, liver.shape)
                save(home / "volumes" / f"volume-{volume}_{number}.png", grey.astype(np.uint8))
                save(home / "segmentations" / f"segmentation-{volume}_livermask_{number}.png", liver)
                save(home / "segmentations" / f"segmentation-{volume}_lesionmask_{number}.png", tumour)
    return root
