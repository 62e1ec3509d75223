"""The parts of a study, each shown on its own: conditions that belong together by the plan's patterns."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass

from pkgs.reports.plan import ReportPlan
from pkgs.reports.plan_ranking import StudyPart
from pkgs.reports.plot_style import file_name
from pkgs.reports.runs import Study

OTHERS = "Other conditions"


@dataclass(frozen=True)
class Part:
    """Some conditions of a study."""

    name: str
    """Empty where the study has no parts."""
    study: Study
    brief: bool = False
    """Whether its table is all that is shown."""

    def named(self, name: str) -> str:
        """Return the name of a file about this part."""
        return file_name(name, self.name.lower().replace(" ", "-")) if self.name else name

    def caption(self, text: str) -> str:
        return f"{self.name}: {text[0].lower()}{text[1:]}" if self.name else text


def parts_of(study: Study, plan: ReportPlan | None) -> list[Part]:
    """Return the parts that have a run, in the plan's order; a condition belongs to the first that fits.

    Without parts in the plan the study is its only part; conditions that fit none come last.
    """
    if plan is None or not plan.parts:
        return [Part("", study)]
    left, parts = list(study.conditions), []
    for asked in plan.parts:
        chosen = [name for name in left if _fits(name, asked)]
        left = [name for name in left if name not in chosen]
        parts.append(Part(asked.name, study.only(chosen), brief=asked.brief))
    parts.append(Part(OTHERS, study.only(left)))
    return [part for part in parts if part.study.runs]


def beside(study: Study, plan: ReportPlan, conditions: Sequence[str]) -> Study:
    """Return the study without the parts that hold none of `conditions`, which set no seeds for them."""
    if not plan.parts:
        return study
    parts = [part for part in parts_of(study, plan) if set(conditions) & set(part.study.conditions)]
    return study.only([name for part in parts for name in part.study.conditions])


def _fits(condition: str, asked: StudyPart) -> bool:
    return any(fnmatch.fnmatchcase(condition, pattern) for pattern in asked.conditions)
