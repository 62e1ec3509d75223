"""Volumes on another spacing, and probabilities back on the scan's grid."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from pkgs.data.items import ArraySpec, DataError, Header
from pkgs.data.prepare.axis_maps import along, cubic, linear
from pkgs.data.prepare.geometry import rows_of
from pkgs.data.prepare.reorient import Reorient
from pkgs.data.prepare.resample import Resample, to_native
from tests.builders.nifti import GEOMETRIES, affine_of, draw_case

SPACING = (1.5, 2.0, 3.0)


def header_of(shape: tuple[int, ...], affine: np.ndarray, *, dtype: str = "int16") -> Header:
    arrays = {"image": ArraySpec("image", dtype, (1, *shape)), "label": ArraySpec("label", "uint8", shape)}
    return Header(arrays, tuple(np.linalg.norm(affine[:3, :3], axis=0).tolist()), rows_of(affine))


def test_the_image_is_scipys_cubic_spline_on_edge_aligned_voxels() -> None:
    image = draw_case(1, shape=(20, 17, 15))[0].astype(np.float32)
    header = header_of(image.shape, affine_of("identity"), dtype="float32")
    made = Resample((1.0, 3.0, 3.0)).apply({"image": image[None]}, header)["image"][0]
    blurred = ndimage.gaussian_filter(image, [0, 0.75, 0], mode="nearest")
    steps = np.array([1 / 1.5, 1.5, 1])
    theirs = ndimage.affine_transform(
        blurred, steps, 0.5 * steps - 0.5, output_shape=(30, 11, 15), order=3, mode="nearest"
    )
    assert made.shape == theirs.shape
    assert np.abs(made - np.clip(theirs, image.min(), image.max())).max() < 2e-3  # of values to 250


def test_only_axes_that_get_coarser_are_blurred() -> None:
    finer = cubic(9, 9, step=1.0)
    assert np.allclose(finer.toarray(), np.eye(9), atol=1e-6)
    assert np.allclose(cubic(8, 16, step=0.5).toarray().sum(axis=1), 1, atol=1e-6)
    assert cubic(16, 8, step=2.0).toarray()[4].max() < 0.4  # a spline alone reaches 0.6


def test_length_spacing_origin_and_edges_are_exact() -> None:
    header = header_of((12, 10, 8), affine_of("oblique"))
    planned = Resample((1.0, 2.0, 7.0)).planned(header)
    assert planned.arrays["label"].shape == (18, 10, 3)  # 12 x 1.5, untouched, 8 x 3 / 7 = 3.43
    old, new = np.array(header.affine), np.array(planned.affine)
    assert np.allclose(np.linalg.norm(new[:3, :3], axis=0), [1, 2, 7], atol=1e-12)
    corner = np.array([-0.5, -0.5, -0.5, 1])
    assert np.allclose(old @ corner, new @ corner, atol=1e-10)
    assert planned.spacing_mm == pytest.approx((1, 2, 7))


def test_the_same_spacing_is_the_identity_also_up_to_rounding() -> None:
    image, label = draw_case(0)
    header = header_of(image.shape, affine_of("flipped"))
    for spacing in (SPACING, (1.5 + 1e-6, 2.0, 3.0), None):
        step = Resample(spacing)
        made = step.apply({"image": image[None], "label": label}, header)
        assert np.array_equal(made["image"][0], image)
        assert np.array_equal(made["label"], label)
        assert step.planned(header) == header


def test_the_input_range_is_never_exceeded_and_int16_stays() -> None:
    image = np.where(np.indices((10, 10, 10)).sum(axis=0) % 4 < 2, 1000, -1000).astype(np.int16)
    made = Resample((0.7, 0.9, 1.1)).apply(
        {"image": image[None]}, header_of(image.shape, affine_of("identity"))
    )
    assert made["image"].dtype == np.int16
    assert made["image"].min() >= -1000
    assert made["image"].max() <= 1000


def test_a_constant_stays_constant() -> None:
    image = np.full((1, 7, 8, 9), -137, np.int16)
    made = Resample((0.6, 2.7, 11.0)).apply(
        {"image": image}, header_of(image.shape[1:], affine_of("identity"))
    )
    assert set(made["image"].ravel().tolist()) == {-137}


def test_masks_take_the_nearest_and_invent_no_label() -> None:
    label = draw_case(2)[1]
    header = header_of(label.shape, affine_of("identity"))
    made = Resample((0.75, 4.0, 3.0)).apply({"label": label}, header)["label"]
    assert made.shape == (24, 5, 8)
    assert np.array_equal(made[::2, :, :], label[:, 1::2, :])  # halves copy, pairs meet at the later one
    assert set(np.unique(made)) <= set(np.unique(label))


def test_an_axis_never_vanishes() -> None:
    header = header_of((4, 4, 1), affine_of("identity"))
    assert Resample((100.0, 100.0, 100.0)).planned(header).arrays["image"].shape == (1, 1, 1, 1)


def test_a_ball_keeps_its_centre_within_a_quarter_millimetre() -> None:
    affine = affine_of("oblique")
    voxels = np.moveaxis(np.indices((24, 20, 14)), 0, -1)
    centre = np.array([15.3, 17.1, 19.9])
    far = np.linalg.norm((voxels - centre / SPACING) * SPACING, axis=-1)
    ball = (far < 9).astype(np.int16) * 1000
    header = header_of(ball.shape, affine)
    step = Resample((2.2, 1.3, 2.5))
    made = step.apply({"image": ball[None]}, header)["image"][0].astype(float)
    assert np.linalg.norm(_centroid(made, step.planned(header)) - _centroid(ball, header)) < 0.25


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_probabilities_return_to_the_scan(geometry: str) -> None:
    label = np.zeros((24, 20, 16), np.uint8)
    label[6:18, 5:15, 4:12] = 1
    label[9:15, 8:13, 6:10] = 2
    native = header_of(label.shape, affine_of(geometry))
    steps = (Reorient(), Resample((2.0, 2.0, 2.0)))
    item, header = {"image": label[None].astype(np.int16), "label": label}, native
    for step in steps:
        item, header = step.apply(item, header), step.planned(header)
    one_hot = np.stack([item["label"] == k for k in range(3)]).astype(np.float32)
    back = to_native(one_hot, working=header, native=native)
    assert back.shape == label.shape
    assert back.dtype == np.uint8
    assert (back == label).mean() > 0.96
    assert np.abs(np.argwhere(back == 2).mean(axis=0) - np.argwhere(label == 2).mean(axis=0)).max() < 0.5


def test_on_its_own_grid_the_return_is_exact_and_ties_go_to_the_lower_class() -> None:
    label = draw_case(3)[1]
    native = header_of(label.shape, affine_of("slices_first"))
    turned = Reorient().apply({"image": label[None], "label": label}, native)["label"]
    one_hot = np.stack([turned == k for k in range(3)]).astype(np.float32)
    assert np.array_equal(to_native(one_hot, working=Reorient().planned(native), native=native), label)
    ties = np.full_like(one_hot, 1 / 3)
    assert not to_native(ties, working=Reorient().planned(native), native=native).any()


def test_a_prediction_of_another_grid_is_refused() -> None:
    native, other = (header_of((8, 8, 8), affine_of(name)) for name in ("identity", "oblique"))
    with pytest.raises(DataError, match=r"turned against the scan's.*another case"):
        to_native(np.zeros((2, 8, 8, 8), np.float32), working=other, native=native)


def test_linear_maps_reproduce_a_ramp_and_hold_the_border() -> None:
    ramp = np.arange(6, dtype=np.float32)
    made = along(ramp, linear(6, 12, step=0.5), axis=0)
    assert made.tolist() == pytest.approx([0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3.25, 3.75, 4.25, 4.75, 5])
    assert along(np.ones(1, np.float32), linear(1, 3, step=1 / 3), axis=0).tolist() == [1, 1, 1]


def test_a_spacing_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"spacing_mm \(0, 1, 1\): expected three lengths above 0"):
        Resample((0, 1, 1))


def _centroid(image: np.ndarray, header: Header) -> np.ndarray:
    voxels = np.moveaxis(np.indices(image.shape), 0, -1).reshape(-1, 3)
    middle = (voxels * image.reshape(-1, 1)).sum(axis=0) / image.sum()
    return np.array(header.affine)[:3, :3] @ middle + np.array(header.affine)[:3, 3]


def test_ties_between_two_voxels_are_decided_alike_whatever_the_header_rounds() -> None:
    label = np.arange(8, dtype=np.uint8)[:, None, None]
    chosen = []
    for spacing in (1.5, 1.5 - 1e-8, 1.5 + 1e-8):
        header = header_of(label.shape, np.diag([spacing, 1.0, 1.0, 1.0]))
        chosen.append(Resample((3.0, 1.0, 1.0)).apply({"label": label}, header)["label"].ravel().tolist())
    assert chosen == [[1, 3, 5, 7]] * 3
