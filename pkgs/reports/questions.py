"""The plan's questions, answered in order, and its hypothesis: one plain sentence each.

None is interpreted where an earlier one failed: what would follow from a prediction that does not predict is
worth no sentence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pkgs.reports.comparison import Verdict
from pkgs.reports.detectors import JudgedRanking
from pkgs.reports.error_predictors import examine_predictor
from pkgs.reports.pairs import Pair
from pkgs.reports.plan import Names, Question, ReportPlan
from pkgs.reports.plan_ranking import RankingQuestion
from pkgs.reports.runs import Study


class Outcome(StrEnum):
    """What a question ended with."""

    YES = "Yes"
    NO = "No"
    PARTLY = "In part"
    OPEN = "No answer yet"
    NOT_ASKED = "Not interpreted"


@dataclass(frozen=True, slots=True)
class Answer:
    """One question with its outcome and what it rests on."""

    question: Question
    outcome: Outcome
    reasons: str

    def sentence(self) -> str:
        text = self.question.text.rstrip()
        return f"{self.question.name}. {text} {self.outcome}: {self.reasons}."


def answer(
    study: Study, plan: ReportPlan, pairs: Sequence[Pair], *, ranking: JudgedRanking | None = None
) -> list[Answer]:
    """Return an answer per question; after one that is not Yes the others are not interpreted.

    A question that stands alone is answered all the same, and none waits for it.
    """
    answers: list[Answer] = []
    for question in plan.questions:
        blocking = next((one for one in answers if _blocks(one)), None)
        if blocking is not None and not question.stands_alone:
            why = "failed" if blocking.outcome is Outcome.NO else "has no answer yet"
            reasons = f"{blocking.question.name} {why}, and without it this would say nothing"
            answers.append(Answer(question, Outcome.NOT_ASKED, reasons))
        elif question.error_prediction is not None:
            answers.append(_about_errors(study, plan, question))
        elif question.ranking is not None:
            answers.append(_about_ranking(question, question.ranking, ranking))
        else:
            outcome, reasons = judge(question.better, pairs)
            answers.append(Answer(question, outcome, reasons))
    return answers


def _blocks(one: Answer) -> bool:
    return one.outcome is not Outcome.YES and not one.question.stands_alone


def _about_ranking(question: Question, asked: RankingQuestion, ranking: JudgedRanking | None) -> Answer:
    """Return Yes if every pair of detectors is better in each measure, In part if some are."""
    if ranking is None:
        return Answer(question, Outcome.OPEN, "there is no ranking with a truth that could answer it")
    passed: list[bool | None] = []
    reasons: list[str] = []
    for one, other in asked.better:
        found = [ranking.difference(one, other, measure=measure) for measure in asked.measures]
        verdicts = [difference.verdict if difference else Verdict.UNKNOWN for difference in found]
        unknown = Verdict.UNKNOWN in verdicts
        passed.append(None if unknown else all(verdict is Verdict.BETTER for verdict in verdicts))
        reasons += [difference.sentence(ranking.asked.unit)[:-1] for difference in found if difference]
        reasons += [f"{one} against {other}: not scored"] if None in found else []
    known = [one for one in passed if one is not None]
    if known and all(known):
        outcome = Outcome.YES if len(known) == len(passed) else Outcome.OPEN
    else:
        outcome = Outcome.PARTLY if any(known) else Outcome.NO if known else Outcome.OPEN
    return Answer(question, outcome, "; ".join(reasons))


def _about_errors(study: Study, plan: ReportPlan, question: Question) -> Answer:
    asked = question.error_prediction
    assert asked is not None
    tests = [examine_predictor(study, name, asked=asked, weights=plan.weights) for name in asked.conditions]
    passed = [test.passes for test in tests]
    outcome = Outcome.NO if False in passed else Outcome.OPEN if None in passed else Outcome.YES
    return Answer(question, outcome, ". ".join(test.sentence() for test in tests))


def judge(better: Sequence[Names], pairs: Sequence[Pair]) -> tuple[Outcome, str]:
    """Return whether in each of the pairs the first is better in every endpoint, and what each gave."""
    chosen = {names: [pair for pair in pairs if _names(pair) == names] for names in better}
    together = [pair for group in chosen.values() for pair in group]
    reasons = "; ".join(f"{' against '.join(names)}: {_gave(group)}" for names, group in chosen.items())
    unknown = [pair for pair in together if pair.verdict is Verdict.UNKNOWN]
    failed = [pair for pair in together if not pair.passes and pair not in unknown]
    if failed:
        return Outcome.NO, reasons + _provisional(failed)
    if unknown or not together:
        return Outcome.OPEN, reasons
    return Outcome.YES, reasons + _worth(together)


def _names(pair: Pair) -> Names:
    return pair.comparison.condition, pair.comparison.base


def _gave(group: Sequence[Pair]) -> str:
    if not group:
        return "not compared"
    diverged = [pair.comparison.condition for pair in group if pair.diverged]
    verdicts = ", ".join(f"{pair.comparison.metric.label} {pair.verdict}" for pair in group)
    return f"{verdicts} ({diverged[0]} diverged in a seed, so it is not better)" if diverged else verdicts


def _provisional(pairs: Sequence[Pair]) -> str:
    return " (so far: runs are missing or unfinished)" if any(pair.pending for pair in pairs) else ""


def _worth(pairs: Sequence[Pair]) -> str:
    doubt = "" if all(pair.confirmed for pair in pairs) else "; not confirmed, Holm p above .05"
    return doubt + _provisional(pairs)


def hypothesis_sentence(plan: ReportPlan, answers: Sequence[Answer], pairs: Sequence[Pair]) -> str | None:
    """Return what the study says about its hypothesis; None if the plan has none."""
    if plan.hypothesis is None:
        return None
    alone = {names: judge([names], pairs) for names in plan.hypothesis.better}
    outcome, worth = judge(plan.hypothesis.better, pairs)
    outcomes = {one.question.name: one.outcome for one in answers}
    obstacles = [why for result, why in alone.values() if result is not Outcome.YES]
    parts = [*_about_questions(outcomes), *obstacles] or [worth]
    if outcome is Outcome.NO or Outcome.NO in outcomes.values():
        word = "Not supported"
    elif outcome is Outcome.OPEN or Outcome.OPEN in outcomes.values():
        word = "Undecided"
    else:
        word = "Supported"
    return f"{plan.hypothesis.text.rstrip()} {word}: {'; '.join(parts)}."


def _about_questions(outcomes: Mapping[str, Outcome]) -> Iterator[str]:
    for name, outcome in outcomes.items():
        if outcome in (Outcome.NO, Outcome.OPEN):
            yield f"{name} {'failed' if outcome is Outcome.NO else 'has no answer yet'}"
