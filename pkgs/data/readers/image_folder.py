"""Any folder of images, with or without a folder of masks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, Literal, final

import numpy as np
from numpy.typing import NDArray

from pkgs.data.formats.folders import child, files_by_stem, matched, require_equal_shapes, require_root
from pkgs.data.formats.grey_image import ENDINGS, grey_header, label_header, read_codes, read_labels
from pkgs.data.formats.mask import SWAPPED, require_regions
from pkgs.data.formats.rgb_image import read_rgb, rgb_header
from pkgs.data.items import IGNORE, Array, ArraySpec, DataError, Header, Item, Sample, listed

Meaning = Literal["classes", "nonzero", "255", "0", "instances"]
NO_CLASSES: Final = ({255}, {0, 255})
"""Values of masks that are black and white, so that 255 cannot mean "ignore"."""


@final
@dataclass(frozen=True)
class ImageFolder:
    """Images of your own.

    Files: `images/<name>.{png,tif,tiff,bmp,jpg,jpeg}` and `masks/<name>.*`, equal names up to the ending,
    which may differ; id `<name>`.
    Counts, resolution, licence: yours.
    Depth: grey `image` [1, H, W] in the file's dtype (uint8, uint16, float32), or RGB [3, H, W] uint8.
    Labels: `label` [H, W], what the values mean is `labels`.
    Group: the image itself, or what `group` finds in its name.
    """

    labels: Meaning = "classes"
    """`classes`: class numbers 0-254, 255 is ignored. `nonzero`: all but 0 is class 1. `255`, `0`: exactly
    this value is class 1. `instances`: numbered objects, int32, all but 0 is the object, nothing is
    ignored."""

    channels: Literal[1, 3] = 1
    """1: grey files only. 3: RGB files only."""

    group: str = ""
    r"""Regular expression whose first bracket is the group in a name: `^(\w+)_` for `patient7_012.png`."""

    images: str = "images"
    masks: str = "masks"
    """Names of the folders; empty `masks`: there are none, only `image` is read."""

    name: ClassVar[str] = "image_folder"
    version: ClassVar[int] = 1

    def samples(self, root: Path) -> list[Sample]:
        """Return all images, sorted by id.

        Raises:
            DataError: If a folder is missing or empty, images and masks are not pairs (the first twenty are
            listed), or `group` does not match a name.
        """
        require_root(
            root, remedy=f"Put the images into {root / self.images} and masks into {root / self.masks}."
        )
        columns = {"image": files_by_stem(child(root, self.images), ENDINGS)}
        if self.masks:
            columns["label"] = files_by_stem(child(root, self.masks), ENDINGS)
        words = {"image": "image", "label": "mask"}
        ids = matched(root, {words[name]: files for name, files in columns.items()})
        if not ids:
            raise DataError(f"{root / self.images}: holds no image ({', '.join(ENDINGS)}).")
        groups = self._groups(root, ids)
        return [
            Sample(id_, groups[id_], {name: files[id_] for name, files in columns.items()}) for id_ in ids
        ]

    def header(self, sample: Sample) -> Header:
        path = sample.files["image"]
        dtype, shape = grey_header(path) if self.channels == 1 else ("uint8", rgb_header(path))
        arrays = {"image": ArraySpec("image", dtype, (self.channels, *shape))}
        if "label" in sample.files:
            require_equal_shapes(sample, {"image": shape, "label": label_header(sample.files["label"])})
            kept = "int32" if self.labels == "instances" else "uint8"
            arrays["label"] = ArraySpec("label", kept, shape)
        return Header(arrays)

    def read(self, sample: Sample) -> Item:
        path = sample.files["image"]
        image: Array = read_codes(path)[None] if self.channels == 1 else read_rgb(path)
        if "label" not in sample.files:
            return {"image": image}
        label = _labels(sample.files["label"], self.labels)
        require_equal_shapes(sample, {"image": image.shape[1:], "label": label.shape})
        return {"image": image, "label": label}

    def _groups(self, root: Path, ids: list[str]) -> dict[str, str]:
        if not self.group:
            return {id_: id_ for id_ in ids}
        hits = {id_: re.search(self.group, id_) for id_ in ids}
        odd = [id_ for id_, hit in hits.items() if hit is None or not hit.groups() or not hit[1]]
        if odd:
            raise DataError(
                f"{root}: the pattern {self.group!r} finds no group in {listed(odd)}. "
                "Put the part of the name that is the group into round brackets."
            )
        return {id_: hit[1] for id_, hit in hits.items() if hit}


def _labels(path: Path, meaning: Meaning) -> NDArray[np.uint8] | NDArray[np.int32]:
    stored = read_labels(path)
    require_regions(path, stored)
    if meaning == "instances":
        return stored
    if meaning != "classes":
        inside: NDArray[np.bool_] = stored != 0 if meaning == "nonzero" else stored == int(meaning)
        return inside.astype(np.uint8)
    values = set(np.unique(stored).tolist())
    if max(values, default=0) > IGNORE:
        raise DataError(
            f"{path}: class numbers up to {max(values)}; expected 0 to 254, and 255 for ignored pixels. "
            f"Numbered objects are read with labels 'instances'. {SWAPPED}"
        )
    if values in NO_CLASSES:
        raise DataError(
            f"{path}: holds only {listed(map(str, sorted(values)))}, and 255 means ignored among classes. "
            "Read black and white masks with labels '255' (white is the object) or '0' (black is)."
        )
    return stored.astype(np.uint8)
