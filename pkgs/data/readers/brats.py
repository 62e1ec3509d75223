"""The folder layouts of BraTS 2020: volumes in NIfTI, or slices in .npy."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from pkgs.data.formats import npy
from pkgs.data.formats.nifti import (
    ENDINGS,
    NiftiHeader,
    read_header,
    read_image,
    read_labels,
    refuse_unless_alike,
)
from pkgs.data.formats.parts import folders_in, parts_of
from pkgs.data.formats.volume_pair import checked
from pkgs.data.items import ArraySpec, DataError, Header, Item, Sample

MODALITIES: Final = ("t1", "t1ce", "t2", "flair")
CASE: Final = re.compile(r"BraTS20_(Training|Validation)_\d+")
MISNAMED: Final = "W39_1998.09.19_Segm"
"""The mask of BraTS20_Training_355, as it lies in the release."""
AXIAL: Final = 2
"""Files are stored left, posterior, superior: the last array axis runs upwards, checked in `samples`."""

Stamped = tuple[Path, int, int]
"""A file with the time and size that it had: one that was changed is read anew."""


@final
@dataclass(frozen=True)
class Brats:
    """BraTS 2020: brain MRI with glioma, four modalities, skull-stripped, on one 1 mm grid.

    369 training cases with references, 125 without; int16, 240 x 240 x 155.
    `BraTS20_Training_XXX/BraTS20_Training_XXX_{flair,t1,t1ce,t2,seg}.nii[.gz]`, also below train/, val/,
    test/; or slices `{train,val,test}/**/<id>_{t1,t1ce,t2,flair,seg}.npy`. Labels in the files: 0, 1
    necrosis, 2 oedema, 4 enhancing; here 0, 1, 2, 3, no ignore value. Group: the patient.
    Slices of a NIfTI are read with the whole case, of which a process keeps the last: fill a cache in order.
    Licence: registration. Cite: Menze et al. 2015, IEEE TMI 34(10); Bakas et al. 2017, Sci Data 4:170117.
    """

    channels: tuple[str, ...] = ("t1", "t1ce", "flair")
    """Modalities as channels, in this order. t2 is left out as in the published study."""

    sliced: bool = True
    """One sample per axial slice (`<case>/<slice>`, three digits), else one per volume. Slice files are
    slices."""

    def __post_init__(self) -> None:
        if not self.channels or not set(self.channels) <= set(MODALITIES):
            raise ValueError(f"channels {list(self.channels)}: expected some of {', '.join(MODALITIES)}.")

    @property
    def name(self) -> str:
        return "brats"

    @property
    def version(self) -> int:
        return 1

    def samples(self, root: Path) -> list[Sample]:
        """Return slices or volumes; a case without a mask has no `label`. Reads one header per case."""
        samples: list[Sample] = []
        problems: list[str] = []
        for part, folder in parts_of(root):
            cases = [case for case in folders_in(folder) if CASE.fullmatch(case.name)]
            volumes = any(path.name.lower().endswith(ENDINGS) for case in cases for path in case.iterdir())
            if not volumes:
                samples += self._slice_files(folder, part, problems)
                continue
            for case in cases:
                samples += self._case(case, part, problems)
        expected = (
            "BraTS20_Training_XXX/BraTS20_Training_XXX_{flair,t1,t1ce,t2,seg}.nii[.gz], or slices in .npy"
        )
        return checked(samples, root=root, problems=problems, expected=expected)

    def _case(self, case: Path, part: str, problems: list[str]) -> list[Sample]:
        files = {name: _nifti(case, f"{case.name}_{name}") for name in self.channels}
        problems += [
            f"{case.name} (no {case.name}_{name}.nii[.gz])" for name, path in files.items() if not path
        ]
        there = {name: path for name, path in files.items() if path}
        label = _nifti(case, f"{case.name}_seg") or _nifti(case, MISNAMED)
        if label:
            there["label"] = label
        if not self.sliced or None in files.values():
            return [Sample(case.name, case.name, there, part)]
        header = read_header(there[self.channels[0]])
        if int(np.argmax(np.abs(np.asarray(header.affine)[2, :3]))) != AXIAL:
            raise DataError(
                f"{header.path}: its last array axis does not run from foot to head, so that its slices "
                "are not "
                "axial. Reorient the case, or read whole volumes (sliced: false)."
            )
        count = header.shape[AXIAL]
        return [Sample(f"{case.name}/{z:03d}", case.name, there, part, place=z) for z in range(count)]

    def _slice_files(self, folder: Path, part: str, problems: list[str]) -> list[Sample]:
        ending = f"_{self.channels[0]}.npy"
        samples = []
        for first in sorted(folder.rglob(f"*{ending}")):
            stem = first.name[: -len(ending)]
            files = {name: first.with_name(f"{stem}_{name}.npy") for name in self.channels}
            problems += [f"{stem} (no {path.name})" for path in files.values() if not path.is_file()]
            label = first.with_name(f"{stem}_seg.npy")
            if label.is_file():
                files["label"] = label
            samples.append(Sample(stem, _patient(stem, first.parent, folder), files, part))
        return samples

    def header(self, sample: Sample) -> Header:
        """Return `image` [modality, *space] and `label` [*space]."""
        if sample.files[self.channels[0]].suffix == ".npy":
            return self._npy_header(sample)
        head = _alike(sample.group, tuple((name, *_stamped(path)) for name, path in sample.files.items()))
        space = head.shape if sample.place is None else head.shape[:AXIAL]
        arrays = {"image": ArraySpec("image", head.dtype, (len(self.channels), *space))}
        if "label" in sample.files:
            arrays["label"] = ArraySpec("label", "uint8", space)
        if sample.place is None:
            return Header(arrays, head.spacing_mm, head.affine)
        return Header(arrays, head.spacing_mm[:AXIAL])  # a plane has no 4 x 4 affine of its own

    def _npy_header(self, sample: Sample) -> Header:
        heads = {name: npy.read_header(path) for name, path in sample.files.items()}
        shapes = {shape for _, shape in heads.values()}
        dtypes = {heads[name][0] for name in self.channels}
        if len(shapes) > 1 or len(dtypes) > 1 or len(next(iter(shapes))) != 2:
            told = ", ".join(f"{name} {dtype} {shape}" for name, (dtype, shape) in heads.items())
            raise DataError(
                f"Slice {sample.id}: {told}; expected one 2-D shape, and one dtype for all modalities. "
                "Export the slice anew."
            )
        space = next(iter(shapes))
        arrays = {"image": ArraySpec("image", dtypes.pop(), (len(self.channels), *space))}
        if "label" in sample.files:
            arrays["label"] = ArraySpec("label", "uint8", space)
        return Header(arrays)

    def read(self, sample: Sample) -> Item:
        self.header(sample)
        label = sample.files.get("label")
        if sample.files[self.channels[0]].suffix == ".npy":
            item = {"image": np.stack([npy.read_array(sample.files[name]) for name in self.channels])}
            if label:
                item["label"] = _mapped(npy.as_labels(label, npy.read_array(label)), label)
            return item
        stamped = tuple(_stamped(sample.files[name]) for name in self.channels)
        image, mask = _volumes(stamped, _stamped(label) if label else None)
        plane = (
            slice(None) if sample.place is None else sample.place
        )  # copied: the kept case is never handed out
        volume: dict[str, NDArray[Any]] = {"image": np.array(image[..., plane], order="C")}
        if mask is not None:
            volume["label"] = np.array(mask[..., plane], order="C")
        return volume


@lru_cache(maxsize=1)
def _alike(case: str, files: tuple[tuple[str, Path, int, int], ...]) -> NiftiHeader:
    """Return the first modality's header; all files of the case must lie on its grid. Kept for its slices."""
    heads = {name: read_header(path) for name, path, *_ in files}
    first = next(iter(heads.values()))
    for name, other in heads.items():
        refuse_unless_alike(case, first, other)
        if name != "label" and other.dtype != first.dtype:
            raise DataError(
                f"Case {case}: {first.path} is {first.dtype}, {other.path} is {other.dtype}; expected "
                "one dtype for all modalities. Store them alike."
            )
    return first


