"""What is scored on test once the training is over: `last`, `best`, the average; on both kinds of masks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pkgs.data.samples import Part
from pkgs.errormap import scores as prediction
from pkgs.errormap.corruption import FixedCorruption
from pkgs.errormap.loss import true_mask
from pkgs.errormap.recalibration import recalibrate
from pkgs.errormap.scores import POOLED, ErrorScores
from pkgs.teacher import validation
from pkgs.teacher.columns import PREDICTED
from pkgs.teacher.step import Pretraining
from pkgs.teacher.validation import BySource
from pkgs.training.checkpoint_folder import Name
from pkgs.training.checkpoints import load_weights_of, replace_weights
from pkgs.training.ema import Ema
from pkgs.training.metrics.sums import mean_of
from pkgs.training.tables import Cell

CORRUPTED = "corrupted"
MACRO = "macro"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The scores of one set of weights."""

    weights: str
    step: int | None
    """Where the weights are from; None: where the run is."""
    off: BySource
    errors: ErrorScores


def judge(method: Pretraining, checkpoints: Path, *, test: Part, average: Ema | None) -> list[Verdict]:
    """Return the scores of all weights, `last` first. Afterwards the teacher has those of `best`.

    Under `recalibrate` each is brought to scale before, and the checkpoints are written again so.

    Args:
        method: Whose teacher takes up one set of weights after the other.
        checkpoints: Holds `last` and `best`.
        test: Images of unseen sources, with their instances.
        average: The moving average of the weights, if there is one.
    """
    config = method.config
    seed = config.data.split.seed
    masks = FixedCorruption(method.val, test, seed=seed, falsify=config.falsify)  # under any `compat`: alike

    def settle() -> str:
        if not config.recalibrate:
            return ""
        fitted = recalibrate(
            method.teacher,
            masks={CORRUPTED: masks, "true": lambda samples: true_mask(samples.label_BHW)},
            val=method.val,
            batch=config.training.batch_samples,
            check=method.check,
        )
        return f"on val, falsified and true masks: a {fitted.slope:.6g}, b {fitted.offset:.6g}"

    def settled(name: Name) -> int:
        step, told = load_weights_of(checkpoints, name, method.modules), settle()
        if told:
            replace_weights(checkpoints, name, modules=method.modules, about={"recalibrated": told})
        return step

    def scored(weights: str, step: int | None) -> Verdict:
        errors = prediction.judge_teacher(
            method.teacher,
            masks={CORRUPTED: masks},
            val=method.val,
            test=test,
            seed=seed,
            check=method.check,
            batch=config.training.batch_samples,
            compat=config.compat,
        )
        return Verdict(weights, step, method.measured(test, masks), errors)

    verdicts = []
    if average is not None:
        with average.swapped_in():
            settle()
            verdicts.append(scored("ema", None))
    last = scored("last", settled("last"))
    step = settled("best")
    best = replace(last, weights="best") if step == last.step else scored("best", step)
    verdicts += [last, best]
    return sorted(verdicts, key=lambda verdict: verdict.weights != "last")


def test_rows(verdict: Verdict, method: Pretraining) -> list[dict[str, Cell]]:
    """Return the rows of test.csv for one set of weights: every source, macro mean, pooled."""
    config = method.config
    predicted = {
        str(row["source"]): row
        for row in verdict.errors.tables["error_prediction.csv"]
        if row["predictor"] == "teacher"
    }
    by_source = {**dict(sorted(verdict.off.items())), POOLED: validation.pooled(verdict.off)}
    scored = {
        source: validation.scores(kinds, config=config.teacher, compat=config.compat)
        | _predicted(predicted.get(source, {}))
        for source, kinds in by_source.items()
    }
    whole = scored.pop(POOLED)
    images = {source: kinds["true"].images for source, kinds in by_source.items()}
    scored |= {MACRO: mean_of(scored.values()), POOLED: whole}
    images[MACRO] = images[POOLED]
    step: dict[str, Cell] = {} if verdict.step is None else {"step": verdict.step}
    head: dict[str, Cell] = {"weights": verdict.weights, **step}
    return [{**head, "source": source, "images": images[source], **row} for source, row in scored.items()]


def _predicted(row: Mapping[str, Cell]) -> dict[str, float]:
    return {f"teacher_{name}": float(row.get(name, math.nan)) for name in PREDICTED}  # type: ignore[arg-type]
