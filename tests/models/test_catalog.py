"""The networks by name: sizes, shapes, seeds, half precision, saving, and what they refuse."""

from __future__ import annotations

import math
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn

from pkgs.models.catalog import (
    NETWORKS,
    build,
    build_student,
    count_parameters,
    options_of,
    set_output_prior,
)
from pkgs.models.output import LogitsOnly, Output

BY_IMAGE = ("resnet", "simclr", "vit_error")
CLASSES = {"dil2D", *(name for name in NETWORKS if "3D" in name or name.startswith(("Unet2D", "Resnet2D")))}

DEEP = ("34", "101", "152", "34_backbone", "101_backbone", "152_backbone")
EACH = [pytest.param(name, marks=pytest.mark.slow) if name.endswith(DEEP) else name for name in NETWORKS]
"""The deep ResNets differ from the others in their number of blocks alone."""


def small(name: str, *, seed: int = 0, **options: Any) -> nn.Module:  # noqa: ANN401
    given = {**NETWORKS[name].small, **options}
    if "classes" in options_of(name):
        given.setdefault("classes", 3 if "resnet" in name or name in CLASSES else 1)
    return build(name, seed=seed, purpose_name="test", **given)


def dims_of(name: str) -> int:
    return 3 if name == "unet3d" or "net3D" in name else 2


def image_for(name: str, *, batch: int = 2) -> torch.Tensor:
    entry = NETWORKS[name]
    channels = 3 if "resnet" in name or name == "nrn_rsseg" else 2 if "error" in name else 1
    shape = (batch, channels, *[entry.side] * dims_of(name))
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", EACH)
def test_every_network_returns_logits_that_are_no_probabilities(name: str) -> None:
    network, image = small(name).eval(), image_for(name)
    with torch.no_grad():
        output = network(image)
    assert isinstance(output, Output)
    assert output.features is not None
    assert torch.isfinite(output.logits).all()
    if name.startswith(BY_IMAGE) and name != "vit_error_map":
        assert output.logits.ndim == 2
    elif name not in {"dil2D", "Unet3DSmallA"}:  # those have no padding
        assert output.logits.shape[2:] == image.shape[2:]
    for extra in (*output.auxiliary, *(x for x in (output.std_logits,) if x is not None)):
        assert extra.shape == output.logits.shape
    assert torch.equal(LogitsOnly(network)(image), output.logits)


@pytest.mark.parametrize("name", EACH)
def test_weights_depend_on_the_seed_alone_and_survive_saving(name: str) -> None:
    torch.manual_seed(1)
    first = small(name, seed=3).state_dict()
    torch.manual_seed(2)
    torch.rand(100)
    state = torch.get_rng_state()
    again, other = small(name, seed=3), small(name, seed=4).state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(first[key], value) for key, value in again.state_dict().items())
    assert any(not torch.equal(first[key], other[key]) for key in first)
    packed = safetensors.torch.save({key: value.contiguous() for key, value in first.items()})
    again.load_state_dict(safetensors.torch.load(packed))


@pytest.mark.parametrize("name", EACH)
def test_every_network_runs_in_half_precision(name: str) -> None:
    network = small(name).eval()
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        logits = network(image_for(name)).logits
    assert torch.isfinite(logits).all()


def test_the_names_that_users_know() -> None:
    depths = (18, 34, 50, 101, 152)
    assert set(NETWORKS) == {
        "unet2d", "unet3d", "swin_unetr", "vit_error", "vit_error_map", "unet_error_map", "nrn_rsseg",
        "dil2D", "Unet2DSmallOrig", "Unet3DSmallOrig", "Unet3DSmallOrigDS", "Unet3D", "Unet3DStrided",
        "Unet3DSmall", "Unet3DSmallELU", "Unet3DSmallDS", "Unet3DSmallA", "Resnet2DNEW", "Resnet3DNEW",
        "Resnet3D", "Resnet3DUnc",
        *(f"resnet{depth}" for depth in depths),
        *(f"unet_resnet{depth}_backbone" for depth in depths),
        *(f"simclr_resnet{depth}" for depth in depths),
    }  # fmt: skip


