"""What the report of a planned study says: verdict, questions, every pair, each condition beside the base."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from pkgs.reports.attempts import State
from pkgs.reports.bootstrap import BCA_COVERAGE, RESAMPLES
from pkgs.reports.comparison import SIGNIFICANT_P, p_text
from pkgs.reports.document import Block, Bullets, Heading, Table, Text
from pkgs.reports.equal_weights import Equality
from pkgs.reports.metrics import DASH, Metric, number, span
from pkgs.reports.pairs import Pair
from pkgs.reports.plan import ReportPlan
from pkgs.reports.problems import Kind, Problem, monitored
from pkgs.reports.questions import Answer
from pkgs.reports.runs import Study
from pkgs.reports.sections import counted, level
from pkgs.reports.statistics import seeds_needed, smallest_p
from pkgs.reports.study_parts import parts_of
from pkgs.reports.tables import SeedRow, split_references

SCARCE = 10
"""Below this many seeds the BCa interval is clearly too short."""


def verdict(
    pairs: Sequence[Pair], *, hypothesis: str | None, others: Sequence[str], problems: Sequence[Problem]
) -> list[Block]:
    """Return the hypothesis, a sentence per pair and endpoint, and one per condition without a pair."""
    blocks: list[Block] = [Heading("Verdict")]
    blocks += [Text(f"Hypothesis: {hypothesis}", strong=True)] if hypothesis else []
    kinds = {kind: sum(problem.kind is kind for problem in problems) for kind in Kind}
    found = ", ".join(f"{str(kind).lower()} {count}" for kind, count in kinds.items() if count)
    blocks += [Bullets([f"Read with what is listed below: {found}."], warning=True)] if found else []
    for family in dict.fromkeys(pair.family for pair in pairs):
        sentences = [pair.sentence() for pair in pairs if pair.family == family]
        blocks += [Heading(family.capitalize(), level=3), Bullets(sentences)]
    if others:
        blocks += [Heading("Without a comparison", level=3), Bullets(others)]
    return blocks


def other_conditions(
    study: Study, plan: ReportPlan, *, rows: Sequence[SeedRow], equalities: Sequence[Equality]
) -> list[str]:
    """Return a sentence for every condition that is first in no pair, and for the references.

    None for those of brief parts, whose tables are enough.
    """
    compared = {condition for condition, _ in plan.pairs}
    if not plan.families:
        compared = set(study.conditions) - {plan.base}
    same = {one.condition: one.sentence for one in equalities}
    parts = parts_of(study, plan)
    compared |= {name for part in parts if part.brief for name in part.study.conditions}
    names = [name for name in dict.fromkeys((*plan.conditions, *study.conditions)) if name not in compared]
    sentences = [same.get(name) or _level_sentence(study, plan, name, rows=rows) for name in names] + [
        sentence for name, sentence in same.items() if name in compared
    ]
    _, references = split_references(rows)
    shown = [row for row in references if row.metric.name in plan.endpoints]
    return sentences + [f"{row.condition}: {level(row)}, without training." for row in shown]


def _level_sentence(study: Study, plan: ReportPlan, name: str, *, rows: Sequence[SeedRow]) -> str:
    runs = study.of(name)
    if not runs:
        return f"{name}: is missing: no run yet."
    levels = [
        level(row)
        for row in rows
        if (row.condition, row.weights) == (name, plan.weights) and row.metric.name in plan.endpoints
    ]
    role = (
        "the base" if name == plan.base
        else "compared with nothing by the plan" if name in plan.conditions
        else "not in the plan, compared with nothing"
    )  # fmt: skip
    done = sum(run.ending.state is State.COMPLETED for run in runs)
    levels.append(f"{done} of {counted(len(runs), 'run')} completed")
    return f"{name} ({role}): {', '.join(levels)}."


def questions(answers: Sequence[Answer]) -> list[Block]:
    if not answers:
        return []
    return [Heading("Questions, in order"), Bullets([one.sentence() for one in answers])]


def notes(pairs: Sequence[Pair], plan: ReportPlan, study: Study) -> list[Block]:
    """Return what the number of seeds allows at best, and whose seeds are not independent."""
    texts = [what_seeds_allow(pairs)] if pairs else []
    shared = [name for name in plan.shared_inputs if study.of(name)]
    if shared:
        texts.append(
            f"The seeds of {' and '.join(shared)} start from the same checkpoints of all seeds, so they are "
            "not independent: their intervals are too short and their p values too small."
        )
    return [Text(text, quiet=True) for text in texts]


def what_seeds_allow(pairs: Sequence[Pair]) -> str:
    """Return the smallest exact p for the seeds at hand, and how many seeds each family would need."""
    n = max(len(pair.comparison.differences) for pair in pairs)
    sizes = sorted({pair.family_size for pair in pairs})
    out_of_reach = [size for size in sizes if smallest_p(n) * size > SIGNIFICANT_P]
    where = "" if len(out_of_reach) == len(sizes) else f" in a family of {_listed(out_of_reach)}"
    limit = f", so nothing can be confirmed{where}" if out_of_reach else ""
    needs = ", ".join(
        f"{'a family ' * (k == 0)}of {size} needs {seeds_needed(SIGNIFICANT_P / size)}{' seeds' * (k == 0)}"
        for k, size in enumerate(sizes)
    )
    head = (
        f"With {counted(n, 'paired seed')} the smallest exact p is {p_text(smallest_p(n))}{limit}; {needs}."
    )
    covered = max((known for known in BCA_COVERAGE if known <= n), default=None)
    if covered is None:
        return f"{head} The BCa interval of so few seeds covers far less than 95 %, hence the t interval."
    more = f" (n = {SCARCE}: {BCA_COVERAGE[SCARCE]:.0%})" if n < SCARCE else ""
    share = f"{BCA_COVERAGE[covered]:.0%}".replace("%", " %")
    return (
        f"{head} BCa at n = {covered} covers about {share} instead of 95 %{more.replace('%', ' %')}, hence "
        "the t interval; a verdict needs both."
    )


def _listed(sizes: Sequence[int]) -> str:
    return " or ".join(map(str, sizes))


def without_alarm(study: Study) -> list[Block]:
    """Return which runs were watched by a monitor that raised no alarm."""
    quiet = [name for name, alarms in monitored(study).items() if not alarms]
    by_condition = {
        condition: sum(run.name in quiet for run in study.of(condition)) for condition in study.conditions
    }
    told = [f"{name} ({counted(count, 'run')})" for name, count in by_condition.items() if count]
    return [Text(f"Monitored without an alarm: {', '.join(told)}.", quiet=True)] if told else []


def pair_tables(pairs: Sequence[Pair]) -> list[Table]:
    """Return a table per family: difference, three intervals, effect, seeds improved, p, Holm, verdict."""
    header = [
        "condition", "against", "metric", "n", "difference", "BCa", "t interval", "sources and seeds", "d",
        "improved", "p", "Holm", "verdict",
    ]  # fmt: skip
    tables = []
    for place, family in enumerate(dict.fromkeys(pair.family for pair in pairs), start=1):
        group = [pair for pair in pairs if pair.family == family]
        bases = {pair.comparison.base for pair in group}
        shown = slice(2, None) if len(bases) == 1 else slice(1, None)  # a base that all share is said above
        against = f", all against {bases.pop()}" if len(bases) == 1 else ""
        caption = f"{family.capitalize()}: {counted(len(group), 'comparison')}{against}; 95 % intervals"
        body = [[pair.comparison.condition, *_cells(pair)[shown]] for pair in group]
        head = ["condition", *header[shown]]
        tables.append(Table(head, body, labels=len(head) - 10, caption=caption, name=f"pairs_{place}"))
    return tables


def _cells(pair: Pair) -> list[str]:
    one, digits = pair.comparison, pair.comparison.metric.digits
    known = one.metric.higher_is_better is not None and one.differences
    return [
        one.condition,
        one.base,
        one.metric.label,
        str(len(one.differences)),
        number(one.summary.mean, digits, signed=True),
        pair.bca_text,
        span(one.summary.interval, digits, signed=True),
        span(pair.by_source, digits, signed=True),
        number(pair.effect, 1, signed=True),
        f"{one.improved}/{len(one.differences)}" if known else DASH,
        DASH if math.isnan(one.p) else p_text(one.p),
        DASH if math.isnan(pair.p_holm) else p_text(pair.p_holm),
        pair.verdict_text,
    ]


def beside_base(
    study: Study, plan: ReportPlan, *, pairs: Sequence[Pair], rows: Sequence[SeedRow]
) -> list[Table]:
    """Return one row per condition: its level and its difference from the base, endpoint by endpoint.

    Where the conditions of a study are switches of one training, this is its table of ablations.
    """
    against = {
        (pair.comparison.condition, pair.comparison.metric.name): pair
        for pair in pairs
        if pair.comparison.base == plan.base
    }
    levels = {(row.condition, row.metric.name): row for row in rows if row.weights == plan.weights}
    metrics = list(dict.fromkeys(pair.comparison.metric for pair in pairs))
    conditions = [name for name in study.conditions if any(key[0] == name for key in against)]
    if not conditions:
        return []
    header = ["condition", "seeds"]
    for metric in metrics:
        header += [metric.label, "difference", "verdict"]
    body = []
    for name in [plan.base, *conditions]:
        measured = [levels[key].summary.n for metric in metrics if (key := (name, metric.name)) in levels]
        cells = [name, str(min(measured, default=0))]
        for metric in metrics:
            cells += _beside(levels.get((name, metric.name)), against.get((name, metric.name)), metric)
        body.append(cells)
    caption = f"Each condition and its difference from {plan.base}"
    return [Table(header, body, caption=caption, name="conditions")]


def _beside(row: SeedRow | None, pair: Pair | None, metric: Metric) -> Iterator[str]:
    digits = metric.digits
    yield f"{number(row.summary.mean, digits)} ± {number(row.summary.sd, digits)}" if row else DASH
    yield number(pair.comparison.summary.mean, digits, signed=True) if pair else DASH
    yield pair.verdict_text if pair else DASH


def how_to_read(plan: ReportPlan, endpoints: Sequence[Metric]) -> list[Block]:
    margins = ", ".join(f"{one.label} {number(one.margin or 0, one.digits)}" for one in endpoints)
    return [
        Heading("How to read this"),
        Text(
            "Metrics are pooled over all test pixels unless a name says otherwise; ECE and MCE are those of "
            f"the foreground probability in 15 equal bins. What counts are the {plan.weights} weights. "
            "Differences are taken seed by seed: condition less base. BCa is the bias-corrected and "
            f"accelerated bootstrap interval ({RESAMPLES:,} resamples of the seeds; degenerate: all "
            "differences are equal), t that of Student. “Sources and seeds” draws the test sources anew and "
            "then the seeds: how far a difference holds for other sources; with few sources it is rough. d "
            "is the mean difference over its sd, less the bias of few values (Hedges). p is exact over all "
            "choices of signs; Holm corrects it for the planned comparisons of the family, also those that "
            f"are not there yet. Better or worse: both intervals exclude 0 and the mean passes the margin "
            f"({margins}); equivalent: both lie within the margin; anything else is no clear difference. "
            "Confirmed: Holm p ≤ .05 as well.",
            quiet=True,
        ),
    ]
