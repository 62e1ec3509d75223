"""A tiny look-alike of ChestX-ray8: table with a trailing comma, official lists, one file stored as RGBA."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

VICTIM = "CX8/images/00000002_001.png"
HEAD = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
)
FINDINGS = {
    "00000001_000": "Cardiomegaly",
    "00000001_001": "Cardiomegaly|Emphysema",
    "00000002_000": "No Finding",
    "00000002_001": "Effusion|Pleural_Thickening",
    "00000003_000": "Hernia",
    "00000004_000": "No Finding",
    "00000005_000": "Infiltration|Mass|Nodule",
    "00000006_000": "No Finding",
    "00000006_001": "Consolidation",
}
TEST = ("00000005", "00000006")
"""Patients of the official test list."""
RGBA = "00000003_000"


def write_chestxray8(root: Path, *, parted: bool = False, side_px: int = 24) -> Path:
    """Write the look-alike below `root` and return `root`; `parted`: in the folders train_val and test."""
    home = root / "CX8"
    home.mkdir(parents=True)
    rows, lists = [HEAD], {"train_val": [], "test": []}
    for number, (stem, findings) in enumerate(FINDINGS.items()):
        part = "test" if stem.partition("_")[0] in TEST else "train_val"
        lists[part].append(f"{stem}.png")
        patient = int(stem.partition("_")[0])
        rows.append(f"{stem}.png,{findings},{number},{patient},058,M,PA,2682,2749,0.143,0.143,")
        grey = np.random.default_rng(number).integers(0, 256, (side_px, side_px), dtype=np.uint8)
        picture = Image.fromarray(grey)
        folder = home / (part if parted else "images")
        folder.mkdir(exist_ok=True)
        (picture.convert("RGBA") if stem == RGBA else picture).save(folder / f"{stem}.png")
    (home / "Data_Entry_2017.csv").write_text("\n".join(rows) + "\n")
    for part, names in lists.items():
        (home / f"{part}_list.txt").write_text("\n".join(names))
    return root
