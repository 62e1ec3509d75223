"""The folder layout of KiTS19."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from pkgs.data.formats.parts import folders_in, parts_of
from pkgs.data.formats.volume_pair import checked, pair_header, read_pair
from pkgs.data.items import Header, Item, Sample

CASE: Final = re.compile(r"case_\d{5}")


@final
@dataclass(frozen=True)
class Kits19:
    """KiTS19: contrast-enhanced abdominal CT of patients with kidney tumours.

    300 cases, 210 of them (00000-00209) with references; int16 HU, 512 x 512 in-plane, 0.4-1.0 mm, slices
    0.5-5 mm apart, 29-1059 of them. **Files hold the slice axis first** and point to negative directions:
    use the affine. `case_XXXXX/imaging.nii.gz` and `case_XXXXX/segmentation.nii.gz`, in `root`, in
    `root/data` as cloned, or in train/, val/, test/. Labels: 0 background, 1 kidney, 2 tumour; no ignore
    value. Group: the case, one per patient. Licence: CC BY-NC-SA 4.0. Cite: Heller et al. 2019,
    arXiv:1904.00445.
    """

    @property
    def name(self) -> str:
        return "kits19"

    @property
    def version(self) -> int:
        return 1

    def samples(self, root: Path) -> list[Sample]:
        """Return the cases below `root`; those without a segmentation have no `label`."""
        base = root / "data" if (root / "data").is_dir() else root
        samples, problems = [], []
        for part, folder in parts_of(base):
            for case in folders_in(folder):
                if not CASE.fullmatch(case.name):
                    continue
                image, label = case / "imaging.nii.gz", case / "segmentation.nii.gz"
                if not image.is_file():
                    problems.append(f"{case.name} (no imaging.nii.gz)")
                files = {"image": image} | ({"label": label} if label.is_file() else {})
                samples.append(Sample(case.name, case.name, files, part))
        expected = "case_XXXXX/imaging.nii.gz and case_XXXXX/segmentation.nii.gz (five digits)"
        return checked(samples, root=root, problems=problems, expected=expected)

    def header(self, sample: Sample) -> Header:
        return pair_header(sample)

    def read(self, sample: Sample) -> Item:
        return read_pair(sample, allowed=(0, 1, 2))
