"""Maps of shares, one per patch, that a run leaves for those after it. Loads no torch.

`predictions/<name>.npy` holds uint16 [N, H, W], share = code / 65535, at most 1/131070 off; line i of
`predictions/<name>.csv` says whose map i is, and in which part of the run's split that patch stood. The table
is written last: where it lies, both are whole.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from pkgs.data.items import DataError, listed
from pkgs.foundation.files import sync_folder, write_whole
from pkgs.foundation.run_folder import RunFolder

PROBABILITY: Final = "probability"
"""Name of the maps of a network that segments: the chance of foreground."""
WRONG: Final = "wrong"
"""Name of the maps of an error teacher: the chance that the label is wrong."""

COLUMNS: Final = ("sample", "group", "part")
PARTS: Final = ("train", "val", "test")
ONE: Final = 65535
"""The code of 1."""
CODES: Final = np.dtype("<u2")

Rows = tuple[Sequence[str], Sequence[str], str, NDArray[Any]]
"""Ids, groups, their part of the split, and their maps [B, H, W] in [0, 1]."""


@dataclass(frozen=True, slots=True)
class PatchMaps:
    """The maps of one name; codes stay on disk until they are asked for."""

    ids: tuple[str, ...]
    groups: tuple[str, ...]
    parts: tuple[str, ...]
    codes: NDArray[np.uint16]
    """[N, H, W], mapped from the file."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def sides(self) -> tuple[int, int]:
        return int(self.codes.shape[1]), int(self.codes.shape[2])

    def values(self, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the maps at these places as float32 [len(indices), H, W] in [0, 1]."""
        return np.asarray(self.codes[indices], np.float32) / np.float32(ONE)


def write_maps(folder: Path, name: str, rows: Iterable[Rows], *, count: int, sides: tuple[int, int]) -> None:
    """Write maps as they come, a batch at a time; replaces those of the same name.

    Args:
        folder: Of the run.
        name: `probability` or `wrong`.
        rows: Batches of patches, in any order.
        count: How many patches come in all.
        sides: Rows and columns of every map.

    Raises:
        DataError: If a map has another size or values outside of [0, 1], a patch comes twice, there are fewer
        or more than `count`, or the disk refuses. Files of the same name are gone then.
    """
    array, table = _paths(folder, name)
    draft = array.with_name(f".{array.name}.{os.getpid()}")
    try:
        array.parent.mkdir(parents=True, exist_ok=True)
        table.unlink(missing_ok=True)  # first, so that it never tells of another array
        with draft.open("wb") as file:
            head = {"descr": CODES.str, "fortran_order": False, "shape": (count, *sides)}
            npy.write_array_header_1_0(file, head)
            told = list(_written(file, rows, where=array, sides=sides))
            file.flush()
            os.fsync(file.fileno())
        _require_all(array, told, count=count)
        draft.replace(array)
        sync_folder(array.parent)
        write_whole(table, _render(told))
    except OSError as error:
        raise DataError(f"{array}: cannot be written ({error.strerror}). Make room or writable.") from None
    finally:
        draft.unlink(missing_ok=True)


def read_maps(folder: Path, name: str) -> PatchMaps:
    """Open the maps of a run.

    Args:
        folder: Of the run.
        name: As they were written.

    Raises:
        DataError: If they are missing, damaged, or table and array do not belong together.
    """
    array, table = _paths(folder, name)
    lines = _lines(table)
    try:
        codes = np.load(array, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{array}: cannot be read ({error}). Let the run write it again.") from None
    if codes.dtype != CODES or codes.ndim != 3 or len(codes) != len(lines):
        raise DataError(
            f"{array}: {codes.dtype} {codes.shape}; expected uint16 [{len(lines)}, H, W], one map per "
            f"line of {table.name}. Let the run write both again."
        )
    ids, groups, parts = zip(*lines, strict=True) if lines else ((), (), ())
    return PatchMaps(ids, groups, parts, codes)


def _paths(folder: Path, name: str) -> tuple[Path, Path]:
    predictions = RunFolder(folder).predictions
    return predictions / f"{name}.npy", predictions / f"{name}.csv"


def _written(
    file: IO[bytes], rows: Iterable[Rows], *, where: Path, sides: tuple[int, int]
) -> Iterator[tuple[str, str, str]]:
    """Append the codes of each batch, and tell who they are of."""
    for ids, groups, part, maps in rows:
        if not len(ids) == len(groups) == len(maps) or maps.shape[1:] != sides or part not in PARTS:
            raise DataError(
                f"{where}: {len(ids)} patches, {len(groups)} groups and maps {maps.shape} of part {part!r}; "
                f"expected as many maps [B, {sides[0]}, {sides[1]}] as patches, of one of {PARTS}."
            )
        low, high = maps.min(initial=0), maps.max(initial=1)
        if not (low >= 0 and high <= 1):  # NaN fails here too
            raise DataError(
                f"{where}: values from {low:g} to {high:g} among {listed(ids)}; expected shares within "
                "[0, 1]. Store probabilities, not logits."
            )
        file.write(np.rint(maps.astype(np.float64) * ONE).astype(CODES).tobytes())
        yield from ((id_, group, part) for id_, group in zip(ids, groups, strict=True))


def _require_all(array: Path, told: Sequence[tuple[str, str, str]], *, count: int) -> None:
    ids = [id_ for id_, _, _ in told]
    if len(set(ids)) != len(ids):
        doubles = sorted({id_ for id_ in ids if ids.count(id_) > 1})
        raise DataError(f"{array}: two maps of {listed(doubles)}; expected one per patch.")
    if len(ids) != count:
        raise DataError(f"{array}: {len(ids)} maps came; {count} were announced.")


def _render(lines: Iterable[Sequence[str]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(lines)
    return text.getvalue()


def _lines(table: Path) -> list[list[str]]:
    try:
        rows = list(csv.reader(io.StringIO(table.read_text(encoding="utf-8"))))
    except FileNotFoundError:
        raise DataError(f"{table}: is missing. Has the run finished, and does it write such maps?") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{table}: cannot be read ({error}). Let the run write it again.") from None
    if not rows or rows[0] != list(COLUMNS) or any(len(row) != len(COLUMNS) for row in rows):
        raise DataError(f"{table}: is not a table of {','.join(COLUMNS)}. Let the run write it again.")
    wrong = [row[0] for row in rows[1:] if row[2] not in PARTS]
    if wrong:
        raise DataError(f"{table}: no part of {PARTS} beside {listed(wrong)}. Let the run write it again.")
    return rows[1:]
