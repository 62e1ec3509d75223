"""Detectors of noise held against the truth: each alone, against the bases, over seeds, by kind of noise.

Everything rests on one bootstrap over groups, so two numbers of a page can be compared draw by draw.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pkgs.reports.agreement import rank_agreement, separate, tau_ceiling
from pkgs.reports.bootstrap import Numbers
from pkgs.reports.comparison import Verdict
from pkgs.reports.group_bootstrap import Estimate, GroupDraws, draw_groups, numbered
from pkgs.reports.metrics import number
from pkgs.reports.plan_ranking import MEASURES, Ranking
from pkgs.reports.rankings import RankingTable

DIGITS: Final = 3
MOST_THREADS: Final = 8
"""The compiled loops run beside each other; more than these would wait for memory."""
Resampled = Mapping[str, Numbers]
"""By measure: its value in every row of the draws."""


@dataclass(frozen=True)
class Judged:
    """One detector, or one subset of samples, with its measures."""

    name: str
    resampled: Resampled

    def estimates(self, draws: GroupDraws) -> dict[str, Estimate]:
        return {measure: draws.estimate(values) for measure, values in self.resampled.items()}


@dataclass(frozen=True)
class Difference:
    """A detector less a base in one measure; higher is better in all of them."""

    detector: str
    base: str
    measure: str
    estimate: Estimate

    @property
    def verdict(self) -> Verdict:
        """Better or worse only where both intervals exclude 0."""
        if self.estimate.percentile is None:
            return Verdict.UNKNOWN
        return {1: Verdict.BETTER, -1: Verdict.WORSE, 0: Verdict.UNCLEAR}[self.estimate.clear_sign()]

    def sentence(self, unit: str) -> str:
        value = number(self.estimate.value, DIGITS, signed=True)
        interval = self.estimate.text(DIGITS, signed=True)
        head = f"{self.detector} against {self.base}: {MEASURES[self.measure]} {value}"
        if self.verdict is Verdict.UNKNOWN:
            return f"{head}; no interval: {self.verdict}."
        return f"{head} ({unit} bootstrap 95 % {interval}): {self.verdict}."


@dataclass(frozen=True)
class OverSeeds:
    """Single seeds of a detector beside the detector that joins them."""

    detector: str
    by_seed: Mapping[str, Mapping[str, float]]
    """By measure, then by seed."""
    gain: Mapping[str, Difference]
    """By measure: the joined detector less the mean of its seeds."""


@dataclass(frozen=True)
class Subset:
    """Detectors judged on some of the samples."""

    name: str
    n: int
    positives: int
    judged: tuple[Judged, ...]


@dataclass(frozen=True)
class JudgedRanking:
    """All that is said of the detectors of a ranking with a truth."""

    asked: Ranking
    table: RankingTable
    draws: GroupDraws
    group: NDArray[np.intp]
    ceiling: float
    detectors: tuple[Judged, ...]
    differences: tuple[Difference, ...]
    over_seeds: tuple[OverSeeds, ...]
    by_kind: tuple[Subset, ...]
    by_objects: tuple[Subset, ...]

    @property
    def truth(self) -> Numbers:
        assert self.table.truth is not None
        return self.table.truth

    @property
    def noisy(self) -> NDArray[np.bool_]:
        return np.asarray(self.truth > self.asked.noisy_above)

    def difference(self, detector: str, base: str, *, measure: str) -> Difference | None:
        """Return a difference, None where either detector was not judged."""
        known = {one.name: one.resampled for one in self.detectors}
        if detector not in known or base not in known:
            return None
        values = known[detector][measure] - known[base][measure]
        return Difference(detector, base, measure, self.draws.estimate(values))


def limit_key(measure: str, limit: float) -> str:
    """Return the name of a measure at a limit other than the plan's: `auroc_above_0.2`."""
    return f"{measure}_above_{limit:g}"


def depth_key(depth: float) -> str:
    return f"precision_at_{depth:g}"


def judge_ranking(table: RankingTable, asked: Ranking) -> JudgedRanking:
    """Judge every detector of a table that has a truth."""
    assert table.truth is not None
    group, groups = numbered(table.groups)
    draws = draw_groups(group, groups=groups)
    judge = _Judge(table.truth, group, draws, asked)
    listed = {name: table.scores[name] for name in asked.detectors if name in table.scores}
    detectors = judge.each(listed, judge.whole)
    ranking = JudgedRanking(
        asked, table, draws, group, tau_ceiling(table.truth), detectors,
        differences=(), over_seeds=(), by_kind=_by_kind(table, judge, listed),
        by_objects=_by_objects(table, judge, listed),
    )  # fmt: skip
    return replace(
        ranking,
        differences=tuple(_differences(ranking)),
        over_seeds=tuple(_over_seeds(ranking, judge)),
    )


