"""What is scored on test once the training is over: `last`, `best`, the average, and the best threshold."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pkgs.data.samples import Part
from pkgs.ensemble import evaluation, threshold
from pkgs.ensemble.evaluation import PerSource
from pkgs.student.step import Student
from pkgs.training.checkpoints import load_weights_of
from pkgs.training.ema import Ema
from pkgs.training.tables import Cell

THRESHOLD: Final = "threshold"
"""Name of the row of the best threshold: no weights, and so no calibration."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The scores of one set of weights."""

    weights: str
    per_source: PerSource
    step: int | None = None
    """Where the weights are from."""

    def rows(self) -> list[dict[str, Cell]]:
        step = {} if self.step is None else {"step": self.step}
        return [{**row, **step} for row in evaluation.test_rows(self.weights, self.per_source)]

    def calibration(self) -> list[dict[str, Cell]]:
        if self.weights == THRESHOLD:
            return []
        return evaluation.calibration_rows(self.weights, self.per_source)


def judge(
    student: Student, checkpoints: Path, *, train: Part, test: Part, average: Ema | None
) -> list[Verdict]:
    """Return the scores of all weights, `last` first. Afterwards the network has those of `best`.

    Args:
        student: Whose network takes up one set of weights after the other.
        checkpoints: Holds `last` and `best`.
        train: On which the threshold is chosen.
        test: On which all are judged.
        average: The moving average of the weights, if there is one.
    """

    def scores() -> PerSource:
        size = student.config.training.batch_samples
        return evaluation.evaluate(student.network, test, batch=size, check=student.check)

    verdicts = []
    if average is not None:
        with average.swapped_in():
            verdicts.append(Verdict("ema", scores()))
    for name in ("last", "best"):
        step = load_weights_of(checkpoints, name, student.modules)
        verdicts.append(Verdict(name, scores(), step=step))
    best = threshold.best_threshold(train)
    verdicts.append(Verdict(THRESHOLD, threshold.judge(best, test)))
    return sorted(verdicts, key=lambda verdict: verdict.weights != "last")
