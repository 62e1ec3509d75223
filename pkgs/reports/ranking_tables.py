"""Tables of a ranking: detectors against the truth, their differences, seeds, kinds of noise, shapes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import pandas as pd

from pkgs.reports.bootstrap import Numbers
from pkgs.reports.detectors import DIGITS, Difference, JudgedRanking, Subset, depth_key, limit_key
from pkgs.reports.document import Table
from pkgs.reports.group_bootstrap import Estimate, GroupDraws
from pkgs.reports.metrics import DASH, number, span
from pkgs.reports.plan_ranking import MEASURES
from pkgs.reports.plot_style import file_name
from pkgs.reports.rankings import RankingTable
from pkgs.reports.sections import counted
from pkgs.reports.statistics import summarise

QUANTILES: Final = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)


def detector_tables(judged: JudgedRanking) -> list[Table]:
    """Return the detectors with intervals, their precision, other limits, differences, seeds, subsets."""
    every = {one.name: one.estimates(judged.draws) for one in judged.detectors}
    asked, unit = judged.asked, judged.asked.unit
    limit = number(asked.noisy_above, 2)
    main = _table(every, {name: MEASURES[name] for name in MEASURES}, intervals=True)
    depths = {depth_key(depth): f"worst {share_text(depth)}" for depth in asked.depths}
    limits = {
        limit_key(measure, other): f"{MEASURES[measure]} > {number(other, 2)}"
        for other in asked.also_above
        if other != asked.noisy_above
        for measure in ("auroc", "ap")
    }
    random = number(judged.noisy.mean(), DIGITS)
    tables = [
        Table(
            *main,
            caption=(
                f"Detectors against the truth, noise above {limit} for AUROC and AP; {unit} bootstrap 95 % "
                f"intervals (percentile). Ceiling of tau {number(judged.ceiling, DIGITS)}"
            ),
            name="detectors",
        ),
        Table(
            *_table(every, depths, intervals=True),
            caption=f"Precision among the samples that look worst; picked at random {random}",
            name="precision",
        ),
        Table(
            *_table(every, limits), caption="Other limits of what counts as noisy", name="limits", folded=True
        ),
        *_difference_tables(judged.differences, unit),
        *_seed_tables(judged),
        *_kind_tables(judged),
        *_object_tables(judged),
    ]
    return [table for table in tables if len(table.header) > 1 and table.rows]


def _table(
    every: Mapping[str, Mapping[str, Estimate]], columns: Mapping[str, str], *, intervals: bool = False
) -> tuple[list[str], list[list[str]]]:
    """Return header and rows, best tau first; a detector without a tau comes last."""

    def rank(name: str) -> float:
        tau = every[name]["tau"].value
        return math.inf if math.isnan(tau) else -tau

    rows = [
        [name, *(_cell(every[name][column], intervals=intervals) for column in columns)]
        for name in sorted(every, key=rank)
    ]
    return ["detector", *columns.values()], rows


def _cell(estimate: Estimate, *, intervals: bool) -> str:
    value = number(estimate.value, DIGITS)
    return f"{value} ({estimate.text(DIGITS)})" if intervals and estimate.percentile else value


def _difference_tables(differences: Sequence[Difference], unit: str) -> list[Table]:
    tables = []
    for base in dict.fromkeys(one.base for one in differences):
        rows = [
            [
                one.detector,
                MEASURES[one.measure],
                number(one.estimate.value, DIGITS, signed=True),
                one.estimate.text(DIGITS, signed=True),
                span(one.estimate.bca, DIGITS, signed=True),
                str(one.verdict),
            ]
            for one in differences
            if one.base == base
        ]
        header = ["detector", "measure", "difference", "percentile", "BCa", "verdict"]
        caption = f"Detectors against {base}: {unit} bootstrap 95 % intervals, not corrected for their number"
        tables.append(
            Table(header, rows, labels=2, caption=caption, name=file_name("against", base), folded=True)
        )
    return tables


def _seed_tables(judged: JudgedRanking) -> list[Table]:
    header = [
        "detector",
        "measure",
        "seeds",
        "mean ± sd of the seeds",
        "all seeds together",
        "gain",
        "95 %",
        "verdict",
    ]
    rows = []
    for one in judged.over_seeds:
        for measure, gain in one.gain.items():
            alone = summarise(list(one.by_seed[measure].values()))
            together = alone.mean + gain.estimate.value
            rows.append(
                [
                    one.detector, MEASURES[measure], str(len(one.by_seed[measure])),
                    f"{number(alone.mean, DIGITS)} ± {number(alone.sd, DIGITS)}", number(together, DIGITS),
                    number(gain.estimate.value, DIGITS, signed=True), gain.estimate.text(DIGITS, signed=True),
                    str(gain.verdict),
                ]
            )  # fmt: skip
    return [Table(header, rows, labels=2, caption="Single seeds and their ensemble", name="ensembles")]


def _kind_tables(judged: JudgedRanking) -> list[Table]:
    """Return AUROC by kind of noise; detectors that have never met a kind stand in its column alone."""
    subsets = judged.by_kind
    names = list(dict.fromkeys(one.name for subset in subsets for one in subset.judged))
    rows = [
        [name, *(_subset_cell(subset, name, "auroc", judged.draws) for subset in subsets)] for name in names
    ]
    header = ["detector", *(f"{subset.name} (n = {subset.positives})" for subset in subsets)]
    clean = subsets[0].n - subsets[0].positives if subsets else 0
    caption = f"AUROC by kind of noise: samples hit by it alone (n) against the {clean} that nothing hit"
    return [Table(header, rows if subsets else [], caption=caption, name="kinds")]


def _object_tables(judged: JudgedRanking) -> list[Table]:
    subsets = [subset for subset in judged.by_objects if subset.judged]
    names = [one.name for one in judged.detectors]
    rows = [
        [name, *(_subset_cell(subset, name, "tau", judged.draws) for subset in subsets)] for name in names
    ]
    header = [
        "detector",
        *(f"{subset.name} (n = {subset.n}, noisy {subset.positives})" for subset in subsets),
    ]
    return [Table(header, rows if subsets else [], caption="Tau by the number of objects", name="objects")]


def _subset_cell(subset: Subset, name: str, measure: str, draws: GroupDraws) -> str:
    found = [one for one in subset.judged if one.name == name]
    return _cell(draws.estimate(found[0].resampled[measure]), intervals=True) if found else DASH


def shape_table(table: RankingTable) -> Table:
    header = ["detector", *(_quantile_name(q) for q in QUANTILES), "tied with another"]
    rows = [
        [
            name,
            *(number(float(value), DIGITS) for value in np.quantile(scores, QUANTILES)),
            share_text(_tied(scores)),
        ]
        for name, scores in table.scores.items()
    ]
    caption = f"Quantiles of the scores of {counted(table.n, 'sample')}"
    return Table(header, rows, caption=caption, name="score_quantiles")


def _quantile_name(q: float) -> str:
    return {0.0: "lowest", 0.5: "median", 1.0: "highest"}.get(q, f"{100 * q:.0f} %")


def _tied(scores: Numbers) -> float:
    _, counts = np.unique(scores, return_counts=True)
    return float(counts[counts > 1].sum() / scores.size)


def share_text(share: float) -> str:
    """Return `37 %`, with a digit after the point where it is below ten and needs one."""
    digits = 0 if share >= 0.1 else 1
    return f"{round(100 * share, digits):g} %"


def detectors_frame(judged: JudgedRanking) -> pd.DataFrame:
    """Return every measure of every detector, with both intervals and all digits."""
    subsets = {"kind": judged.by_kind, "objects": judged.by_objects}
    named = [("all", "", one) for one in judged.detectors]
    named += [(by, part.name, one) for by, parts in subsets.items() for part in parts for one in part.judged]
    return pd.DataFrame(
        [
            {"by": by, "subset": subset, "detector": one.name, "measure": measure, **_ends(estimate)}
            for by, subset, one in named
            for measure, estimate in one.estimates(judged.draws).items()
        ]
    )


def differences_frame(judged: JudgedRanking) -> pd.DataFrame:
    gains = [gain for one in judged.over_seeds for gain in one.gain.values()]
    return pd.DataFrame(
        [
            {
                "detector": one.detector,
                "base": one.base,
                "measure": one.measure,
                **_ends(one.estimate),
                "verdict": str(one.verdict),
            }
            for one in (*judged.differences, *gains)
        ]
    )


def _ends(estimate: Estimate) -> dict[str, float]:
    found = {"value": estimate.value}
    for name, interval in (("percentile", estimate.percentile), ("bca", estimate.bca)):
        found[f"{name}_low"] = interval.low if interval else math.nan
        found[f"{name}_high"] = interval.high if interval else math.nan
    return found