def test_the_purpose_tells_student_and_teacher_apart() -> None:
    student = build("unet2d", seed=3, purpose_name="student").state_dict()
    teacher = build("unet2d", seed=3, purpose_name="teacher").state_dict()
    assert not torch.equal(student["head.weight"], teacher["head.weight"])
    assert torch.equal(student["head.weight"], build_student("unet2d", seed=3).state_dict()["head.weight"])


SIZES = [
    ("unet2d", {}, 126_593),
    ("swin_unetr", {}, 7_183_483),
    ("swin_unetr", {"use_v2": False}, 6_302_203),
    ("vit_error", {}, 85_592_833),
    ("unet_error_map", {"image_channels": 3}, 504_801),
    ("unet_error_map", {"image_channels": 3, "base": 8}, 126_833),
    ("nrn_rsseg", {}, 7_774_313),
    ("nrn_rsseg", {"aligned": False}, 7_774_313),
    ("nrn_rsseg", {"pooled_attention": True}, 7_820_961),
    ("nrn_rsseg", {"base": 8}, 487_633),
    ("nrn_rsseg", {"base": 8, "pooled_attention": True}, 499_001),
    ("dil2D", {"rf": 35, "classes": 3, "uncertainty": True}, 91_814),
    ("dil2D", {"rf": 67, "classes": 3, "uncertainty": True}, 101_062),
    ("dil2D", {"rf": 131, "classes": 3, "uncertainty": True}, 110_310),
    ("resnet50", {"classes": 1000}, 25_556_032),
    ("resnet50", {"classes": 15}, 23_538_752),
    ("resnet50", {"classes": 10}, 23_528_512),
    ("resnet50", {"classes": 6}, 23_520_320),
    ("unet_resnet50_backbone", {"classes": 3}, 36_495_667),
    ("unet_resnet50_backbone", {"classes": 4}, 36_495_684),
    ("unet_resnet18_backbone", {"classes": 3}, 15_550_259),
    ("unet_resnet18_backbone", {"classes": 4}, 15_550_276),
]
BY_CLASSES = {  # K = 2, 3, 5
    ("dil2D", "rf", 35): (68_994, 69_187, 69_573),
    ("dil2D", "rf", 67): (78_242, 78_435, 78_821),
    ("dil2D", "rf", 131): (87_490, 87_683, 88_069),
    ("Unet3DSmallOrig", "uncertainty", False): (5_613_226, 5_618_807, 5_630_401),
    ("Unet3DSmallOrigDS", "uncertainty", False): (5_613_226, 5_618_807, 5_630_401),
    ("Unet3DSmallOrig", "uncertainty", True): (5_613_292, 5_618_906, 5_630_566),
    ("Resnet3DNEW", "dims", 3): (5_868_930, 5_868_963, 5_869_029),
    ("Resnet3D", "dims", 3): (5_868_930, 5_868_963, 5_869_029),
    ("Resnet3DUnc", "dims", 3): (5_870_052, 5_870_118, 5_870_250),
    ("Unet2DSmallOrig", "base", 32): (1_931_418, 1_933_283, 1_937_133),
    ("Resnet2DNEW", "base", 32): (1_960_770, 1_960_803, 1_960_869),
    ("Unet3D", "width", 32): (907_426, 907_459, 907_525),
    ("Unet3DStrided", "width", 32): (950_546, 950_579, 950_645),
    ("Unet3DSmall", "base", 32): (5_601_154, 5_601_187, 5_601_253),
    ("Unet3DSmallELU", "base", 32): (5_601_154, 5_601_187, 5_601_253),
    ("Unet3DSmallDS", "base", 32): (5_611_818, 5_617_399, 5_628_993),
    ("Unet3DSmallA", "base", 32): (5_602_562, 5_602_595, 5_602_661),
}
SIZES += [
    (name, {option: value, "classes": classes}, count)
    for (name, option, value), counts in BY_CLASSES.items()
    for classes, count in zip((2, 3, 5), counts, strict=True)
]


