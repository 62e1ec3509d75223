"""A volume and its mask in two NIfTI files: what the readers of CT and cine MRI share.

A case without a reference has no `label` at all: it can be predicted, never scored.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from numpy.typing import NDArray

from pkgs.data.formats.nifti import read_header, read_image, read_labels, refuse_unless_alike
from pkgs.data.items import ArraySpec, DataError, Header, Item, Sample, listed


def pair_header(sample: Sample) -> Header:
    """Return the header of `image` [1, i, j, k] and, where there is a reference, `label` [i, j, k] uint8.

    Raises:
        DataError: If a header cannot be read, or image and mask lie on different grids.
    """
    image = read_header(sample.files["image"])
    arrays = {"image": ArraySpec("image", image.dtype, (1, *image.shape))}
    if "label" in sample.files:
        refuse_unless_alike(sample.id, image, read_header(sample.files["label"]))
        arrays["label"] = ArraySpec("label", "uint8", image.shape)
    return Header(arrays, image.spacing_mm, image.affine)


def read_pair(sample: Sample, *, allowed: Iterable[int] | None) -> Item:
    """Return `image` and, where there is a reference, `label`, in the axes of the files.

    Raises:
        DataError: As `pair_header`, and if voxels are damaged, not finite, or labels in no class.
    """
    pair_header(sample)
    item: dict[str, NDArray[Any]] = {"image": read_image(sample.files["image"])[None]}
    if "label" in sample.files:
        item["label"] = read_labels(sample.files["label"], allowed=allowed)
    return item


def require_reference(samples: Sequence[Sample], *, purpose: str) -> None:
    """Refuse samples without a reference where one is needed.

    Raises:
        DataError: Names them (the first twenty).
    """
    bare = [sample.id for sample in samples if "label" not in sample.files]
    if bare:
        raise DataError(
            f"{len(bare)} of {len(samples)} cases have no reference and cannot be used for {purpose}: "
            f"{listed(bare)}. They can be predicted, never scored: add their masks, or leave them out."
        )


def checked(samples: list[Sample], *, root: object, problems: Sequence[str], expected: str) -> list[Sample]:
    """Return the samples sorted by id.

    Raises:
        DataError: If there were problems (the first twenty are listed), none was found, or an id is twice.
    """
    if problems:
        raise DataError(f"{root}: {len(problems)} cases cannot be used: {listed(problems)}.")
    if not samples:
        raise DataError(f"{root}: holds no case; expected {expected}.")
    ordered = sorted(samples, key=lambda sample: sample.id)
    twice = [a.id for a, b in pairwise(ordered) if a.id == b.id]
    if twice:
        raise DataError(f"{root}: cases that occur twice: {listed(twice)}. Keep one of each.")
    return ordered
