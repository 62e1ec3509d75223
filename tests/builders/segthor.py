"""A tiny look-alike of SegTHOR: both names of the reference, four organs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.builders.nifti import affine_of, draw_case, write_nifti


def write_segthor(root: Path, *, patients: int = 3) -> Path:
    """Write `Patient_NN` folders below `root` and return it; the last patient has no reference."""
    for number in range(1, patients + 1):
        folder = root / f"Patient_{number:02d}"
        image, labels = draw_case(number)
        labels[0, 0, :2] = 3, 4
        affine = affine_of("flipped", spacing_mm=(0.98, 0.98, 2.5))
        write_nifti(folder / f"Patient_{number:02d}.nii.gz", image, affine)
        if number < patients:
            name = "GT.nii.gz" if number % 2 else f"GT_{number:02d}.nii.gz"
            write_nifti(folder / name, labels.astype(np.uint8), affine)
    return root
