"""Moves in space: draws, ranges, exactness, alignment."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from pkgs.data.items import IGNORE, Kind
from pkgs.data.transforms.config import SpatialConfig
from pkgs.data.transforms.contract import dump, restore
from pkgs.data.transforms.spatial import Spatial, SpatialDraws
from pkgs.foundation.seeds import Purpose

KINDS: dict[str, Kind] = {"image": "image", "label": "label"}
AFFINE = SpatialConfig(
    rotation_deg=(-180, 180), scale=(0.8, 1.2), shear_deg=(-5, 5), flips=0.5, shift=(-0.1, 0.1)
)
ALL = AFFINE.model_copy(update={"crop_p": 0.5, "perspective_p": 0.5, "elastic_p": 0.5})
SIDES = (32, 32)


def batch_of(sides: tuple[int, ...] = SIDES, *, count: int = 16) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    label = (torch.rand(count, *(side // 4 for side in sides), generator=generator) > 0.5).byte()
    for axis in range(1, label.ndim):
        label = label.repeat_interleave(4, dim=axis)
    return {"image": label[:, None].float(), "label": label}


def draws_of(
    config: SpatialConfig, *, sides: tuple[int, ...] = SIDES, first: int = 0, count: int = 16
) -> SpatialDraws:
    return Spatial(config, KINDS).draw(1, Purpose.AUGMENT, first=first, batch=count, sides=sides)


def moved(config: SpatialConfig, batch: dict[str, Tensor], *, first: int = 0) -> dict[str, Tensor]:
    sides = tuple(batch["label"].shape[1:])
    return Spatial(config, KINDS)(
        batch, draws_of(config, sides=sides, first=first, count=len(batch["label"]))
    )


def test_by_default_nothing_moves() -> None:
    batch = batch_of()
    same = moved(SpatialConfig(), batch)
    assert all(torch.equal(same[name], batch[name]) for name in batch)
    assert not draws_of(SpatialConfig()).moved_B.any()


@pytest.mark.parametrize("sides", [(32, 32), (24, 40), (12, 16, 20)])
def test_a_mask_made_of_the_image_moves_with_it(sides: tuple[int, ...]) -> None:
    config = AFFINE.model_copy(update={"elastic_p": 0.5, "elastic_px": 1.0})
    result = moved(config, batch_of(sides))
    image, label = result["image"][:, 0], result["label"]
    clear = ((image < 0.02) | (image > 0.98)) & (label != IGNORE)  # away from borders of the blocks
    assert clear.float().mean() > 0.2
    assert torch.equal(image[clear] > 0.5, label[clear] == 1)


def test_labels_stay_discrete() -> None:
    assert set(moved(ALL, batch_of())["label"].unique().tolist()) == {0, 1, IGNORE}


def test_one_batch_of_sixteen_equals_four_of_four() -> None:
    batch = batch_of()
    whole = moved(ALL, batch)
    parts = [
        moved(ALL, {name: tensor[at : at + 4] for name, tensor in batch.items()}, first=at)
        for at in (0, 4, 8, 12)
    ]
    assert all(torch.equal(whole[name], torch.cat([part[name] for part in parts])) for name in batch)


def test_what_happens_to_a_sample_does_not_depend_on_its_neighbours() -> None:
    batch, draws, spatial = batch_of(), draws_of(ALL), Spatial(ALL, KINDS)
    whole = spatial(batch, draws)
    for at in range(16):
        alone = SpatialDraws(draws.matrix_BEE[at : at + 1], draws.field_BDP[at : at + 1])
        one = spatial({name: tensor[at : at + 1] for name, tensor in batch.items()}, alone)
        assert all(torch.equal(one[name][0], whole[name][at]) for name in batch)


def test_every_sample_moves_in_its_own_way() -> None:
    one = batch_of(count=1)
    same = {name: tensor.expand(16, *tensor.shape[1:]).contiguous() for name, tensor in one.items()}
    assert len({image.numpy().tobytes() for image in moved(ALL, same)["image"]}) == 16


def test_two_purposes_give_two_views() -> None:
    batch, crops = batch_of(), Spatial(SpatialConfig(crop_p=1.0), KINDS)
    first, second = (
        crops(batch, crops.draw(1, view, first=0, batch=16, sides=SIDES))
        for view in (Purpose.VIEW_1, Purpose.VIEW_2)
    )
    assert not torch.equal(first["image"], second["image"])


def test_flips_and_quarter_turns_are_exact() -> None:
    batch = {
        "image": torch.rand(16, 1, 32, 32),
        "label": torch.randint(0, 9, (16, 32, 32), dtype=torch.uint8),
    }
    result = moved(SpatialConfig(flips=0.5, quarter_turns=True), batch)
    for before, after in zip(batch["image"][:, 0], result["image"][:, 0], strict=True):
        ways = [turned for k in range(4) for turned in (before.rot90(k), before.rot90(k).flip(0))]
        assert any(torch.equal(after, way) for way in ways)
    assert IGNORE not in result["label"]


def test_a_flip_by_indexing_agrees_with_one_by_interpolation() -> None:
    batch = batch_of()
    spatial = Spatial(SpatialConfig(flips=0.5), KINDS)
    draws = draws_of(SpatialConfig(flips=0.5))
    nearly = SpatialDraws(draws.matrix_BEE * np.array([1 + 1e-12, 1, 1])[:, None], draws.field_BDP)
    exact, sampled = spatial(batch, draws), spatial(batch, nearly)
    assert torch.allclose(exact["image"], sampled["image"], atol=1e-4)
    assert torch.equal(exact["label"], sampled["label"])


def test_the_share_of_samples_that_move_is_the_chance() -> None:
    draws = draws_of(AFFINE.model_copy(update={"p": 0.3}), count=20_000)
    assert abs(draws.moved_B.mean() - 0.3) < 0.01


def test_rotation_keeps_angles_on_unequal_sides() -> None:
    draws = draws_of(SpatialConfig(rotation_deg=(90, 90)), sides=(20, 40), count=1)
    # a quarter turn: the half width (20 px) of the result reaches 20 px down, twice the half height
    assert np.allclose(draws.matrix_BEE[0], [[0, -0.5, 0], [2, 0, 0], [0, 0, 1]], atol=1e-12)


def test_an_enlargement_by_two_shows_the_middle_half() -> None:
    image = torch.linspace(0, 1, 16).expand(1, 1, 16, 16).contiguous()
    result = moved(
        SpatialConfig(scale=(2, 2)), {"image": image, "label": torch.zeros(1, 16, 16, dtype=torch.uint8)}
    )
    # pixel 0 lies at index 4 - 1/4 of the source
    assert result["image"][0, 0, 0, 0].item() == pytest.approx(3.75 / 15, abs=1e-6)


def test_a_normal_rotation_has_its_standard_deviation() -> None:
    matrix = draws_of(SpatialConfig(rotation_sd_deg=10), count=20_000).matrix_BEE
    degrees = np.degrees(np.arctan2(matrix[:, 1, 0], matrix[:, 0, 0]))
    assert abs(degrees.mean()) < 0.3
    assert abs(degrees.std() - 10) < 0.2


def test_a_rotation_in_3d_stays_in_one_plane() -> None:
    matrix = draws_of(SpatialConfig(rotation_deg=(10, 50)), sides=(8, 8, 8), count=300).matrix_BEE
    still = [(matrix[:, axis, axis] == 1) for axis in range(3)]
    assert (np.sum(still, axis=0) == 1).all()
    assert all(60 < rest.sum() < 140 for rest in still)  # each plane about a third of the time


def test_a_crop_lies_inside_and_has_the_area_and_aspect_asked_for() -> None:
    config = SpatialConfig(crop_p=1.0, crop_area=(0.1, 0.5))
    matrix = draws_of(config, count=5000).matrix_BEE
    width, height = matrix[:, 0, 0], matrix[:, 1, 1]
    assert (width * height).min() >= 0.1
    assert (width * height).max() <= 0.5
    assert ((width / height > 0.749) & (width / height < 1.334)).all()
    assert (np.abs(matrix[:, :2, 2]) <= 1 - matrix[:, [0, 1], [0, 1]] + 1e-12).all()


def test_a_shift_moves_by_a_share_of_the_side() -> None:
    image = torch.zeros(1, 1, 10, 10)
    image[..., 5] = 1
    config = SpatialConfig(shift=(0.2, 0.2), outside=0.0)
    result = moved(config, {"image": image, "label": torch.ones(1, 10, 10, dtype=torch.uint8)})
    assert result["image"][0, 0, 5].argmax() == 7
    assert (result["label"][:, :2] == IGNORE).all()


def test_an_elastic_field_displaces_by_its_pixels() -> None:
    image = torch.rand(1, 1, 12, 12)
    spatial = Spatial(SpatialConfig(elastic_p=1.0, elastic_points=2), KINDS)
    field = np.zeros((1, 2, 2, 2))
    field[:, 0] = 3.0  # everything is read three pixels to the right
    draws = SpatialDraws(np.eye(3)[None], field)
    batch = {"image": image, "label": torch.zeros(1, 12, 12, dtype=torch.uint8)}
    assert torch.allclose(spatial(batch, draws)["image"][..., :9], image[..., 3:], atol=1e-5)


def test_stored_draws_replay_the_batch(tmp_path: object) -> None:
    draws = draws_of(ALL)
    again = restore(SpatialDraws, dump(draws))
    batch, spatial = batch_of(), Spatial(ALL, KINDS)
    assert torch.equal(spatial(batch, draws)["image"], spatial(batch, again)["image"])
    with pytest.raises(ValueError, match=r"missing \['matrix_BEE'\], unknown \['other'\]"):
        restore(SpatialDraws, {"field_BDP": torch.zeros(1, 0), "other": torch.zeros(1)})


def test_the_source_and_the_global_generator_are_left_alone() -> None:
    batch = batch_of()
    before, state = {name: tensor.clone() for name, tensor in batch.items()}, torch.get_rng_state()
    moved(ALL, batch)
    assert all(torch.equal(batch[name], before[name]) for name in batch)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scale": (1.2, 0.8)}, r"a range is \[low, high\], got \[1.2, 0.8\]; swap the two"),
        ({"p": float("nan")}, "p"),
        ({"flips": 1.5}, "flips"),
        ({"scale": (0.0, 1.0)}, "greater than 0"),
        ({"rotation_deg": (-10, 10), "rotation_sd_deg": 5}, "two laws for one angle"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        SpatialConfig(**settings)


@pytest.mark.parametrize(
    ("config", "sides", "message"),
    [
        (SpatialConfig(perspective_p=0.1), (8, 8, 8), "perspective needs 2-D images"),
        (SpatialConfig(quarter_turns=True), (8, 9), r"Quarter turns need equal sides, got \(8, 9\)"),
        (SpatialConfig(flips=(0.5, 0.5)), (8, 8, 8), "flips has 2 chances for 3 axes"),
        (SpatialConfig(size=(8, 8)), (8, 8, 8), "has 2 sides, the images have 3"),
    ],
)
def test_settings_that_the_images_cannot_have_are_refused(
    config: SpatialConfig, sides: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        draws_of(config, sides=sides)
