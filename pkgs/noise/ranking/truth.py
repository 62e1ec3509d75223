"""What is true of each label, where anybody knows. Read after everything else: no score looks at it."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

import numpy as np

from pkgs.data.formats.mask import read_binary
from pkgs.data.items import DataError, listed
from pkgs.noise.ranking.patches import Patches
from pkgs.noise.scores import Scores, iou

HITS: Final = "hits_"


@dataclass(frozen=True, slots=True)
class Truth:
    """True noise and, where the noise was made, what was done; one value per patch."""

    noise: Scores
    """1 - IoU of given and clean label."""
    counts: Mapping[str, tuple[int, ...]]
    """`objects`, `hits_<operation>`."""


def read_truth(path: Path, patches: Patches, *, empty: Literal["clean", "benchmark"]) -> Truth:
    """Return the truth from `truth.csv`, or from a folder of clean masks of equal names.

    Args:
        path: File or folder.
        patches: Who is asked about, by file name.
        empty: Noise of patches without a building in either mask: 0, or 1 (`benchmark`).

    Raises:
        DataError: If it is missing, not of this form, or does not know a patch.
    """
    truth = _from_masks(path, patches) if path.is_dir() else _from_table(path, patches)
    if empty == "clean":
        return truth
    bare = np.array([not patches.item(place)["label"].any() for place in range(len(patches))])
    return replace(truth, noise=np.where(bare & (truth.noise == 0), 1.0, truth.noise))


def _from_table(path: Path, patches: Patches) -> Truth:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}). Leave `truth` empty if nobody knows it."
        ) from None
    if not rows or not {"imageid", "noise"} <= set(rows[0]):
        raise DataError(f"{path}: expected the columns imageid, noise and perhaps objects and hits_*.")
    by_name = {row["imageid"]: row for row in rows}
    missing = [name for name in patches.names if name not in by_name]
    if missing:
        raise DataError(f"{path}: does not know {listed(missing)}. Is it the truth of this set?")
    ordered = [by_name[name] for name in patches.names]
    columns = [name for name in rows[0] if name == "objects" or name.startswith(HITS)]
    try:
        noise = np.array([float(row["noise"]) for row in ordered])
        counts = {name: tuple(int(row[name]) for row in ordered) for name in columns}
    except ValueError as error:
        raise DataError(f"{path}: {error}; expected numbers.") from None
    if not ((noise >= 0) & (noise <= 1)).all():
        raise DataError(f"{path}: noise outside of [0, 1]; expected 1 - IoU of given and clean label.")
    return Truth(noise, counts)


def _from_masks(folder: Path, patches: Patches) -> Truth:
    files = {file.stem: file for file in folder.iterdir()}
    stems = [sample.files["label"].stem for sample in patches.samples]
    missing = [stem for stem in stems if stem not in files]
    if missing:
        raise DataError(f"{folder}: has no clean mask of {listed(missing)}.")
    noise = []
    for sample, stem in zip(patches.samples, stems, strict=True):
        given, clean = patches.reader.read(sample)["label"], read_binary(files[stem])
        if given.shape != clean.shape:
            raise DataError(f"{files[stem]}: {clean.shape}; expected {given.shape} as the given label.")
        noise.append(float(iou((given > 0).astype(np.uint8)[None], clean[None] == 1)[0]))
    return Truth(np.array(noise), {})
