"""Whole studies with a plan, as their trainings leave them: sums per source that fit test.csv, and more."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pkgs.foundation.run_folder import RunFolder
from tests.builders.run_folders import MadeUp, write_run

SOURCES = ("source_a", "source_b", "source_c", "source_d")
BINS = 15
COUNTS = ("tp", "fp", "fn", "tn")
PLAN: dict[str, object] = {
    "base": "base",
    "endpoints": ["iou", "ece_fg"],
    "margins": {"iou": 0.01, "ece_fg": 0.001},
    "families": [{"name": "against the baseline", "pairs": [["joint", "base"], ["more", "base"]]}],
}


@dataclass(frozen=True)
class Level:
    """How good a made-up condition is, before its seeds and sources vary."""

    iou: float = 0.75
    gap: float = 0.01
    """By how much every p is too high: the ECE."""
    sd: float = 0.004
    """Of the seeds."""


def write_tested(
    root: Path, job: str, *, seed: int | None, level: Level, run: MadeUp | None = None
) -> RunFolder:
    """Write a run whose test.csv is what its predictions/calibration.csv adds up to."""
    folder = write_run(root, job, seed=seed, run=run or MadeUp(tested=True))
    generator = np.random.default_rng([seed or 0, *job.encode()])
    shift = float(generator.normal(0, level.sd))
    sums = {source: _sums(level, shift, k, generator) for k, source in enumerate(SOURCES)}
    write_sums(folder, sums)
    return folder


def _sums(level: Level, shift: float, place: int, generator: np.random.Generator) -> dict[str, np.ndarray]:
    """Return counts and bins of one source: 20 images of 64 px, 5 to 8 % foreground."""
    pixels = 20 * 64 * 64
    positive = round(pixels * (0.05 + 0.01 * place))
    iou = min(0.99, max(0.01, level.iou + shift + float(generator.normal(0, 0.02))))
    tp = round(positive * 2 * iou / (1 + iou))
    counts = np.array([tp, positive - tp, positive - tp, pixels - 2 * positive + tp])
    centres = (np.arange(BINS) + 0.5) / BINS
    share = np.where(np.arange(BINS) == 0, 0.9, 0.1 / (BINS - 1))
    count = np.round(pixels * share)
    y = np.round(count * np.clip(centres - level.gap - shift / 4, 0, 1))
    return {"counts": counts, "bins": np.stack([count, count * centres, y], axis=1)}


def write_sums(folder: RunFolder, sums: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    """Write predictions/calibration.csv of the last and best weights, and the test.csv that follows."""
    lines = ["weights,source,bin,count,sum_p,sum_y,tp,fp,fn,tn"]
    header = (
        "time_unix_s,attempt,step,epoch,weights,source,images,iou,dice,accuracy,ece_fg,mce_fg,tp,fp,fn,tn"
    )
    rows = [header]
    pooled = {key: sum(np.asarray(each[key]) for each in sums.values()) for key in ("counts", "bins")}
    for weights in ("last", "best"):
        for source, each in sums.items():
            counts = ",".join(map(str, each["counts"]))
            lines += [
                f"{weights},{source},{k},{n:.0f},{p:.6f},{y:.0f},{counts}"
                for k, (n, p, y) in enumerate(each["bins"])
            ]
        for source, each in {**sums, "pooled": pooled}.items():
            rows.append(f"1700000101,1,100,5,{weights},{source},20,{_metrics(each)}")
    folder.predictions.mkdir(exist_ok=True)
    (folder.predictions / "calibration.csv").write_text("\n".join(lines) + "\n")
    folder.test_csv.write_text("\n".join(rows) + "\n")


def _metrics(sums: Mapping[str, np.ndarray]) -> str:
    tp, fp, fn, tn = map(float, sums["counts"])
    n, p, y = np.asarray(sums["bins"]).T
    gaps = np.abs(p - y)
    values = (
        tp / (tp + fp + fn), 2 * tp / (2 * tp + fp + fn), (tp + tn) / (tp + fp + fn + tn),
        gaps.sum() / n.sum(), (gaps / n).max(),
    )  # fmt: skip
    return ",".join(f"{value:.6f}" for value in values) + f",{tp:.0f},{fp:.0f},{fn:.0f},{tn:.0f}"


def write_predictors(
    folder: RunFolder, *, spearman: float = 0.7, gain: float = 0.002, noise: float = 1e-4
) -> None:
    """Write what Q1 reads: rank correlations, and AURCs where `combined` is better by `gain`."""
    generator = np.random.default_rng(list(str(folder.path).encode()))
    keys = "weights,masks,predictor,source"
    rows, sources = [f"{keys},spearman_image,aurc"], [f"{keys},aurc,auroc,spearman_image"]
    for predictor, worse in (("teacher", 2 * gain), ("own_confidence", gain), ("combined", 0.0)):
        rank = spearman if predictor == "teacher" else 0.6
        rows.append(f"last,own,{predictor},pooled,{rank},{0.01 + worse}")
        for source in SOURCES:
            aurc = 0.01 + worse + float(generator.normal(0, noise))
            sources.append(f"last,own,{predictor},{source},{aurc:.8f},.95,{rank}")
    (folder.predictions / "error_prediction.csv").write_text("\n".join(rows) + "\n")
    (folder.predictions / "error_sources.csv").write_text("\n".join(sources) + "\n")


def write_weights(folder: RunFolder, name: str, values: Sequence[float], *, about: str = "") -> Path:
    """Write `checkpoints/last/<name>.safetensors` by hand: one tensor, and text about its run."""
    header = json.dumps(
        {
            "__metadata__": {"about": about},
            "weight": {"dtype": "F64", "shape": [len(values)], "data_offsets": [0, 8 * len(values)]},
        }
    ).encode()
    path = folder.checkpoints / "last" / f"{name}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(len(header).to_bytes(8, "little") + header + np.asarray(values, "<f8").tobytes())
    return path


def set_provenance(folder: RunFolder, **changes: object) -> None:
    """Change keys of a run's provenance.json."""
    told = json.loads(folder.provenance.read_text())
    folder.provenance.write_text(json.dumps(told | changes))


@dataclass(frozen=True)
class MadeUpStudy:
    """Conditions with their levels, and the seeds of all of them."""

    levels: Mapping[str, Level] = field(
        default_factory=lambda: {"base": Level(), "joint": Level(iou=0.79, gap=0.004), "more": Level()}
    )
    seeds: Sequence[int] = (3, 4, 13, 42, 1337)


def write_planned_study(root: Path, *, name: str = "made", study: MadeUpStudy | None = None) -> None:
    """Write every run of a study; its plan is written by `write_plan`."""
    made_up = study or MadeUpStudy()
    for condition, level in made_up.levels.items():
        for seed in made_up.seeds:
            write_tested(root, f"{name}/{condition}", seed=seed, level=level)


def write_plan(path: Path, **changes: object) -> Path:
    """Write `PLAN` with some keys changed; JSON is YAML."""
    path.write_text(json.dumps(PLAN | changes))
    return path
