"""Writing synthetic aerial sets in the layouts of WHU, Alabama and DataCentric, all bytes by the plan.

WHU and Alabama have clean masks, DataCentric noisy ones and its truth beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pkgs.data.phantom.aerial_cuts import CLEAN_SIDE, Cut, extent_of, offsets, overlapping, scattered
from pkgs.data.phantom.aerial_image import draw_image
from pkgs.data.phantom.aerial_looks import LOOKS
from pkgs.data.phantom.aerial_scene import DENSITY, Scene, draw_scene
from pkgs.data.phantom.aerial_truth import TRUTH, PatchTruth, truth_of, write_truth
from pkgs.data.phantom.object_events import Labels, NoiseConfig, draw_labels
from pkgs.data.phantom.outlines import Mask, raster
from pkgs.data.readers.datacentric import CLEAN, IMAGES, NOISY
from pkgs.foundation.registry import choose
from pkgs.foundation.seeds import Purpose, derive

VERSION: Final = 1
"""Counts up whenever the same plan gives other bytes."""
Kind = Literal["whu", "alabama", "datacentric"]
Layout = Literal["first", "later"]
SIZES_PX: Final = {"demo": 64, "64": 64, "96": 96, "128": 128, "256": 256, "full": 256}
TILES: Final = {"whu": 25, "alabama": 15, "datacentric": 16}
"""Source tiles: 25 x 8, 15 x 4 and 16 x 16 patches."""
FULL_TILES: Final = {"whu": 250, "alabama": 150, "datacentric": 139}
"""With `full`: 2,000, 600 and 139 x 36 = 5,004 patches, as many as DataCentric released."""
PER_SIDE: Final = 4
FULL_PER_SIDE: Final = 6
EVERY: Final = {"whu": 2, "alabama": 4}
"""One place in so many of a clean tile becomes a patch."""
UNTOUCHED: Final = NoiseConfig(noise_rate=0)
VAL_SHARE: Final = 0.12
TEST_SHARE: Final = 0.20


@dataclass(frozen=True)
class Plan:
    """What is generated; the same plan gives the same bytes."""

    kind: Kind
    side_px: int
    seed: int
    tiles: int
    per_side: int = PER_SIDE
    """Patches along a side of a tile; of DataCentric only."""
    noise: NoiseConfig = UNTOUCHED
    """Of DataCentric only."""
    layout: Layout = "first"
    """Names of DataCentric's folders: of its first or its later release."""
    alpha: bool = False
    """Whether images carry a fourth channel, which readers drop."""

    def recipe(self) -> dict[str, object]:
        told: dict[str, object] = {
            "set": f"{self.kind}_phantom",
            "synthetic": True,
            "version": VERSION,
            "side_px": self.side_px,
            "seed": self.seed,
            "tiles": self.tiles,
            "alpha": self.alpha,
        }
        if self.kind == "datacentric":
            told |= {"per_side": self.per_side, "layout": self.layout, **self.noise.model_dump()}
        return told

    @property
    def images(self) -> int:
        return self.tiles * (
            self.per_side**2 if self.kind == "datacentric" else CLEAN_SIDE**2 // EVERY[self.kind]
        )


def plan_of(kind: Kind, size: str, *, seed: int) -> Plan:
    """Return the plan of a set by the name of its size; DataCentric with noise as by default.

    Raises:
        ValueError: If there is no such size.
    """
    side_px = choose("size", SIZES_PX, size)
    tiles = (FULL_TILES if size == "full" else TILES)[kind]
    per_side = FULL_PER_SIDE if size == "full" else PER_SIDE
    return Plan(kind, side_px, seed, tiles, per_side, NoiseConfig() if kind == "datacentric" else UNTOUCHED)


def generate(draft: Path, plan: Plan, *, workers: int, tick: Callable[[int], None]) -> dict[str, object]:
    """Write the set into `draft` and return its counts.

    Args:
        draft: An empty folder.
        plan: What to draw.
        workers: Processes; the bytes do not depend on it.
        tick: Called with the number of patches that have just been written.
    """
    for folder in _folders(plan):
        (draft / folder).mkdir(parents=True)
    written: list[Written] = []
    for patches in _each(plan, draft, workers=workers):
        written += patches
        tick(len(patches))
    facts: dict[str, object] = {
        "images": len(written),
        "foreground_share": _mean(patch.foreground for patch in written),
        "empty_share": _mean(patch.foreground == 0 for patch in written),
    }
    if plan.kind == "datacentric":
        truths = [patch.truth for patch in written if patch.truth]
        write_truth(draft / TRUTH, truths)
        facts["mean_noise"] = _mean(truth.noise for truth in truths)
        facts["clean_share"] = _mean(truth.noise == 0 for truth in truths)
    return facts


@dataclass(frozen=True, slots=True)
class Written:
    """What is told of one patch."""

    foreground: float
    """Share of pixels, by the clean mask."""
    truth: PatchTruth | None


@dataclass(frozen=True, slots=True)
class Tile:
    """One source tile, drawn, or a patch of it."""

    image: NDArray[np.uint8]
    clean: Mask
    noisy: Mask


