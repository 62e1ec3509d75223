"""A rehearsal of the loop's benchmark: both sides train alike; nothing here judges a time."""

from __future__ import annotations

import pytest
import torch

from benchmarks import training_loop
from benchmarks.training_loop import Pixels, measure, train_bare, train_ours


def test_the_figures_have_one_entry_per_repeat_and_a_ratio() -> None:
    (measured,) = measure(repeats=2, quick=True)
    assert measured.name == "loop_overhead"
    assert len(measured.ours) == len(measured.peer) == 2
    assert (measured.unit, measured.higher_is_better, measured.target) == ("s/step", False, 0.97)
    assert measured.speed_up() is not None


def test_both_loops_end_with_the_same_weights() -> None:
    device = torch.device("cpu")
    ours, bare = (train(Pixels(device=device), steps=4)[1] for train in (train_ours, train_bare))
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), bare.parameters(), strict=True))
    start = Pixels(device=device).network
    assert not torch.equal(next(start.parameters()), next(ours.parameters()))


def test_times_of_loops_that_train_differently_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def idle(method: Pixels, *, steps: int) -> tuple[float, torch.nn.Module]:
        return float(steps), method.network

    monkeypatch.setattr(training_loop, "train_bare", idle)
    with pytest.raises(RuntimeError, match="different weights"):
        measure(repeats=1, quick=True)
