"""What is scored on test once the training is over: `last`, `best`, the average, and the best threshold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from pkgs.data.samples import Part
from pkgs.ensemble import evaluation, threshold
from pkgs.ensemble.evaluation import PerSourceWhole
from pkgs.foundation.run_folder import RunFolder
from pkgs.student.config import StudentConfig
from pkgs.student.method import Judged, StudentMethod
from pkgs.training.checkpoint_folder import Name
from pkgs.training.checkpoints import load_weights_of
from pkgs.training.ema import Ema
from pkgs.training.tables import Cell

THRESHOLD: Final = "threshold"
"""Name of the row of the best threshold: no weights, and so no calibration."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The scores of one set of weights."""

    weights: str
    per_source: PerSourceWhole
    step: int | None = None
    """Where the weights are from."""
    temperature: float | None = None
    """T, fitted on val."""

    def rows(self) -> list[dict[str, Cell]]:
        known = {"step": self.step, "temperature": self.temperature}
        more = {name: value for name, value in known.items() if value is not None}
        return [{**row, **more} for row in evaluation.test_rows(self.weights, self.per_source)]

    def calibration(self) -> list[dict[str, Cell]]:
        if self.weights == THRESHOLD:
            return []
        return evaluation.calibration_rows(self.weights, self.per_source)


def judge(  # noqa: PLR0913 - all by name
    method: StudentMethod[Any],
    folder: RunFolder,
    *,
    config: StudentConfig,
    train: Part,
    val: Part,
    test: Part,
    average: Ema | None,
    check: Callable[[], None],
) -> list[Verdict]:
    """Return the scores of all weights, `last` first. Afterwards the networks have those of `best`.

    Args:
        method: Whose networks take up one set of weights after the other.
        folder: Of the run; holds `last` and `best`, and gets what the method tells of its own.
        config: Its settings.
        train: On which the threshold is chosen.
        val: On which temperatures and teachers are adjusted.
        test: On which all are judged.
        average: The moving average of the weights, if there is one.
        check: Called between batches.
    """
    size = config.training.batch_samples

    def verdict(weights: str, step: int | None = None) -> Verdict:
        network = method.network
        temperature = evaluation.temperature_on(val, network, batch=size, check=check)
        whole = evaluation.judge(
            network, test, temperature=temperature, batch=size, check=check,
            drop_p1_bin=config.compat.drop_p1_bin,
        )  # fmt: skip
        return Verdict(weights, whole, step=step, temperature=temperature)

    verdicts = []
    if average is not None:
        with average.swapped_in():
            verdicts.append(verdict("ema"))
    with_objects = replace(val, instances=test.instances)  # validation during the training asks for none
    names: tuple[Name, ...] = ("last", "best")
    for name in names:
        step = load_weights_of(folder.checkpoints, name, method.modules)
        method.settle(name, checkpoints=folder.checkpoints)
        if name == "last":
            _store(method, folder, config=config, test=test)
        method.judge(Judged(name, step, with_objects, test), folder=folder.predictions)
        known = [each for each in verdicts if each.step == step]  # `best` is often `last` itself
        verdicts.append(replace(known[0], weights=name) if known else verdict(name, step))
    best = threshold.best_threshold(train)
    verdicts.append(Verdict(THRESHOLD, threshold.judge(best, test)))
    return sorted(verdicts, key=lambda verdict: verdict.weights != "last")


def _store(method: StudentMethod[Any], folder: RunFolder, *, config: StudentConfig, test: Part) -> None:
    """Write a few predictions of `last` for overlays."""
    chosen = evaluation.chosen(test, count=config.output.samples, seed=config.data.split.seed)
    evaluation.store_predictions(
        method.network, test, indices=chosen, folder=folder.predictions, error=method.predicted_error
    )