def _each(plan: Plan, draft: Path, *, workers: int) -> Iterable[list[Written]]:
    if workers <= 1:
        yield from (write_tile(plan, number, draft) for number in range(plan.tiles))
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(write_tile, [plan] * plan.tiles, range(plan.tiles), [draft] * plan.tiles)


def density_of(plan: Plan, number: int) -> float:
    """Return the buildings per area of a patch: tiles cover the range evenly, so that seeds hardly differ."""
    rng = np.random.default_rng(derive(plan.seed, Purpose.DATA, f"{plan.kind}_phantom", "density"))
    places = (rng.permutation(plan.tiles) + rng.uniform(size=plan.tiles)) / plan.tiles
    return float(DENSITY[0] + (DENSITY[1] - DENSITY[0]) * places[number])


def draw_tile(plan: Plan, number: int) -> tuple[Scene, Labels]:
    """Return what stands on source tile `number`, and its labels."""
    key = f"{plan.kind}_phantom/{number}"
    rng = np.random.default_rng(derive(plan.seed, Purpose.DATA, key, "scene"))
    extent = extent_of(plan.per_side) if plan.kind == "datacentric" else float(CLEAN_SIDE)
    scene = draw_scene(rng, extent=extent, density=density_of(plan, number))
    return scene, draw_labels(scene, plan.noise, seed=plan.seed, key=key, side_px=plan.side_px)


def write_tile(plan: Plan, number: int, draft: Path) -> list[Written]:
    """Draw and write one source tile; return what is told of its patches."""
    scene, labels = draw_tile(plan, number)
    rng = np.random.default_rng(derive(plan.seed, Purpose.DATA, f"{plan.kind}_phantom/{number}", "image"))
    tile_px = tile_side(plan)
    image = draw_image(rng, scene, LOOKS[plan.kind], side_px=plan.side_px, tile_px=tile_px)
    shape = (tile_px, tile_px)
    tile = Tile(image, raster(labels.clean, shape), raster(labels.noisy, shape))
    written = []
    for cut in cuts_of(plan, number):
        patch, truth = _patch(tile, cut, plan.side_px), None
        if plan.kind == "datacentric":
            truth = truth_of(cut, labels, clean=patch.clean, noisy=patch.noisy)
        _write(draft, plan, number, cut=cut, patch=patch)
        written.append(Written(float(patch.clean.mean()), truth))
    return written


def tile_side(plan: Plan) -> int:
    """Return the side of a source tile in pixels."""
    if plan.kind == "datacentric":
        return offsets(plan.side_px, plan.per_side)[-1] + plan.side_px
    return CLEAN_SIDE * plan.side_px


def cuts_of(plan: Plan, number: int) -> Iterator[Cut]:
    """Yield the patches of tile `number`."""
    if plan.kind == "datacentric":
        return overlapping(number, side_px=plan.side_px, per_side=plan.per_side)
    return scattered(number, side_px=plan.side_px, every=EVERY[plan.kind])


def part_of(plan: Plan, number: int) -> str:
    """Return the part of WHU that tile `number` belongs to: no tile stands in two."""
    test = max(1, round(TEST_SHARE * plan.tiles))
    val = max(1, round(VAL_SHARE * plan.tiles))
    left = plan.tiles - number
    return "test" if left <= test else "val" if left <= test + val else "train"


def _patch(tile: Tile, cut: Cut, side_px: int) -> Tile:
    here = (slice(cut.row, cut.row + side_px), slice(cut.column, cut.column + side_px))
    return Tile(tile.image[here], tile.clean[here], tile.noisy[here])


def _folders(plan: Plan) -> list[str]:
    if plan.kind == "whu":
        return [f"{part}/{name}" for part in ("train", "val", "test") for name in ("Image", "Mask")]
    if plan.kind == "alabama":
        return ["image", "mask"]
    which = 0 if plan.layout == "first" else 1
    return [IMAGES[which], NOISY[which], CLEAN[which], f"{TRUTH}/xor"]


def _write(draft: Path, plan: Plan, number: int, *, cut: Cut, patch: Tile) -> None:
    """Write image and masks of one patch, in the coding of its layout."""
    white = np.where(patch.clean, 255, 0).astype(np.uint8)
    image = patch.image
    if plan.alpha:
        image = np.dstack([image, np.full(image.shape[:2], 200, np.uint8)])
    if plan.kind == "datacentric":
        xor = np.where(patch.clean ^ patch.noisy, 255, 0).astype(np.uint8)
        planes = [image, patch.noisy.astype(np.uint8), patch.clean.astype(np.uint8), xor]
        folders = _folders(plan)
    elif plan.kind == "alabama":
        planes, folders = [image, 255 - white], _folders(plan)  # inverted, as released
    else:
        part = part_of(plan, number)
        planes, folders = [image, white], [f"{part}/Image", f"{part}/Mask"]
    for folder, plane in zip(folders, planes, strict=True):
        Image.fromarray(plane).save(draft / folder / f"{cut.stem}.png")


def _mean(values: Iterable[float]) -> float:
    return round(float(np.mean([float(value) for value in values])), 5)
