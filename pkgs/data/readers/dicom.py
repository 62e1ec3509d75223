"""Folders of DICOM slices: one folder, one series, one volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from pkgs.data.formats.nifti import spacing_of
from pkgs.data.formats.parts import files_in, folders_in, parts_of
from pkgs.data.formats.volume_pair import checked
from pkgs.data.items import ArraySpec, DataError, Header, Item, Sample, listed

TO_RAS: Final = np.diag([-1.0, -1.0, 1.0])
"""DICOM's millimetres grow towards left and posterior, NIfTI's towards right and anterior."""
SAME_MM: Final = 1e-3
"""Positions closer than this are one position."""
UNEVEN: Final = 0.02
"""Steps between slices may differ by this share of the median step; a missing slice differs by 1."""
TAGS: Final = (
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "Rows",
    "Columns",
    "SeriesInstanceUID",
)


@final
@dataclass(frozen=True)
class Dicom:
    """CT series as scanners write them: `<root>/[train|val|test/]<case>/*`, one folder per series.

    Files of any name with one slice each, ordered by ImagePositionPatient. `image` [1, i, j, k]: columns,
    rows, slices, int16 HU = RescaleSlope x stored + RescaleIntercept, rounded; the affine is NIfTI's (RAS).
    No labels: a series can be predicted, never scored. Group: the folder. Needs pydicom.
    """

    @property
    def name(self) -> str:
        return "dicom"

    @property
    def version(self) -> int:
        return 1

    def samples(self, root: Path) -> list[Sample]:
        """Return one sample per folder that holds files."""
        samples = [
            Sample(case.name, case.name, {path.name: path for path in files_in(case)}, part)
            for part, folder in parts_of(root)
            for case in folders_in(folder)
            if files_in(case)
        ]
        return checked(samples, root=root, problems=[], expected="<case>/<slices of one series>")

    def header(self, sample: Sample) -> Header:
        series = _series(sample, pixels=False)
        spec = ArraySpec("image", "int16", (1, *series.shape))
        return Header({"image": spec}, spacing_of(series.affine), series.affine)

    def read(self, sample: Sample) -> Item:
        series = _series(sample, pixels=True)
        planes = [_hounsfield(slice_.path, slice_.tags).T for slice_ in series.ordered]
        return {"image": np.ascontiguousarray(np.stack(planes, axis=-1)[None])}


@dataclass(frozen=True)
class _Slice:
    path: Path
    tags: Any
    """pydicom's dataset."""

    @property
    def position(self) -> NDArray[np.float64]:
        return np.array([float(x) for x in self.tags.ImagePositionPatient])


