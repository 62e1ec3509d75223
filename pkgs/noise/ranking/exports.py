"""What is written of each patch beside the tables: `pixels/`, and the exports for people.

The seam between ranking and exports: `views` says what is known of each patch, worst first; `export` writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from pkgs.noise.exports import export as write_exports
from pkgs.noise.patch_view import PatchView
from pkgs.noise.ranking.patches import Patches, Places
from pkgs.noise.ranking.scoring import Detectors, maps_of
from pkgs.noise.review import Mark
from pkgs.noise.scores import Scores

PIXELS: Final = "pixels"
CORRECTED: Final = "corrected"


def views(
    patches: Patches, detectors: Detectors, *, order: Places, score: Scores, p_noisy: Scores
) -> Iterator[PatchView]:
    """Yield every patch, the most noisy first; one at a time is in memory.

    Args:
        patches: All.
        detectors: Give P and r.
        order: Places from least to most noisy.
        score: What ranks.
        p_noisy: P(noisy).
    """
    names = patches.names
    for rank in range(len(order) - 1, -1, -1):
        place = int(order[rank])
        item, (probability, wrong) = patches.item(place), maps_of(detectors, order[rank : rank + 1])
        yield PatchView(
            imageid=names[place],
            label_file=patches.samples[place].files["label"],
            image=item["image"],
            label=item["label"],
            probability=probability[0],
            wrong=None if wrong is None else wrong[0],
            rank=rank,
            score=float(score[place]),
            p_noisy=float(p_noisy[place]),
        )


def export(
    patches: Iterable[PatchView],
    *,
    folder: Path,
    marks: Mapping[str, Mark],
) -> None:
    """Write `pixels/<stem>.png`, r times 255, findings, corrected masks and gallery; one pass over all.

    Args:
        patches: Each once.
        folder: Draft of the run folder.
        marks: Of a reviewer.
    """
    write_exports(
        with_pixels(patches, folder=folder / PIXELS), folder=folder, marks=marks, title="Labels to review"
    )


def with_pixels(patches: Iterable[PatchView], *, folder: Path) -> Iterator[PatchView]:
    """Pass patches on; of each write the map of r as a grey picture, where there is an error teacher."""
    for patch in patches:
        if patch.wrong is not None:
            folder.mkdir(exist_ok=True)
            grey = np.rint(np.asarray(patch.wrong) * 255).astype(np.uint8)
            Image.fromarray(grey).save((folder / patch.imageid).with_suffix(".png"))
        yield patch
