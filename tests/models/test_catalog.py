"""The networks."""

from __future__ import annotations

import math

import pytest
import torch

from pkgs.models.catalog import STUDENTS, build_student, count_parameters, set_output_prior
from pkgs.models.swin_unetr import build_swin_unetr

LIGHT_PARAMETERS = 126_593
SWIN_PARAMETERS = 7_183_483


def test_the_light_network_gives_one_logit_per_pixel() -> None:
    network = build_student("unet2d", seed=0)
    assert network(torch.rand(2, 1, 64, 96)).shape == (2, 1, 64, 96)


def test_the_light_network_has_a_stated_size() -> None:
    assert count_parameters(build_student("unet2d", seed=0)) == LIGHT_PARAMETERS


def test_sides_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="divisible by 8"):
        build_student("unet2d", seed=0)(torch.rand(1, 1, 60, 64))


@pytest.mark.filterwarnings("ignore")  # MONAI's import warns about its own optional parts
def test_the_published_student_has_the_published_sizes() -> None:
    assert count_parameters(build_swin_unetr()) == SWIN_PARAMETERS
    assert count_parameters(build_swin_unetr(use_v2=False)) == 6_302_203


@pytest.mark.filterwarnings("ignore")
def test_the_published_student_starts_at_the_prior_and_keeps_the_size() -> None:
    network = build_student("swin_unetr", seed=0, foreground_share=0.05)
    assert network.get_submodule(STUDENTS["swin_unetr"].output).bias.item() == pytest.approx(
        math.log(0.05 / 0.95), rel=1e-5
    )
    with torch.no_grad():
        assert network.eval()(torch.rand(1, 1, 64, 64)).shape == (1, 1, 64, 64)


def test_initial_weights_depend_on_the_seed_alone() -> None:
    torch.manual_seed(1)
    first = build_student("unet2d", seed=3).state_dict()
    torch.manual_seed(2)
    torch.rand(100)
    second = build_student("unet2d", seed=3).state_dict()
    other = build_student("unet2d", seed=4).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not torch.equal(first["head.weight"], other["head.weight"])


def test_building_leaves_the_global_generator_alone() -> None:
    state = torch.get_rng_state()
    build_student("unet2d", seed=3)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_prior_is_the_mean_prediction_of_a_network_without_weights() -> None:
    layer = torch.nn.Conv2d(8, 1, 1)
    torch.nn.init.zeros_(layer.weight)
    set_output_prior(layer, share=0.05)
    assert torch.sigmoid(layer(torch.rand(1, 8, 4, 4))).mean().item() == pytest.approx(0.05)


@pytest.mark.parametrize("share", [0.0, 1.0, float("nan")])
def test_a_share_without_logit_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="within \\(0, 1\\)"):
        build_student("unet2d", seed=0, foreground_share=share)


def test_an_unknown_name_comes_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"Unknown student 'unet'. Did you mean 'unet2d'"):
        build_student("unet", seed=0)


def test_images_do_not_influence_each_other() -> None:
    network, images = build_student("unet2d", seed=0), torch.rand(3, 1, 32, 32)
    with torch.no_grad():
        assert torch.allclose(network(images)[1:2], network(images[1:2]), atol=1e-5)
