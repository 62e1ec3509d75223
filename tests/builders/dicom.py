"""A tiny CT series: files in an order of their own, HU behind slope and intercept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

STEP_MM, ROW_MM, COLUMN_MM = 2.5, 0.8, 0.7
FIRST_MM = (-90.0, -110.0, 35.0)
"""Position of the lowest slice's first pixel, in DICOM's left-posterior-superior millimetres."""


def draw_hounsfield(*, slices: int = 5) -> np.ndarray:
    """Return HU [slice, row, column]."""
    return np.random.default_rng(0).integers(-1000, 1500, (slices, 6, 4)).astype(np.int16)


def write_slice(path: Path, hounsfield: np.ndarray, *, z_mm: float, series: str = "1.2.3") -> None:
    """Write one slice with RescaleSlope 1 and RescaleIntercept -1024."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = CTImageStorage, ExplicitVRLittleEndian
    meta.MediaStorageSOPInstanceUID = f"{series}.{abs(int(z_mm * 10)) + 1}"
    tags = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    tags.SOPClassUID, tags.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    tags.SeriesInstanceUID, tags.Modality = series, "CT"
    tags.Rows, tags.Columns = hounsfield.shape
    tags.PixelSpacing, tags.SliceThickness = [ROW_MM, COLUMN_MM], STEP_MM
    tags.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    tags.ImagePositionPatient = [FIRST_MM[0], FIRST_MM[1], z_mm]
    tags.RescaleSlope, tags.RescaleIntercept = 1, -1024
    tags.SamplesPerPixel, tags.PhotometricInterpretation = 1, "MONOCHROME2"
    tags.BitsAllocated, tags.BitsStored, tags.HighBit, tags.PixelRepresentation = 16, 12, 11, 0
    tags.PixelData = (hounsfield + 1024).astype("<u2").tobytes()
    pydicom.dcmwrite(path, tags, enforce_file_format=True)


def write_dicom(root: Path, *, slices: int = 5) -> Path:
    """Write `scan_1` below `root`, the names in the wrong order, and return `root`."""
    (root / "scan_1").mkdir(parents=True)
    for number, plane in enumerate(draw_hounsfield(slices=slices)):
        name = f"IM{(number * 3) % slices:04d}"
        write_slice(root / "scan_1" / name, plane, z_mm=FIRST_MM[2] + number * STEP_MM)
    return root
