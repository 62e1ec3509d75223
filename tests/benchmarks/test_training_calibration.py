"""A rehearsal of the calibration room: the shape of its answer, and that all sides agree; never a time."""

from __future__ import annotations

import sys

import pytest

from benchmarks import training_calibration as room
from benchmarks.side_by_side import Measured


def test_a_rehearsal_has_one_figure_per_repeat_for_ours_and_the_peer() -> None:
    results = room.measure(repeats=2, quick=True)
    assert [each.name for each in results] == [
        "calibration_vs_torchmetrics",
        "calibration_vs_torchmetrics_unchecked",
        "calibration_vs_monai",
    ]
    for each in results:
        assert isinstance(each, Measured)
        assert len(each.ours) == len(each.peer) == 2
        assert len(each.speed_ups()) == 2


def test_all_sides_find_the_same_error() -> None:
    batches = room.make_batches(2, side=16)
    wanted = pytest.approx(room.our_ece(batches), abs=1e-5)
    assert room.torchmetrics_ece(batches) == wanted
    assert room.torchmetrics_unchecked_ece(batches) == wanted
    assert room.monai_ece(batches) == wanted


def test_a_peer_that_finds_another_error_is_no_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "torchmetrics_ece", lambda _: 0.5)
    with pytest.raises(ValueError, match=r"torchmetrics has an ECE of 0\.5"):
        room.measure(repeats=1, quick=True)


def test_an_absent_peer_leaves_ours_and_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchmetrics.classification", None)
    first = room.measure(repeats=1, quick=True)[0]
    assert (len(first.ours), first.peer, first.speed_up()) == (1, (), None)
    assert "not installed" in first.note
