"""The folder layout of ChestX-ray8, its table of findings and its official lists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, NamedTuple, final

import numpy as np
from PIL import Image

from pkgs.data.formats.decoding import decoding
from pkgs.data.formats.folders import child, files_by_stem, find_child, matched, require_root
from pkgs.data.formats.grey_image import grey_header, read_codes
from pkgs.data.formats.rgb_image import read_rgb
from pkgs.data.formats.table import read_lines, read_rows
from pkgs.data.items import Array, ArraySpec, DataError, Header, Item, Sample, listed

FINDINGS: Final = (
    "Cardiomegaly",
    "Emphysema",
    "Effusion",
    "No Finding",
    "Hernia",
    "Infiltration",
    "Mass",
    "Nodule",
    "Atelectasis",
    "Pneumothorax",
    "Pleural_Thickening",
    "Pneumonia",
    "Fibrosis",
    "Edema",
    "Consolidation",
)
"""Order of the outputs; older heads depend on it."""
TABLES: Final = ("Data_Entry_2017.csv", "Data_Entry_2017_v2020.csv")
COLUMNS: Final = ("Image Index", "Finding Labels", "Patient ID")
LISTS: Final = {"train_val_list.txt": "train", "test_list.txt": "test"}


class Row(NamedTuple):
    """What the table says of one image."""

    patient: str
    vector: tuple[int, ...]


@final
@dataclass(frozen=True)
class ChestXray8:
    """ChestX-ray8 in its second release (ChestX-ray14): frontal chest radiographs, labels mined from reports.

    Files: `CX8/images/*.png`, or `CX8/{train_val,test}/*.png`; `CX8/Data_Entry_2017.csv`;
    `CX8/train_val_list.txt` and
    `CX8/test_list.txt`. id: the file's name without ending.
    Counts: 112,120 images of 30,805 patients, 86,524 of them train_val; 1024x1024.
    Depth: `image` [1, H, W] uint8 grey. About 500 files are stored as RGBA with equal channels: one is kept.
    Labels: `vector` [15] int64, 1 for each finding of the image, in the order of `FINDINGS`; "No Finding" is
    an entry of its own. No unknowns.
    Group: the patient. `part`: `train` for train_val (val is cut from it by patient), `test`.
    Licence: CC0 1.0. Cite: Wang et al. 2017, CVPR, arXiv:1705.02315.
    """

    name: ClassVar[str] = "chestxray8"
    version: ClassVar[int] = 1

    def samples(self, root: Path) -> list[Sample]:
        """Return all images, sorted by id.

        Args:
            root: The folder that holds `CX8`, or that folder itself.

        Raises:
            DataError: If table or lists are missing or incomplete, a finding is unknown, or images and rows
            are not the same (the first twenty are listed).
        """
        require_root(
            root, remedy="Unpack the release there, so that it holds CX8/images and CX8/Data_Entry_2017.csv."
        )
        home = find_child(root, "CX8") or root
        rows = _table(home)
        files, parts = _images(home)
        ids = matched(home, {"image": files, "row in the table": rows})
        if not ids:
            raise DataError(f"{home}: holds no image; expected images/<name>.png.")
        lists = _lists(home)
        part_of = parts | lists if lists else parts
        listless = [id_ for id_ in ids if id_ not in part_of]
        if listless:
            raise DataError(
                f"{home}: images that neither {' nor '.join(LISTS)} names: {listed(listless)}. "
                "The official split needs both lists; they are part of the release."
            )
        moved = [id_ for id_ in parts if lists and parts[id_] != lists.get(id_)]
        if moved:
            raise DataError(
                f"{home}: folder and official list disagree on {listed(sorted(moved))}. Put them back."
            )
        return [
            Sample(id_, rows[id_].patient, {"image": files[id_]}, part_of[id_], rows[id_].vector)
            for id_ in ids
        ]

    def header(self, sample: Sample) -> Header:
        path = sample.files["image"]
        if _is_colour(path):
            with decoding(path), Image.open(path) as picture:
                dtype, shape = "uint8", (picture.height, picture.width)
        else:
            dtype, shape = grey_header(path)
        return Header(
            {
                "image": ArraySpec("image", dtype, (1, *shape)),
                "vector": ArraySpec("vector", "int64", (len(FINDINGS),)),
            }
        )

    def read(self, sample: Sample) -> Item:
        path = sample.files["image"]
        image = _one_channel(path) if _is_colour(path) else read_codes(path)[None]
        return {"image": image, "vector": np.array(sample.vector, np.int64)}


def _is_colour(path: Path) -> bool:
    with decoding(path), Image.open(path) as picture:
        return picture.mode in {"RGB", "RGBA", "LA"}


def _one_channel(path: Path) -> Array:
    """Return one of the equal channels of a radiograph that was stored in colour."""
    colour = read_rgb(path, repeat_grey=True)
    if not (np.array_equal(colour[0], colour[1]) and np.array_equal(colour[0], colour[2])):
        raise DataError(
            f"{path}: a coloured picture; expected a grey radiograph. Restore it from the release."
        )
    return np.ascontiguousarray(colour[:1])


def _table(home: Path) -> dict[str, Row]:
    path = next((home / name for name in TABLES if (home / name).is_file()), home / TABLES[0])
    lines = read_rows(path, remedy="It tells findings and patients; it is part of the release.")
    places = _places(path, lines[0][1] if lines else [])
    memory: dict[str, tuple[int, ...]] = {}
    rows: dict[str, Row] = {}
    for number, line in lines[1:]:
        image, findings, patient = (line[place].strip() if place < len(line) else "" for place in places)
        if not image or not patient:
            raise DataError(
                f"{path}, line {number}: {'image' if not image else 'patient'} missing. Fetch it anew."
            )
        if findings not in memory:
            memory[findings] = _vector(f"{path}, line {number}", findings)
        stem = image.rpartition(".")[0] or image
        if stem in rows:
            raise DataError(f"{path}, line {number}: {image} stands in the table twice. Fetch it anew.")
        rows[stem] = Row(patient, memory[findings])
    return rows


def _places(path: Path, head: Sequence[str]) -> list[int]:
    names = [name.strip() for name in head]
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        raise DataError(
            f"{path}: the column {listed(map(repr, missing))} is missing; it holds {listed(names)}."
        )
    return [names.index(name) for name in COLUMNS]


def _vector(where: str, findings: str) -> tuple[int, ...]:
    words = [word.strip() for word in findings.split("|")]
    unknown = [word for word in words if word not in FINDINGS]
    if unknown:
        raise DataError(
            f"{where}: unknown finding {listed(map(repr, unknown))}; known: {', '.join(FINDINGS)}."
        )
    return tuple(int(finding in words) for finding in FINDINGS)


def _images(home: Path) -> tuple[dict[str, Path], dict[str, str]]:
    """Return the files by stem, and the part of those whose folder tells it."""
    if find_child(home, "images") is not None:
        return files_by_stem(child(home, "images"), (".png",)), {}
    train, test = (files_by_stem(child(home, name), (".png",)) for name in ("train_val", "test"))
    both = sorted(train.keys() & test.keys())
    if both:
        raise DataError(f"{home}: images in both train_val and test: {listed(both)}. Keep one.")
    return train | test, dict.fromkeys(train, "train") | dict.fromkeys(test, "test")


def _lists(home: Path) -> dict[str, str]:
    """Return the part of each image by the official lists; empty if neither is there."""
    parts: dict[str, str] = {}
    for name, part in LISTS.items():
        path = home / name
        if not path.is_file():
            continue
        for word in read_lines(path, remedy="It is part of the release."):
            stem = word.strip().rpartition(".")[0] or word.strip()
            if parts.setdefault(stem, part) != part:
                raise DataError(f"{path}: {word} stands in the other list too. Fetch both lists anew.")
    return parts
