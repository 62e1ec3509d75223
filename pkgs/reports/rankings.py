"""Reading what a job that ranks samples leaves: scores per sample, perhaps the truth, perhaps a noise rate.

What is absent or broken becomes a sentence; nothing here judges.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from pkgs.foundation.files import read_json
from pkgs.reports.bootstrap import Numbers
from pkgs.reports.plan_ranking import Ranking
from pkgs.reports.runs import Run, Study
from pkgs.reports.statistics import Interval

Seed = str


@dataclass(frozen=True, slots=True)
class NoiseRate:
    """What the job says of the whole set."""

    estimate: float
    interval: Interval | None
    assumption: str


@dataclass(frozen=True)
class RankingTable:
    """The rows of a ranking; where a truth is known for some samples, only theirs."""

    n: int
    groups: tuple[str, ...]
    truth: Numbers | None
    scores: Mapping[str, Numbers]
    """By detector, finite; also those of `unseen`, which the plan's detectors need not name."""
    seeds: Mapping[str, Mapping[Seed, Numbers]]
    """By detector that joins seeds, then by seed."""
    hits: Mapping[str, Numbers]
    objects: Numbers | None
    probability: Numbers | None
    rate: NoiseRate | None
    complaints: tuple[str, ...] = field(default=())
    """One sentence each, starting with the file."""


def read_ranking(study: Study, asked: Ranking) -> RankingTable | str:
    """Return the ranking of a study, or the sentence that says why there is none yet."""
    runs = [run for run in (*study.other_jobs, *study.runs) if run.condition == asked.condition]
    if not runs:
        return f"{asked.condition} has no run yet, so there is no ranking."
    place = runs[-1].folder.path / asked.file
    frame = _read_frame(place, asked)
    if isinstance(frame, str):
        return f"{runs[-1].name}: {frame}"
    return _table(frame, asked, runs[-1])


def _read_frame(path: Path, asked: Ranking) -> pd.DataFrame | str:
    if not path.is_file():
        return f"{path.name} is not there yet, so there is no ranking."
    try:
        frame = pd.read_csv(path, converters={asked.group: str}, encoding_errors="replace")
    except (OSError, ValueError) as error:  # pandas' ParserError and EmptyDataError are ValueErrors
        first = str(error).partition("\n")[0]
        return f"{path.name} cannot be read ({first}); expected a header and one row per sample."
    if not len(frame):
        return f"{path.name} holds a header and no row."
    if not set(asked.detectors) & set(frame.columns):
        return (
            f"{path.name} has no column {', '.join(map(repr, asked.detectors))}; it has "
            f"{', '.join(map(str, frame.columns))}. Name its detectors in the plan."
        )
    return frame


def _table(frame: pd.DataFrame, asked: Ranking, run: Run) -> RankingTable:
    said: list[str] = []
    truth = _column(frame, asked.truth)
    if truth is not None and not np.isfinite(truth).any():
        truth = None
    if truth is not None and not np.isfinite(truth).all():
        known = np.isfinite(truth)
        said.append(
            f"{asked.truth} is known for {known.sum()} of {len(frame)} samples; only these are judged."
        )
        frame, truth = frame[known], truth[known]
    if truth is not None and not ((truth >= 0) & (truth <= 1)).all():
        said.append(
            f"{asked.truth} leaves 0 to 1 (from {truth.min():g} to {truth.max():g}); not used as truth."
        )
        truth = None
    if asked.group not in frame:
        said.append(f"no column {asked.group!r}: every sample counts as a {asked.unit} of its own.")
    groups = frame[asked.group] if asked.group in frame else pd.Series(range(len(frame)))
    about_truth = _about_truth(frame, asked, said) if truth is not None else ({}, None)
    table = RankingTable(
        n=len(frame),
        groups=tuple(map(str, groups)),
        truth=truth,
        scores=_complete(frame, (*asked.detectors, *asked.unseen.values()), said),
        seeds={name: _single_seeds(frame, start) for name, start in asked.seeds.items()},
        hits=about_truth[0],
        objects=about_truth[1],
        probability=_probability(frame, asked, said),
        rate=_rate(run.folder.path / asked.rate, said) if asked.rate else None,
    )
    return replace(table, complaints=tuple(f"{run.name}: {asked.file}: {text}" for text in said))


def _column(frame: pd.DataFrame, name: str) -> Numbers | None:
    if name not in frame:
        return None
    return np.asarray(pd.to_numeric(frame[name], errors="coerce"), dtype=np.float64)


def _complete(frame: pd.DataFrame, names: Sequence[str], said: list[str]) -> dict[str, Numbers]:
    """Return the columns that hold a finite number in every row; say which do not."""
    found = {}
    for name in dict.fromkeys(names):
        values = _column(frame, name)
        if values is None:
            said.append(f"no column {name!r}; it is left out.")
        elif not np.isfinite(values).all():
            lacking = int((~np.isfinite(values)).sum())
            said.append(f"{name!r} has no number in {lacking} of {len(values)} rows; it is left out.")
        else:
            found[name] = values
    return found


def _single_seeds(frame: pd.DataFrame, start: str) -> dict[Seed, Numbers]:
    names = [str(name) for name in frame.columns if str(name).startswith(start) and str(name) != start]
    found = {
        name.removeprefix(start): values for name in names if (values := _column(frame, name)) is not None
    }
    return {seed: values for seed, values in found.items() if np.isfinite(values).all()}


def _about_truth(
    frame: pd.DataFrame, asked: Ranking, said: list[str]
) -> tuple[dict[str, Numbers], Numbers | None]:
    names = {kind: column for kind, column in asked.hits.items() if column not in frame}
    if names:
        said.append(f"no column {', '.join(map(repr, names.values()))}; no table by kind of noise.")
    hits = {} if names else {kind: np.nan_to_num(_column(frame, name)) for kind, name in asked.hits.items()}  # type: ignore[arg-type] # each is there
    objects = _column(frame, asked.objects) if asked.objects else None
    if asked.objects and objects is None:
        said.append(f"no column {asked.objects!r}; no table by the number of objects.")
    return hits, objects


def _probability(frame: pd.DataFrame, asked: Ranking, said: list[str]) -> Numbers | None:
    values = _column(frame, asked.probability) if asked.probability else None
    if asked.probability and values is None:
        said.append(f"no column {asked.probability!r}; no calibration.")
    if values is not None and not ((values >= 0) & (values <= 1)).all():
        said.append(f"{asked.probability!r} is no probability in every row; no calibration.")
        return None
    return values


def _rate(path: Path, said: list[str]) -> NoiseRate | None:
    match read_json(path):
        case {"estimate": int() | float() as estimate, **others} if math.isfinite(estimate):
            interval = None
            match others.get("interval"):
                case [int() | float() as low, int() | float() as high]:
                    interval = Interval(float(low), float(high))
            return NoiseRate(float(estimate), interval, str(others.get("assumption", "")).strip())
        case _:
            said.append(f"{path.name} holds no number `estimate`; no noise rate is shown.")
            return None
