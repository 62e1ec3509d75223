"""A tiny look-alike of BraTS 2020: four modalities, labels 0, 1, 2 and 4, the last case without a mask."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.builders.nifti import affine_of, draw_case, write_nifti

MODALITIES = ("flair", "t1", "t1ce", "t2")


def draw_brats(number: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return the modalities, each offset by its own hundred, and the mask as released."""
    image, labels = draw_case(number, shape=(10, 9, 6))
    labels[0, 0, 0] = 4
    volumes = {name: (np.abs(image) + 100 * k).astype(np.int16) for k, name in enumerate(MODALITIES)}
    return volumes, labels


def write_brats(root: Path, *, cases: int = 2, ending: str = ".nii.gz") -> Path:
    """Write `BraTS20_Training_XXX` folders below `root` and return it."""
    for number in range(1, cases + 1):
        name = f"BraTS20_Training_{number:03d}"
        volumes, labels = draw_brats(number)
        affine = affine_of("flipped", spacing_mm=(1, 1, 1))
        for modality, volume in volumes.items():
            write_nifti(root / name / f"{name}_{modality}{ending}", volume, affine)
        if number < cases:
            write_nifti(root / name / f"{name}_seg{ending}", labels, affine)
    return root


def write_brats_slices(root: Path, *, cases: int = 2, slices: int = 3) -> Path:
    """Write `{train,val}/<case>/<id>_<modality>.npy` below `root` and return it."""
    for number in range(1, cases + 1):
        folder = root / ("train" if number % 2 else "val") / f"patient_{number}"
        folder.mkdir(parents=True)
        volumes, labels = draw_brats(number)
        for z in range(slices):
            for modality, volume in (volumes | {"seg": labels}).items():
                np.save(folder / f"BraTS20_Training_{number:03d}_{z}_{modality}.npy", volume[..., z])
    return root
