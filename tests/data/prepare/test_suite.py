"""What every preparation must do: change only what it plans, and leave what it is given as it was."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from pkgs.data.channel_statistics import Statistics
from pkgs.data.items import IGNORE, ArraySpec, Header, Item, Preparation
from pkgs.data.prepare.colour_match import ColourMatch
from pkgs.data.prepare.foreground import Foreground
from pkgs.data.prepare.min_max import MinMax
from pkgs.data.prepare.resize import Resize
from pkgs.data.prepare.unit_range import UnitRange

PREPARATIONS = [
    Resize((20, 14)),
    Resize((64, 64), fit="crop"),
    Resize((9, 40), fit="crop"),
    Foreground(),
    MinMax(),
    UnitRange(),
    ColourMatch(Statistics((90.0, 100.0, 80.0), (30.0, 20.0, 25.0))),
]
KINDS = {
    "image": "image",
    "label": "label",
    "truth": "label",
    "soft": "soft",
    "weight": "weight",
    "vector": "vector",
}


@pytest.fixture
def item() -> Item:
    rng = np.random.default_rng(0)
    label = rng.integers(0, 3, (31, 47)).astype(np.uint8)
    label[:3] = IGNORE
    soft = rng.random((2, 31, 47), np.float32)
    return {
        "image": rng.integers(0, 256, (3, 31, 47), dtype=np.uint8),
        "label": label,
        "truth": rng.integers(0, 400, (31, 47)).astype(np.int32),
        "soft": soft / soft.sum(0),
        "weight": rng.random((31, 47), np.float32),
        "vector": np.array([4], np.int64),
    }


def header_of(item: Item) -> Header:
    return Header(
        {name: ArraySpec(KINDS[name], a.dtype.name, a.shape) for name, a in item.items()}, (1.0, 2.0)
    )


@pytest.mark.parametrize("preparation", PREPARATIONS, ids=repr)
def test_the_plan_tells_what_is_done(preparation: Preparation, item: Item) -> None:
    planned, done = preparation.planned(header_of(item)), preparation(item)
    told = {name: (spec.dtype, spec.shape) for name, spec in planned.arrays.items()}
    assert {name: (array.dtype.name, array.shape) for name, array in done.items()} == told
    assert planned.spacing_mm == (1.0, 2.0)


@pytest.mark.parametrize("preparation", PREPARATIONS, ids=repr)
def test_the_given_arrays_stay_as_they_are_and_the_same_comes_out_twice(
    preparation: Preparation, item: Item
) -> None:
    before = {name: array.copy() for name, array in item.items()}
    for array in item.values():
        array.flags.writeable = False
    first, second = preparation(item), preparation(item)
    assert all(np.array_equal(item[name], before[name]) for name in item)
    assert all(np.array_equal(first[name], second[name]) for name in item)


@pytest.mark.parametrize("preparation", PREPARATIONS, ids=repr)
def test_labels_stay_among_their_values(preparation: Preparation, item: Item) -> None:
    done = preparation(item)
    for name in ("label", "truth"):
        assert set(np.unique(done[name])) <= set(np.unique(item[name])) | {1}


@pytest.mark.parametrize("preparation", PREPARATIONS, ids=repr)
def test_the_name_tells_every_setting_and_it_pickles(preparation: Preparation) -> None:
    assert pickle.loads(pickle.dumps(preparation)) == preparation  # noqa: S301 - our own bytes
    assert repr(preparation).startswith(type(preparation).__name__)
