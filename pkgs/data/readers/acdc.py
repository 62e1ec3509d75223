"""The folder layout of ACDC: two frames of a heart's cycle, named in a file of their own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from pkgs.data.formats.parts import PARTS, folders_in, parts_of
from pkgs.data.formats.volume_pair import checked, pair_header, read_pair
from pkgs.data.items import DataError, Header, Item, Sample

CASE: Final = re.compile(r"patient\d+")
FRAMES: Final = ("ED", "ES")
FOLDERS: Final = {"training": "train", "testing": "test", **PARTS}
"""The release's own names come first."""


@final
@dataclass(frozen=True)
class Acdc:
    """ACDC: short-axis cine MRI of the heart, end-diastole (ED) and end-systole (ES).

    150 patients, 100 for training; int16, 0.7-1.9 mm in-plane, slices 5-10 mm apart, 6-18 of them.
    `patientNNN/Info.cfg` with the lines `ED: 1` and `ES: 12`, `patientNNN_frameFF.nii.gz` and
    `patientNNN_frameFF_gt.nii.gz`, FF with two digits; below training/ and testing/, or train/, val/, test/.
    Labels: 0 background, 1 right ventricle, 2 myocardium, 3 left ventricle; no ignore value.
    Group: the patient. Licence: CC BY-NC-SA 4.0. Cite: Bernard et al. 2018, IEEE TMI 37(11).
    """

    frames: tuple[str, ...] = ("ED",)
    """Which frames are samples: `ED`, `ES`, or both."""

    def __post_init__(self) -> None:
        if not self.frames or not set(self.frames) <= set(FRAMES):
            raise ValueError(f"frames {list(self.frames)}: expected one or both of {', '.join(FRAMES)}.")

    @property
    def name(self) -> str:
        return "acdc"

    @property
    def version(self) -> int:
        return 1

    def samples(self, root: Path) -> list[Sample]:
        """Return `<patient>/<frame>` for every patient below `root`, such as `patient001/ED`.

        Raises:
            DataError: Also if an Info.cfg is missing or does not name a frame.
        """
        samples, problems = [], []
        for part, folder in parts_of(root, names=FOLDERS):
            for case in folders_in(folder):
                if not CASE.fullmatch(case.name):
                    continue
                numbers = _frames(case / "Info.cfg", self.frames)
                for frame in self.frames:
                    stem = f"{case.name}_frame{numbers[frame]:02d}"
                    image, label = case / f"{stem}.nii.gz", case / f"{stem}_gt.nii.gz"
                    if not image.is_file():
                        problems.append(f"{case.name} (no {image.name}, the {frame} frame of its Info.cfg)")
                    files = {"image": image} | ({"label": label} if label.is_file() else {})
                    samples.append(Sample(f"{case.name}/{frame}", case.name, files, part))
        expected = "patientNNN/Info.cfg with patientNNN_frameFF.nii.gz beside it"
        return checked(samples, root=root, problems=problems, expected=expected)

    def header(self, sample: Sample) -> Header:
        return pair_header(sample)

    def read(self, sample: Sample) -> Item:
        return read_pair(sample, allowed=range(4))


def _frames(path: Path, wanted: tuple[str, ...]) -> dict[str, int]:
    """Return the numbers of the frames; an Info.cfg has `key: value` lines."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, UnicodeDecodeError):
        raise DataError(f"{path}: is missing or not text; it says which frame is ED and which ES.") from None
    cells = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    for frame in wanted:
        if not cells.get(frame, "").isdigit():
            raise DataError(
                f"{path}: has no line such as `{frame}: 1`, so the {frame} frame is unknown. "
                "Take the file from the release anew, or leave this frame out of data.frames."
            )
    return {frame: int(cells[frame]) for frame in wanted}
