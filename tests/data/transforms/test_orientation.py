"""Flips and quarter turns by indexing."""

from __future__ import annotations

import pytest
import torch

from pkgs.data.transforms.orientation import orientations, reorient


@pytest.mark.parametrize(
    ("dimensions", "turns", "count"), [(2, False, 4), (2, True, 8), (3, False, 8), (3, True, 48)]
)
def test_every_orientation_has_an_exact_way_back(dimensions: int, *, turns: bool, count: int) -> None:
    image = torch.rand(2, 3, *(5,) * dimensions)
    every = orientations(dimensions, turns=turns)
    seen = {reorient(image, orientation).numpy().tobytes() for orientation in every}
    assert len(seen) == len(every) == count
    assert torch.equal(reorient(image, every[0]), image)
    assert all(torch.equal(reorient(reorient(image, o), o.T), image) for o in every)


def test_a_flip_of_x_reverses_the_last_axis() -> None:
    image = torch.arange(6).reshape(1, 2, 3)
    flip_x = next(o for o in orientations(2, turns=False) if o.tolist() == [[-1, 0], [0, 1]])
    assert reorient(image, flip_x).tolist() == [[[2, 1, 0], [5, 4, 3]]]


def test_a_quarter_turn_of_unequal_sides_is_refused() -> None:
    turn = next(o for o in orientations(2) if o[0, 0] == 0)
    with pytest.raises(ValueError, match=r"needs equal sides, got \(4, 6\)"):
        reorient(torch.zeros(1, 4, 6), turn)
