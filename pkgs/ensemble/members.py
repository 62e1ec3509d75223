"""The finished runs whose students are judged together, and the settings on which they agree. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from pkgs.data.config import DataConfig
from pkgs.foundation.config import Section, strict
from pkgs.foundation.run_folder import RunFolder, run_folders
from pkgs.models.config import ModelConfig
from pkgs.training.starting_point import StartingPoint, faults_of

S = TypeVar("S", bound=Section)


class EnsembleConfig(Section):
    """What the members have in common, as their own config.yaml says."""

    preset: str
    data: DataConfig
    model: ModelConfig
    members: tuple[str, ...]
    """Their run folders, in order."""


@dataclass(frozen=True, slots=True)
class Members:
    """Students by the name of their run folder, such as `seed_3`, in order."""

    points: Mapping[str, StartingPoint]
    config: EnsembleConfig


def find_members(pattern: str) -> Members:
    """Return the runs that `pattern` matches: `logs_and_checkpoints/ke/student_baseline/seed_*`.

    Raises:
        ValueError: If there is none, one has not finished, or they disagree in data or network.
    """
    runs = sorted(run_folders(pattern), key=_by_number)
    if not runs:
        raise ValueError(
            f"--members {pattern}: no run folder matches. Train the members first (in Jobs.csv: name their "
            "row under `after`), or mend the pattern."
        )
    points = {run.name: StartingPoint(run, "student") for run in runs}
    faults = faults_of(points)
    if faults:
        raise ValueError("\n".join(faults))
    return Members(points, _agreed(runs))


def _agreed(runs: list[Path]) -> EnsembleConfig:
    told = [_settings(run) for run in runs]
    data, model = (_same(runs, told, name) for name in ("data", "model"))
    where = str(RunFolder(runs[0]).config)
    return EnsembleConfig(
        preset=str(told[0].get("preset", "")),
        data=strict(DataConfig, data, where=f"{where}: data"),
        model=strict(ModelConfig, model, where=f"{where}: model"),
        members=tuple(str(run) for run in runs),
    )


def _settings(run: Path) -> Mapping[str, Any]:
    path = RunFolder(run).config
    try:
        raw = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ValueError(f"{path}: cannot be read ({error}). Is {run} a run folder?") from None
    return raw if isinstance(raw, dict) else {}


def _same(runs: list[Path], told: list[Mapping[str, Any]], name: str) -> Mapping[str, Any]:
    """Return a section that all members have alike."""
    first = told[0].get(name, {})
    for run, settings in zip(runs, told, strict=True):
        if settings.get(name, {}) != first:
            raise ValueError(
                f"{run}: its settings of `{name}` are not those of {runs[0]}. The members must have seen the "
                "same data with the same network; narrow --members."
            )
    return dict(first)


def _by_number(run: Path) -> tuple[int, str]:
    """Sort `seed_4` before `seed_13`."""
    digits = run.name.rpartition("_")[2]
    return (int(digits) if digits.isdecimal() else 0, run.name)
