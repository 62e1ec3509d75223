"""Where each class lies in each case: looked up once, stored beside the cache, mapped by all who draw.

Holds coordinates and counts; draws nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from pkgs.data.draws import uniforms
from pkgs.data.items import IGNORE, DataError
from pkgs.foundation.files import write_json
from pkgs.foundation.seeds import Purpose

FORMAT: Final = 1
VOXELS, TABLE = "voxels.int32", "index.json"
CAP: Final = 50_000
"""At most so many voxels per case and class are kept: 200 kB; a liver has millions, and neighbours are
alike."""

Window = tuple[int, int, int]
Shape3 = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class ClassIndex:
    """Coordinates by case and slot. Slot c > 0 is class c; the slots after them are pure background.

    Class 0 has no coordinates of its own: a background patch may lie anywhere. Pickles as a path and small
    tables; the coordinates are mapped where they are first used.
    """

    folder: Path
    cases: tuple[str, ...]
    classes: tuple[str, ...]
    pure_windows: tuple[Window, ...]
    shapes: NDArray[np.int64]
    """[case, 3]"""
    counts: NDArray[np.int64]
    """[case, slot]: how many voxels there are."""
    stored: NDArray[np.int64]
    """[case, slot]: how many of them are kept."""

    @cached_property
    def offsets(self) -> NDArray[np.int64]:
        """[case, slot]: place of a list in the file."""
        ends: NDArray[np.int64] = np.cumsum(self.stored.ravel()).reshape(self.stored.shape)
        return ends - self.stored

    def pure_slot(self, window: Window) -> int:
        """Return the slot of the positions at which a window of this size sees background alone.

        Raises:
            ValueError: If the index was built without this window.
        """
        if window not in self.pure_windows:
            raise ValueError(
                f"{self.folder}: was built without pure background of {window} voxels "
                f"(it has {list(self.pure_windows)}). Build it anew with this window."
            )
        return len(self.classes) + self.pure_windows.index(window)

    def coordinates(
        self, case: NDArray[np.int64], *, slot: NDArray[np.int64], number: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Return the voxels [B, 3] that are entries `number` of the lists of `case` and `slot`."""
        flat = _mapped(self.folder / VOXELS, _stamp(self.folder / VOXELS))[
            self.offsets[case, slot] + number
        ].astype(np.int64)
        shape = self.shapes[case]
        rows, last = flat // shape[:, 2], flat % shape[:, 2]
        return np.stack([rows // shape[:, 1], rows % shape[:, 1], last], axis=1)


def build_index(
    labelled: Iterable[tuple[str, NDArray[Any]]],
    folder: Path,
    *,
    classes: Sequence[str],
    pure_windows: Sequence[Window] = (),
    cap: int = CAP,
) -> ClassIndex:
    """Look through all masks once and write the index.

    Args:
        labelled: Id and mask [i, j, k] of each case, in the order of the cache; one is held at a time.
        folder: Made if it is not there; an older index in it is replaced.
        classes: Names by position; a label beyond them is an error, 255 is left out.
        pure_windows: Sizes of patches for which positions without any foreground are wanted.
        cap: Voxels kept per case and slot. Of more, those with the smallest hash of (id, slot, number): the
            same in every run, evenly spread.

    Raises:
        DataError: Names a case with a label in no class, or a volume too large to be indexed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f".{VOXELS}.{os.getpid()}"
    ids: list[str] = []
    shapes: list[tuple[int, ...]] = []
    counts: list[list[int]] = []
    with draft.open("wb") as file:
        for name, label in labelled:
            _refuse_odd(name, label, classes)
            ids.append(name)
            shapes.append(label.shape)
            slots = [*(label == c for c in range(1, len(classes))), *(_pure(label, w) for w in pure_windows)]
            counts.append(
                [int((label == 0).sum()), *(_append(file, name, s, cap) for s in enumerate(slots, 1))]
            )
        file.flush()
        os.fsync(file.fileno())
    draft.replace(folder / VOXELS)
    table = {"format": FORMAT, "cases": ids, "classes": list(classes), "cap": cap, "shapes": shapes}
    write_json(folder / TABLE, table | {"counts": counts, "pure_windows": list(pure_windows)})
    return open_index(folder)


def open_index(folder: Path) -> ClassIndex:
    """Return the index that `build_index` wrote.

    Raises:
        DataError: If it is not there, incomplete, or of another version.
    """
    try:
        raw = json.loads((folder / TABLE).read_bytes())
        size = (folder / VOXELS).stat().st_size
    except (OSError, ValueError) as error:
        raise DataError(f"{folder}: holds no complete index of classes ({error}). Build it anew.") from None
    counts = np.array(raw["counts"], dtype=np.int64).reshape(len(raw["cases"]), -1)
    stored = np.minimum(counts, int(raw["cap"]))
    stored[:, 0] = 0
    if raw["format"] != FORMAT or size != 4 * int(stored.sum()):
        raise DataError(f"{folder}: the index of classes is damaged or of another version. Build it anew.")
    return ClassIndex(
        folder,
        tuple(raw["cases"]),
        tuple(raw["classes"]),
        tuple((a, b, c) for a, b, c in raw["pure_windows"]),
        np.array(raw["shapes"], dtype=np.int64).reshape(-1, 3),
        counts,
        stored,
    )


def _refuse_odd(name: str, label: NDArray[Any], classes: Sequence[str]) -> None:
    if label.ndim != 3 or label.size >= 2**31:
        raise DataError(
            f"Case {name}: a mask of shape {label.shape}; expected 3-D with less than 2^31 voxels."
        )
    surplus = [int(v) for v in np.unique(label) if v != IGNORE and not 0 <= v < len(classes)]
    if surplus:
        raise DataError(
            f"Case {name}: labels {surplus} are in none of the {len(classes)} classes "
            f"({', '.join(classes)}). Merge the classes before the index is built."
        )


def _append(file: BinaryIO, name: str, slot: tuple[int, NDArray[np.bool_]], cap: int) -> int:
    """Write the (kept) coordinates of a mask as numbers in C order; return how many there are."""
    number, mask = slot
    flat = np.flatnonzero(mask).astype(np.int32)
    kept = flat
    if flat.size > cap:
        hashes = uniforms(0, Purpose.CROP, first=0, batch=flat.size, name=f"kept {name} {number}")[:, 0]
        kept = np.sort(flat[np.argpartition(hashes, cap)[:cap]])
    file.write(kept.tobytes())
    return int(flat.size)


def _pure(label: NDArray[Any], window: Window) -> NDArray[np.bool_]:
    """Mark the starts at which a window sees no foreground; along a shorter axis the window is the axis."""
    seen = (label != 0) & (label != IGNORE)
    for axis, (wanted, count) in enumerate(zip(window, label.shape, strict=True)):
        side = min(wanted, count)
        sums = np.cumsum(seen, axis=axis, dtype=np.int32)
        before = np.insert(np.take(sums, range(count - side), axis=axis), 0, 0, axis=axis)
        seen = np.take(sums, range(side - 1, count), axis=axis) > before
    starts = np.zeros(label.shape, dtype=bool)
    starts[tuple(slice(0, n) for n in seen.shape)] = ~seen
    return starts


def _stamp(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_ino, stat.st_size


@lru_cache(maxsize=8)
def _mapped(path: Path, stamp: tuple[int, int]) -> NDArray[np.int32]:
    """Return the file's numbers; one that was replaced has another stamp."""
    if stamp[1] == 0:
        return np.zeros(0, np.int32)  # an empty file cannot be mapped
    return np.memmap(path, dtype=np.int32, mode="r")
