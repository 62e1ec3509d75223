"""What a run leaves about its predictions, made up: calibration sums, error predictions, monitor, alarms."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np

from pkgs.foundation.run_folder import RunFolder

CALIBRATION_HEADER = "weights,source,bin,count,sum_p,sum_y,tp,fp,fn,tn"
SCORES_HEADER = (
    "weights,masks,predictor,source,images,pixels,mae,bias,slope,pearson_image,spearman_image,pearson_pixel,"
    "spearman_pixel,auroc,ap,aurc,aurc_excess,mean_predicted,mean_real"
)
MASKS = ("own", "baseline", "corrupted")
EASE = {"oracle": 40.0, "combined": 9.0, "own_confidence": 7.0, "teacher": 4.0}
"""How early a predictor has set all wrong pixels aside: the exponent of its risk over coverage."""


def write_calibration(folder: RunFolder, *, shift: float = 0.03, weights: Sequence[str] = ("last",)) -> None:
    """Write sums of two sources whose share of foreground lies `shift` below the mean probability.

    Both together hold 2 x 100,000 pixels in the first bin, ever fewer above, and 40 in the last one.
    """
    lines = [CALIBRATION_HEADER]
    for name in weights:
        for source in ("source_a", "source_b"):
            for place in range(15):
                count = round(100_000 * np.exp(-0.55 * place)) if place < 14 else 20
                p = (place + 0.5) / 15
                real = float(np.clip(p - shift * 4 * p * (1 - p), 0, 1))
                lines.append(f"{name},{source},{place},{count},{count * p:.6f},{count * real:.6f},1,1,1,1")
    _write(folder, "calibration.csv", lines)


def write_error_prediction(
    folder: RunFolder, *, seed: int = 0, images: int = 24, noise: float = 0.35, masks: Sequence[str] = MASKS
) -> None:
    """Write all five tables of an error predictor whose error of an image is off by a factor e^noise."""
    rng = np.random.default_rng(seed)
    scores, sources = [SCORES_HEADER], ["weights,masks,predictor,source,aurc,auroc,spearman_image"]
    shown = ["weights,masks,predictor,sample,source,predicted,real"]
    bins, risks = ["weights,masks,predictor,bin,count,sum_r,sum_t"], ["weights,masks,predictor,coverage,risk"]
    for kind, level in zip(masks, (0.01, 0.012, 0.06), strict=False):
        real = level * np.exp(rng.normal(0, 0.8, images))
        for predictor, ease in EASE.items():
            who = f"last,{kind},{predictor}"
            predicted = real * np.exp(rng.normal(0, noise, images))
            scores += [
                f"{who},{source},{images},1000,.01,.001,.9,.8,.8,.5,.5,.95,.4,.002,.001,.01,.01"
                for source in ("pooled", "source_a", "source_b")
            ]
            sources += [f"{who},{source},.002,.95,.8" for source in ("source_a", "source_b")]
            risks += [
                f"{who},{c:.2f},{level * c**ease * (1 + 0.1 * seed):.8f}" for c in np.linspace(0.02, 1, 50)
            ]
            if predictor == "oracle":
                continue
            shown += [
                f"{who},source_{'ab'[k % 2]}/p{k},source_{'ab'[k % 2]},{predicted[k]:.6f},{real[k]:.6f}"
                for k in range(images)
            ]
            for place in range(15):
                count, r = round(100_000 * np.exp(-0.6 * place)), (place + 0.4) / 15
                bins.append(f"{who},{place},{count},{count * r:.4f},{count * r ** (1.2 + 0.02 * seed):.4f}")
    _write(folder, "error_prediction.csv", scores)
    _write(folder, "error_sources.csv", sources)
    _write(folder, "error_images.csv", shown)
    _write(folder, "error_reliability.csv", bins)
    _write(folder, "risk_coverage.csv", risks)


def write_monitor(
    folder: RunFolder, *, exploited: bool, seed: int = 0, alarm_at: int | None = None, steps: int = 300
) -> None:
    """Write val.csv with predicted and real error every 25 steps, and alarms.json.

    Args:
        folder: The run.
        exploited: Whether the predicted error falls while the real one rises; otherwise both stay.
        seed: Moves the courses a little.
        alarm_at: Step of the one alarm; None: monitored without an alarm.
        steps: Last step.
    """
    lines = ["time_unix_s,attempt,step,epoch,nll,iou,ece_fg,predicted_error,real_error,error_gap,moved,gated"]
    for step in range(0, steps + 1, 25):
        share = step / steps if exploited else 0.0
        wave = 0.001 * np.sin(step / 40 + seed)
        predicted = 0.02 - 0.12 * share + wave
        real = 0.02 + 0.08 * share**2 * (1 + 0.1 * seed) + wave / 2
        lines.append(
            f"{1_700_000_000 + step},1,{step},{step // 25},.1,.8,.01,{predicted:.6f},{real:.6f},"
            f"{predicted - real:.6f},.01,.5"
        )
    folder.val_csv.write_text("\n".join(lines) + "\n")
    sentence = "The predicted error fell while the real one rose in three checks in a row."
    alarms = [] if alarm_at is None else [{"step": alarm_at, "name": "exploitation", "sentence": sentence}]
    write_alarms(folder, alarms)


def write_alarms(folder: RunFolder, alarms: Sequence[Mapping[str, object]]) -> None:
    (folder.path / "alarms.json").write_text(json.dumps(alarms))


def _write(folder: RunFolder, name: str, lines: Sequence[str]) -> None:
    folder.predictions.mkdir(parents=True, exist_ok=True)
    (folder.predictions / name).write_text("\n".join(lines) + "\n")
