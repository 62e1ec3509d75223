"""The global generators are kept and set back whole."""

from __future__ import annotations

import io
import random

import numpy as np
import pytest
import torch

from pkgs.training.generators import generators, preserved_generators, restore_generators


def draws() -> tuple[float, float, float, float]:
    return random.random(), random.gauss(0, 1), float(np.random.standard_normal()), float(torch.rand(1))  # noqa: S311


def test_all_generators_go_on_where_they_were_after_a_trip_through_a_file() -> None:
    draws()  # an odd number of normal draws leaves half a pair behind
    file = io.BytesIO()
    torch.save(generators(), file)
    expected = [draws() for _ in range(3)]
    file.seek(0)
    restore_generators(torch.load(file, weights_only=True))
    assert [draws() for _ in range(3)] == expected


@preserved_generators()
def draw_and_fail() -> float:
    torch.manual_seed(1)
    return sum(draws()) / 0


def test_nothing_inside_the_shield_is_seen_outside_not_even_after_an_error() -> None:
    state = generators()
    expected = draws()
    restore_generators(state)
    with pytest.raises(ZeroDivisionError):
        draw_and_fail()
    assert draws() == expected
