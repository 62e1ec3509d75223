"""What is true of each patch of the noisy synthetic set: its noise, its objects, and what befell them.

Lies in `truth/`, where no reader of training data looks.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pkgs.data.phantom.aerial_cuts import Cut
from pkgs.data.phantom.object_events import OPERATIONS, Event, Labels
from pkgs.data.phantom.outlines import Mask, Outline, moved, raster

TRUTH: Final = "truth"
COLUMNS: Final = ("imageid", "noise", "objects", *(f"hits_{name}" for name in OPERATIONS))
OBJECT_COLUMNS: Final = ("imageid", "operation", "parameters", "outline_clean", "outline_noisy")
DIGITS: Final = 6


@dataclass(frozen=True, slots=True)
class PatchTruth:
    """One row of `truth.csv`, and the rows of `objects.csv` that belong to it."""

    imageid: str
    noise: float
    """1 - IoU of the noisy and the clean mask; 0 where both are empty."""
    objects: int
    """Buildings of which the patch shows a pixel."""
    hits: dict[str, int]
    """How many objects each operation changed within the patch."""
    events: list[tuple[str, str, str, str]]


def noise_of(noisy: Mask, clean: Mask) -> float:
    """Return 1 - |noisy and clean| / |noisy or clean|; 0 where both are empty."""
    either = int((noisy | clean).sum())
    return 1 - int((noisy & clean).sum()) / either if either else 0.0


def truth_of(cut: Cut, labels: Labels, *, clean: Mask, noisy: Mask) -> PatchTruth:
    """Return the truth of one patch.

    An object counts as hit where its own clean and noisy pixels differ within the patch; one that was hit
    beyond the border does not.

    Args:
        cut: Where the patch lies in the tile.
        labels: Of the tile.
        clean: Mask of the patch.
        noisy: Mask of the patch.
    """
    here = [event for event in labels.events if _changes(event, cut, clean.shape)]
    counted = Counter(event.operation for event in here)
    return PatchTruth(
        imageid=f"{cut.stem}.png",
        noise=noise_of(noisy, clean),
        objects=sum(bool(_within(outline, cut, clean.shape).any()) for outline in labels.clean),
        hits={name: counted[name] for name in OPERATIONS},
        events=[
            (e.operation, json.dumps(e.parameters), _points(e.clean, cut), _points(e.noisy, cut))
            for e in here
        ],
    )


def write_truth(folder: Path, rows: Sequence[PatchTruth]) -> None:
    """Write `truth.csv` and `objects.csv`, sorted by imageid."""
    rows = sorted(rows, key=lambda row: row.imageid)
    table = ([r.imageid, round(r.noise, DIGITS), r.objects, *(r.hits[n] for n in OPERATIONS)] for r in rows)
    _write(folder / "truth.csv", COLUMNS, table)
    _write(folder / "objects.csv", OBJECT_COLUMNS, ([r.imageid, *event] for r in rows for event in r.events))


def _write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    path.write_text(text.getvalue(), encoding="utf-8")


def _changes(event: Event, cut: Cut, shape: tuple[int, ...]) -> bool:
    return bool((_within(event.clean, cut, shape) != _within(event.noisy, cut, shape)).any())


def _within(outline: Outline, cut: Cut, shape: tuple[int, ...]) -> Mask:
    """Return the pixels of the patch that `outline`, given in the tile, holds."""
    return raster([moved(outline, -cut.column, -cut.row)] if len(outline) else [], shape)


def _points(outline: Outline, cut: Cut) -> str:
    """Return the corners as JSON, x and y in pixels of the patch; they may lie outside of it."""
    return json.dumps(moved(outline, -cut.column, -cut.row).tolist() if len(outline) else [])
