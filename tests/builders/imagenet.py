"""A tiny look-alike of ImageNet: JPEGs of many sizes; one image grey, one a PNG in disguise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

SYNSETS = tuple(f"n{1440764 + 13 * number:08d}" for number in range(20))
VICTIM = "imagenet-1k/LOC_val_solution.csv"
GREY, DISGUISED = f"{SYNSETS[0]}_0.JPEG", f"{SYNSETS[1]}_0.JPEG"


def write_imagenet(root: Path, *, train: int = 2, val: int = 2, parted: bool = False) -> Path:
    """Write the look-alike below `root` and return `root`.

    Args:
        root: Where.
        train: Images of each class for training.
        val: Official val images of each class.
        parted: The second layout: `our_val` and `our_test` instead of `val`, each with every other image.
    """
    home = root / "imagenet-1k"
    place = home if parted else home / "ILSVRC" / "Data" / "CLS-LOC"
    solution = ["ImageId,PredictionString"]
    for number, synset in enumerate(SYNSETS):
        for count in range(train):
            _draw(place / "train" / synset / f"{synset}_{count}.JPEG", number)
        for count in range(val):
            stem = f"ILSVRC2012_val_{val * number + count + 1:08d}"
            folder = ("our_val", "our_test")[count % 2] if parted else "val"
            _draw(place / folder / f"{stem}.JPEG", number)
            boxes = f"{synset} 5 6 30 40 {synset} 1 2 3 4 " if count else f"{synset} 5 6 30 40"
            solution.append(f"{stem},{boxes}")
    lines = [f"{synset} thing {number}, other name" for number, synset in enumerate(SYNSETS)]
    (home / "LOC_synset_mapping.txt").write_text("\n".join(lines) + "\n")
    (home / "LOC_val_solution.csv").write_text("\n".join(solution) + "\n")
    return root


def _draw(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    colour = np.full((20 + number, 34 - number, 3), (12 * number, 90, 200 - 9 * number), np.uint8)
    picture = Image.fromarray(colour)
    if path.name == GREY:
        picture = picture.convert("L")
    picture.save(path, format="PNG" if path.name == DISGUISED else "JPEG")
