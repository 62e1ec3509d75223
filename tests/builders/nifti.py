"""Tiny NIfTI volumes with the geometries that real files have, and ways to break them."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np

GEOMETRIES = ("identity", "slices_first", "flipped", "oblique")
"""As numbered by case modulo 4 in the synthetic kidney sets; `slices_first` is KiTS19's."""


def affine_of(geometry: str, *, spacing_mm: tuple[float, float, float] = (1.5, 2.0, 3.0)) -> np.ndarray:
    """Return an affine whose array axes are `spacing_mm` apart; the origin is never 0."""
    x, y, z = spacing_mm
    linear = {
        "identity": np.diag([x, y, z]),
        "slices_first": np.array([[0, 0, -z], [0, -y, 0], [-x, 0, 0]]),
        "flipped": np.diag([-x, -y, z]),
        "oblique": _turn(7) @ np.diag([x, y, z]),
    }[geometry]
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = linear, [31.25, -47.5, 120.125]
    return affine


def _turn(degrees: float) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def write_nifti(
    path: Path, volume: np.ndarray, affine: np.ndarray, *, slope: float = 1, inter: float = 0
) -> Path:
    """Write one volume as stored, with slope and intercept in its header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(volume, affine, dtype=volume.dtype)
    image.header.set_slope_inter(slope, inter)
    if slope != 1 or inter != 0:  # nibabel would divide by the slope
        header = image.header.copy()
        raw = bytearray(nibabel.Nifti1Image(volume, affine, dtype=volume.dtype).to_bytes())
        header["vox_offset"], header["magic"] = 352, b"n+1"
        raw[:348] = header.binaryblock
        write_raw(path, bytes(raw))
        return path
    write_raw(path, image.to_bytes())
    return path


def write_raw(path: Path, raw: bytes) -> None:
    import gzip

    path.write_bytes(gzip.compress(raw, 1, mtime=0) if path.suffix == ".gz" else raw)


def draw_case(number: int, *, shape: tuple[int, int, int] = (12, 10, 8)) -> tuple[np.ndarray, np.ndarray]:
    """Return int16 HU and uint8 labels: a ball of class 1 with a smaller one of class 2 inside."""
    rng = np.random.default_rng(number)
    centre = np.array(shape) / 2 + rng.uniform(-1, 1, 3)
    far = np.sqrt(((np.indices(shape) - centre[:, None, None, None]) ** 2).sum(axis=0))
    labels = (far < 3.5).astype(np.uint8) + (far < 1.8).astype(np.uint8)
    noise = rng.normal(0, 15, shape)
    image = np.select([labels == 0, labels == 1, labels == 2], [-80, 180, 60]) + noise
    return np.round(image).astype(np.int16), labels


def cut_short(path: Path, *, share: float = 0.6) -> None:
    """Keep only the first part of a file."""
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * share)])
