"""One resampling for all kinds, against grid_sample and scipy, and exact where nothing is interpolated."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from pkgs.data.items import IGNORE, Kind
from pkgs.data.transforms import gathering, grids, matrices, warping
from pkgs.data.transforms.plan import Plan
from pkgs.data.transforms.sampling import resample

KINDS: dict[str, Kind] = {"image": "image", "label": "label", "soft": "soft", "weight": "weight"}
SIDES = [(18, 25), (9, 12, 14)]


def batch_of(sides: tuple[int, ...], *, count: int = 4) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shares = torch.rand(count, 3, *sides, generator=generator) + 0.1
    return {
        "image": torch.rand(count, 2, *sides, generator=generator),
        "label": torch.randint(0, 4, (count, *sides), generator=generator, dtype=torch.uint8),
        "soft": shares / shares.sum(dim=1, keepdim=True),
        "weight": torch.rand(count, *sides, generator=generator),
    }


def matrices_of(dimensions: int, *, count: int = 4, spread: float = 0.4) -> np.ndarray:
    matrix = matrices.identity(count, dimensions)
    matrix[:, :dimensions] += spread * np.random.default_rng(0).normal(
        size=(count, dimensions, dimensions + 1)
    )
    return matrix


def by_grid_sample(tensor: Tensor, matrix: np.ndarray, *, mode: str, padding: str) -> Tensor:
    theta = torch.from_numpy(matrix[:, :-1])
    grid = F.affine_grid(theta, list(tensor.shape), align_corners=False)
    return F.grid_sample(tensor.double(), grid, mode=mode, padding_mode=padding, align_corners=False)


@pytest.mark.parametrize("sides", SIDES)
@pytest.mark.parametrize("spread", [0.2, 3.0])  # 3: far outside, many mirror images
def test_images_agree_with_grid_sample_in_double_precision(sides: tuple[int, ...], spread: float) -> None:
    batch, matrix = batch_of(sides), matrices_of(len(sides), spread=spread)
    found = resample(batch, KINDS, matrix_BEE=matrix)["image"]
    expected = by_grid_sample(batch["image"], matrix, mode="bilinear", padding="reflection")
    assert torch.allclose(found.double(), expected, atol=1e-4 if spread > 1 else 1e-5)


@pytest.mark.parametrize("sides", SIDES)
def test_a_stated_value_blends_in_at_the_border(sides: tuple[int, ...]) -> None:
    batch, matrix = batch_of(sides), matrices_of(len(sides))
    found = resample(batch, KINDS, matrix_BEE=matrix, outside=0.7)["image"]
    expected = by_grid_sample(batch["image"] - 0.7, matrix, mode="bilinear", padding="zeros") + 0.7
    assert torch.allclose(found.double(), expected, atol=1e-5)


@pytest.mark.parametrize("sides", SIDES)
def test_labels_take_the_nearest_pixel_and_ignore_outside(sides: tuple[int, ...]) -> None:
    batch, matrix = batch_of(sides), matrices_of(len(sides))
    found = resample(batch, KINDS, matrix_BEE=matrix)["label"]
    raised = by_grid_sample(batch["label"][:, None] + 1.0, matrix, mode="nearest", padding="zeros")[:, 0]
    expected = torch.where(raised == 0, IGNORE, raised - 1)
    assert found.dtype == torch.uint8
    assert set(found.unique().tolist()) == {0, 1, 2, 3, IGNORE}
    assert (found != expected).sum() <= 1  # one pixel may lie on an edge within float32


def test_images_agree_with_scipy() -> None:
    image = torch.rand(1, 1, 20, 20, generator=torch.Generator().manual_seed(1))
    angle = np.radians(20.0)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = matrices.identity(1, 2)
    matrix[0, :2, :2] = turn
    found = resample({"image": image}, {"image": "image"}, matrix_BEE=matrix)["image"][0, 0].numpy()
    in_rows = turn[::-1, ::-1]  # scipy counts rows first
    centre = np.array([9.5, 9.5])
    expected = ndimage.affine_transform(
        image[0, 0].numpy(), in_rows, offset=centre - in_rows @ centre, order=1, mode="reflect"
    )
    assert np.abs(found - expected).max() < 1e-5


@pytest.mark.parametrize("sides", SIDES)
@pytest.mark.parametrize("outside", [None, 0.3])
def test_the_accelerator_path_gives_the_same(sides: tuple[int, ...], outside: float | None) -> None:
    batch, matrix = batch_of(sides), matrices_of(len(sides))
    offsets = torch.rand(4, len(sides), *sides) * 2
    plan = Plan(np.arange(4), matrix, sides, offsets, np.ones(4, dtype=bool), outside, IGNORE)
    results = []
    for fill in (warping.warp if len(sides) == 2 else gathering.gather, grids.sample_grid):
        image, label = torch.empty_like(batch["image"]), torch.empty_like(batch["label"])
        fill([(batch["image"], image)], [(batch["label"], label)], plan=plan)
        results.append((image, label))
    assert torch.allclose(results[0][0], results[1][0], atol=2e-5)
    assert (results[0][1] != results[1][1]).sum() <= 1


def test_a_perspective_gives_the_same_on_both_paths_and_moves_corners_inwards() -> None:
    batch = batch_of((24, 24), count=2)
    matrix = matrices.perspective(np.random.default_rng(2).uniform(0, 0.5, (2, 4, 2)))
    plan = Plan(np.arange(2), matrix, (24, 24), None, np.zeros(2, dtype=bool), 0.0, IGNORE)
    found, expected = torch.empty_like(batch["image"]), torch.empty_like(batch["image"])
    warping.warp([(batch["image"], found)], [], plan=plan)
    grids.sample_grid([(batch["image"], expected)], [], plan=plan)
    assert torch.allclose(found, expected, atol=2e-5)
    assert (found[:, :, 0, 0] == 0).all()  # outside of the moved corner
    assert (found[:, :, 12, 12] > 0).all()


@pytest.mark.parametrize("sides", SIDES)
def test_the_identity_is_exact(sides: tuple[int, ...]) -> None:
    batch = batch_of(sides)
    batch["image"][0, 0] = float("nan")  # not even looked at
    same = resample(batch, KINDS, matrix_BEE=matrices.identity(4, len(sides)))
    assert all(torch.equal(same[name].nan_to_num(-1), batch[name].nan_to_num(-1)) for name in batch)
    assert all(
        same[name].data_ptr() != batch[name].data_ptr() for name in batch
    )  # a copy, never the same memory


@pytest.mark.parametrize("sides", SIDES)
def test_soft_maps_sum_to_one_and_stay_shares(sides: tuple[int, ...]) -> None:
    soft = resample(batch_of(sides), KINDS, matrix_BEE=matrices_of(len(sides)))["soft"]
    assert torch.allclose(soft.sum(dim=1), torch.ones_like(soft[:, 0]), atol=1e-6)
    assert soft.min() >= 0


def test_weights_vanish_outside_where_labels_are_ignored() -> None:
    batch = batch_of((20, 20))
    batch["weight"] = torch.ones_like(batch["weight"])
    moved = resample(batch, KINDS, matrix_BEE=matrices_of(2))
    beyond = F.max_pool2d((moved["label"] != IGNORE).float(), 3, 1, 1) == 0  # a pixel away from the border
    assert beyond.any()
    assert (moved["weight"][beyond] == 0).all()
    assert moved["weight"].max() == 1


@pytest.mark.parametrize("sides", [(240, 160), (30, 50, 60)])  # enough to be shared out
def test_a_batch_is_the_same_whatever_the_number_of_threads_and_the_split(sides: tuple[int, ...]) -> None:
    batch, matrix = batch_of(sides, count=8), matrices_of(len(sides), count=8)
    whole = resample(batch, KINDS, matrix_BEE=matrix)
    threads = torch.get_num_threads()
    torch.set_num_threads(1 if threads > 1 else 2)
    try:
        halves = [
            resample({name: tensor[at] for name, tensor in batch.items()}, KINDS, matrix_BEE=matrix[at])
            for at in (slice(0, 3), slice(3, 8))
        ]
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(whole[name], torch.cat([half[name] for half in halves])) for name in whole)


def test_a_result_may_have_other_sides_than_its_source() -> None:
    batch, matrix = batch_of((20, 20)), matrices_of(2)
    small = resample(batch, KINDS, matrix_BEE=matrix, size=(8, 10))
    theta = torch.from_numpy(matrix[:, :-1])
    grid = F.affine_grid(theta, [4, 2, 8, 10], align_corners=False)
    expected = F.grid_sample(batch["image"].double(), grid, padding_mode="reflection", align_corners=False)
    assert torch.allclose(small["image"].double(), expected, atol=1e-5)
    assert small["label"].shape == (4, 8, 10)


def test_wide_labels_keep_values_that_float_cannot_hold() -> None:
    label = torch.full((1, 8, 8), 2**24 + 1, dtype=torch.int64)
    moved = resample(
        {"ids": label}, {"ids": "label"}, matrix_BEE=matrices_of(2, count=1, spread=0.1), outside_label=0
    )
    assert set(moved["ids"].unique().tolist()) <= {0, 2**24 + 1}


def test_large_images_are_resampled_block_by_block() -> None:
    batch = {"image": torch.rand(1, 1, 300, 333, generator=torch.Generator().manual_seed(0))}
    matrix = matrices_of(2, count=1, spread=0.1)
    found = resample(batch, {"image": "image"}, matrix_BEE=matrix)["image"]
    expected = by_grid_sample(batch["image"], matrix, mode="bilinear", padding="reflection")
    assert torch.allclose(found.double(), expected, atol=1e-4)


def test_autocast_does_not_blur_places() -> None:
    batch, matrix = batch_of((20, 20)), matrices_of(2)
    plain = resample(batch, KINDS, matrix_BEE=matrix)["image"]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(resample(batch, KINDS, matrix_BEE=matrix)["image"], plain)


def test_vectors_and_unknown_tensors_pass_as_they_are() -> None:
    batch = batch_of((8, 8)) | {"classes": torch.tensor([[1, 0]] * 4), "extra": torch.zeros(1)}
    moved = resample(batch, KINDS | {"classes": "vector"}, matrix_BEE=matrices_of(2))
    assert moved["classes"] is batch["classes"]
    assert moved["extra"] is batch["extra"]


@pytest.mark.parametrize(
    ("name", "tensor", "message"),
    [
        ("label", torch.zeros(4, 8, 8), "label 'label' is torch.float32; labels are whole numbers"),
        (
            "image",
            torch.zeros(4, 8, 8),
            r"image 'image' has shape \(4, 8, 8\); expected .* channel axis missing",
        ),
        ("image", torch.zeros(4, 1, 8, 8, dtype=torch.uint8), "is torch.uint8; expected float32. Normalise"),
        ("image", torch.zeros(4, 1, 8, 9), "must agree in batch and space"),
        ("image", torch.zeros(3, 1, 8, 8), "must agree in batch and space"),
        ("label", torch.zeros(4, 8, 8, dtype=torch.int8), "cannot hold 255"),
    ],
)
def test_tensors_that_do_not_fit_their_kind_are_refused(name: str, tensor: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        resample(batch_of((8, 8)) | {name: tensor}, KINDS, matrix_BEE=matrices_of(2))


def test_a_missing_tensor_and_wrong_draws_are_refused() -> None:
    with pytest.raises(ValueError, match="The batch has no 'label'; it holds image"):
        resample({"image": torch.zeros(4, 1, 8, 8)}, KINDS, matrix_BEE=matrices_of(2))
    with pytest.raises(ValueError, match=r"matrices of shape \(3, 3, 3\); this batch needs \(4, 3, 3\)"):
        resample(batch_of((8, 8)), KINDS, matrix_BEE=matrices_of(2, count=3))
    slanted = matrices.identity(4, 3)
    slanted[0, 3, 0] = 0.1
    with pytest.raises(ValueError, match="A perspective needs 2-D images"):
        resample(batch_of((8, 8, 8)), KINDS, matrix_BEE=slanted)
    with pytest.raises(ValueError, match="no tensor with a place in space"):
        resample({}, {}, matrix_BEE=matrices_of(2))
