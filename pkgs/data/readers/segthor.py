"""The folder layout of SegTHOR."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from pkgs.data.formats.parts import folders_in, parts_of
from pkgs.data.formats.volume_pair import checked, pair_header, read_pair
from pkgs.data.items import Header, Item, Sample

CASE: Final = re.compile(r"Patient_(\d+)")


@final
@dataclass(frozen=True)
class SegThor:
    """SegTHOR: chest CT of patients with lung cancer or Hodgkin lymphoma, four organs at risk.

    60 cases, 40 with references; int16 HU, 512 x 512 in-plane, 0.90-1.37 mm, slices 2-3.7 mm apart, 150-284.
    `Patient_NN/Patient_NN.nii.gz` and `GT.nii.gz` or `GT_NN.nii.gz` beside it; optionally below train/,
    val/, test/. Labels: 0 background, 1 oesophagus, 2 heart, 3 trachea, 4 aorta; no ignore value.
    Group: the patient. Licence: on request to the challenge. Cite: Lambert et al. 2020, IPTA,
    arXiv:1912.05950.
    """

    @property
    def name(self) -> str:
        return "segthor"

    @property
    def version(self) -> int:
        return 1

    def samples(self, root: Path) -> list[Sample]:
        """Return the patients below `root`; those without a GT file have no `label`."""
        samples, problems = [], []
        for part, folder in parts_of(root):
            for case in folders_in(folder):
                found = CASE.fullmatch(case.name)
                if not found:
                    continue
                image = case / f"{case.name}.nii.gz"
                labels = [p for n in ("GT", f"GT_{found[1]}") if (p := case / f"{n}.nii.gz").is_file()]
                if not image.is_file():
                    problems.append(f"{case.name} (no {image.name})")
                if len(labels) > 1:
                    problems.append(f"{case.name} (both GT.nii.gz and {labels[1].name}; keep one)")
                files = {"image": image} | ({"label": labels[0]} if labels else {})
                samples.append(Sample(case.name, case.name, files, part))
        expected = "Patient_NN/Patient_NN.nii.gz with GT.nii.gz or GT_NN.nii.gz beside it"
        return checked(samples, root=root, problems=problems, expected=expected)

    def header(self, sample: Sample) -> Header:
        return pair_header(sample)

    def read(self, sample: Sample) -> Item:
        return read_pair(sample, allowed=range(5))
