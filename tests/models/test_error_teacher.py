"""The error teacher: what it takes, what it says, and its recalibration."""

from __future__ import annotations

import pytest
import torch

from pkgs.foundation.colours import COLOURS
from pkgs.models.error_teacher import START_SHARE, ErrorTeacher, build_error_teacher

UNET = "unet_error_map_light"


def teacher() -> ErrorTeacher:
    return build_error_teacher("vit_error_map_light", seed=3, size_px=64)


def test_it_predicts_one_share_per_pixel_and_one_per_image() -> None:
    told = teacher()(torch.rand(2, 1, 64, 64), torch.rand(2, 1, 64, 64))
    assert told.share_B1HW.shape == (2, 1, 64, 64)
    assert told.image_logits_B.shape == (2,)
    assert bool(((told.share_B1HW > 0) & (told.share_B1HW < 1)).all())


def test_its_recalibration_is_saved_with_its_weights_and_scales_the_logits() -> None:
    one = teacher().eval()
    image, mask = torch.rand(1, 1, 64, 64), torch.rand(1, 1, 64, 64)
    before = one(image, mask).logits_B1HW
    one.slope.fill_(2.0)
    one.offset.fill_(-1.0)
    assert {"slope", "offset"} <= one.state_dict().keys()
    assert torch.allclose(one(image, mask).logits_B1HW, 2 * before - 1)


def test_the_gradient_flows_through_the_mask() -> None:
    mask = torch.rand(1, 1, 64, 64, requires_grad=True)
    teacher()(torch.rand(1, 1, 64, 64), mask).share_B1HW.sum().backward()
    assert mask.grad is not None
    assert bool(mask.grad.abs().sum() > 0)


def test_a_mask_without_its_channel_axis_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected \[B, 1, H, W\]"):
        teacher()(torch.rand(2, 1, 64, 64), torch.rand(2, 64, 64))


def test_both_outputs_can_start_near_the_mean_error_share() -> None:
    image, mask = torch.rand(2, 1, 64, 64), torch.rand(2, 1, 64, 64)
    drawn = build_error_teacher("vit_error_map_light", seed=3, size_px=64)
    started = build_error_teacher("vit_error_map_light", seed=3, size_px=64, share=START_SHARE)
    assert 0.3 < drawn(image, mask).share_B1HW.mean().item() < 0.7
    told = started(image, mask)
    assert 0.01 < told.share_B1HW.mean().item() < 0.08
    assert 0.01 < torch.sigmoid(told.image_logits_B).mean().item() < 0.2


def test_a_unet_teacher_of_colour_images_takes_every_side_that_8_divides() -> None:
    for name, count in (("unet_error_map", 504_801), (UNET, 126_833)):
        one = build_error_teacher(name, seed=3, size_px=64, image_channels=3)
        assert sum(p.numel() for p in one.parameters()) == count
    told = one(torch.rand(2, 3, 48, 72), torch.rand(2, 1, 48, 72))
    assert told.share_B1HW.shape == (2, 1, 48, 72)


def test_a_unet_says_of_the_image_what_its_map_says_on_average() -> None:
    one = build_error_teacher(UNET, seed=3, size_px=32)
    told = one(torch.rand(3, 1, 32, 32), torch.rand(3, 1, 32, 32))
    mean_B = told.share_B1HW.mean(dim=(1, 2, 3))
    assert torch.allclose(torch.sigmoid(told.image_logits_B), mean_B, atol=1e-6)
    with torch.no_grad():
        one.network.get_submodule("unet.head").bias.fill_(-200.0)
    surely_right = one(torch.rand(1, 1, 32, 32), torch.rand(1, 1, 32, 32)).image_logits_B
    assert torch.isfinite(surely_right).all()
    assert surely_right.item() == pytest.approx(-200, abs=5)


def test_the_gradient_of_a_unet_reaches_the_mask_and_every_weight() -> None:
    one = build_error_teacher(UNET, seed=3, size_px=32, image_channels=3)
    mask = torch.rand(1, 1, 32, 32, requires_grad=True)
    one(torch.rand(1, 3, 32, 32), mask).logits_B1HW.square().sum().backward()
    assert mask.grad is not None
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in one.parameters())
    assert bool(mask.grad.abs().sum() > 0)


def test_a_unet_starts_near_the_mean_error_share_too() -> None:
    one = build_error_teacher(UNET, seed=3, size_px=32, share=START_SHARE)
    told = one(torch.rand(2, 1, 32, 32), torch.rand(2, 1, 32, 32))
    assert 0.01 < told.share_B1HW.mean().item() < 0.08


def test_an_unknown_teacher_comes_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"Unknown error teacher 'unet'.*Known: unet_error_map"):
        build_error_teacher("unet", seed=0, size_px=32)


def test_normalisation_is_of_the_image_alone_and_saved_with_the_weights() -> None:
    colours = COLOURS["whu"]
    one = build_error_teacher(UNET, seed=3, size_px=32, image_channels=3, colours=colours)
    bare = build_error_teacher(UNET, seed=3, size_px=32, image_channels=3)
    image, mask = torch.rand(2, 3, 32, 32), torch.rand(2, 1, 32, 32)
    mean, std = (torch.tensor(each)[:, None, None] for each in colours)
    told, expected = one(image, mask), bare((255 * image - mean) / std, mask)
    assert torch.allclose(told.logits_B1HW, expected.logits_B1HW, atol=1e-5)
    assert torch.equal(one.state_dict()["network.mean"][:3], mean.flatten())
