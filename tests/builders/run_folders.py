"""Run folders as trainings leave them, with numbers that are made up and look so: for tests of the report."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pkgs.foundation.run_folder import RunFolder

START_UNIX_S = 1_700_000_000.0
"""2023-11-14 22:13:20 UTC."""
TRAIN_HEADER = "time_unix_s,attempt,step,epoch,lr,samples_per_s,loss"
VAL_HEADER = "time_unix_s,attempt,step,epoch,nll,iou,ece_fg"
TEST_HEADER = (
    "time_unix_s,attempt,step,epoch,lr,samples_per_s,weights,source,images,"
    "iou,dice,accuracy,ece_fg,mce_fg,brier,nll,tp,fp,fn,tn"
)


@dataclass(frozen=True)
class MadeUp:
    """What a made-up run measured and how it ended."""

    iou: float = 0.8
    """Of the last weights; `best` is .01 higher."""
    ece: float = 0.01
    steps: int = 100
    code: int | None = 0
    """Exit code of its only attempt; None: no exit.json yet."""
    signal: int | None = None
    tested: bool = True
    synthetic: bool = True
    commit: str = "a" * 40
    fingerprint: str = "f" * 16
    config: Mapping[str, object] = field(default_factory=lambda: {"train": {"lr": 0.01}})
    samples: Sequence[tuple[str, float]] = ()
    """Name and share of the object's columns that the prediction found, of saved predictions."""


def write_run(
    root: Path, job: str, *, seed: int | None = None, condition: str | None = None, run: MadeUp | None = None
) -> RunFolder:
    """Write one whole run folder below `root` and return it."""
    made_up = run or MadeUp()
    folder = RunFolder.of(root, job, condition=condition, seed=seed)
    folder.predictions.mkdir(parents=True)
    config = dict(made_up.config) | {"seed": seed, "run_dir": str(folder.path)}
    folder.config.write_text(json.dumps(config))  # JSON is YAML
    provenance = {
        "commit": made_up.commit,
        "data_fingerprint": made_up.fingerprint,
        "config_digest": "c" * 16,
        "data": {"synthetic": made_up.synthetic},
    }
    folder.provenance.write_text(json.dumps(provenance))
    write_curves(folder, made_up, seed=seed or 0)
    if made_up.tested:
        write_tests(folder, made_up)
    progress = {"step": made_up.steps if made_up.tested else made_up.steps // 2, "steps": made_up.steps}
    folder.progress.write_text(json.dumps(progress))
    write_attempt(folder, 1, code=made_up.code, signal=made_up.signal, ended=made_up.code is not None)
    for name, found in made_up.samples:
        write_sample(folder, name, found=found)
    return folder


def write_curves(folder: RunFolder, run: MadeUp, *, seed: int) -> None:
    """Write train.csv and val.csv: curves that fall and rise towards the run's values."""
    last = run.steps if run.tested else run.steps // 2
    train, val = [TRAIN_HEADER], [VAL_HEADER]
    for step in range(1, last + 1):
        time, left = START_UNIX_S + step, math.exp(-4 * step / run.steps)
        wave = 0.03 * math.sin(1.7 * step + seed)
        train.append(f"{time},1,{step},{step // 20},0.01,64.0,{0.1 + 0.6 * left + wave:.6f}")
        if step % 20 == 0:
            values = (
                f"{0.1 + 0.5 * left:.6f},{run.iou * (1 - left) + wave / 3:.6f},{run.ece + 0.2 * left:.6f}"
            )
            val.append(f"{time},1,{step},{step // 20},{values}")
    folder.train_csv.write_text("\n".join(train) + "\n")
    folder.val_csv.write_text("\n".join(val) + "\n")


def write_tests(folder: RunFolder, run: MadeUp) -> None:
    """Write test.csv: last, best and threshold; pooled and two sources."""
    time, rows = START_UNIX_S + run.steps + 1, [TEST_HEADER]
    for weights, shift in (("last", 0.0), ("best", 0.01), ("threshold", 0.3 - run.iou)):
        for source, offset in (("pooled", 0.0), ("source_a", 0.02), ("source_b", -0.02), ("macro", 0.0)):
            iou = run.iou + shift + offset
            others = f"{run.ece},{8 * run.ece},0.02,0.07" if weights != "threshold" else ",,,"
            rows.append(
                f"{time},1,{run.steps},5,0.01,64.0,{weights},{source},20,"
                f"{iou:.6f},{2 * iou / (1 + iou):.6f},0.98,{others},80,10,10,900"
            )
    folder.test_csv.write_text("\n".join(rows) + "\n")


def write_attempt(
    folder: RunFolder, number: int, *, code: int | None, signal: int | None = None, ended: bool = True
) -> None:
    """Write `attempts/<number>/`, with an exit.json when it has ended."""
    attempt = folder.attempt(number)
    attempt.path.mkdir(parents=True)
    attempt.output.write_text("some output\n")
    if not ended and signal is None:
        return
    content = {
        "attempt": number,
        "code": code,
        "signal": signal,
        "start_unix_s": START_UNIX_S,
        "end_unix_s": START_UNIX_S + 185.0,
        "duration_s": 185.0,
        "peak_rss_bytes": 512 * 2**20,
        "cpu_s": 170.0,
    }
    attempt.exit.write_text(json.dumps(content))


def write_sample(
    folder: RunFolder, name: str, *, found: float, side: int = 32, predicted_error: float | None = None
) -> None:
    """Save a prediction of a bright square: the left `found` share of it is predicted.

    Args:
        folder: The run.
        name: `<source>/<stem>`; the file is called `<source>__<stem>.npz`.
        found: Share of the square that is predicted.
        side: Of the image, in pixels.
        predicted_error: Stored where the prediction is wrong, a hundredth of it elsewhere; None: not stored.
    """
    label = np.zeros((side, side), dtype=np.uint8)
    low, high = side // 4, 3 * side // 4
    label[low:high, low:high] = 1
    probability = np.full((side, side), 0.05, dtype=np.float32)
    probability[low:high, low : low + round(found * (high - low))] = 0.9
    ramp = np.linspace(0.2, 0.6, side, dtype=np.float32)
    image = np.clip(ramp[None, :] + 0.3 * label, 0, 1).astype(np.float32)
    path = folder.predictions / f"{name.replace('/', '__')}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {"image": image, "label": label, "probability": probability, "sample": np.array(name)}
    if predicted_error is not None:
        wrong = (probability >= 0.5) != (label > 0)
        arrays["predicted_error"] = np.where(wrong, predicted_error, predicted_error / 100).astype(np.float32)
    np.savez_compressed(path, **arrays)


def write_study(root: Path, *, name: str = "ke", seeds: Sequence[int] = (0, 1, 2)) -> None:
    """Write a whole study: a data job, a baseline and a condition that is .03 worse on average."""
    prepare = RunFolder.of(root, f"{name}/data")
    write_attempt(prepare, 1, code=0)
    for i, seed in enumerate(seeds):
        shares = [("source_a/p0", 0.95), ("source_a/p1", 0.8 - 0.05 * i), ("source_b/p0", 0.4)]
        base = MadeUp(iou=0.80 + 0.01 * i, ece=0.010 + 0.001 * i, samples=shares)
        write_run(root, f"{name}/student_baseline", seed=seed, run=base)
        other = MadeUp(iou=0.78 - 0.005 * i, ece=0.012, samples=shares)
        write_run(root, f"{name}/no_augment", seed=seed, run=other)