@dataclass(frozen=True)
class _Series:
    folder: Path
    slices: Sequence[_Slice]

    def __post_init__(self) -> None:
        for tag in ("SeriesInstanceUID", "Rows", "Columns", "PixelSpacing", "ImageOrientationPatient"):
            values = {str(getattr(slice_.tags, tag)) for slice_ in self.slices}
            if len(values) > 1:
                raise DataError(
                    f"{self.folder}: its slices differ in {tag} ({listed(sorted(values))}); expected "
                    "one series. "
                    "Give each series (and a scout image) a folder of its own."
                )
        self._refuse_gaps()

    @cached_property
    def axes(self) -> NDArray[np.float64]:
        """Directions of columns, rows and slices in DICOM's millimetres, as matrix columns."""
        cosines = [float(x) for x in self.slices[0].tags.ImageOrientationPatient]
        along, down = np.array(cosines[:3]), np.array(cosines[3:])
        return np.stack([along, down, np.cross(along, down)], axis=1)

    @cached_property
    def ordered(self) -> list[_Slice]:
        return sorted(self.slices, key=lambda slice_: float(slice_.position @ self.axes[:, 2]))

    @property
    def shape(self) -> tuple[int, int, int]:
        tags = self.slices[0].tags
        return int(tags.Columns), int(tags.Rows), len(self.slices)

    @cached_property
    def affine(self) -> tuple[tuple[float, ...], ...]:
        tags, first, last = self.slices[0].tags, self.ordered[0].position, self.ordered[-1].position
        row_mm, column_mm = (float(x) for x in tags.PixelSpacing)
        if len(self.slices) > 1:
            step = (last - first) / (len(self.slices) - 1)
        else:
            step = self.axes[:, 2] * float(getattr(tags, "SliceThickness", None) or 1)
        linear = TO_RAS @ np.stack([self.axes[:, 0] * column_mm, self.axes[:, 1] * row_mm, step], axis=1)
        rows = np.column_stack([linear, TO_RAS @ first]).tolist()
        return (*(tuple(row) for row in rows), (0.0, 0.0, 0.0, 1.0))

    def _refuse_gaps(self) -> None:
        if len(self.slices) < 2:
            return
        heights = np.array([float(slice_.position @ self.axes[:, 2]) for slice_ in self.ordered])
        steps = np.diff(heights)
        for which, what, cure in (
            (steps < SAME_MM, "lie at one position", "Keep one of them."),
            (
                np.abs(steps - np.median(steps)) > UNEVEN * np.median(steps),
                "have a gap",
                "Restore what is missing.",
            ),
        ):
            if which.any():
                k = int(np.argmax(which))
                one, other = self.ordered[k].path.name, self.ordered[k + 1].path.name
                raise DataError(
                    f"{self.folder}: the slices {one} and {other} {what} ({heights[k]:g} and "
                    f"{heights[k + 1]:g} mm; the usual step is {np.median(steps):g} mm). {cure}"
                )


def _series(sample: Sample, *, pixels: bool) -> _Series:
    folder = next(iter(sample.files.values())).parent
    slices = [_read(path, pixels=pixels) for path in sample.files.values() if path.name != "DICOMDIR"]
    if not slices:
        raise DataError(f"{folder}: holds no DICOM slice.")
    return _Series(folder, slices)


def _read(path: Path, *, pixels: bool) -> _Slice:
    try:
        import pydicom  # noqa: PLC0415 - an extra, and heavy
        from pydicom.errors import InvalidDicomError  # noqa: PLC0415
    except ImportError:
        raise DataError(
            f"{path}: DICOM needs pydicom, which is not installed: pip install 'queuemanager[dicom]'."
        ) from None
    try:
        tags = pydicom.dcmread(path, stop_before_pixels=not pixels)
    except (InvalidDicomError, OSError, EOFError) as error:
        raise DataError(
            f"{path}: is not a DICOM file, or cut off ({error}). Move it away or restore it."
        ) from None
    absent = [tag for tag in TAGS if not getattr(tags, tag, None)]
    if absent:
        raise DataError(f"{path}: has no {', '.join(absent)}; only slices with a position can be ordered.")
    return _Slice(path, tags)


def _hounsfield(path: Path, tags: Any) -> NDArray[np.int16]:  # noqa: ANN401 - pydicom's dataset
    """Return one slice [rows, columns] in HU."""
    try:
        stored = tags.pixel_array
    except (AttributeError, ValueError, RuntimeError, NotImplementedError) as error:
        raise DataError(
            f"{path}: its pixels cannot be decoded ({error}). Is the file complete? Compressed slices need a "
            "decoder (pip install pylibjpeg pylibjpeg-libjpeg), or are written uncompressed."
        ) from None
    if stored.ndim != 2:
        raise DataError(f"{path}: pixels of shape {stored.shape}; expected one grey slice per file.")
    slope, inter = float(getattr(tags, "RescaleSlope", 1)), float(getattr(tags, "RescaleIntercept", 0))
    scaled = np.rint(stored.astype(np.float64) * slope + inter)
    if scaled.min() < -(2**15) or scaled.max() >= 2**15:
        raise DataError(f"{path}: values from {scaled.min():g} to {scaled.max():g} HU do not fit into int16.")
    hounsfield: NDArray[np.int16] = scaled.astype(np.int16)
    return hounsfield