@lru_cache(maxsize=1)
def _volumes(
    images: tuple[Stamped, ...], label: Stamped | None
) -> tuple[NDArray[Any], NDArray[np.uint8] | None]:
    """Decode one case and keep it: 155 slices in a row need it once. A changed file has another stamp."""
    stacked = np.stack([read_image(path) for path, *_ in images])
    return stacked, None if label is None else _mapped(read_labels(label[0], allowed=(0, 1, 2, 4)), label[0])


def _stamped(path: Path) -> Stamped:
    try:
        stat = path.stat()
    except FileNotFoundError:
        raise DataError(f"{path}: is missing.") from None
    return path, stat.st_mtime_ns, stat.st_size


def _mapped(labels: NDArray[np.uint8], path: Path) -> NDArray[np.uint8]:
    """Return the mask with 4 (enhancing tumour) as 3; slice files may have been mapped already."""
    present = set(np.unique(labels).tolist())
    if not present <= {0, 1, 2, 3, 4} or {3, 4} <= present:
        raise DataError(f"{path}: labels {sorted(present)}; expected 0, 1, 2 and 4, or 3 in the place of 4.")
    return np.where(labels == 4, np.uint8(3), labels)


def _nifti(folder: Path, stem: str) -> Path | None:
    return next((path for end in ENDINGS if (path := folder / f"{stem}{end}").is_file()), None)


def _patient(stem: str, parent: Path, part_folder: Path) -> str:
    """Return who a slice is from: a BraTS id in its name, else its folder, else its name without number."""
    found = CASE.search(stem)
    if found:
        return found[0]
    return parent.name if parent != part_folder else re.sub(r"_\d+$", "", stem)
