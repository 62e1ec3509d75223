"""NIfTI volumes: headers without decoding, images and masks in the dtype that the rest can use, and writing.

nibabel judges the headers; the voxels are taken from the bytes here, so that gzip's checksum is always read:
nibabel stops before it, and a flipped bit would pass. Knows no folder layout.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pkgs.data.items import DataError
from pkgs.foundation.files import write_whole

ENDINGS: Final = (".nii.gz", ".nii")
HEAD_BYTES: Final = {348: "Nifti1Header", 540: "Nifti2Header"}
"""The first number of the file, and nibabel's class for it."""
AGREE_MM: Final = 1e-3
"""Affines of one case may differ by this much: files pass through programs that round."""
KEPT: Final = {"uint8": "uint8", "int8": "int16", "int16": "int16", "uint16": "int32", "int32": "int32"}
"""Stored and decoded whole numbers. No uint16: torch can neither add nor gather it."""

Affine = tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class NiftiHeader:
    """What a file says before its voxels are decoded."""

    path: Path
    shape: tuple[int, ...]
    """Without trailing axes of length 1 beyond the third."""
    stored: np.dtype[Any]
    slope: float
    inter: float
    affine: Affine
    """Voxel index to millimetres, 4 x 4: the sform if it is set, else the qform."""
    offset: int
    """Byte at which the voxels start."""

    @property
    def dtype(self) -> str:
        """The dtype of the decoded image: whole numbers stay whole unless the header scales them."""
        scaled = self.slope != 1 or self.inter != 0
        return "float32" if scaled else KEPT.get(self.stored.newbyteorder("=").name, "float32")

    @property
    def spacing_mm(self) -> tuple[float, ...]:
        return spacing_of(self.affine)


def is_nifti(path: Path) -> bool:
    """Say whether the file's ending is one that can be read here."""
    return path.name.lower().endswith(ENDINGS)


def stem_of(path: Path) -> str:
    """Return the file name without `.nii` or `.nii.gz`."""
    for ending in ENDINGS:
        if path.name.lower().endswith(ending):
            return path.name[: -len(ending)]
    return path.stem


