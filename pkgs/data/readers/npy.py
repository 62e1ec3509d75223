"""Arrays in numpy files: by folders of classes, or listed in a table."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from pkgs.data.formats.npy import ENDINGS, as_labels, read_array, read_header
from pkgs.data.formats.parts import files_in, folders_in, parts_of
from pkgs.data.formats.table import read_table
from pkgs.data.formats.volume_pair import checked
from pkgs.data.items import ArraySpec, DataError, Header, Item, Sample

COLUMNS: Final = ("path", "label", "group", "split")
NUMBERS: Final = re.compile(r"-?\d+( -?\d+)*")


@final
@dataclass(frozen=True)
class Npy:
    """Images or volumes in `.npy` or `.npz`, one sample per file, in the first layout that is there.

    `table.csv` with `path,label,group,split`: paths seen from the table; `label` is a class number, several
    numbers between spaces (one per output, -1 unknown), a class name, the path of a mask, or empty. Else
    `<split>/<class>/*`: classes are numbered in the order of their names over all splits, and every file is a
    group of its own. No ignore value but 255 in masks. Dtypes: see formats/npy.py.
    """

    axes: str = "HW"
    """The array's axes, one letter each; `C`, wherever it stands, is the channel: `HW`, `CHW`, `HWC`,
    `DHW`."""

    key: str = ""
    """Name of the array in a `.npz`; may be empty where there is only one."""

    def __post_init__(self) -> None:
        if len(set(self.axes)) != len(self.axes) or len(set(self.axes) - {"C"}) not in {2, 3}:
            raise ValueError(
                f"axes {self.axes!r}: expected two or three letters besides C, such as HW or CDHW."
            )

    @property
    def name(self) -> str:
        return "npy"

    @property
    def version(self) -> int:
        return 1

    def samples(self, root: Path) -> list[Sample]:
        """Return the listed files, or those in folders of classes."""
        table = root / "table.csv"
        samples = _listed_files(table) if table.is_file() else _class_folders(root)
        expected = f"table.csv ({','.join(COLUMNS)}) or <split>/<class>/*.npy"
        return checked(samples, root=root, problems=[], expected=expected)

    def header(self, sample: Sample) -> Header:
        dtype, shape = read_header(sample.files["image"], key=self.key)
        if len(shape) != len(self.axes) or 0 in shape:
            raise DataError(
                f"{sample.files['image']}: {len(shape)}-D, shape {shape}; expected the axes {self.axes}. "
                "Set data.axes to what the file holds, C for the channel."
            )
        channels, space = _split_axes(self.axes, shape)
        arrays = {"image": ArraySpec("image", dtype, (channels, *space))}
        if "label" in sample.files:
            _, mask = read_header(sample.files["label"])
            if mask != space:
                raise DataError(f"{sample.files['label']}: shape {mask}; expected {space}, as its image has.")
            arrays["label"] = ArraySpec("label", "uint8", space)
        if sample.vector:
            arrays["vector"] = ArraySpec("vector", "int64", (len(sample.vector),))
        return Header(arrays)

    def read(self, sample: Sample) -> Item:
        self.header(sample)
        stored = read_array(sample.files["image"], key=self.key)
        channel = self.axes.find("C")
        image = stored[None] if channel < 0 else np.moveaxis(stored, channel, 0)
        item: dict[str, NDArray[Any]] = {"image": np.ascontiguousarray(image)}
        if "label" in sample.files:
            item["label"] = as_labels(sample.files["label"], read_array(sample.files["label"]))
        if sample.vector:
            item["vector"] = np.array(sample.vector, dtype=np.int64)
        return item


def _split_axes(axes: str, shape: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
    space = tuple(side for letter, side in zip(axes, shape, strict=True) if letter != "C")
    return (shape[axes.index("C")] if "C" in axes else 1), space


def _class_folders(root: Path) -> list[Sample]:
    parts = parts_of(root)
    names = sorted({place.name for _, folder in parts for place in folders_in(folder)})
    return [
        Sample(
            "/".join(path.relative_to(root).with_suffix("").parts),
            "/".join(path.relative_to(root).with_suffix("").parts),
            {"image": path},
            part,
            vector=(names.index(place.name),),
        )
        for part, folder in parts
        for place in folders_in(folder)
        for path in files_in(place)
        if path.suffix.lower() in ENDINGS
    ]


def _listed_files(table: Path) -> list[Sample]:
    rows = read_table(table, columns=COLUMNS)
    words = {row["label"] for row in rows} - {""}
    names = sorted(w for w in words if not NUMBERS.fullmatch(w) and not w.lower().endswith(ENDINGS))
    samples = []
    for line, row in enumerate(rows, start=2):
        files, label = {"image": table.parent / row["path"]}, row["label"]
        vector: tuple[int, ...] = ()
        if label.lower().endswith(ENDINGS):
            files["label"] = table.parent / label
        elif label:
            vector = (names.index(label),) if label in names else tuple(map(int, label.split(" ")))
        absent = [str(path) for path in files.values() if not path.is_file()]
        if absent:
            raise DataError(
                f"{table}, line {line}: {absent[0]} is missing; paths are seen from the table's folder."
            )
        if row["split"] not in {"", "train", "val", "test"}:
            raise DataError(
                f"{table}, line {line}: split {row['split']!r}; expected train, val, test or nothing."
            )
        samples.append(Sample(row["path"], row["group"] or row["path"], files, row["split"], vector))
    return samples
