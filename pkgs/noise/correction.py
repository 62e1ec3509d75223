"""Corrected masks: what findings change in a label, and the file that says so in the input's own way.

Extra objects are removed, missing ones added, shifted and rotated ones replaced; boundaries stay. The input
is only read.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pkgs.data.formats.grey_image import is_image, read_plane
from pkgs.data.items import DataError, listed
from pkgs.noise.findings import Finding, Mask
from pkgs.noise.mask_file import write_like

REACH: Final = 2.0
"""How far, in pixels of the patch, a file's finer outline may lie outside that of the resized label."""


def corrected(label_HW: NDArray[np.integer], findings: Sequence[Finding]) -> Mask:
    """Return the label after all corrections, True inside, of the size that the findings are of."""
    removed_HW, added_HW = changes(findings, label_HW.shape)
    return np.asarray(((label_HW == 1) & ~removed_HW) | added_HW)


def changes(findings: Sequence[Finding], shape: tuple[int, ...]) -> tuple[Mask, Mask]:
    """Return which pixels are taken from the label, and which are then added."""
    removed_HW, added_HW = np.zeros(shape, bool), np.zeros(shape, bool)
    for finding in findings:
        if finding.kind == "boundary":
            continue
        if finding.labelled is not None:
            removed_HW[finding.window] |= finding.labelled
        if finding.predicted is not None:
            added_HW[finding.window] |= finding.predicted
    return removed_HW, added_HW


@final
@dataclass(frozen=True, slots=True)
class Coding:
    """The two values of a mask file."""

    ground: int
    building: int


@final
@dataclass
class Corrector:
    """Writes corrected files; remembers the coding of a folder for files that hold one value only."""

    codings: dict[Path, Coding] = field(default_factory=dict)

    def write(
        self, target: Path, source: Path, *, label_HW: NDArray[np.integer], findings: Sequence[Finding]
    ) -> bool:
        """Write `target` and return whether it differs from `source`; without a change it is a plain copy.

        Size, type, coding (0/1, 0/255, inverted) and the tags of a TIFF are those of `source`. Where the file
        is larger or smaller than the patch, its own pixels stay wherever nothing is corrected.

        Args:
            target: A new file in a folder that exists.
            source: The label's file.
            label_HW: What was read from it, 1 inside, resized or not.
            findings: Of `label_HW`.

        Raises:
            DataError: If `source` is damaged or holds more than two values.
        """
        removed_HW, added_HW = changes(findings, label_HW.shape)
        if not (removed_HW.any() or added_HW.any()):
            shutil.copyfile(source, target)
            return False
        stored, _ = read_plane(source)
        coding = self._coding(source, stored, label_HW)
        inside = stored == coding.building
        changed = (inside & ~_as_stored(removed_HW, label_HW == 1, inside)) | resized(added_HW, inside.shape)
        plane = np.where(changed, coding.building, coding.ground).astype(stored.dtype)
        write_like(target, source, plane)
        return True

    def _coding(self, source: Path, stored: NDArray[Any], label_HW: NDArray[np.integer]) -> Coding:
        inverted = bool((resized(label_HW == 1, stored.shape) == (stored != 0)).mean() < 0.5)
        high = _high(source, stored) or self._high_beside(source, stored.dtype)
        coding = Coding(high, 0) if inverted else Coding(0, high)
        self.codings[source.parent] = coding
        return coding

    def _high_beside(self, source: Path, dtype: np.dtype[Any]) -> int:
        """Return the value beside 0 in files of the same folder; if all are empty, what a person can see."""
        if source.parent in self.codings:
            return max(self.codings[source.parent].ground, self.codings[source.parent].building)
        for path in sorted(filter(is_image, source.parent.iterdir())):
            high = _high(path, read_plane(path)[0])
            if high:
                return high
        return 1 if dtype == np.bool_ else 255


def _high(path: Path, stored: NDArray[Any]) -> int:
    """Return the one value beside 0, 0 if there is none."""
    values = [int(value) for value in np.unique(stored) if value != 0]
    if len(values) > 1:
        raise DataError(
            f"{path}: a mask with the values {listed(map(str, values))} beside 0; only masks of one class "
            "can be corrected. Store each class as a set of masks of its own."
        )
    return values[0] if values else 0


def resized(mask_HW: Mask, shape: tuple[int, ...]) -> Mask:
    """Return the nearest pixel of `mask_HW` for each pixel of `shape`; itself if the shapes agree."""
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(np.intp)
        for old, new in zip(mask_HW.shape, shape, strict=True)
    )
    return np.asarray(mask_HW[np.ix_(rows, columns)])


def _as_stored(removed_HW: Mask, label_HW: Mask, inside: Mask) -> Mask:
    """Return what of the file's own mask belongs to the removed objects.

    Resizing moves outlines by a fraction of a pixel: each pixel of the file belongs to the nearest object of
    the label, so that neither a rim of the removed object stays nor one of its neighbours is cut.
    """
    if removed_HW.shape == inside.shape or not removed_HW.any():
        return resized(removed_HW, inside.shape)
    scale = max(new / old for new, old in zip(inside.shape, removed_HW.shape, strict=True))
    others = resized(label_HW & ~removed_HW, inside.shape)
    to_removed = ndimage.distance_transform_edt(~resized(removed_HW, inside.shape))
    to_others = ndimage.distance_transform_edt(~others) if others.any() else np.inf
    return np.asarray(inside & (to_removed < to_others) & (to_removed <= REACH * max(scale, 1)))
