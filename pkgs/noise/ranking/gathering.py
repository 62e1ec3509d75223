"""The predictions of finished runs, one map per patch and seed; refused while one is missing or unfair.

What a run says of itself counts: the part in which its split put a patch, and the fold in its config.yaml.
"""

# ruff: noqa: N815 - arrays end in their axes, fields too
from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import yaml
from numpy.typing import NDArray

from pkgs.data.config import SplitConfig
from pkgs.data.items import DataError, listed
from pkgs.data.patch_maps import PatchMaps, read_maps
from pkgs.foundation.run_folder import RunFolder, run_folders
from pkgs.noise.ranking.patches import Patches, Places

Seen = Literal["never", "always", "whatever"]
"""Whether a run was trained on the patches it judges: `never` out of fold, `always` in sample; `whatever` for
networks of other sets."""
SEED: Final = re.compile(r"seed_(\d+)")


@dataclass(frozen=True, slots=True)
class SeedMaps:
    """A map of every patch, from all runs of one seed."""

    seed: str
    runs: tuple[PatchMaps, ...]
    run_N: NDArray[np.int64]
    """Which run holds the map of a patch."""
    row_N: NDArray[np.int64]
    """Where in that run."""

    def at(self, places: Places) -> NDArray[np.float32]:
        """Return maps [len(places), H, W] in [0, 1]."""
        side = self.runs[0].sides
        maps = np.empty((len(places), *side), np.float32)
        for number, run in enumerate(self.runs):
            mine = np.flatnonzero(self.run_N[places] == number)
            if len(mine):
                maps[mine] = run.values(self.row_N[places[mine]])
        return maps


@dataclass(frozen=True, slots=True)
class Detector:
    """The maps of a kind of network, by seed in order."""

    seeds: tuple[SeedMaps, ...]

    def each(self, places: Places) -> list[NDArray[np.float32]]:
        """Return the maps of each seed."""
        return [seed.at(places) for seed in self.seeds]

    def mean(self, places: Places) -> NDArray[np.float32]:
        """Return the mean over seeds."""
        return mean_of(self.each(places))


def mean_of(maps_SNHW: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return the mean map; a single seed as it is, to the last bit."""
    return np.asarray(np.mean(np.stack(list(maps_SNHW)), axis=0, dtype=np.float32))


def gather(pattern: str, *, what: str, maps: str, seen: Seen, patches: Patches) -> Detector:
    """Return the maps of all runs that `pattern` matches.

    Args:
        pattern: Of run folders `.../seed_<n>`.
        what: The setting, for errors.
        maps: `probability` or `wrong`.
        seen: What must hold of the patches and the training of each run.
        patches: Who must be there, and by which file of folds the runs must have been trained.

    Raises:
        DataError: One sentence per seed that lacks predictions, or per run that judged what it saw.
    """
    runs = run_folders(pattern)
    if not runs:
        raise DataError(
            f"{what}: no run folder matches {pattern}. Train them first (in Jobs.csv: name their row under "
            "`after`), or leave the setting empty to do without."
        )
    by_seed: dict[str, list[Path]] = {}
    for run in runs:
        by_seed.setdefault(_seed_of(run), []).append(run)
    faults: list[str] = []
    seeds = []
    for seed in sorted(by_seed, key=lambda name: (len(name), name)):
        opened = {run: read_maps(run, maps) for run in by_seed[seed]}
        for run, found in opened.items():
            faults += _faults(run, found, seen=seen, patches=patches)
        joined, missing = _joined(seed, opened, patches=patches)
        if missing:
            faults.append(
                f"{what}, seed {seed}: no prediction of {len(missing)} of {len(patches)} patches: "
                f"{listed(missing)}. Let the runs of all folds come to their end, or narrow the pattern."
            )
        seeds.append(joined)
    if faults:
        raise DataError("\n".join(faults))
    return Detector(tuple(seeds))


def _seed_of(run: Path) -> str:
    found = SEED.fullmatch(run.name)
    if found is None:
        raise DataError(f"{run}: is no folder seed_<n>; let the pattern end in seed_*.")
    return found[1]


def _joined(seed: str, opened: Mapping[Path, PatchMaps], *, patches: Patches) -> tuple[SeedMaps, list[str]]:
    """Return the maps of a seed, and the patches without one."""
    place_of = {id_: place for place, id_ in enumerate(patches.ids)}
    run_N, row_N = np.full(len(patches), -1), np.full(len(patches), -1)
    for number, (run, maps) in enumerate(opened.items()):
        for row, id_ in enumerate(maps.ids):
            place = place_of.get(id_)
            if place is None:
                continue
            if run_N[place] >= 0:
                other = list(opened)[int(run_N[place])]
                raise DataError(f"{id_}: judged by both {other} and {run}. Narrow the pattern.")
            run_N[place], row_N[place] = number, row
    missing = [patches.ids[place] for place in np.flatnonzero(run_N < 0)]
    return SeedMaps(seed, tuple(opened.values()), run_N, row_N), missing


def _faults(run: Path, maps: PatchMaps, *, seen: Seen, patches: Patches) -> list[str]:
    side = (patches.side_px, patches.side_px)
    if maps.sides != side:
        return [f"{run}: maps of {maps.sides}; expected {side}. Give rank the data.size_px of the runs."]
    if seen == "whatever":
        return []
    known = set(patches.ids)
    strangers = [id_ for id_ in maps.ids if id_ not in known]
    if strangers:
        return [f"{run}: judged {listed(strangers)}, which the data lack. Is data.root that of the runs?"]
    return _seen_faults(run, maps) if seen == "always" else _unseen_faults(run, maps, patches)


def _seen_faults(run: Path, maps: PatchMaps) -> list[str]:
    unseen = [id_ for id_, part in zip(maps.ids, maps.parts, strict=True) if part == "test"]
    if not unseen or _split_of(run).get("by") == "all":
        return []
    return [f"{run}: did not train on {listed(unseen)}. In sample means runs with data.split.by: all."]


def _unseen_faults(run: Path, maps: PatchMaps, patches: Patches) -> list[str]:
    trained = [f"{id_} ({part})" for id_, part in zip(maps.ids, maps.parts, strict=True) if part != "test"]
    if trained:
        return [
            f"{run}: trained on what it judges: {listed(trained)}. Out of fold means runs with "
            "data.split.by: folds; name runs in sample under their own setting."
        ]
    told = _split_of(run)
    if told.get("by") != "folds" or _file_of(told) != patches.split:
        return [
            f"{run}: was trained by the split {_file_of(told) or 'of nobody knows which file'}, not by "
            f"{patches.split}, so nobody can say which tiles it saw. Let data.split be the same for all."
        ]
    fold = int(told.get("fold", 0))
    fold_of = dict(zip(patches.ids, patches.folds, strict=True))
    saw = [f"{id_} (fold {fold_of[id_]})" for id_ in maps.ids if fold_of[id_] != fold]
    if saw:
        return [f"{run}: judged fold {fold} and saw the tiles of {listed(saw)}. Train it again."]
    return []


def _split_of(run: Path) -> dict[str, Any]:
    """Return what the run's config.yaml says of its split; empty where it says nothing."""
    try:
        raw = yaml.safe_load(RunFolder(run).config.read_text(encoding="utf-8"))
        return dict(raw["data"]["split"])
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError):
        return {}


def _file_of(split: Mapping[str, Any]) -> str:
    """Return the name of the split file that these settings mean."""
    try:
        return SplitConfig.model_validate(split).file_name if split else ""
    except ValueError:
        return ""
