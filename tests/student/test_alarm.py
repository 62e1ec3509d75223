"""When the monitor raises its alarm."""

from __future__ import annotations

import pytest

from pkgs.student.alarm import Check, is_exploited, parts_company, sentence

START = Check(0, predicted=0.010, real=0.020)


def checks(*pairs: tuple[float, float]) -> list[Check]:
    return [Check(25 * k, *pair) for k, pair in enumerate(pairs, start=1)]


@pytest.mark.parametrize(
    ("predicted", "real", "apart"),
    [(0.009, 0.0221, True), (0.009, 0.0219, False), (0.010, 0.03, False), (0.011, 0.03, False)],
)
def test_predicted_below_and_real_over_a_tenth_above_the_start_is_company_parted(
    predicted: float,
    real: float,
    apart: bool,  # noqa: FBT001
) -> None:
    assert parts_company(Check(25, predicted, real), start=START) is apart


def test_three_checks_in_a_row_are_an_alarm_and_two_are_not() -> None:
    bad, fine = (0.005, 0.03), (0.005, 0.02)
    assert not is_exploited(START, checks(bad, bad))
    assert is_exploited(START, checks(fine, bad, bad, bad))
    assert not is_exploited(START, checks(bad, bad, fine, bad))


def test_a_student_that_gets_worse_and_is_seen_to_raises_none() -> None:
    assert not is_exploited(START, checks(*[(0.03, 0.05)] * 5))


def test_a_negative_raw_number_may_fall_as_well() -> None:
    start = Check(0, predicted=-0.05, real=0.06)
    assert is_exploited(start, checks((-0.2, 0.1), (-0.4, 0.2), (-0.76, 0.28)))


def test_the_sentence_names_steps_and_numbers() -> None:
    told = sentence(START, checks((0.005, 0.03), (0.004, 0.03), (0.003, 0.04)), ended=True)
    assert told.startswith(
        "In each check from step 25 to 75 the teacher saw less error than at the start (now 0.003"
    )
    assert told.endswith("The run was ended here (expansion.on_exploit: stop).")
