"""Writing the synthetic set `cem_phantom` in the folders and formats of CEM-MitoLab and CEM1.5M.

The quirks of the real release are put in on purpose; every byte follows from the plan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
import tifffile
from numpy.typing import NDArray

from pkgs.data.phantom.scene import EMPTY_EVERY, SLICES, Patch, draw_scene, draw_slices
from pkgs.data.phantom.style import Style, draw_styles
from pkgs.foundation.seeds import Purpose, derive

VERSION: Final = 1
"""Counts up whenever the same plan gives other bytes."""
SIZES_PX: Final = {"demo": 64, "64": 64, "96": 96, "128": 128, "224": 224}
LABELLED: Final = Path("CEM-MitoLab/cem_mitolab")
POOL: Final = Path("CEM1500k_unlabelled/cem1.5M")
TRUTH: Final = Path("CEM1500k_unlabelled/truth")
"""Masks of the unlabelled pool: for evaluation only, no reader of training data looks here."""
POOL_WIDER: Final = 0.25
"""Pool styles come from longer ranges, so that the pool has something to teach."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is generated; the same plan gives the same bytes."""

    side_px: int
    seed: int
    sources: int = 24
    patches: int = 20
    pool_sources: int = 40
    pool_patches: int = 60

    def recipe(self) -> dict[str, object]:
        return {"set": "cem_phantom", "synthetic": True, "version": VERSION, **asdict(self)}


@dataclass(frozen=True, slots=True)
class Source:
    """One source to be drawn: its style, its quirks and where it goes."""

    folder: str
    style: Style
    key: str
    side_px: int
    seed: int
    patches: int
    pool: bool = False
    wide: bool = False
    """Quirk: not square."""
    deep: bool = False
    """Quirk: images in 16 bit."""
    suffix: str = ".tiff"
    stem: str = ""
    """How file names begin; two sources share one, as in the release."""


def sources_of(plan: Plan) -> list[Source]:
    """Return all sources of `plan`, labelled ones first."""
    rng = np.random.default_rng(derive(plan.seed, Purpose.DATA, "styles"))
    labelled = draw_styles(rng, plan.sources)
    pool = draw_styles(rng, plan.pool_sources, wider=POOL_WIDER)
    return [
        Source(
            folder=f"phantom_{number:02d}",
            style=style,
            key=f"labelled/{number}",
            side_px=plan.side_px,
            seed=plan.seed,
            patches=plan.patches,
            wide=number == 1,
            deep=number == 2,
            suffix=".tif" if number % 3 == 0 else ".tiff",
            stem="stack" if number in {3, 4} else f"phantom_{number:02d}",
        )
        for number, style in enumerate(labelled)
    ] + [
        Source(
            folder=f"pool_{number:02d}",
            style=style,
            key=f"pool/{number}",
            side_px=plan.side_px,
            seed=plan.seed,
            patches=plan.pool_patches,
            pool=True,
            stem=f"pool_{number:02d}",
        )
        for number, style in enumerate(pool)
    ]


def generate(draft: Path, plan: Plan, *, workers: int, tick: Callable[[int], None]) -> dict[str, object]:
    """Write the set into `draft` and return its counts.

    Args:
        draft: An empty folder.
        plan: What to draw.
        workers: Processes; the bytes do not depend on it.
        tick: Called with the number of patches that have just been written.
    """
    sources = sources_of(plan)
    written = _each(sources, draft, workers=workers)
    foreground = pixels = empty = 0
    for source, counts in zip(sources, written, strict=True):
        if not source.pool:
            foreground, pixels, empty = foreground + counts[0], pixels + counts[1], empty + counts[2]
        tick(source.patches)
    labelled = plan.sources * plan.patches
    return {
        "images": labelled,
        "pool_images": plan.pool_sources * plan.pool_patches,
        "foreground_share": round(foreground / max(pixels, 1), 5),
        "empty_share": round(empty / max(labelled, 1), 5),
    }


def _each(sources: list[Source], draft: Path, *, workers: int) -> Iterable[tuple[int, int, int]]:
    if workers <= 1:
        yield from (write_source(source, draft) for source in sources)
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(write_source, sources, [draft] * len(sources))


def write_source(source: Source, draft: Path) -> tuple[int, int, int]:
    """Draw and write one source; return its foreground pixels, pixels and empty patches."""
    if source.pool:
        images, masks = draft / POOL / source.folder, draft / TRUTH / source.folder
    else:
        images, masks = (draft / LABELLED / source.folder / name for name in ("images", "masks"))
    for folder in (images, masks):
        folder.mkdir(parents=True)
    foreground = pixels = empty = 0
    for number, patch in enumerate(draw_source(source)):
        name = f"{source.stem}_{number:03d}{source.suffix}"
        _write(images / name, _codes(patch, deep=source.deep))
        _write(masks / name, patch.labels)
        inside = int((patch.labels > 0).sum())
        foreground, pixels, empty = foreground + inside, pixels + patch.labels.size, empty + (inside == 0)
    return foreground, pixels, empty


def draw_source(source: Source) -> Iterable[Patch]:
    """Yield the patches of one source: four consecutive ones are one scene, one scene in five is empty."""
    shape = (source.side_px, source.side_px * 5 // 4 if source.wide else source.side_px)
    offset = derive(source.seed, Purpose.DATA, source.key, "empty") % EMPTY_EVERY
    for scene_number in range(-(-source.patches // SLICES)):
        rng = np.random.default_rng(derive(source.seed, Purpose.DATA, source.key, scene_number))
        scene = draw_scene(rng, source.style, shape=shape, empty=scene_number % EMPTY_EVERY == offset)
        yield from draw_slices(rng, scene)[: source.patches - scene_number * SLICES]


def _codes(patch: Patch, *, deep: bool) -> NDArray[np.uint8] | NDArray[np.uint16]:
    if deep:
        return np.round(patch.grey * 65535).astype(np.uint16)
    return np.round(patch.grey * 255).astype(np.uint8)


def _write(path: Path, plane: NDArray[np.uint8] | NDArray[np.uint16]) -> None:
    # neither date nor version of the program: the bytes are fixed by the seed
    tifffile.imwrite(path, plane, photometric="minisblack", metadata=None, software=False)
