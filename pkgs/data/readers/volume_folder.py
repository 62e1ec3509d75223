"""Own volumes in NIfTI files: three simple layouts, told apart by the names of the files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from pkgs.data.formats.nifti import ENDINGS, is_nifti, stem_of
from pkgs.data.formats.parts import files_in, folders_in, parts_of
from pkgs.data.formats.table import read_table
from pkgs.data.formats.volume_pair import checked, pair_header, read_pair
from pkgs.data.items import DataError, Header, Item, Sample

COLUMNS: Final = ("case", "patient", "image", "label", "split")
EXPECTED: Final = (
    "cases.csv, or images/<case>.nii.gz with labels/<case>.nii.gz, or <case>/image.nii.gz with label.nii.gz"
)


@final
@dataclass(frozen=True)
class VolumeFolder:
    """3-D volumes with masks, in the first of these layouts that is there; `.nii.gz` or `.nii`.

    `cases.csv` with `case,patient,image,label,split` (paths seen from the table; label and split may be
    empty); `images/` and `labels/` with equal names; `<case>/image.nii.gz` and `<case>/label.nii.gz`. The
    last two also below train/, val/, test/. A case without a label can be predicted, never scored.
    Dtype: int16 if stored so and unscaled, see formats/nifti.py. Group: the patient, else the case.
    """

    labels: tuple[int, ...] = ()
    """The labels of the data sheet; another one in a mask is an error. Empty: all from 0 to 255."""

    @property
    def name(self) -> str:
        return "volume_folder"

    @property
    def version(self) -> int:
        return 1

    def samples(self, root: Path) -> list[Sample]:
        """Return the cases of the layout that `root` has."""
        if (root / "cases.csv").is_file():
            return checked(_listed_cases(root / "cases.csv"), root=root, problems=[], expected=EXPECTED)
        samples: list[Sample] = []
        problems: list[str] = []
        for part, folder in parts_of(root):
            find = _paired_folders if (folder / "images").is_dir() else _case_folders
            found, odd = find(folder, part)
            samples += found
            problems += odd
        return checked(samples, root=root, problems=problems, expected=EXPECTED)

    def header(self, sample: Sample) -> Header:
        return pair_header(sample)

    def read(self, sample: Sample) -> Item:
        return read_pair(sample, allowed=self.labels or None)


def _listed_cases(path: Path) -> list[Sample]:
    samples = []
    for line, row in enumerate(read_table(path, columns=COLUMNS), start=2):
        files = {key: path.parent / row[key] for key in ("image", "label") if row[key]}
        absent = [str(file) for file in files.values() if not file.is_file()]
        if not row["case"] or "image" not in files or absent:
            missing = absent[0] if absent else "a case and an image"
            raise DataError(
                f"{path}, line {line}: {missing} is missing; paths are seen from the table's folder."
            )
        if row["split"] not in {"", "train", "val", "test"}:
            raise DataError(
                f"{path}, line {line}: split {row['split']!r}; expected train, val, test or nothing."
            )
        samples.append(Sample(row["case"], row["patient"] or row["case"], files, row["split"]))
    return samples


def _paired_folders(folder: Path, part: str) -> tuple[list[Sample], list[str]]:
    images = {stem_of(path): path for path in files_in(folder / "images") if is_nifti(path)}
    labels_in = folder / "labels"
    labels = {stem_of(p): p for p in files_in(labels_in) if is_nifti(p)} if labels_in.is_dir() else {}
    lonely = [f"{case} (a label without an image)" for case in sorted(labels.keys() - images.keys())]
    samples = [
        Sample(case, case, {"image": image} | ({"label": labels[case]} if case in labels else {}), part)
        for case, image in images.items()
    ]
    return samples, lonely


def _case_folders(folder: Path, part: str) -> tuple[list[Sample], list[str]]:
    samples, problems = [], []
    for case in folders_in(folder):
        found = {kind: [case / f"{kind}{e}" for e in ENDINGS] for kind in ("image", "label")}
        there = {kind: [path for path in paths if path.is_file()] for kind, paths in found.items()}
        if not any(there.values()):
            continue
        if not there["image"]:
            problems.append(f"{case.name} (a label without an image)")
        files = {kind: paths[0] for kind, paths in there.items() if paths}
        samples.append(Sample(case.name, case.name, files, part))
    return samples, problems
