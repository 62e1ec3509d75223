"""What the compiled loops must keep: types, layouts, the outside, what is not finite, and their memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pkgs.data.transforms import grids, matrices, warping
from pkgs.data.transforms.plan import Plan

SIDES = (40, 56)


def turned(*, count: int = 3, scale: float = 1.3) -> np.ndarray:
    angle = np.linspace(0.3, 2.5, count)
    matrix = matrices.rotation(angle, np.zeros(count, dtype=np.int64), dimensions=2)
    return matrices.rigid_in_pixels(matrix @ matrices.stretch(np.full((count, 2), scale)), SIDES)


def plan_of(
    matrix: np.ndarray, *, offsets: Tensor | None = None, outside: float | None = None, label: int = 7
) -> Plan:
    bent = np.full(len(matrix), offsets is not None)
    return Plan(np.arange(len(matrix)), matrix, SIDES, offsets, bent, outside, label)


def warped(label: Tensor, plan: Plan) -> Tensor:
    found = torch.empty_like(label, memory_format=torch.contiguous_format)
    warping.warp([], [(label, found)], plan=plan)
    return found


def nearest(label: np.ndarray, matrix: np.ndarray, *, outside: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the nearest pixels by indexing in double precision, and how near an edge each place lies."""
    height, width = SIDES
    rows, columns = np.mgrid[:height, :width]
    places = np.stack([(2 * columns + 1) / width - 1, (2 * rows + 1) / height - 1, np.ones(SIDES)])
    x, y, below = np.einsum("ij,jhw->ihw", matrix, places)
    x, y = ((x / below + 1) * width - 1) / 2, ((y / below + 1) * height - 1) / 2
    column, row = np.rint(x).astype(int), np.rint(y).astype(int)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    found = label[row.clip(0, height - 1), column.clip(0, width - 1)]
    edge = np.minimum(np.abs(x - np.floor(x) - 0.5), np.abs(y - np.floor(y) - 0.5))
    return np.where(inside, found, outside), edge


@pytest.mark.parametrize("bent", [False, True])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64])
def test_labels_of_every_width_are_the_nearest_ones_to_the_bit(dtype: torch.dtype, *, bent: bool) -> None:
    limits = torch.iinfo(dtype)
    generator = torch.Generator().manual_seed(0)
    label = torch.randint(limits.min, limits.max, (3, *SIDES), generator=generator, dtype=dtype)
    label[:, ::2] = torch.randint(0, 3, (3, 20, 56), generator=generator, dtype=dtype)  # denormals as float
    offsets = torch.zeros(3, 2, *SIDES) if bent else None
    found = warped(label, plan_of(turned(), offsets=offsets, label=limits.max))
    for sample, matrix in enumerate(turned()):
        expected, edge = nearest(label[sample].numpy(), matrix, outside=limits.max)
        clear = edge > 1e-4
        assert clear.mean() > 0.999
        assert (found[sample].numpy()[clear] == expected[clear]).all()
    assert (found == limits.max).any()


@pytest.mark.parametrize("outside", [None, 0.3])
@pytest.mark.parametrize("scale", [0.5, 1.3, 3.5])  # inside; a little beyond the border; further than padded
@pytest.mark.parametrize("way", ["affine", "perspective", "elastic"])
def test_every_way_gives_what_grid_sample_gives(way: str, scale: float, outside: float | None) -> None:
    matrix, offsets = turned(scale=scale), None
    if way == "perspective":
        matrix = matrix @ matrices.perspective(np.random.default_rng(0).uniform(0, 0.3, (3, 4, 2)))
    if way == "elastic":
        offsets = 8 * torch.rand(3, 2, *SIDES, generator=torch.Generator().manual_seed(1)) - 4
    plan = plan_of(matrix, offsets=offsets, outside=outside)
    image = torch.rand(3, 5, *SIDES, generator=torch.Generator().manual_seed(0))  # five channels
    found, expected = torch.empty_like(image), torch.empty_like(image)
    warping.warp([(image, found)], [], plan=plan)
    grids.sample_grid([(image, expected)], [], plan=plan)
    assert torch.allclose(found, expected, atol=2e-5 if scale < 2 else 1e-4)


