"""Own volumes in the three generic layouts; the last case of each has no label."""

from __future__ import annotations

from pathlib import Path

from tests.builders.nifti import affine_of, draw_case, write_nifti


def write_volume_folder(root: Path, *, layout: str, cases: int = 3) -> Path:
    """Write `cases`, `images` or `table` below `root` and return it."""
    rows = ["case,patient,image,label,split"]
    for number in range(cases):
        image, labels = draw_case(number)
        places = {
            "cases": (f"c{number}/image.nii.gz", f"c{number}/label.nii.gz"),
            "images": (f"images/c{number}.nii.gz", f"labels/c{number}.nii.gz"),
            "table": (f"scans/{number}.nii", f"masks/of_{number}.nii"),
        }[layout]
        write_nifti(root / places[0], image, affine_of("oblique"))
        if number < cases - 1:
            write_nifti(root / places[1], labels, affine_of("oblique"))
        label = places[1] if number < cases - 1 else ""
        rows.append(f"c{number},p{number // 2},{places[0]},{label},{'train' if number else ''}")
    if layout == "table":
        (root / "cases.csv").write_text("\n".join(rows) + "\n")
    return root
