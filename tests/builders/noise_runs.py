"""A tiny noisy set, and run folders from which it is ranked: maps of right predictions, a little unsure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from pkgs.data.config import DataConfig, SplitConfig
from pkgs.data.folds import grouped_folds, write_folds
from pkgs.data.object_noise import corrupt_objects
from pkgs.data.patch_maps import write_maps
from pkgs.data.readers.datacentric import DataCentric
from tests.builders.aerial import save

SIDE_PX = 32
FOLDS = 3
SPLIT = f"folds{FOLDS}_seed42.csv"


@dataclass(frozen=True)
class NoisyWorld:
    """The set below `root`, the runs below `runs`."""

    root: Path
    runs: Path
    clean: dict[str, np.ndarray]
    """Clean mask by sample id."""
    given: dict[str, np.ndarray]

    @property
    def ids(self) -> list[str]:
        return sorted(self.clean)

    def fold_of(self) -> dict[str, int]:
        return grouped_folds(DataCentric().samples(self.root), folds=FOLDS, seed=42)


def write_noisy_set(root: Path, *, tiles: int = 8, noisy: bool = True) -> NoisyWorld:
    """Write patches of `tiles` tiles, four each, half of their labels noisy, and the file of folds."""
    rng = np.random.default_rng(5)
    clean, given = {}, {}
    for tile in range(tiles):
        for place, (row, column) in enumerate(((0, 0), (0, 209), (209, 0), (209, 209))):
            stem = f"tile_{tile}_0_{row}_{column}"
            mask = np.zeros((SIDE_PX, SIDE_PX), np.uint8)
            for y, x in rng.integers(2, SIDE_PX - 12, (2 if place else 1, 2)):
                mask[y : y + 9, x : x + 7] = 1
            colour = np.where(mask[..., None] == 1, [180, 60, 50], [60, 120, 50])
            colour = colour + rng.integers(-20, 20, colour.shape)
            label = corrupt_objects(mask, rng, rate=1.0) if noisy and place % 2 else mask
            clean[stem], given[stem] = mask, label
            save(root / "training_patches" / f"{stem}.png", colour.astype(np.uint8))
            save(root / "training_noisy_labels" / f"{stem}.png", label)
            save(root / "training_labels" / f"{stem}.png", mask)
    world = NoisyWorld(root, root.parent / "runs", clean, given)
    samples = DataCentric().samples(root)
    write_folds(root / "splits" / SPLIT, samples, fold_of=world.fold_of(), digests={})
    return world


def write_run(
    world: NoisyWorld,
    name: str,
    *,
    ids: Sequence[str],
    maps: str = "probability",
    part: str = "test",
    split: dict[str, object] | None = None,
    seed: int = 0,
) -> Path:
    """Write a run folder with maps of `ids`, drawn by id and seed."""
    folder = world.runs / name / f"seed_{seed}"
    values = np.stack([predicted(world, id_, maps=maps, seed=seed) for id_ in ids])
    groups = ["_".join(id_.split("_")[:3]) for id_ in ids]
    write_maps(folder, maps, [(ids, groups, part, values)], count=len(ids), sides=(SIDE_PX, SIDE_PX))
    told = {"data": {"root": str(world.root), "split": split or {"by": "all"}}}
    (folder / "config.yaml").write_text(yaml.safe_dump(told))
    return folder


def predicted(world: NoisyWorld, id_: str, *, maps: str, seed: int) -> np.ndarray:
    """Return P near the clean mask, or r near where the given label differs from it."""
    rng = np.random.default_rng([seed, *id_.encode()])
    true = world.clean[id_] if maps == "probability" else world.clean[id_] ^ world.given[id_]
    return np.clip(0.1 + 0.8 * true + rng.normal(0, 0.06, true.shape), 0, 1)


def write_folds_of(world: NoisyWorld, name: str, *, maps: str = "probability", seeds: int = 2) -> str:
    """Write a run per fold and seed and return their pattern."""
    fold_of = world.fold_of()
    for fold in range(FOLDS):
        ids = [id_ for id_ in world.ids if fold_of[id_] == fold]
        for seed in range(seeds):
            split = {"by": "folds", "folds": FOLDS, "fold": fold}
            write_run(world, f"{name}/fold{fold}", ids=ids, maps=maps, split=split, seed=seed)
    return str(world.runs / name / "fold*" / "seed_*")


def write_in_sample(world: NoisyWorld, name: str) -> str:
    """Write a run that was trained on all patches and return its pattern."""
    write_run(world, f"{name}/in_sample", ids=world.ids, part="train")
    return str(world.runs / name / "in_sample" / "seed_*")


def rank_config(world: NoisyWorld, path: Path, **more: object) -> Path:
    """Write the configuration of a ranking with a student and an error teacher."""
    told = {
        "data": {
            "root": str(world.root),
            "layout": "datacentric",
            "size_px": SIDE_PX,
            "split": {"by": "folds", "folds": FOLDS},
        },
        "runs": {
            "student": write_folds_of(world, "student"),
            "error_teacher": write_folds_of(world, "error_teacher", maps="wrong", seeds=1),
        },
        **more,
    }
    path.write_text(yaml.safe_dump(told))
    return path


def data_of(world: NoisyWorld) -> DataConfig:
    """Return the settings of the set, as a ranking takes them."""
    split = SplitConfig(by="folds", folds=FOLDS)
    return DataConfig(root=str(world.root), layout="datacentric", size_px=SIDE_PX, split=split)
