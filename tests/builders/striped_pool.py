"""A pool in CEM1.5M's layout that nobody generated for a study: stripes, of several sizes and depths."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile

SOURCES = ("hela_fib_sem", "mouse_cortex", "yeast_tem", "c_elegans")
DEEP = "mouse_cortex"
"""In 16 bit; the others are in 8."""


def write_striped_pool(root: Path, *, patches: int = 4, copies: dict[str, Path] | None = None) -> Path:
    """Write `cem1.5M/<source>/<name>.tiff` below `root` and return `root`.

    Args:
        root: A new folder; its first level, `CEM1500k_unlabelled`, is left out as some mirrors do.
        patches: Images of each source, named as in the release: image, place and plane of the cut.
        copies: Files that are put in besides, by their new id `<source>/<name>`.
    """
    for number, source in enumerate(SOURCES):
        folder = root / "cem1.5M" / source
        folder.mkdir(parents=True)
        for patch in range(patches):
            name = f"{source}-LOC-2d-{patch * 224}-{(patch + 1) * 224}_{patch * 224}.tiff"
            tifffile.imwrite(folder / name, stripes(source, number, patch), photometric="minisblack")
    for name, path in (copies or {}).items():
        place = root / "cem1.5M" / f"{name}.tiff"
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(path.read_bytes())
    return root


def stripes(source: str, number: int, patch: int) -> np.ndarray:
    """Return one image, of a size of its source's own."""
    rows, columns = np.mgrid[0 : 40 + 8 * number, 0 : 56 - 8 * number]
    angle = 0.4 * number + 0.7 * patch
    wave = np.sin(0.5 * (rows * np.cos(angle) + columns * np.sin(angle)) + patch)
    noise = np.random.default_rng([number, patch]).normal(0, 0.1, wave.shape)
    grey = np.clip(0.5 + 0.3 * wave + noise, 0, 1)
    depth = np.uint16 if source == DEEP else np.uint8
    return np.round(grey * np.iinfo(depth).max).astype(depth)
