"""Sections of a plan about a ranking of samples: its detectors, what they are held against, what is asked."""

from __future__ import annotations

from itertools import pairwise
from typing import Final, Self

from pydantic import Field, model_validator

from pkgs.foundation.config import Section
from pkgs.foundation.registry import choose

MEASURES: Final = {"tau": "tau", "spearman": "Spearman", "auroc": "AUROC", "ap": "AP"}
"""What a question about detectors may ask for, and how each is called."""
Names = tuple[str, str]


class Ranking(Section):
    """A job that leaves one row per sample, with scores of which a higher one means a worse sample."""

    condition: str
    """Where the file lies: the job's id without the study."""
    file: str = "scores.csv"
    truth: str = "true_noise"
    """Column with the true amount, 0 to 1. Where it is absent, nothing is judged."""
    group: str = "group"
    """Column with what is resampled: samples of a group are not independent. Absent: every sample alone."""
    unit: str = "group"
    """What a group is called in sentences."""
    noisy_above: float = Field(default=0.1, ge=0, lt=1)
    """Samples with more true noise than this are the positives."""
    also_above: tuple[float, ...] = (0.05, 0.2, 0.5)
    """Other limits that AUROC and AP are shown for."""
    depths: tuple[float, ...] = (0.01, 0.05, 0.1, 0.2)
    """Shares of the samples, worst first, whose precision is shown."""
    detectors: tuple[str, ...] = Field(min_length=1)
    """Columns of scores."""
    base: tuple[str, ...] = ()
    """Detectors that every other one is compared with."""
    seeds: dict[str, str] = Field(default_factory=dict)
    """By detector that joins seeds: how the columns of its single seeds start."""
    hits: dict[str, str] = Field(default_factory=dict)
    """By kind of noise: column with how often it hit the sample."""
    unseen: dict[str, str] = Field(default_factory=dict)
    """By kind of noise: a detector that has never met it, judged on samples hit by it alone."""
    objects: str = ""
    """Column with the number of objects; empty: no table by it."""
    object_counts: tuple[int, ...] = (1, 3, 6)
    """Where a new line of that table begins, after the one for fewer."""
    probability: str = ""
    """Column with the probability that a sample is noisy; empty: none."""
    rate: str = ""
    """JSON file with `estimate`, `interval` and `assumption` of the share of noisy samples; empty: none."""
    judges_tests: bool = False
    """Whether the study's tests use this truth too. Without it their labels are in doubt: what they measure
    is shown as agreement with these labels, and nothing is called better."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for name in (*self.base, *self.seeds):
            choose("detector", {one: one for one in self.detectors}, name)
        for kind in self.unseen:
            choose("kind of noise", self.hits, kind)
        limits = [*self.also_above, *self.depths]
        bad = [value for value in limits if not 0 < value <= 1]
        if bad:
            raise ValueError(f"also_above and depths are shares in (0, 1], not so {bad[0]:g}")
        if any(one >= other for one, other in pairwise(self.object_counts)):
            raise ValueError(f"object_counts must rise, got {list(self.object_counts)}")
        return self


class RankingQuestion(Section):
    """Yes if in every pair of detectors the first is better in each measure; in part if in some of them."""

    better: tuple[Names, ...] = Field(min_length=1)
    measures: tuple[str, ...] = Field(default=("tau",), min_length=1)

    @model_validator(mode="after")
    def _known(self) -> Self:
        for name in self.measures:
            choose("measure", MEASURES, name)
        return self


class NamedCurves(Section):
    """Columns of train.csv or val.csv that tell something when seen beside each other."""

    name: str
    text: str
    """How to read it."""
    lines: dict[str, str] = Field(min_length=1)
    """By label: a column, looked up in val.csv and then in train.csv."""
    panels: dict[str, tuple[str, ...]] = Field(min_length=1)
    """By title: patterns of conditions, such as `student/fold*`, whose runs are drawn together."""


class StudyPart(Section):
    """Conditions that belong together: tables, bars and curves show each part on its own."""

    name: str
    conditions: tuple[str, ...] = Field(min_length=1)
    """Patterns, such as `retrain/*`."""
    brief: bool = False
    """Its table is enough: no bars, curves, calibration or overlays of its own."""


class ShownTable(Section):
    """A table that a job leaves and the report shows as it is."""

    condition: str
    file: str
    caption: str
    labels: int = Field(default=1, ge=0)
    """How many of its first columns are text."""
