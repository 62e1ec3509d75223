"""A made-up study of label noise, as its rows leave it: scores with a truth, retraining, learning curves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from pkgs.foundation.run_folder import RunFolder
from tests.builders.planned_studies import Level, write_tested
from tests.builders.rankings import write_ranking
from tests.builders.run_folders import MadeUp, write_run

KINDS = ("drop", "shift", "rotate", "resize", "add")
DETECTORS = {
    "combined": 0.16, "bridge": 0.14, "bridge_mean": 0.3, "bridge_clean": 0.18, "supervised_iou": 0.3,
    "in_sample_iou": 0.35, "supervised_in_sample_iou": 0.36, "softmin": 0.22, "ce": 0.35, "pixels": 0.4,
    "variance": 2.0, "disagreement": 0.9, "compat": 0.45,
}  # fmt: skip
"""How far each made-up score lies from the truth."""
RETRAINED = {
    "all": 0.70, "cleanest_50": 0.72, "random_50": 0.68, "oracle_50": 0.725, "corrected": 0.715,
    "clean_labels": 0.76,
}  # fmt: skip


def noise_scores(*, tiles: int = 16, per_tile: int = 16, seed: int = 0) -> pd.DataFrame:
    """Return scores.csv of a demo: 256 patches of 16 tiles, two in five clean."""
    generator = np.random.default_rng(seed)
    n = tiles * per_tile
    rate = np.where(generator.random(n) < 0.35, 0, generator.random(n))
    objects = generator.poisson(2.5, n)
    hits = generator.binomial(objects[:, None], rate[:, None] * np.array([0.25, 0.25, 0.3, 0.1, 0.1]))
    noise = np.where(hits.any(axis=1), np.clip(hits.sum(axis=1) / np.maximum(objects, 1) * 0.8, 0.02, 1), 0)
    noise = np.round(np.clip(noise + (noise > 0) * generator.normal(0, 0.05, n), 0, 1), 4)
    tile = np.arange(n) // per_tile
    frame = pd.DataFrame(
        {
            "imageid": [f"1_2_{t}_{k % 4 * 209}_{k // 4 % 4 * 209}.png" for k, t in enumerate(tile)],
            "group": [f"1_2_{t}" for t in tile],
            "p_noisy": np.clip(0.1 + 1.1 * noise + generator.normal(0, 0.2, n), 0, 1),
        }
    )
    seeds = [np.clip(noise + generator.normal(0, 0.35, n) + (noise > 0) * 0.05, 0, 1) for _ in range(3)]
    frame["iou"] = np.mean(seeds, axis=0)
    for k, values in enumerate(seeds):
        frame[f"iou_seed_{k}"] = values
    frame["wiou"] = np.where(objects == 0, 1, frame["iou"])
    for name, spread in DETECTORS.items():
        frame[name] = noise + generator.normal(0, spread, n) + generator.normal(0, 0.08, tiles)[tile]
    for k, kind in enumerate(KINDS):
        frame[f"bridge_without_{kind}"] = noise * (hits[:, k] == 0) + generator.normal(0, 0.2, n)
    frame["true_noise"], frame["objects"] = noise, objects
    for k, kind in enumerate(KINDS):
        frame[f"hits_{kind}"] = hits[:, k]
    return frame


def write_noise_study(root: Path, *, name: str = "noise", truth: bool = True) -> None:
    """Write the study; without a truth its ranking has no column that needs one."""
    frame = noise_scores()
    if not truth:
        frame = frame.drop(columns=["true_noise", "objects", *(f"hits_{kind}" for kind in KINDS)])
    write_ranking(root, frame, name=name)
    for condition, iou in RETRAINED.items():
        for seed in range(5):
            write_tested(root, f"{name}/retrain/{condition}", seed=seed, level=Level(iou=iou, sd=0.006))
    for condition in ("student/fold0", "student/fold1", "student/in_sample", "supervised/in_sample"):
        for seed in range(3):
            run = MadeUp(iou=0.6, fingerprint="e" * 16)
            folder = write_run(root, f"{name}/{condition}", seed=seed, run=run)
            write_memorising(folder, inside="in_sample" in condition, seed=seed)
    write_run(root, f"{name}/left_out/without_drop", seed=0, run=MadeUp())


def write_memorising(folder: RunFolder, *, inside: bool, seed: int) -> None:
    """Write val.csv with the IoU of noisy and of clean labels: in sample the noisy ones are learnt."""
    generator = np.random.default_rng(seed)
    lines = ["time_unix_s,attempt,step,epoch,iou,iou_noisy,iou_clean"]
    for step in range(10, 201, 10):
        clean = 0.65 * (1 - np.exp(-step / 40)) - (0.0008 * max(step - 100, 0)) + generator.normal(0, 0.01)
        noisy = clean - 0.12 + (0.0018 * step if inside else 0)
        lines.append(f"1700000{step:03d},1,{step},{step // 10},{clean:.5f},{noisy:.5f},{clean:.5f}")
    folder.val_csv.write_text("\n".join(lines) + "\n")