def test_sources_need_not_be_contiguous() -> None:
    image = torch.rand(3, *SIDES, 6, generator=torch.Generator().manual_seed(0))
    label = (image[..., 0] * 9).byte()
    strided, plan = image.movedim(-1, 1)[:, ::2], plan_of(turned())
    both = [strided, strided.contiguous(), strided[:1].expand(3, -1, -1, -1)]
    found = [torch.empty(3, 3, *SIDES) for _ in both]
    for source, target in zip(both, found, strict=True):
        warping.warp([(source, target)], [], plan=plan)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0][0], found[2][0])
    wide = torch.stack([label, label], dim=-1)[..., 0]
    assert torch.equal(warped(wide, plan), warped(label, plan))


def test_samples_that_are_not_asked_for_stay() -> None:
    image = torch.rand(3, 1, *SIDES)
    plan = Plan(np.array([1]), turned(), SIDES, None, np.zeros(3, dtype=bool), None, 0)
    target = torch.full_like(image, -1)
    warping.warp([(image, target)], [], plan=plan)
    assert (target[[0, 2]] == -1).all()
    assert (target[1] >= 0).all()


@pytest.mark.parametrize("outside", [None, 0.5])
@pytest.mark.parametrize("poison", [float("nan"), float("inf"), float("-inf")])
def test_a_pixel_that_is_not_finite_reaches_its_neighbours_and_nobody_else(
    poison: float, outside: float | None
) -> None:
    image = torch.rand(3, 1, *SIDES, generator=torch.Generator().manual_seed(0))
    spoilt = image.clone()
    spoilt[:, :, 20, 28] = poison
    spoilt[:, :, 0, 0] = poison  # a corner: what lies outside of it must stay clear of it
    plan = plan_of(turned(scale=1.3), outside=outside)
    found, clean = torch.empty_like(image), torch.empty_like(image)
    warping.warp([(spoilt, found), (image, clean)], [], plan=plan)
    marked = torch.zeros_like(image)
    marked[spoilt != image] = 1
    weight = torch.empty_like(image)
    grids.sample_grid([(marked, weight)], [], plan=plan_of(turned(scale=1.3), outside=outside and 0.0))
    assert not found[weight > 1e-3].isfinite().any()
    far = F.max_pool2d((weight > 0).float(), 3, 1, 1) == 0
    assert torch.equal(found[far], clean[far])


@pytest.mark.parametrize("outside", [None, 0.3])
@pytest.mark.parametrize("sides", [(1, 1), (1, 7), (7, 1), (2, 2)])
def test_sources_of_a_pixel_s_width_are_read_within_their_memory(
    sides: tuple[int, int], outside: float | None
) -> None:
    image = torch.rand(3, 2, *sides, generator=torch.Generator().manual_seed(0))
    plan = plan_of(turned(scale=1.7), outside=outside)
    found, expected = torch.empty(3, 2, *SIDES), torch.empty(3, 2, *SIDES)
    warping.warp([(image, found)], [], plan=plan)
    grids.sample_grid([(image, expected)], [], plan=plan)
    assert torch.allclose(found, expected, atol=2e-5)


@pytest.mark.parametrize("outside", [None, 0.3])
def test_places_that_are_no_numbers_read_nothing_beyond_the_source(outside: float | None) -> None:
    matrix = turned()
    matrix[0, 2] = (1.0, 0.0, 0.0)  # the horizon: a division by zero in its column
    matrix[1], matrix[2] = np.nan, 1e30
    image, label = torch.rand(3, 1, *SIDES), torch.ones(3, *SIDES, dtype=torch.uint8)
    found = torch.empty_like(image)
    warping.warp([(image, found)], [], plan=plan_of(matrix, outside=outside))
    assert ((found >= 0) & (found <= 1)).logical_or(found.isnan()).all()
    assert set(warped(label, plan_of(matrix)).unique().tolist()) <= {1, 7}
