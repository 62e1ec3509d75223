from __future__ import annotations

import math

import pytest

from pkgs.reports.metrics import metric_of, metrics_among, number, span
from pkgs.reports.statistics import Interval


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0.8124, 3, ".812"),
        (-0.0312, 3, "\N{MINUS SIGN}.031"),
        (1.2, 3, "1.200"),
        (0.0, 3, ".000"),
        (-0.00004, 3, ".000"),
        (0.9999, 3, "1.000"),
        (math.nan, 3, "\N{EN DASH}"),
        (-math.inf, 3, "\N{MINUS SIGN}∞"),
    ],
)
def test_numbers_are_written_as_in_papers(value: float, digits: int, text: str) -> None:
    assert number(value, digits) == text


def test_a_difference_shows_its_sign_and_zero_has_none() -> None:
    assert number(0.02, 2, signed=True) == "+.02"
    assert number(0.0, 2, signed=True) == ".00"
    assert span(Interval(-0.08, 0.02), 2, signed=True) == "\N{MINUS SIGN}.08 to +.02"
    assert span(None) == "\N{EN DASH}"


def test_an_unknown_column_never_becomes_a_formula_or_a_control_mark_in_a_figure() -> None:
    assert metric_of("$a_{b}$\x0f").label == "a_{b}"


def test_known_metrics_come_first_unknown_ones_by_name_and_bookkeeping_never() -> None:
    names = [metric.name for metric in metrics_among(["zeta", "step", "ece_fg", "alpha", "iou", "tp"])]
    assert names == ["iou", "ece_fg", "alpha", "zeta"]
