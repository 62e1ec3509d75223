"""Colour and grey, against colorsys and by hand."""

from __future__ import annotations

import colorsys

import pytest
import torch

from pkgs.data.transforms.colour import brightness, contrast, gamma, grey, hue, saturation


def colours(count: int = 50) -> torch.Tensor:
    some = torch.rand(count, 3, 1, 1, generator=torch.Generator().manual_seed(0))
    special = torch.tensor([[0, 0, 0], [1, 1, 1], [0.5] * 3, [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]])
    return torch.cat([some, special.float()[:, :, None, None]])


def test_hue_agrees_with_colorsys() -> None:
    image = colours()
    turns = torch.linspace(-0.5, 0.5, len(image))
    found = hue(image, turns)[:, :, 0, 0]
    for colour, turn, result in zip(image[:, :, 0, 0].tolist(), turns.tolist(), found.tolist(), strict=True):
        h, s, v = colorsys.rgb_to_hsv(*colour)
        assert result == pytest.approx(colorsys.hsv_to_rgb((h + turn) % 1, s, v), abs=2e-6)


def test_a_whole_and_no_turn_of_the_hue_change_nothing() -> None:
    image = colours()
    assert torch.allclose(hue(image, torch.zeros(len(image))), image, atol=1e-6)
    assert torch.allclose(hue(image, torch.ones(len(image))), image, atol=2e-6)


def test_grey_is_the_luma_of_three_channels_and_the_mean_of_others() -> None:
    image = torch.tensor([0.2, 0.5, 0.8]).reshape(1, 3, 1, 1)
    assert grey(image).item() == pytest.approx(0.299 * 0.2 + 0.587 * 0.5 + 0.114 * 0.8)
    assert grey(image[:, :2]).item() == pytest.approx(0.35)


def test_saturation_moves_colours_from_and_to_grey() -> None:
    image = torch.tensor([0.2, 0.5, 0.8]).reshape(1, 3, 1, 1)
    assert torch.allclose(saturation(image, torch.zeros(1)), grey(image).expand_as(image), atol=1e-7)
    assert torch.allclose(saturation(image, torch.ones(1)), image, atol=1e-7)
    # red: luma .4445; .4445 + 2 (.2 - .4445)
    assert saturation(image, torch.full((1,), 2.0))[0, 0, 0, 0].item() == pytest.approx(-0.0445, abs=1e-6)


def test_contrast_spreads_about_the_mean_of_each_image() -> None:
    image = torch.tensor([[[[0.2, 0.4]]], [[[0.0, 1.0]]]])
    found = contrast(image, torch.tensor([0.5, 2.0]))
    assert torch.allclose(found, torch.tensor([[[[0.25, 0.35]]], [[[-0.5, 1.5]]]]))


def test_brightness_and_gamma_by_hand() -> None:
    image = torch.tensor([[[[0.25, 0.5]]]])
    assert torch.allclose(brightness(image, torch.tensor([1.2])), torch.tensor([[[[0.3, 0.6]]]]))
    assert torch.allclose(gamma(image, torch.tensor([2.0])), torch.tensor([[[[0.0625, 0.25]]]]))
    assert gamma(-image, torch.tensor([0.5])).abs().max() == 0  # never NaN


@pytest.mark.parametrize(("change", "name"), [(hue, "hue"), (saturation, "saturation")])
def test_colour_needs_three_channels(change: object, name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} needs the three channels red, green, blue, got 1"):
        change(torch.zeros(1, 1, 2, 2), torch.zeros(1))
