"""Balanced patches: rates, positions, and no dependence on how draws are batched."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from pkgs.data.class_index import build_index
from pkgs.data.items import DataError
from pkgs.data.patches import WHOLE, PatchConfig, PatchKeys, PatchSampler, positions_of

CLASSES = ("background", "kidney", "tumour")
MANY = range(6000)


def volumes() -> list[tuple[str, np.ndarray]]:
    """Three cases of unequal size; the tumour is in the second alone, the third is empty."""
    shapes = {"a": (20, 18, 16), "b": (14, 20, 12), "c": (12, 12, 12)}
    labels = {name: np.zeros(shape, np.uint8) for name, shape in shapes.items()}
    labels["a"][4:8, 5:9, 6:9] = 1
    labels["b"][8:14, 0:6, 3:9] = 1
    labels["b"][13, 0, 3] = 2
    return list(labels.items())


def sampler_of(folder: Path, *, seed: int = 3, **settings: object) -> PatchSampler:
    config = PatchConfig(**({"labelled": (5, 5, 5)} | settings))
    index = build_index(volumes(), folder, classes=CLASSES, pure_windows=config.pure_windows)
    return PatchSampler(index, config, seed, (0, 1, 2))


def areas(keys: PatchKeys) -> list[np.ndarray]:
    """Return the labels that every draw sees inside its volume."""
    seen = []
    for case, start, window in zip(keys.case_B, keys.start_B3, keys.window_B3, strict=True):
        low, high = np.maximum(start, 0), start + window
        seen.append(volumes()[case][1][tuple(slice(a, b) for a, b in zip(low, high, strict=True))])
    return seen


def test_a_batch_does_not_depend_on_how_draws_are_split(tmp_path: Path) -> None:
    sampler = sampler_of(tmp_path, labelled=(5, 7), background_full_fraction=0.5)
    whole = sampler.keys(range(40, 104))
    parts = [sampler.keys(range(first, first + 16)) for first in range(40, 104, 16)]
    for name in ("case_B", "start_B3", "window_B3", "axis_B", "class_B"):
        assert np.array_equal(getattr(whole, name), np.concatenate([getattr(part, name) for part in parts]))
    again = pickle.loads(pickle.dumps(sampler))  # noqa: S301 - our own bytes
    assert np.array_equal(again.keys(range(40, 104)).start_B3, whole.start_B3)
    other = sampler_of(tmp_path, seed=4, labelled=(5, 7), background_full_fraction=0.5)
    assert not np.array_equal(other.keys(range(40, 104)).start_B3, whole.start_B3)


def test_classes_come_at_their_ratios_and_cases_evenly(tmp_path: Path) -> None:
    keys = sampler_of(tmp_path).keys(MANY)
    shares = np.bincount(keys.class_B, minlength=3) / len(keys)
    assert shares == pytest.approx([0.5, 0.3, 0.2], abs=0.02)
    kidney = np.bincount(keys.case_B[keys.class_B == 1], minlength=3)
    assert kidney / kidney.sum() == pytest.approx([0.5, 0.5, 0], abs=0.04)  # by case, not by voxels
    assert set(keys.case_B[keys.class_B == 2].tolist()) == {1}
    assert np.bincount(keys.case_B[keys.class_B == 0]) / (0.5 * 6000) == pytest.approx([1 / 3] * 3, abs=0.04)


def test_the_drawn_class_is_inside_the_labelled_area_and_the_area_inside_the_volume(tmp_path: Path) -> None:
    keys = sampler_of(tmp_path).keys(range(2000))
    shapes = np.array([label.shape for _, label in volumes()])[keys.case_B]
    assert (keys.start_B3 >= 0).all()
    assert (keys.start_B3 + 5 <= shapes).all()
    assert all((area == c).any() for area, c in zip(areas(keys), keys.class_B, strict=True) if c > 0)


def test_the_drawn_voxel_is_in_the_centre_where_that_is_asked(tmp_path: Path) -> None:
    keys = sampler_of(tmp_path, place="patch_center_voxel").keys(range(600))
    labels = [label for _, label in volumes()]
    centres = [labels[case][tuple(centre)] for case, centre in zip(keys.case_B, keys.centre_B3, strict=True)]
    drawn = keys.class_B > 0
    assert np.array_equal(np.array(centres)[drawn], keys.class_B[drawn])


def test_the_first_and_the_last_valid_position_are_drawn(tmp_path: Path) -> None:
    keys = sampler_of(tmp_path, balance_ratios=(1, 0, 0)).keys(MANY)
    for case, (_, label) in enumerate(volumes()):
        starts = keys.start_B3[keys.case_B == case]
        assert starts.min(axis=0).tolist() == [0, 0, 0]
        assert starts.max(axis=0).tolist() == [n - 5 for n in label.shape]


def test_offsets_around_a_voxel_are_even_up_to_the_border(tmp_path: Path) -> None:
    keys = sampler_of(tmp_path, balance_ratios=(0, 0, 1)).keys(
        MANY
    )  # the tumour is voxel 13, 0, 3 of 14, 20, 12
    assert set(keys.start_B3[:, 0].tolist()) == {9}
    assert set(keys.start_B3[:, 1].tolist()) == {0}
    counts = np.bincount(keys.start_B3[:, 2])
    assert counts / 6000 == pytest.approx([0.25] * 4, abs=0.03)


def test_an_axis_exactly_as_long_or_shorter_than_the_area_works(tmp_path: Path) -> None:
    keys = sampler_of(tmp_path, labelled=(12, 12, 30)).keys(range(500))
    third = keys.case_B == 2  # 12 x 12 x 12
    assert set(keys.start_B3[third][:, 0].tolist()) == {0}
    assert keys.start_B3[third][:, 2].min() == -18
    assert keys.start_B3[third][:, 2].max() == 0


def test_slices_come_from_the_wanted_directions(tmp_path: Path) -> None:
    keys = sampler_of(tmp_path, labelled=(5, 7)).keys(MANY)
    assert np.bincount(keys.axis_B) / 6000 == pytest.approx([1 / 3] * 3, abs=0.03)
    assert {(a, *w) for a, w in zip(keys.axis_B.tolist(), keys.window_B3.tolist(), strict=True)} == {
        (0, 1, 5, 7),
        (1, 5, 1, 7),
        (2, 5, 7, 1),
    }
    assert all((area == c).any() for area, c in zip(areas(keys), keys.class_B, strict=True) if c > 0)
    assert set(sampler_of(tmp_path, labelled=(5, 7), orientations=(2,)).keys(MANY).axis_B.tolist()) == {2}
    assert set(sampler_of(tmp_path).keys(range(9)).axis_B.tolist()) == {WHOLE}


def test_the_wanted_share_of_background_is_pure(tmp_path: Path) -> None:
    keys = sampler_of(tmp_path, balance_ratios=(1, 0, 0), background_full_fraction=1.0).keys(range(1500))
    assert not any(area.any() for area in areas(keys))
    plain = sampler_of(tmp_path, balance_ratios=(1, 0, 0)).keys(range(1500))
    assert any(area.any() for area in areas(plain))
    slices = sampler_of(tmp_path, labelled=(5, 5), balance_ratios=(1, 0, 0), background_full_fraction=1.0)
    assert not any(area.any() for area in areas(slices.keys(range(500))))


def test_a_volume_of_one_class_and_a_class_nowhere_end_at_once(tmp_path: Path) -> None:
    index = build_index([("full", np.ones((6, 6, 6), np.uint8))], tmp_path, classes=CLASSES)
    config = PatchConfig(labelled=(3, 3, 3), balance_ratios=(1, 1, 0))
    assert len(PatchSampler(index, config, 0, (0,)).keys(range(64))) == 64
    with pytest.raises(DataError, match=r"class 2 \(tumour\) is in none of the 1 cases and its ratio is 2"):
        PatchSampler(index, PatchConfig(labelled=(3, 3, 3)), 0, (0,))
    with pytest.raises(DataError, match=r"no case to draw patches from"):
        PatchSampler(index, config, 0, ())


def test_pure_background_that_is_nowhere_is_refused(tmp_path: Path) -> None:
    config = PatchConfig(labelled=(3, 3, 3), balance_ratios=(1, 1, 0), background_full_fraction=0.5)
    full = [("full", np.ones((6, 6, 6), np.uint8))]
    index = build_index(full, tmp_path, classes=CLASSES, pure_windows=config.pure_windows)
    with pytest.raises(DataError, match=r"no case has \(3, 3, 3\) voxels of pure background"):
        PatchSampler(index, config, 0, (0,))


def test_ratios_have_defaults_and_one_weight_per_class(tmp_path: Path) -> None:
    config = PatchConfig(labelled=(5, 5, 5))
    assert config.ratios(2) == (5, 5)
    assert config.ratios(3) == (5, 3, 2)
    assert config.ratios(4) == (1, 1, 1, 1)
    with pytest.raises(ValueError, match=r"balance_ratios \[5.0, 5.0\]: expected 3 weights of at least 0"):
        sampler_of(tmp_path, balance_ratios=(5, 5))


def test_impossible_settings_are_refused() -> None:
    for settings, said in (
        ({"labelled": (0, 5)}, r"expected sides of at least 1 voxel"),
        ({"labelled": (5,)}, r"at least 2 items"),
        ({"labelled": (5, 5), "orientations": (0, 3)}, r"expected some of the array axes 0, 1, 2"),
    ):
        with pytest.raises(ValidationError, match=said):
            PatchConfig(**settings)


def test_rates_are_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        sampler_of(tmp_path).log_rates()
    assert "patches class=2_tumour rate=0.2000 cases=1/3 voxels=1 stored=1" in caplog.text


def test_cases_are_found_by_their_ids(tmp_path: Path) -> None:
    index = sampler_of(tmp_path).index
    assert positions_of(index, ids=["c", "a"]) == (2, 0)
    with pytest.raises(DataError, match=r"has no case z"):
        positions_of(index, ids=["z"])
