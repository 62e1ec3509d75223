"""Turning any folder of images and masks into the CEM-MitoLab layout, by blocks of consecutive images.

Consecutive sections look alike: a block is one source, so a split by source never parts them, and `gap`
images between two blocks are left out, so that no two neighbours stand on the two sides of a border.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import tifffile
from numpy.typing import NDArray
from scipy.ndimage import label as connected

from pkgs.data.formats.grey_image import is_image, read_labels, read_plane
from pkgs.data.items import SHOWN, DataError, listed
from pkgs.foundation.provenance import digest_file

LABELLED: Final = Path("CEM-MitoLab/cem_mitolab")
Foreground = Literal["255", "0", "nonzero"]


@dataclass(frozen=True, slots=True)
class FolderPlan:
    """Where from, and how it is cut."""

    images: Path
    masks: Path
    foreground: Foreground = "nonzero"
    """Which mask values are the object: exactly 255, exactly 0, or all but 0, whose numbers are kept."""
    tile_px: int = 0
    """Side of the square tiles, the last ones moved in so that all is covered; 0 keeps whole images."""
    group_blocks: int = 6
    """Number of blocks of consecutive images (in the order of names); 0: each image is a group of its own."""
    gap: int = 1
    """Images left out between two blocks."""

    def recipe(self, pairs: Sequence[tuple[Path, Path]]) -> dict[str, object]:
        settings = {
            key: value if isinstance(value, int) else str(value) for key, value in asdict(self).items()
        }
        del settings["images"], settings["masks"]  # the same pixels from another place are the same set
        content = {path.name: [digest_file(path), digest_file(mask)] for path, mask in pairs}
        return {"set": "folder", **settings, "files": content}


def pair_files(plan: FolderPlan) -> list[tuple[Path, Path]]:
    """Return image and mask by equal stems, sorted by name; numbers count as numbers.

    Raises:
        DataError: If a folder is missing or empty, or files are without a partner (the first twenty are
        listed).
    """
    images, masks = _files(plan.images, "images"), _files(plan.masks, "masks")
    lonely = [f"{images[stem].name} (no mask)" for stem in images.keys() - masks.keys()]
    lonely += [f"{masks[stem].name} (no image)" for stem in masks.keys() - images.keys()]
    if lonely:
        raise DataError(
            f"{plan.images} and {plan.masks}: {len(lonely)} files without a partner of the same name: "
            f"{listed(sorted(lonely))}."
        )
    return [(images[stem], masks[stem]) for stem in sorted(images, key=_natural)]


def blocks_of(count: int, *, blocks: int, gap: int) -> list[range]:
    """Return consecutive index ranges, as equal as possible, with `gap` indices left out between two.

    Raises:
        DataError: If there are too few images for so many blocks.
    """
    if blocks == 0:
        return [range(place, place + 1) for place in range(count)]
    usable = count - gap * (blocks - 1)
    if blocks < 1 or gap < 0 or usable < blocks:
        raise DataError(
            f"{count} images do not fill {blocks} blocks with {gap} left out between them. "
            "Lower --group-blocks."
        )
    starts = [usable * number // blocks + gap * number for number in range(blocks)]
    ends = [usable * (number + 1) // blocks + gap * number for number in range(blocks)]
    return [range(start, end) for start, end in zip(starts, ends, strict=True)]


def convert(
    draft: Path, plan: FolderPlan, *, pairs: Sequence[tuple[Path, Path]], tick: Callable[[int], None]
) -> dict[str, object]:
    """Write all pairs into `draft` in the CEM-MitoLab layout and return counts.

    Raises:
        DataError: If a file cannot be read, a pair differs in shape, or no mask has any foreground.
    """
    written = foreground = pixels = 0
    values: set[int] = set()
    ranges = blocks_of(len(pairs), blocks=plan.group_blocks, gap=plan.gap)
    for number, block in enumerate(ranges):
        folder = draft / LABELLED / f"block_{number:03d}"
        for name in ("images", "masks"):
            (folder / name).mkdir(parents=True)
        for index in block:
            image, stored = _read_pair(*pairs[index])
            values |= set(np.unique(stored)[:SHOWN].tolist())
            objects = instances(stored, plan.foreground)
            foreground, pixels = foreground + int((objects > 0).sum()), pixels + objects.size
            for ending, cut in tiles(image.shape, plan.tile_px):
                name = f"{pairs[index][0].stem}{ending}.tiff"
                tifffile.imwrite(
                    folder / "images" / name, image[cut], photometric="minisblack", metadata=None
                )
                tifffile.imwrite(
                    folder / "masks" / name, objects[cut], photometric="minisblack", metadata=None
                )
                written += 1
            tick(1)
    if not foreground:
        raise DataError(
            f"{plan.masks}: no pixel is foreground with --foreground {plan.foreground}; the masks "
            f"hold the values {listed(map(str, sorted(values)))}."
        )
    used = sum(len(block) for block in ranges)
    return {
        "images": written,
        "left_out": len(pairs) - used,
        "blocks": len(ranges),
        "foreground_share": round(foreground / pixels, 5),
    }


def instances(stored: NDArray[np.int32], foreground: Foreground) -> NDArray[np.uint16]:
    """Return numbered objects: the mask's own numbers where it has several, else connected regions.

    Raises:
        DataError: If there are more than 65535 objects.
    """
    inside = stored == int(foreground) if foreground != "nonzero" else stored != 0
    numbered = (
        stored if foreground == "nonzero" and len(np.unique(stored[inside])) > 1 else connected(inside)[0]
    )
    if numbered.size and int(numbered.max()) > np.iinfo(np.uint16).max:
        raise DataError(
            f"Instance number {int(numbered.max())} in a mask; at most 65535 fit. Renumber the objects."
        )
    return np.asarray(numbered, dtype=np.uint16)


def tiles(shape: tuple[int, ...], tile_px: int) -> Iterator[tuple[str, tuple[slice, slice]]]:
    """Yield a name ending and the cut of each tile; a side smaller than a tile stays whole."""
    if tile_px == 0:
        yield "", (slice(None), slice(None))
        return
    for y in _starts(shape[0], tile_px):
        for x in _starts(shape[1], tile_px):
            yield f"_y{y:05d}_x{x:05d}", (slice(y, y + tile_px), slice(x, x + tile_px))


def _starts(length: int, tile_px: int) -> list[int]:
    count = max(-(-length // tile_px), 1)
    return [min(number * tile_px, max(length - tile_px, 0)) for number in range(count)]


def _read_pair(image_path: Path, mask_path: Path) -> tuple[NDArray[Any], NDArray[np.int32]]:
    image, inverted = read_plane(image_path)
    if image.dtype not in (np.uint8, np.uint16, np.float32, np.float64):
        raise DataError(
            f"{image_path}: values of type {image.dtype}; expected uint8, uint16, or float in [0, 1]."
        )
    if inverted:
        image = np.iinfo(image.dtype).max - image if image.dtype.kind == "u" else 1 - image
    stored = read_labels(mask_path)
    if image.shape != stored.shape:
        raise DataError(
            f"{image_path}: shape {image.shape}, but its mask {mask_path.name} has {stored.shape}."
        )
    return image, stored


def _files(folder: Path, option: str) -> dict[str, Path]:
    if not folder.is_dir():
        raise DataError(f"--{option} {folder}: is not a folder.")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if not path.is_file() or path.name.startswith(".") or not is_image(path):
            continue
        if path.stem in found:
            raise DataError(f"{path}: {found[path.stem].name} has the same name up to its ending. Keep one.")
        found[path.stem] = path
    if not found:
        raise DataError(f"--{option} {folder}: holds no image (.png, .tif, .tiff, .bmp, .jpg).")
    return found


def _natural(stem: str) -> tuple[tuple[int, str], ...]:
    """Return a key that puts 2 before 10: consecutive sections are often numbered without zeros."""
    parts: list[str] = []
    for letter in stem:
        if parts and parts[-1][-1].isdecimal() == letter.isdecimal():
            parts[-1] += letter
        else:
            parts.append(letter)
    return tuple((int(part), "") if part.isdecimal() else (-1, part) for part in parts)
