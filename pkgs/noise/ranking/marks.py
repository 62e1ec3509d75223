"""What a reviewer's marks do to a ranking of the given labels.

`keep`: the label is right; first in the ranking, never cut. `fix`: it is wrong, the corrected one is right;
behind all that nobody has marked, kept with the corrected label. `drop`: leave the patch out; last, never
kept. Among patches of the same mark the score decides. Scores, P(noisy) and noise rate say what was measured
and stay as they are.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pkgs.data.items import DataError
from pkgs.noise.ranking.patches import Patches
from pkgs.noise.review import Mark

BLOCK: Final[Mapping[str, int]] = {"keep": 0, "": 1, "fix": 2, "drop": 3}
"""Place of the patches of a mark in the ranking, from least to most noisy."""


def words(names: Sequence[str], marks: Mapping[str, Mark]) -> list[str]:
    """Return what was said of each patch, empty for those without a mark."""
    return [marks[name].word if name in marks else "" for name in names]


def kept(noisy: NDArray[np.bool_], said: Sequence[str]) -> NDArray[np.bool_]:
    """Return who is kept: those that the cut leaves, but for what a reviewer said."""
    spoken = np.array([BLOCK[word] for word in said])
    wanted = (spoken == BLOCK["keep"]) | (spoken == BLOCK["fix"])
    return np.asarray((~noisy | wanted) & (spoken != BLOCK["drop"]))


def write_reviewed(folder: Path, patches: Patches, *, said: Sequence[str], corrected: Path) -> None:
    """Write a label for every patch: the corrected one where the mark is `fix`, else the given file.

    For `data.labels` of a training that listens to the review.

    Args:
        folder: New.
        patches: All.
        said: Their marks.
        corrected: Folder of the corrected labels, by the names of the images.

    Raises:
        DataError: If a corrected label is missing.
    """
    folder.mkdir()
    for sample, name, word in zip(patches.samples, patches.names, said, strict=True):
        given = sample.files["label"]
        source = (corrected / name).with_suffix(given.suffix) if word == "fix" else given
        if not source.exists():
            raise DataError(f"{name}: is marked fix, and there is no corrected label {source}.")
        shutil.copyfile(source, folder / source.name)
