"""What the report knows about measured columns: label, better direction, digits, margin that matters.

A column that is not listed here is shown all the same, under its own name and without a verdict.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from pkgs.reports.statistics import Interval

MINUS = "\N{MINUS SIGN}"
DASH = "\N{EN DASH}"


@dataclass(frozen=True, slots=True)
class Metric:
    """One column of test.csv or val.csv."""

    name: str
    label: str
    higher_is_better: bool | None = None
    """None: unknown, so no seed "improves" and no condition is "better"."""
    digits: int = 3
    margin: float | None = None
    """The smallest difference that matters; a metric with one is an endpoint and gets a sentence."""


KNOWN: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("iou", "IoU", higher_is_better=True, margin=0.01),
        Metric("ece_fg", "ECE", higher_is_better=False, digits=4, margin=0.001),
        Metric("dice", "Dice", higher_is_better=True),
        Metric("nll", "NLL", higher_is_better=False, digits=4),
        Metric("accuracy", "Accuracy", higher_is_better=True, digits=4),
        Metric("precision", "Precision", higher_is_better=True),
        Metric("recall", "Recall", higher_is_better=True),
        Metric("mce_fg", "MCE", higher_is_better=False),
        Metric("brier", "Brier score", higher_is_better=False, digits=4),
        Metric("iou_case", "IoU per image", higher_is_better=True),
        Metric("dice_case", "Dice per image", higher_is_better=True),
        Metric("objects_found", "Objects found", higher_is_better=True),
        Metric("objects_false", "False objects", higher_is_better=False),
        Metric("ece_fg_scaled", "ECE after scaling", higher_is_better=False, digits=4),
        Metric("ece_near", "ECE near objects", higher_is_better=False, digits=4),
        Metric("ece_top", "ECE of the top class", higher_is_better=False, digits=4),
        Metric("ece_image", "ECE per image", higher_is_better=False, digits=4),
        Metric("ece_adaptive", "ECE, equal-mass bins", higher_is_better=False, digits=4),
        Metric("ece_class", "ECE, mean of classes", higher_is_better=False, digits=4),
        Metric("mce_fg_100", "MCE, bins of 100 or more", higher_is_better=False),
        Metric("predicted_error", "Predicted error", digits=4),
        Metric("real_error", "Real error", higher_is_better=False, digits=4),
        Metric("error_gap", "Predicted less real error", digits=4),
        Metric("pool_real_error", "Real error, unlabelled", higher_is_better=False, digits=4),
        Metric("pool_foreground", "Foreground, unlabelled"),
        Metric("moved", "Mean change of p"),
        Metric("gated", "Share that passes the gate"),
        Metric("disagreement", "Disagreement", digits=4),
        Metric("loss", "Loss", higher_is_better=False, digits=4),
        Metric("bce", "BCE", higher_is_better=False, digits=4),
    )
}
"""In the order in which they are shown. ECE and MCE always mean the foreground ones, pooled over pixels."""

BOOKKEEPING = frozenset(
    (
        *("time_unix_s", "attempt", "step", "epoch", "lr", "samples_per_s", "grad_norm", "skipped_steps"),
        *("weights", "source", "n", "images", "cases", "samples", "pixels", "threshold"),
        *("tp", "fp", "fn", "tn", "objects"),
    )
)
"""Columns that say where a row comes from, not how good the model is."""


def metric_of(name: str) -> Metric:
    """Return what is known about the column `name`."""
    label = "".join(
        mark for mark in name if mark.isprintable() and mark != "$"
    )  # `$` starts a formula in figures
    return KNOWN.get(name, Metric(name, label))


def metrics_among(columns: Iterable[str]) -> list[Metric]:
    """Return the metrics among `columns`: the known ones in our order, then the others by name."""
    names = set(columns) - BOOKKEEPING
    return [KNOWN[name] for name in KNOWN if name in names] + [
        metric_of(name) for name in sorted(names - KNOWN.keys())
    ]


def number(value: float, digits: int = 3, *, signed: bool = False) -> str:
    """Return `value` as people write it: `.812`, `+.02`, `1.204`, a real minus sign; a dash for NaN."""
    if not math.isfinite(value):
        return DASH if math.isnan(value) else ("∞" if value > 0 else f"{MINUS}∞")
    text = f"{abs(value):.{digits}f}"
    zero = float(text) == 0
    text = text.removeprefix("0") if digits and not zero else text
    sign = MINUS if value < 0 and not zero else "+" if signed and not zero else ""
    return sign + (f".{'0' * digits}" if zero and digits else text)


def span(interval: Interval | None, digits: int = 3, *, signed: bool = False) -> str:
    """Return `.70 to .82`, or a dash where there is no interval."""
    if interval is None:
        return DASH
    return f"{number(interval.low, digits, signed=signed)} to {number(interval.high, digits, signed=signed)}"
