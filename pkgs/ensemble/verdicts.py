"""What is scored on test once a training is over: `last`, `best`, the average, and the best threshold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from torch import nn

from pkgs.data.labelled import Labelled
from pkgs.ensemble import evaluation, threshold
from pkgs.ensemble.columns import TEST_COLUMNS
from pkgs.ensemble.evaluation import PerSourceWhole
from pkgs.foundation.files import write_whole
from pkgs.foundation.run_folder import RunFolder
from pkgs.training.checkpoint_folder import Name
from pkgs.training.checkpoints import load_weights_of
from pkgs.training.ema import Ema
from pkgs.training.loop import Loop
from pkgs.training.metrics import HALF
from pkgs.training.tables import Cell, Table, render

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


def verdicts_on(  # noqa: PLR0913 - all by name
    data: Labelled,
    network: nn.Module,
    *,
    modules: Mapping[str, nn.Module],
    folder: RunFolder,
    average: Ema | None,
    batch: int,
    check: Callable[[], None],
    loaded: Callable[[Name, int], None],
    drop_p1_bin: bool = False,
    foreground_from: float = HALF,
) -> list[Verdict]:
    """Return the scores of all weights, `last` first. Afterwards the networks have those of `best`.

    Args:
        data: The threshold is chosen on train, temperatures on val, all are judged on test.
        network: Who is judged.
        modules: All networks of the run, which take up one set of weights after the other.
        folder: Of the run; holds `last` and `best`.
        average: The moving average of the weights, if there is one.
        batch: Images at once.
        check: Called between batches.
        loaded: Called with name and step of each set of weights once the networks have it, before it is
            judged.
        drop_p1_bin: As in `measure_test`.
        foreground_from: The probability from which on a pixel is foreground.
    """

    def verdict(weights: str, step: int | None = None) -> Verdict:
        temperature = evaluation.temperature_on(data.val, network, batch=batch, check=check)
        whole = evaluation.judge(
            network, data.test, temperature=temperature, batch=batch, check=check, drop_p1_bin=drop_p1_bin,
            threshold=foreground_from,
        )  # fmt: skip
        return Verdict(weights, whole, step=step, temperature=temperature)

    verdicts = []
    if average is not None:
        with average.swapped_in():
            verdicts.append(verdict("ema"))
    names: tuple[Name, ...] = ("last", "best")
    for name in names:
        step = load_weights_of(folder.checkpoints, name, modules)
        loaded(name, step)
        known = [each for each in verdicts if each.step == step]  # `best` is often `last` itself
        verdicts.append(replace(known[0], weights=name) if known else verdict(name, step))
    best = threshold.best_threshold(data.train)
    verdicts.append(Verdict(THRESHOLD, threshold.judge(best, data.test)))
    return sorted(verdicts, key=lambda verdict: verdict.weights != "last")


def write(verdicts: Sequence[Verdict], folder: RunFolder, *, loop: Loop[Any]) -> None:
    """Write calibration.csv, then test.csv, which marks the end; tell the trackers and whoever looks on."""
    rows = [{**loop.clock(), **row} for verdict in verdicts for row in verdict.rows()]
    calibration = [row for verdict in verdicts for row in verdict.calibration()]
    write_whole(folder.predictions / "calibration.csv", render(evaluation.CALIBRATION, calibration))
    Table(folder.test_csv, TEST_COLUMNS).append(*rows)
    pooled = {row["weights"]: row for row in rows if row["source"] == evaluation.POOLED}
    for weights, row in pooled.items():
        loop.trackers.scalars(loop.state.step, row, part=f"test_{weights}")
    told = ", ".join(f"{row['iou']:.3f} ({weights})" for weights, row in pooled.items())
    loop.heart.say(f"{loop.heart.title}: test IoU {told}.")
