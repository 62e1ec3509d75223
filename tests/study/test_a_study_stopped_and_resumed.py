"""The demo study, its runs and its manager killed again and again: the same bits at its end."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.builders.studies import Study, shipped_rows, study_in

SEED = 1


@pytest.mark.slow
def test_a_study_killed_at_random_ends_to_the_bit_as_one_that_was_not(tmp_path: Path) -> None:
    with study_in(tmp_path / "whole") as whole:
        whole.run()
    with study_in(tmp_path / "killed", seed=SEED, totals=whole.totals) as killed:
        killed.run()
    print(killed.figures())  # noqa: T201 - the figures of the proof, shown by `pytest -s`
    assert_much_was_struck(killed)
    assert_all_completed(killed)
    expected, found = whole.results(), killed.results()
    assert found.keys() == expected.keys()
    assert [name for name in expected if found[name] != expected[name]] == []


def assert_all_completed(study: Study) -> None:
    assert {row["status"] for row in study.queue.rows().values()} == {"completed"}


def assert_much_was_struck(study: Study) -> None:
    """Refuse a proof that has hit nothing."""
    strikes = study.strikes()
    assert len(strikes) >= 15
    assert {strike["how"] for strike in strikes} == {"SIGKILL", "SIGTERM", "shim"}
    assert {strike["run"].partition(":")[0] for strike in strikes} == {"", *(r["id"] for r in shipped_rows())}