@dataclass(frozen=True)
class _Judge:
    """Truth, groups and draws, which every detector is held against alike."""

    truth: Numbers
    group: NDArray[np.intp]
    draws: GroupDraws
    asked: Ranking

    def each(
        self, scores: Mapping[str, Numbers], measured: Callable[[Numbers], Resampled]
    ) -> tuple[Judged, ...]:
        with ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1)) as pool:
            found = list(pool.map(measured, scores.values()))
        return tuple(Judged(name, one) for name, one in zip(scores, found, strict=True))

    def whole(self, score: Numbers) -> Resampled:
        """Return every measure over all samples."""
        found = self.main(score, chosen=np.ones(score.size, dtype=bool))
        for limit in self.asked.also_above:
            if limit != self.asked.noisy_above:
                other = separate(
                    score, self.truth > limit, group=self.group, weights_RG=self.draws.weights_RG
                )
                found[limit_key("auroc", limit)] = other.auroc_R
                found[limit_key("ap", limit)] = other.ap_R
        return found

    def main(self, score: Numbers, *, chosen: NDArray[np.bool_]) -> dict[str, Numbers]:
        """Return the measures at the plan's limit over the chosen samples."""
        draws, group = self.draws.weights_RG, self.group[chosen]
        ranks = rank_agreement(score[chosen], self.truth[chosen], group=group, weights_RG=draws)
        noisy = self.truth[chosen] > self.asked.noisy_above
        parted = separate(score[chosen], noisy, group=group, weights_RG=draws, depths=self.asked.depths)
        depths = {depth_key(depth): parted.precision_RD[:, k] for k, depth in enumerate(self.asked.depths)}
        return {
            "tau": ranks.tau_R, "spearman": ranks.rho_R, "auroc": parted.auroc_R, "ap": parted.ap_R, **depths
        }  # fmt: skip

    def hit(self, score: Numbers, *, chosen: NDArray[np.bool_], positive: NDArray[np.bool_]) -> Resampled:
        """Return how well a score tells the positive among the chosen samples from the rest."""
        parted = separate(
            score[chosen],
            positive[chosen],
            group=self.group[chosen],
            weights_RG=self.draws.weights_RG,
        )
        return {"auroc": parted.auroc_R, "ap": parted.ap_R}


def _differences(ranking: JudgedRanking) -> list[Difference]:
    """Return every detector against every base, by base; two bases are compared once."""
    pairs: list[tuple[str, str]] = []
    for base in ranking.asked.base:
        for one in ranking.detectors:
            if one.name != base and (base, one.name) not in pairs:
                pairs.append((one.name, base))
    found = [
        ranking.difference(detector, base, measure=measure)
        for detector, base in pairs
        for measure in ("tau", "auroc", "ap")
    ]
    return [one for one in found if one is not None]


def _over_seeds(ranking: JudgedRanking, judge: _Judge) -> list[OverSeeds]:
    joined = {one.name: one.resampled for one in ranking.detectors}
    found = []
    for detector, seeds in ranking.table.seeds.items():
        if detector not in joined or len(seeds) < 2:
            continue
        everyone = np.ones(ranking.table.n, dtype=bool)
        judged = judge.each(seeds, partial(judge.main, chosen=everyone))
        gains, values = {}, {}
        for measure in MEASURES:
            mean = np.mean([one.resampled[measure] for one in judged], axis=0)
            estimate = ranking.draws.estimate(joined[detector][measure] - mean)
            gains[measure] = Difference(detector, "the mean of its seeds", measure, estimate)
            values[measure] = {one.name: float(one.resampled[measure][0]) for one in judged}
        found.append(OverSeeds(detector, values, gains))
    return found


def _by_kind(table: RankingTable, judge: _Judge, listed: Mapping[str, Numbers]) -> tuple[Subset, ...]:
    """Return, by kind of noise, the samples that it alone hit against those that nothing hit."""
    subsets = []
    clean = ~np.any([count > 0 for count in table.hits.values()], axis=0) if table.hits else None
    for kind, count in table.hits.items():
        assert clean is not None
        others = [other > 0 for name, other in table.hits.items() if name != kind]
        alone = (count > 0) & ~np.any(others, axis=0) if others else count > 0
        chosen = alone | clean
        unseen = judge.asked.unseen.get(kind)
        scores = dict(listed)
        if unseen in table.scores:
            scores[str(unseen)] = table.scores[str(unseen)]
        judged = judge.each(scores, partial(judge.hit, chosen=chosen, positive=alone))
        subsets.append(Subset(kind, int(chosen.sum()), int(alone.sum()), judged))
    return tuple(subsets)


def _by_objects(table: RankingTable, judge: _Judge, listed: Mapping[str, Numbers]) -> tuple[Subset, ...]:
    if table.objects is None:
        return ()
    edges: Sequence[float] = (-np.inf, *judge.asked.object_counts, np.inf)
    subsets = []
    for low, high in pairwise(edges):
        chosen = (table.objects >= low) & (table.objects < high)
        judged = judge.each(listed, partial(judge.main, chosen=chosen)) if chosen.any() else ()
        noisy = int((judge.truth[chosen] > judge.asked.noisy_above).sum())
        subsets.append(Subset(_counts_text(low, high), int(chosen.sum()), noisy, judged))
    return tuple(subsets)


def _counts_text(low: float, high: float) -> str:
    """Return `0`, `1 to 2` or `6 or more`."""
    first = 0 if low < 0 else int(low)
    if high == np.inf:
        return f"{first} or more"
    return f"{first}" if int(high) - 1 == first else f"{first} to {int(high) - 1}"
