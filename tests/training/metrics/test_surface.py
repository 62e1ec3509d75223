"""Surface distances against brute force, MONAI's own functions and a cube worked out by hand."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from torch import Tensor

from pkgs.training.metrics import Surface, measure_surface, merged

SPACING = (2.5, 1.5, 0.8)


def drawn(seed: int, *, shape: tuple[int, ...] = (6, 9, 8)) -> tuple[Tensor, Tensor]:
    """Return two overlapping lumpy masks that touch the border."""
    generator = torch.Generator().manual_seed(seed)
    grid = torch.stack(torch.meshgrid(*map(torch.arange, shape), indexing="ij")).float()
    noise = torch.rand(2, *shape, generator=generator)
    centre = torch.tensor([2.0, 3.0, 4.0])[: len(shape)].reshape(-1, *[1] * len(shape))
    masks = [(grid - centre - shift).square().sum(0).sqrt() + each < 3 for shift, each in enumerate(noise)]
    return masks[0], masks[1].long()


def brute_force(
    found: Tensor, wanted: Tensor, spacing: tuple[float, ...], tolerance: float
) -> dict[str, float]:
    """Every surface voxel against every other, as the definitions say."""

    def surface(mask: np.ndarray) -> np.ndarray:
        outside = np.pad(~mask, 1, constant_values=True)
        inner = tuple(slice(1, -1) for _ in mask.shape)
        neighbours = [np.roll(outside, s, a)[inner] for a in range(mask.ndim) for s in (1, -1)]
        return np.argwhere(mask & np.logical_or.reduce(neighbours)) * np.array(spacing)

    a, b = surface(found.bool().numpy()), surface(wanted.bool().numpy())
    distances = np.sqrt(((a[:, None] - b[None]) ** 2).sum(-1))
    there, back = distances.min(1), distances.min(0)
    both = np.concatenate([there, back])
    return {
        "hd": both.max(),
        "hd95": max(np.percentile(there, 95), np.percentile(back, 95)),
        "assd": both.mean(),
        "nsd": (both <= tolerance).mean(),
    }


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("dimensions", [2, 3])
def test_distances_equal_brute_force_on_anisotropic_volumes(seed: int, dimensions: int) -> None:
    found, wanted = drawn(seed, shape=(6, 9, 8)[:dimensions])
    spacing = SPACING[:dimensions]
    scores = measure_surface(found, wanted, spacing_mm=spacing, tolerance_mm=1.5).scores()
    oracle = brute_force(found, wanted, spacing, 1.5)
    assert {name: scores[name] for name in oracle} == pytest.approx(oracle, abs=1e-6)


def test_a_cube_moved_by_two_voxels() -> None:
    found, wanted = torch.zeros(2, 14, 14, 16, dtype=torch.bool)
    found[2:12, 2:12, 2:12] = True
    wanted[2:12, 2:12, 4:14] = True
    scores = measure_surface(found, wanted.long(), spacing_mm=(1.5, 1.5, 2.5), tolerance_mm=5).scores()
    wanted_scores = {"hd": 5.0, "hd95": 5.0, "assd": 1.5697, "nsd": 1.0}
    assert {name: scores[name] for name in wanted_scores} == pytest.approx(wanted_scores, abs=1e-4)


def test_scores_agree_with_monais_own() -> None:
    from monai.metrics import (
        compute_average_surface_distance,
        compute_hausdorff_distance,
        compute_surface_dice,
    )

    found, wanted = drawn(7)
    scores = measure_surface(found, wanted, spacing_mm=SPACING, tolerance_mm=1.5).scores()
    hot = found[None, None].float(), wanted[None, None].float()
    shared = {"spacing": SPACING, "include_background": True}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MONAI warns about an argument that it passes to itself
        theirs = {
            "hd": compute_hausdorff_distance(*hot, **shared),
            "hd95": compute_hausdorff_distance(*hot, percentile=95, **shared),
            "assd": compute_average_surface_distance(*hot, symmetric=True, **shared),
            "nsd": compute_surface_dice(*hot, class_thresholds=[1.5], **shared),
        }
    for name, value in theirs.items():
        assert scores[name] == pytest.approx(float(value), abs=1e-6)


def test_a_mask_is_at_no_distance_from_itself_and_order_plays_no_part() -> None:
    found, wanted = drawn(8)
    same = measure_surface(found, found.long(), spacing_mm=SPACING, tolerance_mm=0).scores()
    assert [same[name] for name in ("hd", "hd95", "assd", "nsd")] == [0, 0, 0, 1]
    there = measure_surface(found, wanted, spacing_mm=SPACING, tolerance_mm=1)
    back = measure_surface(wanted.bool(), found.long(), spacing_mm=SPACING, tolerance_mm=1)
    assert str(there.scores()) == str(back.scores())


def test_room_around_the_masks_changes_nothing() -> None:
    found, wanted = drawn(9)
    padded = [torch.nn.functional.pad(each.to(torch.uint8), (4, 5, 3, 2, 6, 1)) for each in (found, wanted)]
    assert measure_surface(padded[0], padded[1], spacing_mm=SPACING, tolerance_mm=1) == measure_surface(
        found, wanted, spacing_mm=SPACING, tolerance_mm=1
    )


def test_distances_scale_with_the_spacing() -> None:
    found, wanted = drawn(10)
    one, two = (
        measure_surface(found, wanted, spacing_mm=[k * s for s in SPACING], tolerance_mm=k).scores()
        for k in (1, 2)
    )
    assert two["hd"] == pytest.approx(2 * one["hd"])
    assert two["nsd"] == one["nsd"]


@pytest.mark.parametrize(
    ("found", "wanted", "nsd", "counted"),
    [(0, 0, 1, "both_empty"), (1, 0, 0, "false_alarm"), (0, 1, 0, "missed")],
)
def test_the_rules_for_empty_masks(found: int, wanted: int, nsd: int, counted: str) -> None:
    volume = torch.zeros(3, 3, 3, dtype=torch.long)
    sums = measure_surface(volume + found, volume + wanted, spacing_mm=SPACING, tolerance_mm=1)
    scores = sums.scores()
    assert all(math.isnan(scores[name]) for name in ("hd", "hd95", "assd"))
    assert scores["nsd"] == nsd
    assert sums.counts() == {"cases": 1, "defined": 0, "present": wanted} | {
        name: int(name == counted) for name in ("both_empty", "false_alarm", "missed")
    }


def test_means_skip_what_is_not_defined_and_say_over_how_many_they_run() -> None:
    found, wanted = drawn(11)
    cases = [
        measure_surface(a, b, spacing_mm=SPACING, tolerance_mm=1)
        for a, b in (
            (found, wanted),
            (found, 0 * wanted),
            (~found & found, wanted),
            (~found & found, 0 * wanted),
        )
    ]
    sums = merged(cases)
    assert sums.scores()["hd"] == cases[0].scores()["hd"]
    assert (sums.cases, sums.defined, sums.present) == (4, 1, 2)
    assert sums.scores()["nsd"] == pytest.approx((cases[0].scores()["nsd"] + 1) / 4, abs=1e-7)
    assert sums.scores()["nsd_present"] == pytest.approx(cases[0].scores()["nsd"] / 2, abs=1e-7)
    assert all(math.isnan(value) for value in Surface().scores().values())


def test_monai_gives_nan_or_infinity_for_empty_masks() -> None:
    from monai.metrics import compute_hausdorff_distance

    nothing, something = torch.zeros(1, 1, 4, 4, 4), torch.ones(1, 1, 4, 4, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = [
            float(compute_hausdorff_distance(a, b, include_background=True))
            for a, b in ((nothing, nothing), (something, nothing))
        ]
    assert math.isnan(values[0])
    assert math.isinf(values[1])


def test_voxels_that_nobody_judged_belong_to_neither_mask() -> None:
    found, wanted = drawn(12)
    ignored = wanted.clone()
    ignored[0] = 255
    emptied = [each.clone() for each in (found, wanted)]
    emptied[0][0], emptied[1][0] = False, 0
    assert measure_surface(found, ignored, spacing_mm=SPACING, tolerance_mm=1) == measure_surface(
        emptied[0], emptied[1], spacing_mm=SPACING, tolerance_mm=1
    )


@pytest.mark.parametrize(
    ("spacing", "tolerance", "message"),
    [
        ((1, 1), 1, "one positive length in mm per axis"),
        ((1, 1, 0), 1, "one positive length in mm per axis"),
        ((1, 1, math.nan), 1, "one positive length in mm per axis"),
        ((1, 1, 1), -1, "tolerance must be a length"),
    ],
)
def test_lengths_that_are_none_are_refused(
    spacing: tuple[float, ...], tolerance: float, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        measure_surface(*drawn(0), spacing_mm=spacing, tolerance_mm=tolerance)


@pytest.mark.parametrize(
    ("found", "wanted", "message"),
    [
        (torch.zeros(3, 3, 3), torch.zeros(3, 3, 4).long(), "agree in shape"),
        (torch.full((3, 3, 3), 0.4), torch.zeros(3, 3, 3).long(), "Compare probabilities"),
        (torch.zeros(3, 3, 3), torch.full((3, 3, 3), 2), "must be 0 to 1 or 255"),
    ],
)
def test_masks_that_are_none_are_refused(found: Tensor, wanted: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        measure_surface(found, wanted, spacing_mm=(1, 1, 1), tolerance_mm=1)
