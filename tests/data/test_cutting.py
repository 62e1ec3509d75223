"""Patches and slices out of volumes."""

from __future__ import annotations

import numpy as np
import pytest

from pkgs.data.cutting import cut, cut_patch, slices_of
from pkgs.data.items import IGNORE

VOLUME = np.arange(5 * 6 * 7, dtype=np.int16).reshape(5, 6, 7)


@pytest.mark.parametrize("start", [(0, 0, 0), (-3, 2, 5), (4, -9, 3), (-2, -2, -2), (9, 9, 9)])
@pytest.mark.parametrize("size", [(1, 1, 1), (3, 8, 4), (12, 12, 12)])
def test_a_cut_is_what_numpy_pads(start: tuple[int, ...], size: tuple[int, ...]) -> None:
    far = 30
    window = tuple(slice(s + far, s + far + n) for s, n in zip(start, size, strict=True))
    reflected = np.pad(VOLUME, far, mode="reflect")[window]
    constant = np.pad(VOLUME, far, constant_values=-100)[window]
    assert np.array_equal(cut(VOLUME, start=start, size=size, outside="reflect"), reflected)
    assert np.array_equal(cut(VOLUME[None], start=start, size=size, outside=-100)[0], constant)


def test_a_cut_is_a_copy_and_keeps_its_dtype() -> None:
    patch = cut(VOLUME, start=(1, 1, 1), size=(2, 2, 2), outside=0)
    patch[...] = 7
    assert VOLUME[1, 1, 1] == 50
    assert patch.dtype == np.int16
    assert cut(VOLUME[:1, :1, :1], start=(-2, -2, -2), size=(5, 5, 5), outside="reflect").max() == 0


def test_every_kind_ends_as_it_must() -> None:
    item = {
        "image": VOLUME[None],
        "label": (VOLUME > 50).astype(np.uint8),
        "soft": np.stack([np.full(VOLUME.shape, 100, np.uint8), np.full(VOLUME.shape, 155, np.uint8)]),
        "weight": np.ones(VOLUME.shape, np.float32),
        "vector": np.array([3]),
    }
    kinds = {name: name for name in item}
    patch = cut_patch(
        item,
        kinds=kinds,
        start=(-2, 0, 0),
        window=(4, 3, 3),
        axis=-1,
        margin=1,
        image_outside=-100,  # type: ignore[arg-type]
    )
    assert patch["image"].shape == (1, 6, 5, 5)
    assert patch["image"][0, 0, 0, 0] == -100
    assert patch["label"][0, 0, 0] == IGNORE
    assert (
        (patch["label"] == IGNORE).sum() == (patch["image"][0] == -100).sum() == (patch["weight"] == 0).sum()
    )
    assert (patch["soft"].sum(axis=0) == 255).all()
    assert patch["vector"] is item["vector"]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_slice_loses_its_axis_and_has_margin_in_plane_alone(axis: int) -> None:
    window = [3, 3, 3]
    window[axis] = 1
    item = {"image": VOLUME[None], "label": VOLUME.astype(np.uint8)}
    patch = cut_patch(
        item,
        kinds={"image": "image", "label": "label"},
        start=(1, 2, 3),
        window=window,
        axis=axis,
        margin=1,
        image_outside="reflect",
    )
    whole = np.take(VOLUME, (1, 2, 3)[axis], axis=axis)
    rows, columns = (s for place, s in enumerate((1, 2, 3)) if place != axis)
    assert np.array_equal(patch["image"][0], whole[rows - 1 : rows + 4, columns - 1 : columns + 4])
    assert np.array_equal(patch["label"], patch["image"][0])


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_in_three_directions_are_views(axis: int) -> None:
    slices = slices_of(VOLUME[None], axis=axis)
    assert slices.shape[:2] == (VOLUME.shape[axis], 1)
    assert np.array_equal(slices[2, 0], np.take(VOLUME, 2, axis=axis))
    assert np.shares_memory(slices, VOLUME)
