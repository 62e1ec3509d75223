"""What the report says of a ranking in sentences: with a truth, and how little without one."""

from __future__ import annotations

from typing import Final

from pkgs.reports.detectors import DIGITS, JudgedRanking
from pkgs.reports.document import Block, Bullets, Heading, Text
from pkgs.reports.group_bootstrap import RESAMPLES
from pkgs.reports.metrics import number, span
from pkgs.reports.plan_ranking import Ranking
from pkgs.reports.probability_checks import ProbabilityCheck
from pkgs.reports.ranking_tables import shape_table, share_text
from pkgs.reports.rankings import NoiseRate, RankingTable
from pkgs.reports.sections import counted

NO_TRUTH: Final = (
    "No truth is known for these samples, so nothing here says how good a detector is: no correlation, no "
    "precision, no accuracy. What follows is the shape of the scores only."
)
IN_DOUBT: Final = (
    "The tests used labels that may be wrong themselves. What they measured is agreement with these labels, "
    "not accuracy: nothing is called better or worse, and a higher number may mean that errors were learnt."
)


def introduction(judged: JudgedRanking) -> list[Block]:
    """Return how much there is to rank, the ceiling of tau, and who is better than whom in tau."""
    asked, table = judged.asked, judged.table
    noisy = judged.noisy.mean()
    text = (
        f"{counted(table.n, 'sample')} in {counted(judged.draws.groups, asked.unit)}; {share_text(noisy)} "
        f"have a true noise above {number(asked.noisy_above, 2)}, its mean is "
        f"{number(judged.truth.mean(), DIGITS)}. Samples that are tied in the truth keep tau of a score "
        f"without ties at or below {number(judged.ceiling, DIGITS)}."
    )
    blocks: list[Block] = [Text(text)]
    for base, said in comparisons(judged).items():
        blocks += [Heading(f"Against {base}", level=3), Bullets(said)]
    return blocks


def comparisons(judged: JudgedRanking) -> dict[str, list[str]]:
    """Return, by what they are held against, a sentence per detector about its tau."""
    gains = [one.gain["tau"] for one in judged.over_seeds]
    found: dict[str, list[str]] = {}
    for one in (*judged.differences, *gains):
        if one.measure == "tau":
            found.setdefault(one.base, []).append(one.sentence(judged.asked.unit))
    return found


def unseen_sentences(judged: JudgedRanking) -> list[str]:
    """Return how a detector fares on the kind of noise that it has never met."""
    said = []
    for subset in judged.by_kind:
        name = judged.asked.unseen.get(subset.name)
        found = [one for one in subset.judged if one.name == name]
        if found:
            auroc = judged.draws.estimate(found[0].resampled["auroc"])
            said.append(
                f"{name}, which never met {subset.name}: AUROC {number(auroc.value, DIGITS)} "
                f"({judged.asked.unit} bootstrap 95 % {auroc.text(DIGITS)}) on the {subset.positives} "
                "samples hit by it alone."
            )
    return said


def probability_sentence(check: ProbabilityCheck, rate: NoiseRate | None, asked: Ranking) -> str:
    """Return Brier score and ECE of P(noisy), and how far the estimated share of noisy samples is off."""
    unit = asked.unit
    text = (
        f"{asked.probability}: Brier score {number(check.brier.value, DIGITS)} "
        f"({check.brier.text(DIGITS)}), ECE {number(check.ece.value, DIGITS)} ({check.ece.text(DIGITS)}); "
        f"{unit} bootstrap 95 %, 15 bins, p = 1 in the last."
    )
    if rate is None:
        return text
    error = number(rate.estimate - check.rate.value, DIGITS, signed=True)
    return (
        f"{text} Share of noisy samples: estimated {_rate_text(rate)}, true "
        f"{number(check.rate.value, DIGITS)}: error {error}."
    )


def _rate_text(rate: NoiseRate) -> str:
    interval = f" (95 % {span(rate.interval, DIGITS)})" if rate.interval else ""
    return number(rate.estimate, DIGITS) + interval


def without_truth(table: RankingTable) -> list[Block]:
    """Return the shape of the scores and the estimated share with its assumption, and nothing that judges."""
    blocks: list[Block] = [Text(NO_TRUTH, strong=True)]
    if table.rate is not None:
        assumption = f" {table.rate.assumption}" if table.rate.assumption else ""
        blocks.append(Text(f"Estimated share of noisy samples: {_rate_text(table.rate)}.{assumption}"))
    return [*blocks, shape_table(table)]


def how_to_read(judged: JudgedRanking) -> Text:
    asked, draws = judged.asked, judged.draws
    fewer = "" if draws.resamples >= RESAMPLES else ", fewer than 2,000 because there are so many samples"
    return Text(
        f"Higher scores mean noisier. Intervals: {draws.resamples:,} resamples of the {draws.groups} "
        f"{asked.unit}s{fewer}, the same for all detectors, since samples of one {asked.unit} are not "
        "independent; percentile, and BCa with the jackknife's acceleration. Better or worse: both intervals "
        "of the difference exclude 0; such words are not corrected for the number of comparisons. Tau is "
        "Kendall's tau-b. Precision counts ties at the edge in proportion.",
        quiet=True,
    )
