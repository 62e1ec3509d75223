"""Tiles of aerial images: 8-bit RGB and masks of one class, as three data sets have them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pkgs.data.formats.folders import files_by_stem, matched, require_equal_shapes
from pkgs.data.formats.grey_image import TIFF_ENDINGS, label_header
from pkgs.data.formats.mask import read_binary
from pkgs.data.formats.rgb_image import read_rgb, rgb_header
from pkgs.data.items import Array, ArraySpec, Header, Item, Sample

TILE_ENDINGS: Final = (".png", *TIFF_ENDINGS)


def tile_files(root: Path, folders: dict[str, Path]) -> dict[str, dict[str, Path]]:
    """Return the files of each tile by array name, by stem in sorted order.

    Args:
        root: Named in errors.
        folders: The folder of each array; `image` among them.

    Raises:
        DataError: If files are without a partner (the first twenty are listed).
    """
    columns = {name: files_by_stem(folder, TILE_ENDINGS) for name, folder in folders.items()}
    words = {"image": "image", "label": "mask", "truth": "clean mask"}
    stems = matched(root, {words[name]: files for name, files in columns.items()})
    return {stem: {name: files[stem] for name, files in columns.items()} for stem in stems}


def tile_header(sample: Sample) -> Header:
    """Return the header of what `read_tile` will return."""
    shape = rgb_header(sample.files["image"])
    masks = {name: label_header(path) for name, path in sample.files.items() if name != "image"}
    require_equal_shapes(sample, {"image": shape, **masks})
    labels = {name: ArraySpec("label", "uint8", shape) for name in masks}
    return Header({"image": ArraySpec("image", "uint8", (3, *shape)), **labels})


def read_tile(sample: Sample, *, zero_is_inside: bool = False) -> Item:
    """Return `image` uint8 [3, H, W] in the order R, G, B, and each mask as uint8 [H, W] of 0 and 1.

    Raises:
        DataError: If a file is damaged or of another type, or shapes differ.
    """
    image = read_rgb(sample.files["image"])
    masks: dict[str, Array] = {
        name: read_binary(path, zero_is_inside=zero_is_inside)
        for name, path in sample.files.items()
        if name != "image"
    }
    require_equal_shapes(
        sample, {"image": image.shape[1:], **{name: mask.shape for name, mask in masks.items()}}
    )
    return {"image": image, **masks}
