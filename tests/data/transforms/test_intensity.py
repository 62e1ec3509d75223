"""Changes of value: who is changed, in which order, and that the rest is not touched."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from pkgs.data.items import Kind
from pkgs.data.transforms.config import IntensityConfig
from pkgs.data.transforms.contract import dump, restore
from pkgs.data.transforms.intensity import Intensity, IntensityDraws
from pkgs.foundation.seeds import Purpose

KINDS: dict[str, Kind] = {"image": "image", "label": "label"}
ALL = IntensityConfig(
    blur_p=0.5,
    colour_p=0.8,
    brightness=(0.2, 1.8),
    contrast=(0.2, 1.8),
    saturation=(0.2, 1.8),
    hue_turns=(-0.2, 0.2),
    gamma=(0.7, 1.5),
    grey_p=0.2,
    sharpness_p=0.2,
    noise_p=0.5,
    noise_sd=(0.01, 0.1),
    erase_p=0.3,
)


def batch_of(count: int = 16, *, channels: int = 3) -> dict[str, Tensor]:
    image = torch.rand(count, channels, 16, 16, generator=torch.Generator().manual_seed(0))
    return {"image": image, "label": torch.zeros(count, 16, 16, dtype=torch.uint8)}


def draws_of(config: IntensityConfig, *, first: int = 0, count: int = 16) -> IntensityDraws:
    return Intensity(config, KINDS).draw(1, Purpose.AUGMENT, first=first, batch=count, sides=(16, 16))


def changed(config: IntensityConfig, batch: dict[str, Tensor], *, first: int = 0) -> dict[str, Tensor]:
    return Intensity(config, KINDS)(batch, draws_of(config, first=first, count=len(batch["image"])))


def test_by_default_nothing_changes() -> None:
    batch = batch_of()
    assert torch.equal(changed(IntensityConfig(), batch)["image"], batch["image"])
    assert not draws_of(IntensityConfig()).changed_B.any()


def test_samples_that_drew_nothing_pass_to_the_bit_and_labels_always() -> None:
    batch, config = batch_of(64), ALL.model_copy(update={"p": 0.5})
    result, touched = changed(config, batch), draws_of(config, count=64).changed_B
    assert 0.3 < touched.mean() < 0.7
    assert torch.equal(result["image"][~touched], batch["image"][~touched])
    assert (result["image"][touched] != batch["image"][touched]).flatten(1).any(dim=1).all()
    assert result["label"] is batch["label"]


def test_one_batch_of_sixteen_equals_four_of_four() -> None:
    batch = batch_of()
    parts = [
        changed(ALL, {name: tensor[at : at + 4] for name, tensor in batch.items()}, first=at)["image"]
        for at in (0, 4, 8, 12)
    ]
    assert torch.equal(changed(ALL, batch)["image"], torch.cat(parts))


def test_every_sample_changes_in_its_own_way() -> None:
    batch = {name: tensor[:1].repeat(16, *(1,) * (tensor.ndim - 1)) for name, tensor in batch_of().items()}
    config = IntensityConfig(brightness=(0.5, 1.0))
    assert len({image.numpy().tobytes() for image in changed(config, batch)["image"]}) == 16


def test_brightness_comes_before_contrast_and_values_are_clipped_at_the_end() -> None:
    batch = {"image": torch.tensor([[[[0.2, 0.9]]]]), "label": torch.zeros(1, 1, 2, dtype=torch.uint8)}
    config = IntensityConfig(brightness=(2, 2), contrast=(0.5, 0.5))
    # .4 and 1.8, mean 1.1; half the distance: .75 and 1.45
    assert torch.allclose(changed(config, batch)["image"], torch.tensor([[[[0.75, 1.0]]]]))
    open_ended = changed(config.model_copy(update={"clip": None}), batch)
    assert open_ended["image"].max().item() == pytest.approx(1.45)


def test_chances_are_those_of_the_settings() -> None:
    draws = draws_of(ALL, count=20_000)
    shares = {"sigma_px_B": 0.5, "brightness_B": 0.8, "grey_B": 0.2, "sharpness_B": 0.2, "noise_sd_B": 0.5}
    still = {"brightness_B": 1, "sharpness_B": 1}
    for name, share in shares.items():
        assert abs((getattr(draws, name) != still.get(name, 0)).mean() - share) < 0.012
    assert abs(draws.boxes_BD2.any(axis=(1, 2)).mean() - 0.3) < 0.012


def test_a_grey_image_has_equal_channels() -> None:
    image = changed(IntensityConfig(grey_p=1), batch_of())["image"]
    assert torch.equal(image[:, 0], image[:, 1])
    assert torch.equal(image[:, 0], image[:, 2])


def test_an_erased_box_has_the_area_asked_for() -> None:
    config = IntensityConfig(erase_p=1, erase_area=(0.25, 0.25), erase_aspect=(1, 1), erase_value=0.5)
    image = changed(config, batch_of())["image"]
    assert (image == 0.5).all(dim=1).sum(dim=(1, 2)).tolist() == [64] * 16
    boxes = draws_of(config, count=2000).boxes_BD2
    assert boxes.min() == 0
    assert boxes.max() == 16  # both ends are reached


def test_a_volume_is_changed_by_the_same_code() -> None:
    batch = {"image": torch.rand(2, 1, 8, 9, 10), "label": torch.zeros(2, 8, 9, 10, dtype=torch.uint8)}
    config = IntensityConfig(
        blur_p=1, contrast=(0.9, 0.9), noise_p=1, noise_sd=(0.1, 0.1), noise="rician", erase_p=1
    )
    intensity = Intensity(config, KINDS)
    draws = intensity.draw(1, Purpose.AUGMENT, first=0, batch=2, sides=(8, 9, 10))
    assert draws.boxes_BD2.shape == (2, 3, 2)
    assert intensity(batch, draws)["image"].shape == (2, 1, 8, 9, 10)


def test_stored_draws_replay_the_batch_noise_included() -> None:
    batch, draws = batch_of(), draws_of(ALL)
    again = restore(IntensityDraws, dump(draws))
    intensity = Intensity(ALL, KINDS)
    assert torch.equal(intensity(batch, draws)["image"], intensity(batch, again)["image"])


def test_the_source_and_the_global_generator_are_left_alone() -> None:
    batch, state = batch_of(), torch.get_rng_state()
    before = batch["image"].clone()
    changed(ALL, batch)
    assert torch.equal(batch["image"], before)
    assert torch.equal(torch.get_rng_state(), state)


def test_two_transforms_of_one_purpose_are_told_apart_by_their_names() -> None:
    config = IntensityConfig(brightness=(0.5, 1.5))
    first, second = (
        Intensity(config, KINDS, name=name).draw(1, Purpose.AUGMENT, first=0, batch=8, sides=(4, 4))
        for name in ("a", "b")
    )
    assert not np.array_equal(first.brightness_B, second.brightness_B)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"blur_p": float("nan")}, "blur_p"),
        ({"hue_turns": (-0.6, 0.6)}, "hue_turns"),
        ({"noise_sd": (-0.1, 0.1)}, "noise_sd"),
        ({"brightness": (1.2, 0.8)}, "swap the two"),
        ({"blur_kernel_px": 4}, "must be odd, got 4"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        IntensityConfig(**settings)


def test_colour_on_one_channel_is_refused() -> None:
    with pytest.raises(ValueError, match="hue needs the three channels red, green, blue, got 1"):
        changed(IntensityConfig(hue_turns=(0.1, 0.2)), batch_of(channels=1))