def spacing_of(affine: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """Return the distance between two voxels along each array axis: the norms of the affine's columns."""
    return tuple(float(norm) for norm in np.linalg.norm(np.asarray(affine)[:3, :3], axis=0))


def read_header(path: Path) -> NiftiHeader:
    """Return the header of a 3-D volume; a few hundred bytes are read.

    Raises:
        DataError: If the file is missing, damaged, no single-file NIfTI, not 3-D, or has no usable affine.
    """
    head = _bytes(path, limit=max(HEAD_BYTES))
    return _parsed(path, head)


def read_image(path: Path) -> NDArray[Any]:
    """Return the volume [i, j, k] in the axes of the file: int16 where stored so and unscaled, else float32.

    Whole numbers stay whole (uint16 becomes int32); scaled values are `slope * stored + inter` in float32.

    Raises:
        DataError: As `read_header`, and if the voxels are cut short, damaged, NaN or infinite.
    """
    header, stored = _voxels(path)
    if header.dtype != "float32":
        return np.ascontiguousarray(stored, dtype=header.dtype)
    image = np.ascontiguousarray(stored, dtype=np.float64)
    if header.slope != 1 or header.inter != 0:
        image = image * header.slope + header.inter
    _refuse_non_finite(path, image)
    return image.astype(np.float32)


def read_labels(path: Path, *, allowed: Iterable[int] | None = None) -> NDArray[np.uint8]:
    """Return a mask [i, j, k] as uint8 in the axes of the file.

    Args:
        path: Whole numbers from 0 to 255 in any dtype, also as floats, also scaled.
        allowed: The labels of the data sheet; None allows all.

    Raises:
        DataError: As `read_image`, and if a value is not whole, out of range or in no class.
    """
    header, stored = _voxels(path)
    values = np.ascontiguousarray(stored)
    if header.slope != 1 or header.inter != 0:
        values = values * header.slope + header.inter
    if values.dtype.kind == "f":
        _refuse_non_finite(path, values)
        broken = values[values != np.rint(values)]
        if broken.size:
            raise DataError(
                f"{path}: {broken.size} labels are not whole numbers, such as {float(broken[0]):g}. "
                "Was the mask resampled with interpolation? Take the original, or resample it by nearest."
            )
    present = np.unique(values)
    if present.size and (present[0] < 0 or present[-1] > 255):
        raise DataError(f"{path}: labels from {present[0]:g} to {present[-1]:g}; expected 0 to 255.")
    surplus = [] if allowed is None else sorted({int(value) for value in present} - set(allowed))
    if surplus and allowed is not None:
        raise DataError(
            f"{path}: holds the labels {', '.join(map(str, surplus))}, which are in no class of this layout "
            f"(known: {', '.join(map(str, sorted(allowed)))}). Mend the mask, or choose the layout it "
            "is from."
        )
    return values.astype(np.uint8)


def refuse_unless_alike(case: str, first: NiftiHeader, other: NiftiHeader) -> None:
    """Refuse a case whose files do not lie on the same grid.

    Raises:
        DataError: If shapes differ, or affines differ by more than `AGREE_MM`.
    """
    both = f"{first.path} and {other.path}"
    if first.shape != other.shape:
        raise DataError(
            f"Case {case}: {both} differ in shape, {first.shape} and {other.shape}. They are not of one "
            "scan, "
            "or one was resampled: restore the original pair."
        )
    distance = float(np.abs(np.subtract(first.affine, other.affine)).max())
    if distance > AGREE_MM:
        raise DataError(
            f"Case {case}: the affines of {both} differ by up to {distance:.4g} mm; {AGREE_MM:g} mm are "
            "allowed. "
            "One of them lost its geometry: restore the original pair, or copy the image's affine to "
            "the mask "
            "after looking at both."
        )


def write_like(path: Path, volume: NDArray[Any], *, like: Path) -> None:
    """Write `volume` with the geometry of `like`: affine, qform and sform with their codes, bit for bit.

    The same volume gives the same bytes: gzip's time is 0.
    """
    import nibabel  # noqa: PLC0415 - heavy

    header, head = read_header(like), _bytes(like, limit=max(HEAD_BYTES))
    if tuple(volume.shape) != header.shape:
        raise DataError(f"{path}: shape {tuple(volume.shape)}; expected {header.shape}, as in {like}.")
    copied = _header_class(like, head)(head[: _size(like, head)]).copy()
    copied.set_data_shape(volume.shape)
    copied.set_data_dtype(volume.dtype)
    copied.set_slope_inter(1, 0)
    copied["cal_min"], copied["cal_max"] = 0, 0  # display range of the scan, wrong for what is written now
    image_class = nibabel.Nifti1Image if _size(like, head) == 348 else nibabel.Nifti2Image
    write_bytes(path, image_class(volume, None, copied).to_bytes())


def write_bytes(path: Path, raw: bytes) -> None:
    """Write a NIfTI file's bytes whole, gzipped with time 0 where the name asks for it."""
    write_whole(path, gzip.compress(raw, compresslevel=6, mtime=0) if path.suffix == ".gz" else raw)


def _parsed(path: Path, head: bytes) -> NiftiHeader:
    from nibabel.spatialimages import HeaderDataError  # noqa: PLC0415 - heavy

    try:
        header = _header_class(path, head)(head[: _size(path, head)])
        shape = tuple(int(side) for side in header.get_data_shape())
        slope, inter = header.get_slope_inter()
        affine = np.asarray(header.get_best_affine(), dtype=np.float64)
        stored, offset = header.get_data_dtype(), int(header.get_data_offset())
    except (HeaderDataError, ValueError, KeyError) as error:
        raise DataError(f"{path}: its NIfTI header cannot be used ({error}). Convert it anew.") from None
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    _refuse_odd(path, shape, stored, affine)
    rows = tuple(tuple(float(value) for value in row) for row in affine)
    scale = (1.0 if slope is None else float(slope), 0.0 if inter is None else float(inter))
    return NiftiHeader(path, shape, stored, *scale, rows, offset)


def _refuse_odd(
    path: Path, shape: tuple[int, ...], stored: np.dtype[Any], affine: NDArray[np.float64]
) -> None:
    if len(shape) != 3 or 0 in shape:
        raise DataError(
            f"{path}: {len(shape)}-D, shape {shape}; expected one 3-D volume per file. "
            "Write each frame or channel to a file of its own."
        )
    if stored.kind not in "iuf":
        raise DataError(f"{path}: voxels of type {stored}; expected one whole or real number each.")
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise DataError(
            f"{path}: its affine has no size along some axis ({affine.tolist()}). Restore sform or qform."
        )


def _size(path: Path, head: bytes) -> int:
    for size in (int.from_bytes(head[:4], "little"), int.from_bytes(head[:4], "big")):
        if size in HEAD_BYTES and len(head) >= size:
            return size
    raise DataError(
        f"{path}: is not a single-file NIfTI volume (.nii, .nii.gz), or is cut off in its header."
    )


def _header_class(path: Path, head: bytes) -> Any:  # noqa: ANN401 - nibabel is untyped
    import nibabel  # noqa: PLC0415 - heavy

    return getattr(nibabel, HEAD_BYTES[_size(path, head)])


def _bytes(path: Path, *, limit: int = -1) -> bytes:
    """Return the uncompressed bytes, at most `limit`; the whole of a gzip file is checked by its checksum."""
    try:
        with path.open("rb") as plain:
            zipped = plain.read(2) == b"\x1f\x8b"
            plain.seek(0)
            if not zipped:
                return plain.read(limit)
            with gzip.GzipFile(fileobj=plain) as packed:
                return packed.read(limit)
    except FileNotFoundError:
        raise DataError(f"{path}: is missing.") from None
    except (EOFError, zlib.error, OSError) as error:
        raise DataError(
            f"{path}: cannot be unpacked ({error}). The file is cut off or damaged: copy or download it anew."
        ) from None


def _voxels(path: Path) -> tuple[NiftiHeader, NDArray[Any]]:
    raw = _bytes(path)
    header = _parsed(path, raw)
    count = int(np.prod(header.shape))
    wanted = header.offset + count * header.stored.itemsize
    if len(raw) < wanted:
        raise DataError(
            f"{path}: {len(raw)} bytes where its header promises {wanted}. "
            "The file is cut off: copy or download it anew."
        )
    flat = np.frombuffer(raw, header.stored, count, header.offset)
    native = flat.astype(header.stored.newbyteorder("="), copy=False)
    return header, native.reshape(header.shape, order="F")


def _refuse_non_finite(path: Path, values: NDArray[Any]) -> None:
    bad = int(values.size - np.isfinite(values).sum())
    if bad:
        where = tuple(int(axis[0]) for axis in np.nonzero(~np.isfinite(values)))
        raise DataError(
            f"{path}: {bad} voxels are NaN or infinite, the first at {where}. "
            "Repair or exclude the case; no value is made up for them."
        )
