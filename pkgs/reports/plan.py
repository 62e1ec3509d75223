"""The plan of a study's report: what is compared with what, which questions are asked, in which order.

Written before the results are known, in `configs/<study>/report.yaml`. Conditions are names of folders; one
that has no run yet is not an error here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Self

from pydantic import Field, model_validator

from pkgs.foundation.config import Section, load_config
from pkgs.foundation.registry import choose
from pkgs.reports.metrics import KNOWN
from pkgs.reports.plan_ranking import NamedCurves, Ranking, RankingQuestion, ShownTable, StudyPart

CONFIGS: Final = Path("configs")
FILE: Final = "report.yaml"
Names = tuple[str, str]
"""A condition and what it is compared with."""


class Family(Section):
    """Comparisons that are read together; p values are corrected for their number."""

    name: str
    pairs: tuple[Names, ...] = Field(min_length=1)


class ErrorPrediction(Section):
    """Passed if a predictor of errors ranks test images well and adds to what the network knows itself."""

    conditions: tuple[str, ...] = Field(min_length=1)
    masks: str = "own"
    """Rows of predictions/error_*.csv with these masks."""
    predictor: str = "teacher"
    spearman_image: float = Field(default=0.5, ge=-1, le=1)
    """Lowest mean rank correlation of predicted and real error over the test images."""
    combined: str = "combined"
    """Predictor that joins the two."""
    beats: str = "own_confidence"
    """Predictor that `combined` must beat in AURC, with an interval that excludes 0."""


class Question(Section):
    """A question that the report answers; exactly one of the ways to answer it."""

    name: str
    text: str
    error_prediction: ErrorPrediction | None = None
    better: tuple[Names, ...] = ()
    """Passed if in every pair the first is better than the second in every endpoint."""
    ranking: RankingQuestion | None = None
    stands_alone: bool = False
    """Answered whatever came of earlier questions, and no later one waits for it."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        ways = [self.error_prediction is not None, bool(self.better), self.ranking is not None]
        if sum(ways) != 1:
            raise ValueError(f"question {self.name!r} needs either `error_prediction`, `better` or `ranking`")
        return self


class Hypothesis(Section):
    """Supported only if every question passes and every pair is better in every endpoint."""

    text: str
    better: tuple[Names, ...] = Field(min_length=1)


class Monitor(Section):
    """Columns of val.csv whose drifting apart shows that a predicted error is exploited."""

    predicted: str
    real: str


class ReportPlan(Section):
    """How a study is judged."""

    base: str
    weights: str = "last"
    """Column `weights` of test.csv that counts."""
    endpoints: tuple[str, ...] = Field(min_length=1)
    """Columns of test.csv, pooled."""
    margins: dict[str, float]
    """By endpoint: the smallest difference that matters."""
    families: tuple[Family, ...] = ()
    """Empty: every condition that is found, against the base, as one family."""
    same: tuple[tuple[str, str, str], ...] = ()
    """Two conditions whose weights must be equal to the last bit, and why; never counted as a comparison."""
    shared_inputs: tuple[str, ...] = ()
    """Conditions whose seeds start from the same checkpoints and so are not independent."""
    questions: tuple[Question, ...] = ()
    """Answered in this order; none is interpreted where an earlier one failed."""
    hypothesis: Hypothesis | None = None
    monitor: Monitor | None = None
    order: tuple[str, ...] = ()
    """Of conditions in tables and figures; those left out follow."""
    parts: tuple[StudyPart, ...] = ()
    """Empty: all conditions together. Conditions that fit none come last, as a part of their own."""
    ranking: Ranking | None = None
    curves: tuple[NamedCurves, ...] = ()
    tables: tuple[ShownTable, ...] = ()
    bars: tuple[str, ...] = ("accuracy", "iou", "ece_fg", "mce_fg")
    """Columns of test.csv that the figure of bars shows."""
    notes: tuple[str, ...] = ()
    """Sentences that the page always says: what these results are no proof of."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for name in self.endpoints:
            choose("endpoint", KNOWN, name)
        if set(self.margins) != set(self.endpoints):
            raise ValueError(
                f"margins are for {sorted(self.margins)}, endpoints are {sorted(self.endpoints)}"
            )
        bad = [name for name, margin in self.margins.items() if not margin > 0]
        if bad:
            raise ValueError(f"margins must be above 0, not so for {', '.join(bad)}")
        if len(set(self.pairs)) < len(self.pairs):
            twice = next(pair for pair in self.pairs if self.pairs.count(pair) > 1)
            raise ValueError(f"pair {' against '.join(twice)} stands in the families twice")
        self._asked_detectors_are_ranked()
        return self._asked_pairs_are_planned()

    def _asked_detectors_are_ranked(self) -> None:
        known = {name: name for name in self.ranking.detectors} if self.ranking else {}
        for question in self.questions:
            for pair in question.ranking.better if question.ranking else ():
                if self.ranking is None:
                    raise ValueError(f"question {question.name!r} asks about detectors; `ranking` is missing")
                for name in pair:
                    choose("detector", known, name)

    def _asked_pairs_are_planned(self) -> Self:
        for pair in self._asked:
            if self.families and pair not in self.pairs:
                raise ValueError(f"`better` asks for {' against '.join(pair)}, which stands in no family")
        return self

    @property
    def pairs(self) -> tuple[Names, ...]:
        return tuple(pair for family in self.families for pair in family.pairs)

    @property
    def _asked(self) -> tuple[Names, ...]:
        asked = [pair for question in self.questions for pair in question.better]
        return (*asked, *(self.hypothesis.better if self.hypothesis else ()))

    @property
    def conditions(self) -> tuple[str, ...]:
        """Every condition that the plan names, in the order in which they are shown."""
        tests = [question.error_prediction for question in self.questions]
        names = [
            *self.order,
            self.base,
            *(name for pair in (*self.pairs, *self._asked) for name in pair),
            *(name for one, other, _ in self.same for name in (one, other)),
            *self.shared_inputs,
            *(name for test in tests if test for name in test.conditions),
        ]
        return tuple(dict.fromkeys(names))

    @property
    def other_jobs(self) -> tuple[str, ...]:
        """Conditions that train nothing: they leave files that the report shows."""
        ranking = [self.ranking.condition] if self.ranking else []
        return tuple(dict.fromkeys((*ranking, *(table.condition for table in self.tables))))


def find_plan(study: str) -> Path | None:
    """Return the plan that lies where plans lie, seen from the working directory; None if there is none."""
    path = CONFIGS / study / FILE
    return path if path.is_file() else None


def read_plan(path: Path) -> ReportPlan:
    """Read a plan.

    Raises:
        ConfigError: If the file is missing, not YAML, or does not fit together; names key and remedy.
    """
    return load_config(ReportPlan, path)
