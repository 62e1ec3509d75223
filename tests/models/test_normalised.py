"""Normalisation as the first layer: its values, and that weights bring it along."""

from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from pkgs.data.readers import alabama, datacentric, whu
from pkgs.foundation.colours import COLOURS, Colours
from pkgs.models.catalog import student_of
from pkgs.models.config import ModelConfig
from pkgs.models.normalised import Normalised
from pkgs.models.output import Output
from utility.models import get_model


class Mirror(nn.Module):
    """Returns what it is shown."""

    def forward(self, image_BCHW: Tensor) -> Output:
        return Output(image_BCHW)


def _seen(image_BCHW: Tensor, mean: list[float], std: list[float]) -> Tensor:
    output: Output = Normalised(Mirror(), mean, std).to(image_BCHW.dtype)(image_BCHW)
    return output.logits


def test_the_network_sees_a_value_worked_out_by_hand() -> None:
    # .2 of 255 is 51: (51 - 1) / 10, (51 - 50) / 2, (51 - 60) / 3
    seen = _seen(torch.full((1, 3, 1, 1), 0.2), [1, 50, 60], [10, 2, 3])
    assert torch.allclose(seen[0, :, 0, 0], torch.tensor([5.0, 0.5, -3.0]), atol=1e-5)


def test_the_mean_itself_becomes_zero_whatever_the_spread() -> None:
    mean = [10.0, 20.0, 30.0]
    image = torch.tensor(mean, dtype=torch.float64)[None, :, None, None] / 255
    assert _seen(image, mean, [1e-3, 7, 1e3]).abs().max() < 1e-9


def test_mean_0_and_spread_255_change_nothing() -> None:
    image = torch.rand(2, 3, 4, 4)
    assert torch.allclose(_seen(image, [0, 0, 0], [255] * 3), image)


def test_the_gradient_is_right_in_double_precision() -> None:
    image = torch.rand(1, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: _seen(x, [72, 99, 82], [36, 34, 41]), image)


@pytest.mark.parametrize(("mean", "std"), [([1.0], [1.0, 2.0]), ([], []), ([1.0], [0.0])])
def test_constants_that_cannot_be_used_are_refused(mean: list[float], std: list[float]) -> None:
    with pytest.raises(ValueError, match="expected one of each per channel, every std above 0"):
        Normalised(Mirror(), mean, std)


def test_a_grey_image_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="Normalised was built for 3 channels, the image has 1"):
        _seen(torch.zeros(1, 1, 4, 4), [0, 0, 0], [1, 1, 1])


def test_readers_and_networks_have_the_same_constants() -> None:
    for reader in (alabama, datacentric, whu):
        known = COLOURS[reader.__name__.rpartition(".")[2]]
        assert (reader.COLOURS.mean, reader.COLOURS.std) == known


SMALL = {"name": "nrn_rsseg", "options": {"base": 8}}


def test_weights_bring_their_constants_back(tmp_path: Path) -> None:
    config = ModelConfig.model_validate({"name": "unet2d", "colours": "datacentric"})
    student, image = student_of(config, seed=1, image_channels=3).eval(), torch.rand(1, 3, 32, 32)
    safetensors.torch.save_file(student.state_dict(), tmp_path / "w.safetensors")
    model = get_model("unet2d", tmp_path / "w.safetensors")
    assert isinstance(model.network, Normalised)
    assert torch.allclose(model.network.mean, torch.tensor(COLOURS["datacentric"].mean))
    assert torch.equal(model(image), student(image).logits)


def test_normalisation_does_not_change_how_the_network_starts() -> None:
    plain = student_of(ModelConfig.model_validate(SMALL), seed=1, image_channels=3).state_dict()
    with_colours = ModelConfig.model_validate({**SMALL, "colours": ([1, 2, 3], [4, 5, 6])})
    wrapped = student_of(with_colours, seed=1, image_channels=3).state_dict()
    assert all(torch.equal(wrapped[f"network.{key}"], value) for key, value in plain.items())
    assert wrapped["std"].tolist() == [4, 5, 6]


def test_the_prior_is_that_of_the_network_inside() -> None:
    config = ModelConfig.model_validate({**SMALL, "colours": "whu"})
    state = student_of(config, seed=1, image_channels=3, foreground_share=0.1).state_dict()
    assert state["network.head.bias"].sigmoid().item() == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("more", "channels", "message"),
    [
        (
            {"colours": "whu"},
            1,
            "model.colours normalises R, G, B, and the images of data.layout have 1 chan",
        ),
        ({"options": {"in_channels": 1}}, 3, r"model.options.in_channels is 1, and the images .* have 3"),
        ({"options": {"bas": 8}}, 3, "Did you mean 'base'"),
    ],
)
def test_a_network_for_other_images_is_refused(more: dict[str, object], channels: int, message: str) -> None:
    config = ModelConfig.model_validate({**SMALL, **more})
    with pytest.raises(ValueError, match=message):
        student_of(config, seed=1, image_channels=channels)


def test_constants_of_the_training_part_are_those_that_were_counted() -> None:
    config = ModelConfig.model_validate({"name": "unet2d", "colours": "train"})
    counted = Colours((10, 20, 30), (1, 2, 3))
    assert student_of(config, seed=1, image_channels=3, colours=counted).state_dict()["mean"].tolist() == [
        10,
        20,
        30,
    ]
    waiting = student_of(config, seed=1, image_channels=3)  # for weights to be loaded
    assert waiting.state_dict()["std"].tolist() == [255] * 3


def test_a_spread_of_zero_is_refused_in_the_settings() -> None:
    with pytest.raises(ValueError, match="each spread above 0"):
        ModelConfig.model_validate({**SMALL, "colours": ([1, 2, 3], [4, 0, 6])})
