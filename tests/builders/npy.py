"""Tiny numpy files: in folders of classes, listed in a table, and as body-region CT."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def draw_plane(number: int, *, side: int = 8) -> np.ndarray:
    """Return int16 HU [side, side]."""
    return np.random.default_rng(number).integers(-1000, 1000, (side, side), dtype=np.int16)


def write_npy_classes(root: Path) -> Path:
    """Write `<split>/<class>/*`: one class occurs in train alone; one file is a .npz."""
    for split, classes in {"train": ("cat", "dog", "ant"), "val": ("cat", "dog")}.items():
        for number, name in enumerate(classes):
            (root / split / name).mkdir(parents=True)
            np.save(root / split / name / "a.npy", draw_plane(number))
            np.savez(root / split / name / "b.npz", image=draw_plane(number + 10))
    return root


def write_npy_table(root: Path) -> Path:
    """Write `table.csv` with one row of every kind of label, and the files."""
    (root / "files").mkdir(parents=True)
    for number in range(5):
        np.save(root / "files" / f"{number}.npy", draw_plane(number))
    np.save(root / "files" / "mask.npy", (draw_plane(3) > 0).astype(np.int64))
    rows = [
        "path,label,group,split",
        "files/0.npy,2,patient_a,train",
        "files/1.npy,0 1 -1,patient_a,train",
        "files/2.npy,thorax,patient_b,val",
        "files/3.npy,files/mask.npy,patient_c,test",
        "files/4.npy,,,",
    ]
    (root / "table.csv").write_text("\n".join(rows) + "\n")
    return root


def write_body_ct(root: Path) -> Path:
    """Write `medical_2D` below `root` and return `root`: classes by name and by number."""
    rows = ["file,class,patient"]
    for number, part in enumerate(("train_wo6", "train_wo6", "val_wo6", "test_wo6")):
        folder = root / "medical_2D" / part
        folder.mkdir(parents=True, exist_ok=True)
        for frame in range(2):
            np.save(folder / f"{number}_{frame}.npy", draw_plane(number))
            rows.append(f"{number}_{frame}.npy,{'thorax' if number == 1 else number},patient_{number}")
    (root / "medical_2D" / "labels.csv").write_text("\n".join(rows) + "\n")
    return root
