"""A tiny look-alike of ACDC: Info.cfg, frames beyond nine, and the 4-D file that lies beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.builders.nifti import affine_of, draw_case, write_nifti

SYSTOLE = 12
"""Number of the ES frame: two digits, which earlier code misnamed."""


def write_acdc(root: Path, *, patients: int = 2) -> Path:
    """Write `training/patientNNN` below `root` and return it."""
    for number in range(1, patients + 1):
        folder = root / "training" / f"patient{number:03d}"
        folder.mkdir(parents=True)
        info = f"ED: 1\nES: {SYSTOLE}\nGroup: DCM\nHeight: 184.0\nNbFrame: 30\nWeight: 95.0\n"
        (folder / "Info.cfg").write_text(info)
        affine = affine_of("flipped", spacing_mm=(1.5, 1.5, 10))
        for frame in (1, SYSTOLE):
            image, labels = draw_case(100 * number + frame)
            labels[0, 0, 0] = 3
            stem = folder / f"patient{number:03d}_frame{frame:02d}"
            write_nifti(stem.with_name(f"{stem.name}.nii.gz"), image, affine)
            write_nifti(stem.with_name(f"{stem.name}_gt.nii.gz"), labels, affine)
        movie = np.zeros((4, 4, 3, 5), np.int16)
        write_nifti(folder / f"patient{number:03d}_4d.nii.gz", movie, affine)
    return root
