"""The folder layout of ImageNet-1k as Kaggle releases it, and its subsets by class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, final

import numpy as np

from pkgs.data.formats.folders import child, descend, files_by_stem, find_child, require_root, subfolders
from pkgs.data.formats.rgb_image import read_rgb, rgb_header
from pkgs.data.formats.table import read_lines, read_rows
from pkgs.data.items import ArraySpec, DataError, Header, Item, Sample, listed

MAPPING: Final = "LOC_synset_mapping.txt"
SOLUTION: Final = "LOC_val_solution.csv"
ENDINGS: Final = (".jpeg", ".jpg")
CODE_LENGTH: Final = 9
"""`n01440764`, the first characters of a line of the mapping."""

Classes = Mapping[str, tuple[int]]
"""The vector of each synset that is kept, one tuple for all images of a class."""


@final
@dataclass(frozen=True)
class ImageNet:
    """ImageNet-1k (ILSVRC 2012): photographs of one of a thousand classes.

    Files: `imagenet-1k/ILSVRC/Data/CLS-LOC/train/<synset>/*.JPEG` and `.../val/*.JPEG`, or
    `imagenet-1k/{train/<synset>,our_val,our_test}`; `LOC_synset_mapping.txt` and `LOC_val_solution.csv` in
    `imagenet-1k`. id `train/<synset>/<name>` or `val/<name>`.
    Counts: 1,281,167 for training, 50,000 official val images (50 a class), of any size, about 500x375.
    Depth: `image` [3, H, W] uint8 RGB. The few thousand grey ones are repeated to three channels; the 22
    CMYK ones cannot be read, all in train, and are bad samples there.
    Labels: `vector` [1] int64, the class: number of the synset's line in the mapping, from 0; with `classes`
    the place among the kept synsets.
    Group: the image itself. `part`: the official val images are `val` (or `val` and `test` in the second
    layout).
    Licence: non-commercial research. Cite: Russakovsky et al. 2015, IJCV 115(3).
    """

    classes: int = 0
    """Keep so many classes, evenly spaced in the mapping (100 of 1000: lines 0, 10, 20 ...); 0: all."""

    name: ClassVar[str] = "imagenet"
    version: ClassVar[int] = 1

    def samples(self, root: Path) -> list[Sample]:
        """Return all images of the kept classes, sorted by id.

        Args:
            root: The folder that holds `imagenet-1k`, or that folder itself.

        Raises:
            DataError: If a file or folder is missing, a synset stands in only one of mapping and folders, or
            a val image has no solution (the first twenty are listed).
        """
        require_root(root, remedy="Unpack the Kaggle release there, so that it holds imagenet-1k/ILSVRC.")
        home = find_child(root, "imagenet-1k") or root
        mapping = _mapping(home / MAPPING)
        kept = _kept(home / MAPPING, mapping, classes=self.classes)
        place = descend(home, ("ILSVRC", "Data", "CLS-LOC")) or home
        samples = _training(child(place, "train"), known=mapping, kept=kept)
        solution = _solution(home / SOLUTION)
        for part, folder in _held_out(place).items():
            samples += _judged(folder, part, solution=solution, kept=kept)
        return sorted(samples, key=lambda sample: sample.id)

    def header(self, sample: Sample) -> Header:
        shape = rgb_header(sample.files["image"], repeat_grey=True)
        return Header(
            {"image": ArraySpec("image", "uint8", (3, *shape)), "vector": ArraySpec("vector", "int64", (1,))}
        )

    def read(self, sample: Sample) -> Item:
        image = read_rgb(sample.files["image"], repeat_grey=True)
        return {"image": image, "vector": np.array(sample.vector, np.int64)}


def _mapping(path: Path) -> list[str]:
    """Return the synsets in the order of the mapping's lines."""
    lines = read_lines(path, remedy="It numbers the classes; it is part of the Kaggle release.")
    synsets = [line[:CODE_LENGTH] for line in lines]
    if len(set(synsets)) != len(synsets) or not synsets:
        raise DataError(f"{path}: is empty or names a synset twice. Fetch it anew.")
    return synsets


def _kept(path: Path, mapping: list[str], *, classes: int) -> Classes:
    count = classes or len(mapping)
    if count < 1 or len(mapping) % count:
        raise DataError(
            f"{path}: {len(mapping)} classes cannot be thinned evenly to {count}. Choose a divisor."
        )
    return {synset: (number,) for number, synset in enumerate(mapping[:: len(mapping) // count])}


def _training(folder: Path, *, known: list[str], kept: Classes) -> list[Sample]:
    there = subfolders(folder)
    unmapped, absent = sorted(there.keys() - set(known)), sorted(kept.keys() - there.keys())
    if unmapped:
        raise DataError(
            f"{folder}: synsets that {MAPPING} does not know: {listed(unmapped)}. Is it the right file?"
        )
    if absent:
        raise DataError(f"{folder}: synsets of {MAPPING} without a folder: {listed(absent)}. Unpack them.")
    samples = []
    for synset, vector in kept.items():
        for stem, path in files_by_stem(there[synset], ENDINGS).items():
            id_ = f"train/{synset}/{stem}"
            samples.append(Sample(id_, id_, {"image": path}, "train", vector))
    if not samples:
        raise DataError(f"{folder}: holds no image; expected <synset>/<name>.JPEG.")
    return samples


def _held_out(place: Path) -> dict[str, Path]:
    """Return the folders of val and, where the official images are parted already, of test."""
    val, ours = find_child(place, "val"), find_child(place, "our_val")
    if val is not None and ours is not None:
        raise DataError(f"{place}: holds both val and our_val, the same images twice. Keep one.")
    return (
        {"val": val}
        if val is not None
        else {"val": child(place, "our_val", "val"), "test": child(place, "our_test")}
    )


def _solution(path: Path) -> dict[str, str]:
    """Return the synset of each val image: the first word of its solution."""
    rows = read_rows(path, remedy="It tells the classes of val; it is part of the Kaggle release.")
    head = rows[0][1] if rows else []
    if head[:2] != ["ImageId", "PredictionString"]:
        raise DataError(f"{path}: first line {','.join(head)!r}; expected ImageId,PredictionString.")
    bad = [row[0] for _, row in rows[1:] if len(row) < 2 or not row[1].strip()]
    if bad:
        raise DataError(f"{path}: lines without a solution: {listed(bad)}. Fetch the file anew.")
    return {row[0]: row[1].split()[0] for _, row in rows[1:]}


def _judged(folder: Path, part: str, *, solution: Mapping[str, str], kept: Classes) -> list[Sample]:
    files = files_by_stem(folder, ENDINGS)
    unsolved = sorted(files.keys() - solution.keys())
    if unsolved:
        raise DataError(
            f"{folder}: images that {SOLUTION} does not name: {listed(unsolved)}. Is it the right file?"
        )
    return [
        Sample(f"{part}/{stem}", f"{part}/{stem}", {"image": path}, part, kept[solution[stem]])
        for stem, path in files.items()
        if solution[stem] in kept
    ]