@pytest.mark.parametrize(("name", "options", "count"), SIZES)
def test_networks_have_the_published_numbers_of_parameters(
    name: str, options: dict[str, Any], count: int
) -> None:
    with torch.device("cpu" if name.startswith(("swin", "vit")) else "meta"):  # meta: no memory, no time
        assert count_parameters(NETWORKS[name].build(**options)) == count


@pytest.mark.parametrize(("name", "words"), [("unet2", "Did you mean 'unet2d'"), ("resnet51", "Known: ")])
def test_an_unknown_name_comes_with_the_nearest_and_the_known_ones(name: str, words: str) -> None:
    with pytest.raises(ValueError, match=f"Unknown network '{name}'.*{words}"):
        build_student(name, seed=0)


def test_an_unknown_or_missing_option_is_named() -> None:
    with pytest.raises(ValueError, match=r"option of unet2d, 'bases'. Did you mean 'base'"):
        build("unet2d", seed=0, purpose_name="student", bases=4)
    with pytest.raises(ValueError, match=r"resnet18 needs classes=\.\.\."):
        build("resnet18", seed=0, purpose_name="student")


def test_the_prior_is_the_mean_prediction_of_a_network_without_weights() -> None:
    layer = torch.nn.Conv2d(8, 1, 1)
    torch.nn.init.zeros_(layer.weight)
    set_output_prior(layer, share=0.05)
    assert torch.sigmoid(layer(torch.rand(1, 8, 4, 4))).mean().item() == pytest.approx(0.05)


@pytest.mark.parametrize("name", ["unet2d", "swin_unetr"])
def test_students_start_at_the_prior(name: str) -> None:
    layer = build_student(name, seed=0, foreground_share=0.05).get_submodule(NETWORKS[name].output)
    assert layer.bias.item() == pytest.approx(math.log(0.05 / 0.95), rel=1e-5)


@pytest.mark.parametrize("share", [0.0, 1.0, float("nan")])
def test_a_share_without_logit_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="within \\(0, 1\\)"):
        build_student("unet2d", seed=0, foreground_share=share)


@pytest.mark.parametrize("name", EACH)
def test_the_named_output_layer_is_the_last(name: str) -> None:
    layer = small(name).get_submodule(NETWORKS[name].output)
    assert isinstance(layer, nn.Conv2d | nn.Conv3d | nn.Linear)
    expected = 256 if name.startswith("simclr") else 3 if "resnet" in name or name in CLASSES else 1
    assert layer.weight.shape[0] == expected


def batch_to_learn(name: str, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return images of bright and dark blocks with noise, and what is bright; a random answer per image."""
    generator = torch.Generator().manual_seed(1)
    image, shape = image_for(name, batch=len(logits)), logits.shape
    if logits.ndim == 2:
        return image, (torch.rand(shape, generator=generator) > 0.5).float()
    coarse = (torch.rand((len(logits), 1, *[4] * dims_of(name)), generator=generator) > 0.5).float()
    blocks = nn.functional.interpolate(coarse, size=image.shape[2:])
    away = (image.shape[-1] - shape[-1]) // 2
    inner = [slice(away, away + side) for side in shape[2:]]
    return 0.2 * image + blocks, blocks[(slice(None), slice(None), *inner)].expand(shape)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_one_batch_overfits(name: str) -> None:
    network = small(name).train()
    with torch.no_grad():
        logits = network(image_for(name, batch=1 if name == "Unet3DSmallA" else 4)).logits
    image, target = batch_to_learn(name, logits)
    slow_one = name == "Unet3DSmallA"  # half a second a step: fewer, larger ones
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2 if slow_one else 3e-3)
    torch.manual_seed(0)  # dropout
    losses: list[float] = []
    while len(losses) < 150 and (not losses or losses[-1] > 0.6 * losses[0]):
        loss = nn.functional.binary_cross_entropy_with_logits(network(image).logits, target)
        losses.append(loss.item())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert losses[-1] <= 0.6 * losses[0], losses[::10]
