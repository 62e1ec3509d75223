"""What a job that ranks samples leaves: scores of made-up detectors, with and without a truth."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from pkgs.foundation.run_folder import RunFolder
from tests.builders.run_folders import write_attempt

KINDS = ("drop", "shift", "add")
RANKING: dict[str, object] = {
    "condition": "rank",
    "unit": "tile",
    "detectors": ["plain", "good", "constant"],
    "base": ["plain"],
    "seeds": {"plain": "plain_seed_"},
    "hits": {kind: f"hits_{kind}" for kind in KINDS},
    "objects": "objects",
    "probability": "p_noisy",
    "rate": "noise_rate.json",
}
ASSUMPTION = "Assumed: wrong labels look like injected ones."


def made_up_scores(*, tiles: int = 12, per_tile: int = 10, seed: int = 0) -> pd.DataFrame:
    """Return a row per sample: two in five clean, one or two kinds of noise on the others."""
    generator = np.random.default_rng(seed)
    n = tiles * per_tile
    hits = generator.integers(0, 2, (n, len(KINDS))) * (generator.random(n) < 0.6)[:, None]
    noise = np.where(hits.any(axis=1), generator.uniform(0.05, 0.9, n), 0.0)
    seeds = {f"plain_seed_{k}": noise + generator.normal(0, 0.5, n) for k in range(3)}
    frame = {
        "imageid": [f"a_b_{k // per_tile}_0_{k % per_tile}.png" for k in range(n)],
        "group": [f"a_b_{k // per_tile}" for k in range(n)],
        "p_noisy": np.clip(noise + generator.normal(0.1, 0.2, n), 0, 1),
        "plain": np.mean(list(seeds.values()), axis=0),
        "good": noise + generator.normal(0, 0.05, n),
        "constant": np.ones(n),
        **seeds,
        "true_noise": noise,
        "objects": generator.integers(0, 8, n),
        **{f"hits_{kind}": hits[:, k] for k, kind in enumerate(KINDS)},
    }
    return pd.DataFrame(frame)


def without_truth(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.drop(columns=["true_noise", "objects", *(f"hits_{kind}" for kind in KINDS)])


def write_ranking(
    root: Path,
    frame: pd.DataFrame,
    *,
    name: str = "made",
    rate: Mapping[str, object] | None = None,
) -> RunFolder:
    """Write the folder of the job `rank`, as the queue leaves it."""
    folder = RunFolder.of(root, f"{name}/rank")
    write_attempt(folder, 1, code=0)
    frame.to_csv(folder.path / "scores.csv", index=False)
    told = rate or {"estimate": 0.55, "interval": [0.45, 0.66], "assumption": ASSUMPTION}
    (folder.path / "noise_rate.json").write_text(json.dumps(told))
    return folder
