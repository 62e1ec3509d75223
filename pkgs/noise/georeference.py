"""Where a TIFF lies on the ground: from its tags alone, without a map library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import tifffile

from pkgs.data.formats.decoding import decoding
from pkgs.data.formats.grey_image import TIFF_ENDINGS

PIXEL_SCALE, TIEPOINT, TRANSFORMATION = 33550, 33922, 34264
SYSTEM_KEYS: Final = ("ProjectedCSTypeGeoKey", "GeographicTypeGeoKey")
USER_DEFINED: Final = 32767
POINT: Final = 2
"""GTRasterTypeGeoKey: coordinates are of the centres of pixels, not of their corners."""


@final
@dataclass(frozen=True, slots=True)
class Georeference:
    """An affine map from pixels to the ground."""

    x: tuple[float, float, float]
    """a, b, c of x = a * column + b * row + c, where (0, 0) is the outer corner of the first pixel."""
    y: tuple[float, float, float]
    system: str
    """`EPSG:<number>`, empty where the file names none."""

    def place(self, column: float, row: float) -> tuple[float, float]:
        return _line(self.x, column, row), _line(self.y, column, row)


def _line(factors: tuple[float, float, float], column: float, row: float) -> float:
    return factors[0] * column + factors[1] * row + factors[2]


def read_georeference(path: Path) -> Georeference | None:
    """Return where `path` lies; None for other formats, and for a TIFF without a scale or transformation.

    Points on the ground without a scale (control points of an image that is not rectified) are no affine map.

    Raises:
        DataError: If the file is damaged.

    Source: OGC 19-008r4, GeoTIFF 1.1, sections 7.1 and B.6.
    """
    if path.suffix.lower() not in TIFF_ENDINGS:
        return None
    with decoding(path), tifffile.TiffFile(path) as file:
        page = file.pages.first
        tags = {tag.code: tag.value for tag in page.tags}
        keys = page.geotiff_tags or {}
    lines = _affine(tags)
    if lines is None:
        return None
    half = 0.5 if int(keys.get("GTRasterTypeGeoKey", 1)) == POINT else 0.0
    x, y = ((a, b, c - half * (a + b)) for a, b, c in lines)
    return Georeference(x, y, _system(keys))


def _affine(tags: Mapping[int, Any]) -> tuple[tuple[float, float, float], tuple[float, float, float]] | None:
    if TRANSFORMATION in tags:
        m = [float(value) for value in tags[TRANSFORMATION]]
        return (m[0], m[1], m[3]), (m[4], m[5], m[7])
    if PIXEL_SCALE not in tags or TIEPOINT not in tags:
        return None
    right, down = (float(value) for value in tags[PIXEL_SCALE][:2])
    column, row, _, x, y, _ = (float(value) for value in tags[TIEPOINT][:6])
    return (right, 0.0, x - right * column), (0.0, -down, y + down * row)


def _system(keys: Mapping[str, Any]) -> str:
    codes = (int(keys[key]) for key in SYSTEM_KEYS if key in keys)
    return next((f"EPSG:{code}" for code in codes if 0 < code < USER_DEFINED), "")
