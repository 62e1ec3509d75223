"""A tiny look-alike of KiTS19: four geometries in turn, the last case without a reference."""

from __future__ import annotations

from pathlib import Path

from tests.builders.nifti import GEOMETRIES, affine_of, draw_case, write_nifti


def write_kits19(root: Path, *, cases: int = 4, parts: tuple[str, ...] = ("",)) -> Path:
    """Write `case_XXXXX` folders below `root`, spread over `parts`, and return `root`."""
    for number in range(cases):
        folder = root / parts[number % len(parts)] / f"case_{number:05d}"
        image, labels = draw_case(number)
        affine = affine_of(GEOMETRIES[(number + 1) % 4])  # case 0 has the slices first, as the release
        write_nifti(folder / "imaging.nii.gz", image, affine)
        if number < cases - 1:
            write_nifti(folder / "segmentation.nii.gz", labels, affine)
    return root
