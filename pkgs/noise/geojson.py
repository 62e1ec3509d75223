"""`findings.geojson`: outlines of what is labelled and of what is suggested, for any map program.

RFC 7946 in form. Coordinates are those of the label's TIFF where it has a georeference, in its own system
(named by the older member `crs`, which GDAL and QGIS read, and by each feature), else pixels of the
file, y down.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Literal, final

from pkgs.noise.findings import SUGGESTIONS, Finding, Mask
from pkgs.noise.georeference import Georeference
from pkgs.noise.outlines import Ring, doubled_area, polygons

PIXELS: Final = "pixels"
Outline = Literal["label", "suggestion"]
Position = tuple[float, float]


@final
@dataclass(frozen=True, slots=True)
class Grid:
    """How the pixels of a patch lie in its file and on the ground."""

    columns: float = 1.0
    """Pixels of the file per pixel of the patch."""
    rows: float = 1.0
    georeference: Georeference | None = None

    def place(self, x: float, y: float) -> Position:
        column, row = x * self.columns, y * self.rows
        return (column, row) if self.georeference is None else self.georeference.place(column, row)


@dataclass
class GeoJsonFile:
    """A feature collection that is written as it comes: one feature per outline.

    Used as a context; the file is whole when the context ends without an error.
    """

    path: Path
    _file: IO[str] = field(init=False)
    _systems: set[str] = field(default_factory=set, init=False)
    _written: int = field(default=0, init=False)

    def __enter__(self) -> GeoJsonFile:
        self._file = self.path.open("w", encoding="utf-8", newline="")
        self._file.write('{"type": "FeatureCollection", "features": [')
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.write(f"\n]{self._crs()}}}\n")
        self._file.close()

    def add(self, imageid: str, findings: Sequence[Finding], *, grid: Grid) -> None:
        """Add what is labelled and what is suggested of each finding; `number` is its place, from 0."""
        system = PIXELS if grid.georeference is None else grid.georeference.system
        if findings:
            self._systems.add(system)
        for number, finding in enumerate(findings):
            for outline, mask in _outlines(finding):
                feature = {
                    "type": "Feature",
                    "properties": {
                        "imageid": imageid,
                        "number": number,
                        "kind": finding.kind,
                        "confidence": round(finding.confidence, 4),
                        "suggestion": SUGGESTIONS[finding.kind],
                        "outline": outline,
                        "crs": system,
                    },
                    "geometry": geometry(mask, finding.box[:2], grid=grid),
                }
                self._file.write(",\n" if self._written else "\n")
                self._file.write(json.dumps(feature, ensure_ascii=False))
                self._written += 1

    def _crs(self) -> str:
        """Return the member that names the system, if there is one for all."""
        name = next(iter(self._systems)) if len(self._systems) == 1 else ""
        if not name.startswith("EPSG:"):
            return ""
        urn = f"urn:ogc:def:crs:EPSG::{name.removeprefix('EPSG:')}"
        return f', "crs": {json.dumps({"type": "name", "properties": {"name": urn}})}'


def _outlines(finding: Finding) -> list[tuple[Outline, Mask]]:
    both: list[tuple[Outline, Mask | None]] = [("label", finding.labelled), ("suggestion", finding.predicted)]
    return [(outline, mask) for outline, mask in both if mask is not None]


def geometry(mask_HW: Mask, origin: tuple[int, int], *, grid: Grid) -> dict[str, object]:
    """Return a Polygon, or a MultiPolygon if parts touch at corners only; outer rings run counterclockwise.

    Args:
        mask_HW: An object.
        origin: x, y of its first pixel in the patch.
        grid: From pixels of the patch to coordinates.
    """
    shapes = [
        [_placed(ring, origin, grid=grid, outer=place == 0) for place, ring in enumerate(rings)]
        for rings in polygons(mask_HW)
    ]
    if len(shapes) == 1:
        return {"type": "Polygon", "coordinates": shapes[0]}
    return {"type": "MultiPolygon", "coordinates": shapes}


def _placed(ring: Ring, origin: tuple[int, int], *, grid: Grid, outer: bool) -> list[Position]:
    points = [grid.place(x + origin[0], y + origin[1]) for x, y in ring]
    around_first = [
        (x - points[0][0], y - points[0][1]) for x, y in points
    ]  # northings of 6 digits cancel badly
    return points if (doubled_area(around_first) > 0) == outer else points[::-1]
