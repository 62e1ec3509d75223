"""What a user gets of a ranking beside its tables: findings, corrected masks and the review gallery.

Patches stream through: none is kept. Everything is written into a draft folder first and then takes the place
of what an earlier ranking has left.
"""

from __future__ import annotations

import csv
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final, final

from pkgs.data.formats.grey_image import label_header
from pkgs.data.items import DataError
from pkgs.foundation.files import sync_folder
from pkgs.noise.correction import Corrector, corrected
from pkgs.noise.findings import SUGGESTIONS, Finding, find
from pkgs.noise.gallery import Gallery
from pkgs.noise.geojson import GeoJsonFile, Grid
from pkgs.noise.georeference import read_georeference
from pkgs.noise.patch_view import PatchView
from pkgs.noise.review import Mark

COLUMNS: Final = ("imageid", "kind", "confidence", "x0", "y0", "x1", "y1", "area_px", "suggestion")
CORRECTED, GALLERY, GEOJSON, TABLE = "corrected", "gallery", "findings.geojson", "findings.csv"
NAMES: Final = (CORRECTED, GALLERY, GEOJSON, TABLE)
"""In the order in which they take their places: the table says that all are there."""


@final
@dataclass(frozen=True, slots=True)
class Exported:
    """What was written."""

    patches: int
    findings: Mapping[str, int]
    """By kind."""
    corrected: int
    """Masks that differ from their input."""


def export(
    patches: Iterable[PatchView],
    *,
    folder: Path,
    marks: Mapping[str, Mark] | None = None,
    title: str = "Review",
) -> Exported:
    """Write `findings.csv`, `findings.geojson`, `corrected/` and `gallery/` into `folder`.

    `findings.csv` gives boxes and areas in pixels of the label's file; rows come in the order of `patches`,
    the surest finding of a patch first. `corrected/` holds a mask for every patch: a byte-equal copy where
    nothing was found. A patch marked `keep` is never changed: somebody has said that its label is right.

    Args:
        patches: Each once; worst first reads best.
        folder: Exists. What it already holds under these names is replaced once all is written.
        marks: Of an earlier review; the gallery shows them.
        title: Of the gallery.

    Raises:
        DataError: If a label cannot be read or written, lies where the exports go, or a patch comes twice.
        Nothing in `folder` has then changed.
    """
    draft = folder / f".exports.{os.getpid()}"
    for left in folder.glob(".exports.*"):  # of a process that was killed; a run folder has one at a time
        shutil.rmtree(left, ignore_errors=True)
    try:
        done = _write(patches, draft, folder=folder, marks=marks or {}, title=title)
        for name in NAMES:
            _replace(folder / name, draft / name)
        sync_folder(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return done


def _write(
    patches: Iterable[PatchView], draft: Path, *, folder: Path, marks: Mapping[str, Mark], title: str
) -> Exported:
    for name in (CORRECTED, GALLERY):
        (draft / name).mkdir(parents=True)
    with ExitStack() as stack:
        table = stack.enter_context((draft / TABLE).open("w", encoding="utf-8", newline=""))
        geojson = stack.enter_context(GeoJsonFile(draft / GEOJSON))
        writer = _Writer(draft, table, geojson, Gallery(draft / GALLERY, marks), marks)
        for view in patches:
            _require_apart(view.label_file, folder)
            writer.add(view)
        writer.gallery.finish(title=title)
    return Exported(writer.patches, dict(writer.counts), writer.changed)


def _require_apart(label_file: Path, folder: Path) -> None:
    """Refuse a label that these exports would replace: inputs are never changed."""
    if (folder / CORRECTED).resolve() in label_file.resolve().parents:
        raise DataError(
            f"{label_file}: is a corrected mask of the same run folder, which would be replaced. Rank the "
            "original labels, or copy the corrected ones elsewhere first."
        )


def _replace(target: Path, draft: Path) -> None:
    old = draft.with_name(f"old.{draft.name}")
    if target.exists():
        target.rename(old)
    draft.rename(target)


@dataclass
class _Writer:
    draft: Path
    table: IO[str]
    geojson: GeoJsonFile
    gallery: Gallery
    marks: Mapping[str, Mark]
    patches: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    changed: int = 0
    _corrector: Corrector = field(default_factory=Corrector)

    def __post_init__(self) -> None:
        self._rows = csv.writer(self.table, lineterminator="\n")
        self._rows.writerow(COLUMNS)

    def add(self, view: PatchView) -> None:
        target = view.target(self.draft / CORRECTED)
        if target.exists():
            raise DataError(f"{view.imageid}: comes twice; each patch has one place in a ranking.")
        target.parent.mkdir(parents=True, exist_ok=True)
        self.patches += 1
        findings = find(view.label, view.probability)
        self.counts.update(finding.kind for finding in findings)
        grid = _grid(view)
        self._rows.writerows(_row(view.imageid, finding, grid) for finding in findings)
        self.geojson.add(view.imageid, findings, grid=grid)
        mark = self.marks.get(view.imageid)
        applied: Sequence[Finding] = [] if mark is not None and mark.word == "keep" else findings
        self.changed += self._corrector.write(target, view.label_file, label_HW=view.label, findings=applied)
        self.gallery.add(view, findings, corrected_HW=corrected(view.label, findings))


def _grid(view: PatchView) -> Grid:
    rows, columns = label_header(view.label_file)
    height, width = view.label.shape
    return Grid(columns / width, rows / height, read_georeference(view.label_file))


def _row(imageid: str, finding: Finding, grid: Grid) -> list[Any]:
    x0, y0, x1, y1 = finding.box
    sides = [round(x0 * grid.columns), round(y0 * grid.rows), round(x1 * grid.columns), round(y1 * grid.rows)]
    area = round(finding.area_px * grid.columns * grid.rows)
    confidence = f"{finding.confidence:.4f}"
    return [imageid, finding.kind, confidence, *sides, area, SUGGESTIONS[finding.kind]]
