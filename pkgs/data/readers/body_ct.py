"""The folder layout of the body-region CT slices."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from pkgs.data.formats.folders import require_root
from pkgs.data.formats.parts import files_in
from pkgs.data.formats.table import read_table
from pkgs.data.formats.volume_pair import checked
from pkgs.data.items import DataError, Header, Item, Sample
from pkgs.data.readers.npy import Npy

REGIONS: Final = ("head/neck", "thorax", "abdomen", "extremities", "pelvis", "spine")
FOLDERS: Final = {"train_wo6": "train", "val_wo6": "val", "test_wo6": "test"}
FILE: Final = re.compile(r"(.+)_\d+\.npy")
SLICES: Final = Npy()


@final
@dataclass(frozen=True)
class BodyCt:
    """Axial CT slices with the region of the body that they show.

    `medical_2D/{train_wo6,val_wo6,test_wo6}/<fileno>_<frame>.npy` (2-D, int16 HU) and
    `medical_2D/labels.csv` with `file,class,patient`; `root` is `medical_2D` or the folder that holds it.
    Classes, by number or name: 0 head/neck, 1 thorax, 2 abdomen, 3 extremities, 4 pelvis, 5 spine. Group:
    the patient. The original sets (RadNet, 1.2 and 12 million slices) are private; the synthetic one has
    the same layout.
    """

    @property
    def name(self) -> str:
        return "body_ct"

    @property
    def version(self) -> int:
        return 1

    def samples(self, root: Path) -> list[Sample]:
        """Return all slices; every file needs a row in labels.csv.

        Raises:
            DataError: Also if a row names an unknown class, or a file has no row.
        """
        require_root(root, remedy="Set data.root to where your data lies.")
        base = root / "medical_2D" if (root / "medical_2D").is_dir() else root
        table = base / "labels.csv"
        rows = {row["file"]: row for row in read_table(table, columns=("file", "class", "patient"))}
        samples, problems = [], []
        for name, part in FOLDERS.items():
            for path in files_in(base / name) if (base / name).is_dir() else []:
                row = rows.get(path.name) or rows.get(f"{name}/{path.name}")
                if not FILE.fullmatch(path.name):
                    continue
                if row is None:
                    problems.append(f"{name}/{path.name} (no row in labels.csv)")
                    continue
                region, patient = _region(table, row["class"]), row["patient"] or path.name
                samples.append(Sample(f"{name}/{path.stem}", patient, {"image": path}, part, (region,)))
        expected = "medical_2D/{train_wo6,val_wo6,test_wo6}/<fileno>_<frame>.npy and medical_2D/labels.csv"
        return checked(samples, root=root, problems=problems, expected=expected)

    def header(self, sample: Sample) -> Header:
        return SLICES.header(sample)

    def read(self, sample: Sample) -> Item:
        return SLICES.read(sample)


def _region(table: Path, word: str) -> int:
    if word in REGIONS:
        return REGIONS.index(word)
    if word.isdigit() and int(word) < len(REGIONS):
        return int(word)
    raise DataError(
        f"{table}: class {word!r}; expected 0 to {len(REGIONS) - 1} or one of {', '.join(REGIONS)}."
    )
